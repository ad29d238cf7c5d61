"""The config: every key, presets and overrides merged and checked; no torch."""
