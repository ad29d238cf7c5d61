"""Code that several corpora share."""
