"""The window of batches of an optimizer step: its parts, its sums, and the batches that fail."""
