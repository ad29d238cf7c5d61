"""Check the audio, the transcripts and the splits of a corpus before anything is trained on it."""

from __future__ import annotations

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dataset import SAMPLE_RATE
from dataset.audio import AudioError, decode
from dataset.corpora import Row
from dataset.places.audio_file import open_audio
from dataset.wording import count, speech_length

CLIPPED_PART = 0.001  # of the samples, at full scale
SILENT_DB = -60.0  # relative to full scale
RATE_FACTOR = 3.0  # of the median symbols per second
LEAST_RATED = 10  # utterances of a set without which there is no median to compare with


@dataclass(frozen=True)
class Finding:
    """Something that is wrong, or worth a look.

    Args:
        kind: what it is, such as "unreadable".
        is_error: False for a warning.
        where: the split and the id of an utterance, or the splits.
        text: what was found.
    """

    kind: str
    is_error: bool
    where: str
    text: str


@dataclass
class Measured:
    """Measurements of an utterance's audio; rate in Hz, levels in dB relative to full scale."""

    seconds: float
    rate: int
    channels: int
    level_db: float
    clipped: float
    digest: str


@dataclass
class SetSummary:
    """The numbers of one split. histograms: lengths in seconds, and labels, with how many utterances have each."""

    utterances: int
    seconds: float
    rates: list[int]
    lengths: list[tuple[str, int]] = field(default_factory=list)
    labels: list[tuple[str, int]] = field(default_factory=list)


@dataclass
class Checked:
    """The result of a check."""

    sets: dict[str, SetSummary]
    findings: list[Finding]

    @property
    def has_errors(self) -> bool:
        """True if an error was found."""
        return any(finding.is_error for finding in self.findings)

    def by_kind(self) -> dict[str, list[Finding]]:
        """The findings by kind, errors first."""
        groups: dict[str, list[Finding]] = defaultdict(list)
        for finding in sorted(self.findings, key=lambda finding: not finding.is_error):
            groups[finding.kind].append(finding)
        return dict(groups)

    def to_json(self) -> dict[str, Any]:
        """The result as a JSON object."""
        return {
            "sets": {name: vars(summary) for name, summary in self.sets.items()},
            "findings": [vars(finding) for finding in self.findings],
        }


def check(
    sets: Mapping[str, Sequence[Row]],
    *,
    label: str | None = None,
    num_workers: int = 4,
    min_seconds: float = 0.0,
    progress: Callable[[Iterable[Any], int], Iterable[Any]] = lambda items, total: items,
) -> Checked:
    """Read all audio, and compare utterances and splits.

    Errors are what a training stops at, or what makes a test worthless: audio that cannot be read, is empty, or too
    short; an id or a recording in two splits; a label that the training set does not have. All else is a warning.

    Args:
        sets: the rows of train, valid and each test set, with ``id`` and ``wav_path``, and ``start_sec``, ``end_sec``,
            ``transcription``, ``speaker`` and ``label`` if they are known.
        label: the column of labels.
        num_workers: threads that read.
        progress: wraps the rows while they are read, and their number; for a bar.
    """
    places = [(name, row) for name, rows in sets.items() for row in rows]
    measured: dict[str, list[tuple[Row, Measured]]] = {name: [] for name in sets}
    findings: list[Finding] = []
    with ThreadPoolExecutor(max(1, num_workers)) as pool:
        results = pool.map(lambda place: _measure(place[1]), places)
        for (name, row), result in zip(places, progress(results, len(places))):
            where = f"{name} {row['id']}"
            if isinstance(result, AudioError):
                findings.append(Finding("unusable audio", True, where, str(result)))
                continue
            measured[name].append((row, result))
            findings += _findings_of(where, row, result, min_seconds)
    for name, rows in measured.items():
        findings += _speaking_rates(name, rows)
    findings += _repeated_content(measured)
    findings += _between_splits(sets, label)
    summaries = {name: _summary(rows, label) for name, rows in measured.items()}
    return Checked(summaries, findings)


# ---- one utterance ----


def _measure(row: Row) -> Measured | AudioError:
    path = row["wav_path"]
    try:
        with open_audio(path) as file:
            start, end = (float(row[name]) if row.get(name) else None for name in ("start_sec", "end_sec"))
            samples, rate, channels = decode(path, file, start, end), file.samplerate, file.channels
    except AudioError as error:
        return error
    except (ValueError, RuntimeError, OSError) as error:
        return AudioError(f"{path}: {error}")
    power = float(np.square(samples, dtype=np.float64).mean())
    return Measured(
        seconds=len(samples) / rate,
        rate=rate,
        channels=channels,
        level_db=10 * np.log10(power) if power > 0 else -np.inf,
        clipped=float((np.abs(samples) >= 1 - 2**-15).mean()),
        digest=hashlib.blake2b(samples.tobytes(), digest_size=16).hexdigest(),
    )


def _findings_of(where: str, row: Row, audio: Measured, min_seconds: float) -> Iterator[Finding]:
    if audio.seconds < min_seconds:
        text = f"{audio.seconds * 1000:.3g} ms, below prepare_data.min_seconds {min_seconds:g}"
        yield Finding("too short", True, where, text)
    if audio.level_db < SILENT_DB:
        text = "digital silence" if audio.level_db == -np.inf else f"{audio.level_db:.0f} dB"
        yield Finding("silent", False, where, text)
    if audio.clipped > CLIPPED_PART:
        yield Finding("clipped", False, where, f"{100 * audio.clipped:.1f} % of the samples at full scale")
    if audio.rate < SAMPLE_RATE:
        yield Finding("low sample rate", False, where, f"{audio.rate} Hz")
    if audio.channels > 1:
        yield Finding("several channels", False, where, f"{audio.channels} channels, which are averaged")
    if "transcription" in row and not row["transcription"].strip():
        yield Finding("no transcript", False, where, "the transcription is empty")


