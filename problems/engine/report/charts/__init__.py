"""Drawings of the page: small SVGs, each beside a table of the same numbers."""
