"""Trials of speaker verification as indices, so that millions of them are a few arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

SEPARATOR = " ; "  # between the utterances of one enrolment, as in "utt1 ; utt2"
LABELS = {"1": True, "0": False, "target": True, "nontarget": False}


@dataclass(frozen=True)
class Trials:
    """Pairs of an enrolment, of one utterance or several, and a test utterance.

    enrolments: names of the M enrolments; those of several utterances name them with " ; " between.
    tests: ids of the test utterances.
    enrol, test: int64 (N,), places in ``enrolments`` and ``tests``.
    targets: bool (N,), whether both sides are one speaker.
    """

    enrolments: list[str]
    tests: list[str]
    enrol: np.ndarray
    test: np.ndarray
    targets: np.ndarray

    @classmethod
    def of(cls, table: pd.DataFrame) -> Trials:
        """The trials of a table with the columns ``id1, id2, label``; a label is 1 (or target) or 0 (nontarget).

        Raises:
            ValueError: there is no trial; a label is another, with its row.
        """
        import pandas as pd

        if not len(table):
            raise ValueError("the list of trials is empty; expected at least one target trial and one other")
        enrol, enrolments = pd.factorize(table["id1"])
        test, tests = pd.factorize(table["id2"])
        kind, labels = pd.factorize(table["label"])
        for number, label in enumerate(labels):
            if str(label) not in LABELS:
                row = int(np.argmax(kind == number))
                raise ValueError(
                    f"trial {row + 1} ({table['id1'].iloc[row]} {table['id2'].iloc[row]}) has the label {label!r}: "
                    "expected 1 where both sides are one speaker, 0 where they are two"
                )
        values = np.array([LABELS[str(label)] for label in labels])
        return cls([str(e) for e in enrolments], [str(t) for t in tests], enrol, test, values[kind])

    def __len__(self) -> int:
        return len(self.targets)

    def members(self) -> list[list[str]]:
        """The ids of the utterances of each enrolment."""
        return [name.split(SEPARATOR) for name in self.enrolments]

    def among(self, ids: Sequence[str]) -> Trials:
        """The trials all of whose utterances are among ``ids``; itself where all are."""
        known = set(ids)
        enrolled = np.array([known.issuperset(members) for members in self.members()], dtype=bool)
        tested = np.array([test in known for test in self.tests], dtype=bool)
        kept = enrolled[self.enrol] & tested[self.test]
        if kept.all():
            return self
        # only what is still named: a scorer asks for the embedding of everything that is
        enrolments, enrol = np.unique(self.enrol[kept], return_inverse=True)
        tests, test = np.unique(self.test[kept], return_inverse=True)
        named = [self.enrolments[n] for n in enrolments], [self.tests[n] for n in tests]
        return Trials(*named, enrol, test, self.targets[kept])
