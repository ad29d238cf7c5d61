"""Which utterances are held out: chosen by a hash of their groups' names, not by their order.

A group (a speaker, a recording, or one utterance) is never divided. Groups may be of several strata (labels), each of
which is then held out in the same proportion.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from dataset.corpora.common.base import Row

Strata = Mapping[str, str]  # group -> its stratum


def hashed(groups: Iterable[str], seed: object) -> list[str]:
    """The groups in an order that depends on each one's name and ``seed`` alone."""
    return sorted(groups, key=lambda group: hashlib.sha256(f"{seed} {group}".encode()).digest())


def hold_out(sizes: Mapping[str, int], number: float, seed: object, strata: Strata | None = None) -> set[str]:
    """Groups of about ``number`` utterances, the nearest that whole groups give; at least one, never all.

    Args:
        sizes: utterances of each group.
        seed: another one chooses others.
        strata: hold out the same part of each; of one with a single group, none.
    """
    total = sum(sizes.values())
    chosen: set[str] = set()
    for members in _by_stratum(sizes, strata).values():
        wanted = number * sum(sizes[group] for group in members) / total
        taken = 0
        for position, group in enumerate(hashed(members, seed)[:-1]):
            if position and taken + sizes[group] / 2 > wanted:  # nearer without this group than with it
                break
            chosen.add(group)
            taken += sizes[group]
    return chosen


def folds_of(sizes: Mapping[str, int], folds: int, seed: object, strata: Strata | None = None) -> dict[str, int]:
    """The fold, from 0, of each group: folds are of about equal size, in every stratum and in all.

    Args:
        sizes: utterances of each group.
        folds: how many; there must be as many groups.
        seed: another one gives other folds.
        strata: divide each alike.
    """
    whole, found = [0] * folds, {}
    for _, members in sorted(_by_stratum(sizes, strata).items()):
        own = [0] * folds
        for group in hashed(members, seed):
            fold = min(range(folds), key=lambda f: (own[f], whole[f], f))
            found[group] = fold
            own[fold] += sizes[group]
            whole[fold] += sizes[group]
    return found


def divide(rows: Sequence[Row], column: str, fraction: float, seed: object = 0) -> tuple[list[Row], list[Row]]:
    """``fraction`` of the rows, and the others; rows of one value of ``column`` stay together."""
    sizes: dict[str, int] = defaultdict(int)
    for row in rows:
        sizes[row[column]] += 1
    chosen = hold_out(sizes, fraction * len(rows), seed)
    return [row for row in rows if row[column] in chosen], [row for row in rows if row[column] not in chosen]


def _by_stratum(sizes: Mapping[str, int], strata: Strata | None) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for group in sizes:
        found["" if strata is None else strata[group]].append(group)
    return found
