"""The state of a training: its position, what a checkpoint keeps of it, and how it is restored."""
