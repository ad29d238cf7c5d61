"""What every process needs: errors, ranks, locks, signals, numerics."""
