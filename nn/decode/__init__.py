"""Decoding: from a model's outputs to token sequences."""
