"""The length of a training: a number of steps, a time, or until nothing improves."""
