"""Number encoder: a number an utterance, standardised by the mean and the deviation of the training set."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dataset.encoders.base import VERSION, EncoderError, LabelEncoder


class NumberEncoder(LabelEncoder):
    """A number to its standardised form and back.

    Attributes:
        mean, deviation: of the training set; the deviation divides by the number of utterances.
    """

    name = "number"

    def __init__(self, mean: float, deviation: float) -> None:
        if not (math.isfinite(mean) and math.isfinite(deviation) and deviation > 0):
            raise EncoderError(
                f"mean is {mean} and deviation is {deviation}; expected finite numbers, the second above 0"
            )
        self.mean, self.deviation = mean, deviation

    @classmethod
    def build(cls, texts: Iterable[str]) -> NumberEncoder:
        """Learn mean and deviation.

        Args:
            texts: training numbers, at least two different ones.
        """
        numbers = []
        for place, text in enumerate(texts):
            try:
                numbers.append(_number(text))
            except EncoderError as error:
                raise EncoderError(str(error), place) from None
        if not numbers:
            raise EncoderError("an encoder cannot be built: there are no numbers; check the training set")
        if min(numbers) == max(numbers):
            raise EncoderError(f"every training utterance has the value {numbers[0]:g}; a regression needs two")
        mean = math.fsum(numbers) / len(numbers)
        deviation = math.sqrt(math.fsum((number - mean) ** 2 for number in numbers) / len(numbers))
        return cls(mean, deviation)

    def encode(self, text: str) -> float:
        """Return the standardised number; an EncoderError if the text is no number."""
        return (_number(text) - self.mean) / self.deviation

    def decode(self, number: float) -> float:
        """Return the number of a standardised one."""
        return self.mean + self.deviation * number

    def unknown(self, text: str) -> set[str]:
        """Nothing: a number need not occur in training. An EncoderError if the text is no number."""
        _number(text)
        return set()

    def __len__(self) -> int:
        return 1

    def __repr__(self) -> str:
        return f"{type(self).__name__}(mean {self.mean:g}, deviation {self.deviation:g})"

    def _record(self) -> dict[str, Any]:
        return {"name": self.name, "version": VERSION, "mean": self.mean, "deviation": self.deviation}

    @classmethod
    def _check_record(cls, record: dict[str, Any], path: Path) -> None:
        if any(not isinstance(record.get(key), (int, float)) for key in ("mean", "deviation")):
            raise EncoderError(
                f"{path} must have the numbers 'mean' and 'deviation'; build the encoder again (stage 1)"
            )

    @classmethod
    def _from_record(cls, record: dict[str, Any], folder: Path) -> NumberEncoder:
        return cls(record["mean"], record["deviation"])


def _number(text: str) -> float:
    """The number of a text; an EncoderError if it is none, or not finite."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise EncoderError(f"expected a number, such as 3.5, got {text!r}")
    return number
