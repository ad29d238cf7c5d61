"""Files in, batches out: corpora, metadata, audio, label encoders, samplers, the loader. Knows no model."""

SAMPLE_RATE = 16000  # of every waveform, in Hz
SEPARATOR = " ; "  # between the values of one cell: the labels of an utterance, the recordings of an enrolment
