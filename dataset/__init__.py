"""Files in, batches out: corpora, metadata, audio, label encoders, samplers. Knows no model."""
