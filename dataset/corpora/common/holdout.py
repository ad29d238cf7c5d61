"""Hold out groups of utterances, chosen by a hash of their names and not by their order.

A group (a speaker, a recording, or one utterance) is never divided. Groups may belong to strata (labels), each of which
is then held out in the same proportion.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from dataset.corpora.common.base import Row

Strata = Mapping[str, str]  # group -> its stratum


def hashed(groups: Iterable[str], seed: object) -> list[str]:
    """The groups in an order that depends only on their names and ``seed``."""
    return sorted(groups, key=lambda group: hashlib.sha256(f"{seed} {group}".encode()).digest())


def hold_out(sizes: Mapping[str, int], number: float, seed: object, strata: Strata | None = None) -> set[str]:
    """Choose groups of about ``number`` utterances in total, as near as whole groups come; at least one, never all.

    Args:
        sizes: utterances of each group.
        seed: another seed chooses other groups.
        strata: the same part of each stratum is held out, and none of one with a single group.
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
    """The fold, from 0, of each group. Folds are of about equal size, in total and in every stratum.

    Args:
        sizes: utterances of each group.
        folds: the number of folds, at most that of groups.
        seed: another seed gives other folds.
        strata: each stratum is divided alike.
    """
    in_total = [0] * folds
    fold_of: dict[str, int] = {}
    for _, members in sorted(_by_stratum(sizes, strata).items()):
        in_stratum = [0] * folds
        for group in hashed(members, seed):
            fold = min(range(folds), key=lambda f: (in_stratum[f], in_total[f], f))
            fold_of[group] = fold
            in_stratum[fold] += sizes[group]
            in_total[fold] += sizes[group]
    return fold_of


def divide(rows: Sequence[Row], column: str, fraction: float, seed: object = 0) -> tuple[list[Row], list[Row]]:
    """Divide rows into ``fraction`` of them and the others. Rows with the same value of ``column`` stay together."""
    sizes: dict[str, int] = defaultdict(int)
    for row in rows:
        sizes[row[column]] += 1
    chosen = hold_out(sizes, fraction * len(rows), seed)
    return [row for row in rows if row[column] in chosen], [row for row in rows if row[column] not in chosen]


def _by_stratum(sizes: Mapping[str, int], strata: Strata | None) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = defaultdict(list)
    for group in sizes:
        groups["" if strata is None else strata[group]].append(group)
    return groups
