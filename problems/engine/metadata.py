"""Stage 0's work: a corpus's rows as checked CSVs in ``data/``."""

from __future__ import annotations

import logging
import re
from collections import Counter
from pathlib import Path
from typing import Any

from dataset.audio import AudioError, durations
from dataset.corpora import Corpus, CorpusError, Row
from dataset.metadata import write_csv

log = logging.getLogger(__name__)


def paths(target_dir: Path) -> tuple[str, str, list[str]]:
    """Where the metadata of the training, validation and test sets stand."""
    data = target_dir / "data"
    tests = sorted(p for p in data.glob("*.csv") if p.stem not in ("train", "valid"))
    return str(data / "train.csv"), str(data / "valid.csv"), [str(p) for p in tests]


def prepare(
    corpus: Corpus, settings: dict[str, Any], columns: tuple[str, ...], target_dir: Path, cache_dir: Path
) -> tuple[str, str, list[str]]:
    """Write ``data/train.csv``, ``data/valid.csv`` and one CSV a test set; CSVs of an earlier corpus go.

    Raises:
        CorpusError: a set is empty, lacks a column, or has a name that cannot be a file's.
        AudioError: audio that cannot be used, every file of it, unless ``skip_bad`` leaves it out.
    """
    splits = corpus.load(cache_dir)
    sets = {"train": splits.train, "valid": splits.valid}
    for name, rows in splits.test.items():
        if name in sets or not re.fullmatch(r"[\w.@ -]+", name):
            raise CorpusError(
                f"{name!r} cannot name a test set: it is taken, or has letters that a file's name may not have"
            )
        sets[name] = rows
    for name, rows in sets.items():
        _check_columns(name, rows, columns)
    usable = _with_seconds(sets, settings, cache_dir)
    data = target_dir / "data"
    for old in data.glob("*.csv"):
        if old.stem not in usable:
            old.unlink()
    for name, rows in usable.items():
        write_csv(data / f"{name}.csv", rows)
        hours = sum(float(row["seconds"]) for row in rows) / 3600
        log.info("%-12s %6d utterances  %7.2f hours", name, len(rows), hours)
    return paths(target_dir)


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


def _seconds(row: Row, lengths: dict[str, float]) -> float:
    start, end = row.get("start_sec") or 0.0, row.get("end_sec") or lengths[row["wav_path"]]
    return float(end) - float(start)


def _with_seconds(sets: dict[str, list[Row]], settings: dict[str, Any], cache_dir: Path) -> dict[str, list[Row]]:
    """Rows with the seconds that the headers say; bad audio is refused or left out, all of it named."""
    files = sorted({row["wav_path"] for rows in sets.values() for row in rows})
    lengths, errors = durations(files, cache_dir)
    bad, usable = [], {}
    for name, rows in sets.items():
        usable[name] = []
        for row in rows:
            problem = errors.get(row["wav_path"])
            seconds = 0.0 if problem else _seconds(row, lengths)
            if problem is None and seconds < settings["min_seconds"]:
                samples = f"{seconds * 1000:.3g} ms ({round(seconds * 16000)} samples at 16 kHz)"
                shorter = f"shorter than prepare_data.min_seconds {settings['min_seconds']:g}"
                problem = f"{row['wav_path']}: {samples}, {shorter}"
            if problem is None:
                usable[name].append({**row, "seconds": f"{seconds:.6g}"})
            else:
                bad.append(f"{name} {row['id']}: {problem}")
    if not bad:
        return usable
    listed = "\n  ".join(bad[:20] + ([f"... and {len(bad) - 20} more"] if len(bad) > 20 else []))
    if not settings["skip_bad"]:
        raise AudioError(
            f"{len(bad)} utterances cannot be used:\n  {listed}\n"
            "mend them, or leave them out: --prepare_data.skip_bad true"
        )
    log.warning("%d UTTERANCES ARE LEFT OUT:\n  %s", len(bad), listed)
    for name, rows in usable.items():
        if not rows:
            raise CorpusError(f"the {name} set has no utterance left once bad audio is left out")
    return usable


def warn_of_unknown(encoder: Any, rows: Any, column: str, csv: str) -> None:
    """Say which symbols of ``column`` the encoder does not know: no hypothesis can hold them."""
    found: Counter[str] = Counter()
    where: dict[str, str] = {}
    for row_id, text in zip(rows["id"], rows[column]):
        for symbol in encoder.unknown(text):
            found[symbol] += 1
            where.setdefault(symbol, row_id)
    if found:
        shown = ", ".join(f"{s!r} ({n} utterances, first {where[s]})" for s, n in found.most_common(5))
        log.warning(
            "%s has %d symbols that training never shows and no hypothesis can hold: %s",
            csv,
            len(found),
            shown,
        )
