"""Draw trials of speaker verification: pairs of utterances, half of them of the same speaker."""

from __future__ import annotations

import itertools
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence

from dataset.corpora.common.base import CorpusError, Row

TARGET, NONTARGET = "1", "0"


def draw_trials(rows: Sequence[Row], number: int, seed: object, column: str = "speaker") -> list[Row]:
    """Draw trials between ``rows``: half of the same speaker (``label`` 1), half of two speakers (0), none twice.

    If there are fewer pairs of one kind than half of ``number``, all of them are taken.

    Args:
        rows: utterances with ``id``, ``wav_path`` and ``column``.
        number: the number of trials.
        seed: the same seed draws the same trials of the same rows.
        column: the column of the speaker.

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
    with_pairs = [speaker for speaker in speakers if len(by_speaker[speaker]) > 1]
    if len(speakers) < 2 or not with_pairs:
        raise CorpusError(
            f"no trials can be drawn from {len(rows)} utterances of {len(speakers)} speakers: expected at least two "
            f"speakers, one of them with two utterances"
        )
    sizes = {speaker: len(by_speaker[speaker]) for speaker in speakers}
    num_targets = sum(size * (size - 1) // 2 for size in sizes.values())
    num_nontargets = len(rows) * (len(rows) - 1) // 2 - num_targets
    targets = (rng.sample(by_speaker[speaker], 2) for speaker in _in_turn(with_pairs, rng))
    nontargets = ([rng.choice(by_speaker[s]) for s in rng.sample(speakers, 2)] for _ in itertools.count())
    half = number // 2
    if half >= num_targets:
        targets = ([a, b] for s in with_pairs for i, a in enumerate(by_speaker[s]) for b in by_speaker[s][i + 1 :])
    if number - half >= num_nontargets:
        nontargets = ([a, b] for i, a in enumerate(rows) for b in rows[i + 1 :] if a[column] != b[column])
    same = _distinct(targets, min(half, num_targets))
    different = _distinct(nontargets, min(number - half, num_nontargets))
    return [trial(a, b, label) for pairs, label in ((same, TARGET), (different, NONTARGET)) for a, b in pairs]


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
    """The first ``number`` pairs of distinct utterances, whatever their order."""
    distinct: dict[frozenset[str], list[Row]] = {}
    while len(distinct) < number:
        pair = next(pairs)
        distinct.setdefault(frozenset(row["id"] for row in pair), pair)
    return list(distinct.values())


def _in_turn(speakers: list[str], rng: random.Random) -> Iterator[str]:
    """Each speaker once, in random order, again and again."""
    while True:
        yield from rng.sample(speakers, len(speakers))
