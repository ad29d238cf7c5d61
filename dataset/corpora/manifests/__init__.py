"""Manifests of other toolkits, read as corpora, and written from the CSVs of stage 0."""
