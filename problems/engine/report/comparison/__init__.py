"""Comparison of finished runs: their metrics side by side, paired tests, and one page."""