def _speaking_rates(name: str, rows: Sequence[tuple[Row, Measured]]) -> Iterator[Finding]:
    """Transcripts that are too long or too short for their audio, compared with the others of the set."""
    rates = {
        row["id"]: len(row["transcription"]) / audio.seconds
        for row, audio in rows
        if row.get("transcription", "").strip()
    }
    if len(rates) < LEAST_RATED:
        return
    median = float(np.median(list(rates.values())))
    for id, rate in rates.items():
        if not median / RATE_FACTOR <= rate <= median * RATE_FACTOR:
            kind = "transcript too fast" if rate > median else "transcript too slow"
            yield Finding(kind, False, f"{name} {id}", f"{rate:.1f} symbols a second, the median is {median:.1f}")


# ---- between utterances ----


def _repeated_content(measured: Mapping[str, Sequence[tuple[Row, Measured]]]) -> Iterator[Finding]:
    owners: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for name, rows in measured.items():
        for row, audio in rows:
            if audio.level_db == -np.inf:
                continue  # all digital silence is alike
            owners[audio.digest].append((name, row["id"]))
    for places in owners.values():
        by_role = {_role(name): f"{name} {id}" for name, id in reversed(places)}
        if len(by_role) > 1:
            yield Finding("same audio in two splits", True, " and ".join(by_role.values()), "the samples are equal")
        repeated = [name for name, number in Counter(name for name, _ in places).items() if number > 1]
        for name in repeated:
            ids = [id for own, id in places if own == name]
            yield Finding("same audio twice", False, f"{name} {ids[0]} and {ids[1]}", f"{len(ids)} with equal samples")


def _between_splits(sets: Mapping[str, Sequence[Row]], label: str | None) -> Iterator[Finding]:
    columns = {"id": "utterance in two splits", "speaker": "speaker in two splits"}
    for column, kind in columns.items():
        if column == label:
            continue
        roles: dict[str, dict[str, str]] = defaultdict(dict)
        for name, rows in sets.items():
            for row in rows:
                if row.get(column):
                    roles[row[column]].setdefault(_role(name), name)
        shared = {value: found for value, found in roles.items() if len(found) > 1}
        if column == "id":
            for value, found in shared.items():
                yield Finding(kind, True, " and ".join(found.values()), value)
        elif shared:
            names = ", ".join(list(shared)[:5]) + (", ..." if len(shared) > 5 else "")
            where = " and ".join(next(iter(shared.values())).values())
            yield Finding(kind, False, where, f"{count(len(shared), 'speaker')}: {names}")
    if label is None:
        return
    known = {row[label] for row in sets.get("train", ()) if label in row}
    for name, rows in sets.items():
        new = sorted({row[label] for row in rows if label in row} - known) if known else []
        for value in new:
            yield Finding("label without training data", True, name, value)


def _role(name: str) -> str:
    """train, valid or test: two test sets may share utterances."""
    return name if name in ("train", "valid") else "test"


# ---- numbers ----


def _summary(rows: Sequence[tuple[Row, Measured]], label: str | None) -> SetSummary:
    seconds = np.array([audio.seconds for _, audio in rows])
    labels = Counter(row[label] for row, _ in rows if label and label in row)
    return SetSummary(
        utterances=len(rows),
        seconds=float(seconds.sum()),
        rates=sorted({audio.rate for _, audio in rows}),
        lengths=_histogram(seconds),
        labels=sorted(labels.items(), key=lambda item: (-item[1], item[0])),
    )


def _histogram(seconds: np.ndarray, bins: int = 12) -> list[tuple[str, int]]:
    if not len(seconds):
        return []
    counts, edges = np.histogram(seconds, bins=min(bins, max(1, len(seconds))))
    return [(f"{low:.3g} to {high:.3g} s", int(number)) for low, high, number in zip(edges, edges[1:], counts)]


def lines(checked: Checked, most: int = 5) -> Iterator[str]:
    """The result for a terminal: the numbers of each set, then each kind of finding with its first ``most`` places."""
    for name, summary in checked.sets.items():
        rates = ", ".join(f"{rate / 1000:g} kHz" for rate in summary.rates)
        yield f"{name:12} {summary.utterances:6} utterances  {speech_length(summary.seconds):>9}  {rates}"
    for kind, findings in checked.by_kind().items():
        yield f"{'ERROR' if findings[0].is_error else 'warning'}: {kind}: {len(findings):,}"
        yield from (f"  {finding.where}: {finding.text}" for finding in findings[:most])
        if len(findings) > most:
            yield f"  ... and {len(findings) - most:,} more"
    if not checked.findings:
        yield "nothing found"


def rows_of(path: str | os.PathLike[str]) -> list[Row]:
    """The rows of a metadata CSV; of a list of trials, its utterances."""
    from dataset.metadata import read_csv
    from dataset.trial_tables import read_trials

    table = read_csv(path, (), may_be_empty=True)
    if "wav_path1" in table:
        return [{"id": id, "wav_path": wav} for id, wav in read_trials(path)[1].items()]
    return table.to_dict("records")
