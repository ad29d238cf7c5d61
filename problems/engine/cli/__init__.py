"""The command line: one verb a file; no torch until a verb runs."""
