"""Trials of speaker verification: pairs of utterances, half of them of one speaker, drawn where none are given."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence

from dataset.corpora.common.base import CorpusError, Row

TARGET, OTHER = "1", "0"


def draw_trials(rows: Sequence[Row], number: int, seed: object, column: str = "speaker") -> list[Row]:
    """Trials between ``rows``: half of one speaker (``label`` 1), half of two (0), none twice.

    Where there are fewer pairs of one kind than half of ``number``, all of them are taken.

    Args:
        rows: utterances with ``id``, ``wav_path`` and ``column``.
        number: how many trials.
        seed: the same one draws the same trials of the same rows.
        column: tells the speakers apart.

    Returns:
        Rows with ``id1, id2, wav_path1, wav_path2, label``.

    Raises:
        CorpusError: there are not two speakers, or no speaker has two utterances.
    """
    rng = random.Random(f"trials/{seed}")
    by_speaker: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_speaker[row[column]].append(row)
    speakers = sorted(by_speaker)
    several = [speaker for speaker in speakers if len(by_speaker[speaker]) > 1]
    if len(speakers) < 2 or not several:
        raise CorpusError(
            f"no trials can be made of {len(rows)} utterances of {len(speakers)} speakers: at least two speakers are "
            f"needed, and one of them with two utterances"
        )
    sizes = {speaker: len(by_speaker[speaker]) for speaker in speakers}
    same = sum(size * (size - 1) // 2 for size in sizes.values())
    other = len(rows) * (len(rows) - 1) // 2 - same
    targets = (rng.sample(by_speaker[speaker], 2) for speaker in _in_turn(several, rng))
    others = ([rng.choice(by_speaker[s]) for s in rng.sample(speakers, 2)] for _ in _forever())
    half = number // 2
    if half >= same:
        targets = ([a, b] for s in several for i, a in enumerate(by_speaker[s]) for b in by_speaker[s][i + 1 :])
    if number - half >= other:
        others = ([a, b] for i, a in enumerate(rows) for b in rows[i + 1 :] if a[column] != b[column])
    found = _distinct(targets, min(half, same)), _distinct(others, min(number - half, other))
    return [trial(a, b, label) for pairs, label in zip(found, (TARGET, OTHER)) for a, b in pairs]


def trial(first: Row, second: Row, label: str) -> Row:
    """The row of one trial."""
    return {
        "id1": first["id"],
        "id2": second["id"],
        "wav_path1": first["wav_path"],
        "wav_path2": second["wav_path"],
        "label": label,
    }


def _distinct(pairs: Iterator[list[Row]], number: int) -> list[list[Row]]:
    found: dict[frozenset[str], list[Row]] = {}
    while len(found) < number:
        pair = next(pairs)
        found.setdefault(frozenset(row["id"] for row in pair), pair)
    return list(found.values())


def _in_turn(speakers: list[str], rng: random.Random) -> Iterator[str]:
    while True:
        yield from rng.sample(speakers, len(speakers))


def _forever() -> Iterator[None]:
    while True:
        yield None
