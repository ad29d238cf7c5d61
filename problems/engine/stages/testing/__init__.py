"""Tests of trained checkpoints, in stage 3 and later, and what is chosen by validation."""
