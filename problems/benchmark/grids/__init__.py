"""Grids: problems, settings, seeds and folds in one file, and one table."""
