"""Stage 0: check a corpus's rows, measure their audio, and write them as CSVs."""

from __future__ import annotations

import hashlib
import logging
import math
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dataset import SAMPLE_RATE, SEPARATOR
from dataset.audio import END_TOLERANCE_SEC, AudioError
from dataset.corpora import CorpusError, Row, Splits
from dataset.durations import headers
from dataset.metadata import FIRST_COLUMNS, write_csv
from dataset.places.names import absolute
from dataset.sample_rates import said_rates, warn_of_rates
from dataset.storage.files import write_text
from dataset.table import open_table
from dataset.trial_tables import COLUMNS, utterance_paths
from dataset.wording import count, speech_length

log = logging.getLogger(__name__)

MAX_LISTED = 20  # bad utterances in a message; a longer list is written to UNUSABLE
UNUSABLE = "unusable.txt"


def paths(target_dir: str | Path) -> tuple[str, str, list[str]]:
    """Return the paths of the training, the validation and the test CSVs of a target folder."""
    data = Path(target_dir) / "data"
    tests = sorted(path for path in data.glob("*.csv") if path.stem not in ("train", "valid"))
    return str(data / "train.csv"), str(data / "valid.csv"), [str(path) for path in tests]


def require_references(paths: tuple[str, str, list[str]], column: str, message: str) -> None:
    """Refuse a validation or test set whose cells of a column are all empty, or all empty JSON lists.

    Args:
        paths: as :func:`write` returns them.
        message: of the error, with ``{csv}`` for the set.

    Raises:
        CorpusError: there is nothing to score.
    """
    _, valid, tests = paths
    for csv in (valid, *tests):
        texts = open_table(csv, (column,), may_be_empty=csv == valid).strings(column)
        if len(texts) and all(text in ("", "[]") for text in texts):
            raise CorpusError(message.format(csv=csv))


def split(rows: Sequence[Row], valid: float = 0.1, test: float = 0.1) -> Splits:
    """Split rows by a hash of their ids, so that neither their order nor added rows move one to another split.

    Args:
        valid, test: the fraction of the rows in each, at least one row.
    """
    ranked = sorted(rows, key=lambda row: hashlib.sha256(str(row["id"]).encode()).digest())
    num_valid, num_test = (max(1, round(len(ranked) * fraction)) for fraction in (valid, test))
    num_held_out = num_valid + num_test
    return Splits(train=ranked[num_held_out:], valid=ranked[:num_valid], test={"test": ranked[num_valid:num_held_out]})


def part(rows: Sequence[Row], fraction: float, label: str | None = None) -> list[Row]:
    """Return a fraction of the rows, chosen by a hash of their ids, so that a larger part holds every smaller one.

    Args:
        label: take the fraction of each value of this column, at least one row.
    """
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row[label] if label else ""].append(row)
    chosen: set[str] = set()
    for group in groups.values():
        ids = sorted((row["id"] for row in group), key=lambda id: hashlib.sha256(id.encode()).digest())
        chosen.update(ids[: math.ceil(len(ids) * fraction)])
    return [row for row in rows if row["id"] in chosen]


def write(
    splits: Splits,
    settings: Mapping[str, Any],
    columns: Sequence[str],
    target_dir: str | Path,
    cache_dir: str | Path,
    label: str | None = None,
) -> tuple[str, str, list[str]]:
    """Write ``data/train.csv``, ``data/valid.csv`` and one CSV a test set. CSVs of an earlier corpus are removed.

    Args:
        splits: rows with ``id``, ``wav_path`` and ``columns``; ``seconds`` is read from the audio. A set may be a list
            of trials instead: rows with ``id1, id2, wav_path1, wav_path2, label``. The validation set may be empty.
        settings: the config's ``prepare_data``; ``min_seconds``, ``skip_bad`` and ``train_fraction`` are read.
        columns: the columns that the problem needs.
        target_dir, cache_dir: the run's folders.
        label: the column of which a part of the training set keeps every value.

    Returns:
        The paths of the training, the validation and the test CSVs.

    Raises:
        CorpusError: the training set or a test set is empty, a set lacks a column, or it has a name that a file cannot
            have.
        AudioError: audio cannot be used, and ``skip_bad`` is off. The message lists all of it.
    """
    _write(_named_sets(splits), settings, columns, Path(target_dir) / "data", Path(cache_dir), label)
    return paths(target_dir)


