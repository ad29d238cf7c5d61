"""Follow a training: its history, its display, its profile."""
