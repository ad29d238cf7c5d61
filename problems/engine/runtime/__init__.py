"""The base of every process: errors, ranks, locks, signals, numerics."""