def write_tests(
    tests: Mapping[str, list[Row]],
    settings: Mapping[str, Any],
    columns: Sequence[str],
    target_dir: str | Path,
    cache_dir: str | Path,
) -> None:
    """Write one CSV a test set, for a model that is trained already; see :func:`write`.

    Raises:
        CorpusError, AudioError: as by :func:`write`.
    """
    sets = {name: rows for name, rows in _named_sets(Splits([], [], dict(tests))).items() if name in tests}
    _write(sets, settings, columns, Path(target_dir) / "data", Path(cache_dir))


def _write(
    sets: dict[str, list[Row]],
    settings: Mapping[str, Any],
    columns: Sequence[str],
    data: Path,
    cache_dir: Path,
    label: str | None = None,
) -> None:
    """Check the rows of sets, measure their audio, and write a CSV each; CSVs of other sets are removed."""
    trials = {name: rows for name, rows in sets.items() if rows and "wav_path1" in rows[0]}
    for name, rows in sets.items():
        if name in trials:
            rows = _utterances_of(name, rows)
        _check_columns(name, rows, () if name in trials else columns)
        sets[name] = [{**row, "wav_path": absolute(row["wav_path"])} for row in rows]
    usable, rates = _with_seconds(sets, settings, cache_dir, data / UNUSABLE)
    if settings.get("train_fraction") is not None:
        usable["train"] = part(usable["train"], settings["train_fraction"], label)
    for path in (*data.glob("*.csv"), *data.glob("*.arrow")):
        if path.stem not in usable:
            path.unlink()
    for name, rows in usable.items():
        if not rows:
            log.warning("there is no validation set; train without one: --train.valid_metric null")
            write_csv(data / f"{name}.csv", [], (*FIRST_COLUMNS, *columns))
            continue
        write_csv(data / f"{name}.csv", _usable_trials(trials[name], rows) if name in trials else rows)
        if name not in trials:
            open_table(data / f"{name}.csv")  # compiled now, for all that read it
        speech = speech_length(sum(float(row["seconds"]) for row in rows))
        log.info("  %-12s %6d utterances  %9s%s", name, len(rows), speech, said_rates(rates[name]))
    warn_of_rates(rates)


def _named_sets(splits: Splits) -> dict[str, list[Row]]:
    """Return the rows by the name of their CSV."""
    sets = {"train": splits.train, "valid": splits.valid}
    if not splits.test:
        raise CorpusError("there is no test set; expected at least one")
    for name, rows in splits.test.items():
        if name in sets or not re.fullmatch(r"[\w.@ -]+", name):
            raise CorpusError(
                f"{name!r} cannot name a test set: expected letters, digits, spaces and . @ _ -, and neither train "
                "nor valid"
            )
        sets[name] = rows
    return sets


def _utterances_of(name: str, trials: list[Row]) -> list[Row]:
    """Return a row for each utterance of a set of trials; a CorpusError if a trial is incomplete."""
    for trial in trials:
        missing = [column for column in COLUMNS if column not in trial]
        if missing:
            raise CorpusError(
                f"the {name} set: a trial has no column {missing[0]!r}; its columns are {', '.join(trial)}"
            )
    try:
        sides = ((trial[f"id{side}"], trial[f"wav_path{side}"]) for trial in trials for side in (1, 2))
        paths_by_id = utterance_paths(sides)
    except ValueError as error:
        raise CorpusError(f"the {name} set: {error}") from error
    return [{"id": id, "wav_path": path} for id, path in paths_by_id.items()]


def _usable_trials(trials: list[Row], usable: list[Row]) -> list[Row]:
    """Return the trials whose utterances are all usable, with absolute paths."""
    paths_by_id = {row["id"]: row["wav_path"] for row in usable}
    complete = []
    for trial in trials:
        sides = [trial[column].split(SEPARATOR) for column in ("id1", "id2")]
        if all(id in paths_by_id for side in sides for id in side):
            wav_paths = (SEPARATOR.join(paths_by_id[id] for id in side) for side in sides)
            complete.append({**trial, **dict(zip(("wav_path1", "wav_path2"), wav_paths))})
    return complete


