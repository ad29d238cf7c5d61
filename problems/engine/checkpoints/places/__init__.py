"""Trained models that are elsewhere: at URLs, and on the Hugging Face hub."""
