"""Figures of a run: what its training, its stages and the predictions of its tests show."""