def _check_columns(name: str, rows: list[Row], columns: Sequence[str]) -> None:
    if not rows and name != "valid":
        raise CorpusError(f"the {name} set is empty; expected at least one utterance")
    for row in rows:
        missing = [column for column in ("id", "wav_path", *columns) if column not in row]
        if missing:
            raise CorpusError(
                f"the {name} set, {row.get('id', 'a row')}: no column {missing[0]!r}; its columns are {', '.join(row)}"
                f" (if the corpus has the setting columns, set prepare_data.columns.{missing[0]} to one)"
            )
    repeated = [id for id, number in Counter(row["id"] for row in rows).items() if number > 1]
    if repeated:
        raise CorpusError(
            f"the {name} set has the id {repeated[0]!r} more than once ({count(len(repeated), 'such id')}); "
            "give each row a unique id"
        )


def _with_seconds(
    sets: dict[str, list[Row]], settings: Mapping[str, Any], cache_dir: Path, listing: Path
) -> tuple[dict[str, list[Row]], dict[str, list[int]]]:
    """Return the rows with usable audio and their ``seconds``, and the sample rates of each set.

    Bad audio is refused, or left out, and listed.
    """
    files = sorted({row["wav_path"] for rows in sets.values() for row in rows})
    file_headers, file_errors = headers(files, cache_dir)
    usable: dict[str, list[Row]] = {}
    bad: list[str] = []
    for name, rows in sets.items():
        usable[name] = []
        for row in rows:
            path = row["wav_path"]
            try:
                if path in file_errors:
                    raise file_errors[path]
                seconds = _utterance_seconds(row, file_headers[path].seconds, settings.get("min_seconds", 0.0))
            except AudioError as error:
                bad.append(f"{name} {row['id']}: {error}")
            else:
                usable[name].append({**row, "seconds": f"{seconds:.6g}"})
    listing.unlink(missing_ok=True)
    if bad:
        _report_bad(bad, listing, skip=settings.get("skip_bad", False))
    for name, rows in usable.items():
        if sets[name] and not rows:
            raise CorpusError(f"the {name} set is empty without its unusable audio; expected at least one utterance")
    rates = {name: sorted({file_headers[row["wav_path"]].sample_rate for row in rows}) for name, rows in usable.items()}
    return usable, rates


def _utterance_seconds(row: Row, file_seconds: float, min_seconds: float) -> float:
    """Return the length of an utterance; an AudioError if it is too short, or not inside its file."""
    path = row["wav_path"]
    try:
        start, end = float(row.get("start_sec") or 0), float(row.get("end_sec") or file_seconds)
    except ValueError as error:
        raise AudioError(f"{path}: start_sec or end_sec is not a number ({error})") from None
    if not 0 <= start < end <= file_seconds + END_TOLERANCE_SEC:
        raise AudioError(f"{path}: the segment from {start:g} s to {end:g} s is not inside its {file_seconds:.3f} s")
    seconds = end - start
    if seconds < min_seconds:
        samples = f"{round(seconds * SAMPLE_RATE)} samples at 16 kHz"
        raise AudioError(
            f"{path}: {seconds * 1000:.3g} ms ({samples}) is below prepare_data.min_seconds {min_seconds:g}"
        )
    return seconds


def _report_bad(bad: list[str], listing: Path, *, skip: bool) -> None:
    """Log the list of bad audio if it is skipped; raise it as an AudioError otherwise."""
    listed = bad[:MAX_LISTED]
    if len(bad) > MAX_LISTED:
        write_text(listing, "\n".join(bad) + "\n")
        listed.append(f"... and {len(bad) - MAX_LISTED} more, all listed in {listing}")
    text = "\n  ".join(listed)
    if skip:
        log.warning("%s LEFT OUT:\n  %s", count(len(bad), "UTTERANCE"), text)
        return
    raise AudioError(
        f"{count(len(bad), 'utterance')} cannot be used:\n  {text}\n"
        "repair them, or leave them out with --prepare_data.skip_bad true"
    )
