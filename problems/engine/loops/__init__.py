"""Training and evaluation, batch by batch."""
