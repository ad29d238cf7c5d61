"""One train, validation or test step and its metrics, for each kind of task; knows no file."""

SEPARATOR = " ; "  # between several values in one text: the labels of an utterance, the utterances of an enrolment
