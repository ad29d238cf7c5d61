"""Checkpoints: what they hold, where they are, which are kept."""
