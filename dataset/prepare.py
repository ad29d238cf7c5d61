"""Stage 0's work: a corpus's rows as checked CSVs in ``data/``."""

from __future__ import annotations

import hashlib
import logging
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dataset import SAMPLE_RATE, SEPARATOR
from dataset.audio import END_TOLERANCE_SEC, AudioError
from dataset.corpora import Corpus, CorpusError, Row, Splits
from dataset.durations import durations
from dataset.files import write_text
from dataset.metadata import write_csv
from dataset.trial_tables import COLUMNS, utterances

log = logging.getLogger(__name__)

SHOWN = 20  # lines of a list of bad audio; a longer one is in a file
UNUSABLE = "unusable.txt"


def paths(target_dir: str | Path) -> tuple[str, str, list[str]]:
    """Where the metadata of the training, validation and test sets stand."""
    data = Path(target_dir) / "data"
    tests = sorted(p for p in data.glob("*.csv") if p.stem not in ("train", "valid"))
    return str(data / "train.csv"), str(data / "valid.csv"), [str(p) for p in tests]


def split(rows: Sequence[Row], valid: float = 0.1, test: float = 0.1) -> Splits:
    """Divide ``rows`` by a hash of their ids: the parts do not depend on the order, and stay when rows are added.

    Args:
        valid, test: the fraction of the rows in each; at least one row.
    """
    ranked = sorted(rows, key=lambda row: hashlib.sha256(str(row["id"]).encode()).digest())
    for_valid, for_test = (max(1, round(len(ranked) * part)) for part in (valid, test))
    held = for_valid + for_test
    return Splits(train=ranked[held:], valid=ranked[:for_valid], test={"test": ranked[for_valid:held]})


def length(seconds: float) -> str:
    """An amount of speech as a person reads it: 31.2 s, 12.5 min, 100.6 h."""
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"


def prepare(
    corpus: Corpus, settings: Mapping[str, Any], columns: Sequence[str], target_dir: Path, cache_dir: Path
) -> tuple[str, str, list[str]]:
    """:func:`write` what a corpus loads."""
    return write(corpus.load(cache_dir), settings, columns, target_dir, cache_dir)


def write(
    splits: Splits,
    settings: Mapping[str, Any],
    columns: Sequence[str],
    target_dir: str | Path,
    cache_dir: str | Path,
) -> tuple[str, str, list[str]]:
    """Write ``data/train.csv``, ``data/valid.csv`` and one CSV a test set; CSVs of an earlier corpus go.

    Args:
        splits: rows with ``id``, ``wav_path`` and ``columns``; ``seconds`` is read from the audio. A set may be a list
            of trials instead: rows with ``id1, id2, wav_path1, wav_path2, label``.
        settings: the config's ``prepare_data``, of which ``min_seconds`` and ``skip_bad`` count.
        columns: those that the problem needs.
        target_dir, cache_dir: the run's folders.

    Returns:
        The CSVs' paths, as ``prepare_data`` returns them.

    Raises:
        CorpusError: a set is empty, lacks a column, or has a name that cannot be a file's.
        AudioError: audio that cannot be used, all of it named, unless ``skip_bad`` leaves it out.
    """
    target_dir, sets = Path(target_dir), {"train": splits.train, "valid": splits.valid}
    for name, rows in splits.test.items():
        if name in sets or not re.fullmatch(r"[\w.@ -]+", name):
            raise CorpusError(
                f"{name!r} cannot name a test set: it is taken, or has letters that a file's name may not have"
            )
        sets[name] = rows
    if len(sets) == 2:
        raise CorpusError("there is no test set: at least one is needed")
    trials = {name: rows for name, rows in sets.items() if rows and "wav_path1" in rows[0]}
    for name, rows in sets.items():
        if name in trials:
            rows = utterances_of(name, rows)
        _check_columns(name, rows, () if name in trials else columns)
        sets[name] = [{**row, "wav_path": os.path.abspath(row["wav_path"])} for row in rows]
    data = target_dir / "data"
    usable = _with_seconds(sets, settings, Path(cache_dir), data / UNUSABLE)
    for old in data.glob("*.csv"):
        if old.stem not in usable:
            old.unlink()
    for name, rows in usable.items():
        write_csv(data / f"{name}.csv", trials_among(rows, trials[name]) if name in trials else rows)
        log.info("  %-12s %6d utterances  %9s", name, len(rows), length(sum(float(row["seconds"]) for row in rows)))
    return paths(target_dir)


def utterances_of(name: str, rows: list[Row]) -> list[Row]:
    """The utterances that a set of trials names, as rows; a CorpusError where a trial is not whole."""
    for row in rows:
        missing = [column for column in COLUMNS if column not in row]
        if missing:
            raise CorpusError(f"the {name} set: a trial has no column {missing[0]!r}; there are {', '.join(row)}")
    try:
        paths = utterances((row[f"id{side}"], row[f"wav_path{side}"]) for row in rows for side in (1, 2))
    except ValueError as error:
        raise CorpusError(f"the {name} set: {error}") from error
    return [{"id": id, "wav_path": path} for id, path in paths.items()]


def trials_among(usable: list[Row], rows: list[Row]) -> list[Row]:
    """The trials all of whose utterances are usable, with their absolute paths."""
    paths = {row["id"]: row["wav_path"] for row in usable}
    found = []
    for row in rows:
        sides = [row[column].split(SEPARATOR) for column in ("id1", "id2")]
        if all(id in paths for side in sides for id in side):
            joined = (SEPARATOR.join(paths[id] for id in side) for side in sides)
            found.append({**row, **dict(zip(("wav_path1", "wav_path2"), joined))})
    return found


