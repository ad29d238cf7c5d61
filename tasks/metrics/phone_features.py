"""Phone feature error rate (PFER): errors between phones weigh as much as their articulatory features differ.

Edits are insertions and deletions, which cost 1, and substitutions, which cost the share of panphon's features in which
two segments differ (Mortensen et al., "PanPhon: a resource for mapping IPA segments to articulatory feature vectors",
COLING 2016): ``hamming_feature_edit_distance`` of that library. PFER is their sum over the segments of the references,
as a phone error rate is. ZIPA (Zhu et al., arXiv 2505.23170) and PRiSM (arXiv 2601.14046) call the mean over utterances
of :attr:`FeatureErrors.distance` PFER.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

MISSING = 'PFER needs the features of panphon: pip install "soundstage[phones]"'
SPELLINGS = {"ɚ": "ə˞", "ɝ": "ɜ˞", "ᵻ": "ɨ", "g": "ɡ", "ʦ": "t͡s", "ʣ": "d͡z", "ʧ": "t͡ʃ", "ʤ": "d͡ʒ"}
"""Symbols that panphon does not know, in those that it does."""
UNKNOWN = "⁇"
"""A symbol that a model does not know: it differs from all in every feature."""
IGNORED = str.maketrans("", "", "ˈˌ.‿|‖")
"""Stress and the boundaries of syllables and groups: no features of segments."""


@dataclass
class FeatureErrors:
    """The errors of an utterance: the sum of the costs of its edits, and the segments of its reference."""

    distance: float
    segments: int


class PhoneFeatures:
    """Compares sequences of IPA symbols by the features of their segments.

    A symbol may be of several segments, such as a diphthong. Stress is left out.

    Raises:
        ImportError: panphon is not installed.
    """

    def __init__(self) -> None:
        try:
            import panphon  # noqa: F401
        except ImportError:
            raise ImportError(MISSING) from None
        self.numbers: dict[str, int] = {}  # of segments
        self.costs = np.zeros((0, 0))
        self.known: dict[str, list[int]] = {}  # the segments of symbols

    @cached_property
    def table(self):
        """The features of panphon."""
        import panphon

        return panphon.FeatureTable()

    def unknown(self, symbols: Sequence[str]) -> list[str]:
        """The symbols that are not IPA, as panphon knows it."""
        return [symbol for symbol in symbols if self._spelled(symbol)[0] != "".join(self._spelled(symbol)[1])]

    def check(self, symbols: Sequence[str]) -> None:
        """Raise ValueError if some symbols are not IPA."""
        unknown = self.unknown(symbols)
        if unknown:
            more = f", and {len(unknown) - 10} more" if len(unknown) > 10 else ""
            raise ValueError(f"PFER is of IPA symbols; panphon does not know {' '.join(unknown[:10])}{more}")

    def errors(self, reference: Sequence[str], hypothesis: Sequence[str]) -> FeatureErrors:
        """The cheapest edits from a reference to a hypothesis.

        Raises:
            ValueError: a symbol is not IPA.
        """
        sides = [[number for symbol in side for number in self._segments(symbol)] for side in (reference, hypothesis)]
        costs = self._costs()[np.ix_(*sides)] if all(sides) else np.zeros((len(sides[0]), len(sides[1])))
        return FeatureErrors(_edit_distance(costs), len(sides[0]))

    def _segments(self, symbol: str) -> list[int]:
        if symbol not in self.known:
            self.check([symbol])
            segments = self._spelled(symbol)[1]
            self.known[symbol] = [self.numbers.setdefault(segment, len(self.numbers)) for segment in segments]
        return self.known[symbol]

    def _spelled(self, symbol: str) -> tuple[str, list[str]]:
        """The symbol as panphon spells it, and its segments."""
        if symbol == UNKNOWN:
            return UNKNOWN, [UNKNOWN]
        text = "".join(SPELLINGS.get(letter, letter) for letter in unicodedata.normalize("NFC", symbol))
        text = self.table.normalize(text.translate(IGNORED))
        return text, self.table.ipa_segs(text)

    def _costs(self) -> np.ndarray:
        """The cost of each substitution among the segments that have occurred."""
        if len(self.costs) < len(self.numbers):
            vectors = np.array([self._vector(segment) for segment in self.numbers], dtype=np.float64)
            self.costs = (vectors[:, None] != vectors).mean(axis=2)
        return self.costs

    def _vector(self, segment: str) -> list[float]:
        if segment == UNKNOWN:
            return [math.nan] * len(self.table.names)  # equal to nothing, itself included
        return self.table.word_to_vector_list(segment, numeric=True)[0]


def _edit_distance(costs: np.ndarray) -> float:
    """The cheapest path through the costs of substitutions (N, M), with steps of cost 1 along either side."""
    steps = np.arange(costs.shape[1] + 1, dtype=np.float64)
    row = steps
    for number, own in enumerate(costs, start=1):
        best = np.minimum(row[1:] + 1, row[:-1] + own)
        # insertions: the least of all cells to the left, each with a step for each column between
        row = np.minimum.accumulate(np.concatenate([[number], best]) - steps) + steps
    return float(row[-1])
