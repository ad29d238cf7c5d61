"""Batch samplers: pure functions of (seed, epoch)."""
