"""Many runs as one: every problem for every encoder, at several learning rates, and their table."""
