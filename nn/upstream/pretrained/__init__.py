"""Pretrained encoders of torchaudio and Hugging Face."""
