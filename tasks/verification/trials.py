"""Verification trials as index arrays, so that millions of them fit in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tasks import SEPARATOR

if TYPE_CHECKING:
    import pandas as pd

LABELS = {"1": True, "0": False, "target": True, "nontarget": False}


@dataclass(frozen=True, kw_only=True)
class Trials:
    """Pairs of an enrolment, of one utterance or several, and a test utterance.

    enrolments: names of the M enrolments; the ids of several utterances are joined by " ; ".
    tests: ids of the test utterances.
    enrol, test: int64 (N,), indices into ``enrolments`` and ``tests``.
    targets: bool (N,), true if both sides are one speaker.
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
            ValueError: the table is empty, or has another label; the message names its row.
        """
        import pandas as pd

        if not len(table):
            raise ValueError("the list of trials is empty; expected at least one target and one non-target trial")
        enrol, enrolments = pd.factorize(table["id1"])
        test, tests = pd.factorize(table["id2"])
        kind, labels = pd.factorize(table["label"])
        for number, label in enumerate(labels):
            if str(label) not in LABELS:
                row = int(np.argmax(kind == number))
                raise ValueError(
                    f"trial {row + 1} ({table['id1'].iloc[row]} {table['id2'].iloc[row]}) has the label {label!r}: "
                    "expected 1 for one speaker on both sides, or 0 for two"
                )
        values = np.array([LABELS[str(label)] for label in labels])
        return cls(
            enrolments=[str(e) for e in enrolments],
            tests=[str(t) for t in tests],
            enrol=enrol,
            test=test,
            targets=values[kind],
        )

    def __len__(self) -> int:
        return len(self.targets)

    def members(self) -> list[list[str]]:
        """The ids of the utterances of each enrolment."""
        return [name.split(SEPARATOR) for name in self.enrolments]

    def among(self, ids: Sequence[str]) -> Trials:
        """The trials whose utterances are all among ``ids``; the object itself if that is all of them."""
        available = set(ids)
        has_enrolment = np.array([available.issuperset(members) for members in self.members()], dtype=bool)
        has_test = np.array([test in available for test in self.tests], dtype=bool)
        complete = has_enrolment[self.enrol] & has_test[self.test]
        if complete.all():
            return self
        # drop the names that no trial uses: a scorer needs an embedding for every name
        enrolments, enrol = np.unique(self.enrol[complete], return_inverse=True)
        tests, test = np.unique(self.test[complete], return_inverse=True)
        return Trials(
            enrolments=[self.enrolments[n] for n in enrolments],
            tests=[self.tests[n] for n in tests],
            enrol=enrol,
            test=test,
            targets=self.targets[complete],
        )
