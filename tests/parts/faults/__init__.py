"""Command lines that are interrupted at random instants and typed again, and compared with undisturbed ones."""
