"""Whether a stage is done and fresh: its fingerprint, its record, and the reasons if it is not."""
