"""Metrics of every declared kind."""

from __future__ import annotations

from tasks.metrics.kinds import Count, Number, Rate

METRICS = {"wer": 0.25, "cer": 0.125, "loss": 1.5, "words": 12, "substitutions": 3}
KINDS = {
    "wer": Rate(label="WER"),
    "cer": Rate(label="CER"),
    "loss": Number(),
    "words": Count(),
    "substitutions": Count(),
}
