"""Sets whose audio has lower sample rates than that of the training set."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from dataset import SAMPLE_RATE

log = logging.getLogger(__name__)


def said_rates(rates: Sequence[int]) -> str:
    """The sample rates of a set, unless all are at least 16 kHz."""
    return f"  {', '.join(f'{rate / 1000:g}' for rate in rates)} kHz" if rates and rates[0] < SAMPLE_RATE else ""


def warn_of_rates(rates: Mapping[str, Sequence[int]]) -> None:
    """Warn if a set has narrower audio than the training set: a model learns what it finds in the upper bands."""
    if "train" not in rates:
        return
    least = min(rates["train"])
    narrow = {name: min(own) for name, own in rates.items() if own and min(own) < min(least, SAMPLE_RATE)}
    if narrow:
        name, rate = min(narrow.items(), key=lambda item: item[1])
        log.warning(
            "%s has audio at %g kHz, with nothing above %g kHz, and train has none so narrow: train on such audio too,"
            " with --build_dataset.band_limits [%g,8000]",
            *(name, rate / 1000, rate / 2000, rate / 2),
        )
