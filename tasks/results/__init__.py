"""Results of a model on new audio, one class for each kind of prediction."""

from __future__ import annotations

from tasks.results.labels import Label, LabelsOfSlots, Tags
from tasks.results.numbers import Embedding, Estimate, Verification
from tasks.results.result import Result, Segment, Value
from tasks.results.texts import Alignment, Phones, Slots, Transcript
from tasks.results.times import Events, Hit, Hits, Turns

__all__ = [
    "Alignment",
    "Embedding",
    "Estimate",
    "Events",
    "Hit",
    "Hits",
    "Label",
    "LabelsOfSlots",
    "Phones",
    "Result",
    "Segment",
    "Slots",
    "Tags",
    "Transcript",
    "Turns",
    "Value",
    "Verification",
]
