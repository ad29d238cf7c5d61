"""One train, validation or test step and its metrics, for each kind of task; knows no file."""
