"""The five stages: one a file; which of them run, and why."""
