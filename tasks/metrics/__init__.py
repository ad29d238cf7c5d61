"""Metrics over all utterances of a data set, and their declarations."""
