"""The modules that a run executes, a user's own among them: their sources, digests and names."""
