"""Text encoders that were built from a few texts."""

from __future__ import annotations

import pytest

from dataset.encoders import TextEncoder, build_encoder

TEXTS = ["THE CAT SAT ON THE MAT", "A CAT", "", "NAÏVE  DOGS\tRUN ", "null"]


def build(name: str, **conf: object) -> TextEncoder:
    """The encoder called ``name``, built from ``TEXTS``; sentencepiece with 22 symbols."""
    if name == "sentencepiece":
        pytest.importorskip("sentencepiece")
        conf = {"vocab_size": 22, **conf}
    return build_encoder(name, TEXTS, **conf)
