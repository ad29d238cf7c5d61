"""Recordings of several speakers: their turns, windows of them, and conversations that are made."""
