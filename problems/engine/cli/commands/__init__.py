"""The commands of a problem: one a file; no torch until a command runs."""
