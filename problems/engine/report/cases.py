"""Utterances of a list as the page shows them: texts with aligned words, labels, turns, trials; with their audio."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from rapidfuzz.distance import Levenshtein

from dataset import SEPARATOR
from dataset.storage.files import write_text
from problems.engine.report.audio_clips import Audio, Clip
from problems.engine.report.charts.figure import Figure
from problems.engine.report.charts.timeline import Turn, timeline_figure
from problems.engine.report.predictions import Row, is_target, number_in
from problems.engine.report.rankings import Ranked
from tasks.metrics.kinds import UNDECLARED

SIDES = (("id1", "wav_path1"), ("id2", "wav_path2"))
"""The columns of both sides of a trial, and of their audio."""
UTTERANCE = (("id", "wav_path"),)
LONGEST = 200
"""Letters of a label, or other value, that are shown."""


@dataclass(frozen=True)
class Pair:
    """One column of an alignment; kind: hit, substitution, deletion, insertion (the absent word is empty)."""

    kind: str
    reference: str
    hypothesis: str


@dataclass(frozen=True)
class Case:
    """One utterance, or trial, of a list.

    Args:
        value: what it is ranked by. numbers: further ones, by name. is_right: None if it is not a question.
        pairs: of a text. timeline: of turns. clips: of an utterance; others: of the second side of a trial.
    """

    id: str
    value: str
    reference: str = ""
    hypothesis: str = ""
    is_right: bool | None = None
    numbers: Mapping[str, str] = field(default_factory=dict)
    pairs: Sequence[Pair] = ()
    timeline: Figure | None = None
    clips: Sequence[Clip] = ()
    others: Sequence[Clip] = ()


@dataclass(frozen=True)
class CaseList:
    """A list of one test set; predicts: what the task declares that it predicts."""

    test_set: str
    predicts: str
    ranked: Ranked
    cases: Sequence[Case]

    @property
    def numbers(self) -> list[str]:
        """The names of the further numbers."""
        return list(dict.fromkeys(name for case in self.cases for name in case.numbers))


def case_list(test_set: str, ranked: Ranked, predicts: str, audio: Audio) -> CaseList:
    """Make a list ready for the page.

    Args:
        predicts: what the task declares that it predicts.
        audio: of the test set.
    """
    make = {"text": _text, "turns": _turns, "trials": _trial, "number": _number}.get(predicts, _label)
    cases = [make(row, value, ranked.heading, audio) for row, value in zip(ranked.rows, ranked.values)]
    return CaseList(test_set, predicts, ranked, cases)


def _text(row: Row, value: str, heading: str, audio: Audio) -> Case:
    pairs = align(row["reference"], row["hypothesis"])
    return Case(row["id"], value, row["reference"], row["hypothesis"], pairs=pairs, clips=audio.clips(row["id"]))


def _label(row: Row, value: str, heading: str, audio: Audio) -> Case:
    return Case(
        row["id"],
        value,
        _cut(row["reference"]),
        _cut(row["hypothesis"]),
        is_right=row["reference"] == row["hypothesis"],
        numbers=_numbers(row, ("loss", "confidence"), heading),
        clips=audio.clips(row["id"]),
    )


def _number(row: Row, value: str, heading: str, audio: Audio) -> Case:
    return replace(_label(row, value, heading, audio), is_right=None)


def _turns(row: Row, value: str, heading: str, audio: Audio) -> Case:
    reference, hypothesis = turns_of(row["reference"]), turns_of(row["hypothesis"])
    if reference is None or hypothesis is None:
        return _label(row, value, heading, audio)
    timeline = timeline_figure(row["id"], reference, hypothesis)
    return Case(row["id"], value, timeline=timeline, clips=audio.clips(row["id"]))


def _trial(row: Row, value: str, heading: str, audio: Audio) -> Case:
    return Case(
        f"{row['id1']} / {row['id2']}",
        value,
        reference="same speaker" if is_target(row) else "different speakers",
        numbers=_numbers(row, ("score", "llr"), heading),
        clips=audio.clips(row["id1"]),
        others=audio.clips(row["id2"]),
    )


def _numbers(row: Row, names: Sequence[str], heading: str) -> dict[str, str]:
    """Columns that are known, but for the one that is shown as the ranking's."""
    known = [name for name in names if name in row and name != heading]
    return {name: UNDECLARED.format(number_in(row[name])) for name in known}


def save(lists: Sequence[CaseList], folder: Path, audio: Audio) -> None:
    """Write each list as ``<name>.csv``, the rows of the predictions with the paths of their audio; remove others."""
    from dataset.metadata import write_csv

    files = {folder / f"{listed.ranked.name}.csv": listed for listed in lists}
    for path in (*folder.glob("worst_*.csv"), *folder.glob("best_*.csv")):
        if path not in files:
            path.unlink()
    for path, listed in files.items():
        sides = SIDES if listed.predicts == "trials" else UTTERANCE
        rows = [_with_paths(row, sides, audio) for row in listed.ranked.rows]
        if rows:
            write_csv(path, rows, ())
        else:
            write_text(path, ",".join(name for side in sides for name in side) + "\n")


def _with_paths(row: Row, sides: Sequence[tuple[str, str]], audio: Audio) -> dict[str, object]:
    cells: dict[str, object] = {}
    for id, path in sides:
        cells |= {id: row[id], path: SEPARATOR.join(place[0] for place in audio.places_of(row[id]))}
    return cells | audio.times_of(row[sides[0][0]]) | dict(row)


def turns_of(text: str) -> list[Turn] | None:
    """The turns of a recording, from JSON; None if the text is something else."""
    try:
        return [(float(start), float(end), str(speaker)) for start, end, speaker in json.loads(text)]
    except (ValueError, TypeError):
        return None


def align(reference: str, hypothesis: str) -> list[Pair]:
    """Align two texts word by word with the fewest errors."""
    reference_words, hypothesis_words = reference.split(), hypothesis.split()
    pairs = []
    for tag, i, i_end, j, j_end in Levenshtein.opcodes(reference_words, hypothesis_words):
        if tag == "delete":
            pairs += [Pair("deletion", word, "") for word in reference_words[i:i_end]]
        elif tag == "insert":
            pairs += [Pair("insertion", "", word) for word in hypothesis_words[j:j_end]]
        else:
            kind = "hit" if tag == "equal" else "substitution"
            pairs += [Pair(kind, *words) for words in zip(reference_words[i:i_end], hypothesis_words[j:j_end])]
    return pairs


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
