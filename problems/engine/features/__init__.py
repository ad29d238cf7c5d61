"""Features of a frozen upstream, computed once and cached."""