def _check_columns(name: str, rows: list[Row], columns: tuple[str, ...]) -> None:
    if not rows:
        raise CorpusError(
            f"the {name} set has no utterance: a training, a validation and each test set need at least one"
        )
    for row in rows:
        missing = [c for c in ("id", "wav_path", *columns) if c not in row]
        if missing:
            known = ", ".join(row)
            raise CorpusError(f"the {name} set, {row.get('id', 'a row')}: no column {missing[0]!r}; there are {known}")
    twice = [i for i, count in Counter(row["id"] for row in rows).items() if count > 1]
    if twice:
        raise CorpusError(
            f"the {name} set has the id {twice[0]!r} more than once ({len(twice)} such ids): make them unique"
        )


def _seconds(row: Row, whole: float) -> float:
    """How long an utterance is. An AudioError: its segment is not one of its file."""
    try:
        start, end = float(row.get("start_sec") or 0), float(row.get("end_sec") or whole)
    except ValueError as error:
        raise AudioError(f"{row['wav_path']}: a time of its segment is no number ({error})") from None
    if not 0 <= start < end <= whole + END_TOLERANCE_SEC:
        raise AudioError(f"{row['wav_path']}: there is no segment from {start:g} s to {end:g} s in {whole:.3f} s")
    return end - start


def _with_seconds(
    sets: dict[str, list[Row]], settings: Mapping[str, Any], cache_dir: Path, listing: Path
) -> dict[str, list[Row]]:
    """Rows with the seconds that the headers say; bad audio is refused or left out, all of it named."""
    files = sorted({row["wav_path"] for rows in sets.values() for row in rows})
    lengths, errors = durations(files, cache_dir)
    least = settings.get("min_seconds", 0.0)
    bad, usable = [], {}
    for name, rows in sets.items():
        usable[name] = []
        for row in rows:
            try:
                if row["wav_path"] in errors:
                    raise errors[row["wav_path"]]
                seconds = _seconds(row, lengths[row["wav_path"]])
                if seconds < least:
                    samples = f"{seconds * 1000:.3g} ms ({round(seconds * SAMPLE_RATE)} samples at 16 kHz)"
                    raise AudioError(f"{row['wav_path']}: {samples}, less than prepare_data.min_seconds {least:g}")
                usable[name].append({**row, "seconds": f"{seconds:.6g}"})
            except AudioError as error:
                bad.append(f"{name} {row['id']}: {error}")
    listing.unlink(missing_ok=True)
    if not bad:
        return usable
    if len(bad) > SHOWN:
        write_text(listing, "\n".join(bad) + "\n")
    rest = [f"... and {len(bad) - SHOWN} more, all of them in {listing}"] if len(bad) > SHOWN else []
    listed = "\n  ".join(bad[:SHOWN] + rest)
    if not settings.get("skip_bad", False):
        raise AudioError(
            f"{count(len(bad), 'utterance')} cannot be used:\n  {listed}\n"
            "mend them, or leave them out: --prepare_data.skip_bad true"
        )
    log.warning("%s LEFT OUT:\n  %s", count(len(bad), "UTTERANCE"), listed)
    for name, rows in usable.items():
        if not rows:
            raise CorpusError(f"the {name} set has no utterance left once bad audio is left out")
    return usable


def count(number: int, unit: str) -> str:
    """``1 utterance``, ``2 utterances``."""
    return f"{number:,} {unit}" if number == 1 else f"{number:,} {unit}{'S' if unit.isupper() else 's'}"


def warn_of_unknown(encoder: Any, rows: Any, column: str, csv: str) -> None:
    """Say which symbols of ``column`` the encoder does not know: no hypothesis can hold them."""
    found: Counter[str] = Counter()
    where: dict[str, str] = {}
    for row_id, text in zip(rows["id"], rows[column]):
        for symbol in encoder.unknown(text):
            found[symbol] += 1
            where.setdefault(symbol, row_id)
    if found:
        shown = ", ".join(f"{s!r} ({count(n, 'utterance')}, first {where[s]})" for s, n in found.most_common(5))
        log.warning(
            "%s has %s that training never shows and no hypothesis can hold: %s",
            csv,
            count(len(found), "symbol"),
            shown,
        )


def require_known(encoder: Any, rows: Any, column: str, csv: str) -> None:
    """See that the encoder knows every label of ``column``.

    Raises:
        CorpusError: it does not; the message names the labels that training never shows, and where they are.
    """
    first: dict[str, int] = {}
    for number, text in enumerate(rows[column], start=2):
        try:
            unknown = encoder.unknown(text)
        except ValueError as error:
            raise CorpusError(f"{csv}, row {number} ({rows['id'][number - 2]}): {error}") from error
        for label in unknown:
            first.setdefault(label, number)
    if first:
        shown = ", ".join(
            f"{label!r} (row {number}, {rows['id'][number - 2]})" for label, number in [*first.items()][:10]
        )
        shown += f", ... and {len(first) - 10} more" if len(first) > 10 else ""
        raise CorpusError(
            f"{csv} has {count(len(first), 'label')} that training never shows, so that no classifier can give them: "
            f"{shown}; leave these utterances out, or have some of each in the training set"
        )
