"""The other processes of a run: their failures, and what losing one looks like."""
