"""Speaker verification: trials, scores, and the task."""
