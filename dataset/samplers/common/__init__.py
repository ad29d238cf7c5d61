"""Parts of the batch samplers: orders, draws and windows by index."""
