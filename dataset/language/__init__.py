"""Transcripts: n-grams, pronunciations, and marks of slots."""
