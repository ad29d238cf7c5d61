"""The dataset: utterances of a metadata CSV with their audio and labels."""

from __future__ import annotations

import functools
import operator
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch

from dataset import audio
from dataset.augmentations.timing import augmented, moved_cell, moves_time
from dataset.metadata import MetadataError
from dataset.table import Table, open_table
from dataset.wording import nearest


class Utterances(torch.utils.data.Dataset):
    """The rows of a metadata CSV with their audio.

    Item: ``{"id": str, "wav": float32 (T,) at 16 kHz, "wav_len": T, **labels(row)}``. The optional columns
    ``start_sec`` and ``end_sec`` are a segment of the file; an empty cell is its start or its end.

    Args:
        csv: with at least the columns ``id, wav_path, seconds``.
        labels: from a row of the CSV (strings) to further entries, such as ``{"tokens": int64 (S,)}``. It is called at
            every access, in the loader's workers.
        augment: from a waveform (T,) to another, at every access; if it has ``sets``, its ``of_set(name)`` for the
            value of the column ``corpus``.
        table: the rows, if they are derived from the CSV and not in it (the utterances of its trials).
        timed: columns of ``[[start, end, ...], ...]`` in seconds, as JSON, which move with the augmented audio.

    Attributes:
        seconds: float64 (N,), from the CSV.

    Raises:
        MetadataError: the CSV cannot be read, a time is negative or not a number, or there is no set of ``augment``;
            at access, ``labels`` raised a ValueError. The message names file and id.
        AudioError: at access, the audio cannot be read. The message names file and id.
    """

    def __init__(
        self,
        csv: str | os.PathLike[str],
        labels: Callable[[dict[str, str]], dict[str, Any]] | None = None,
        augment: Callable[[torch.Tensor], torch.Tensor] | None = None,
        table: pd.DataFrame | None = None,
        timed: Sequence[str] = (),
    ) -> None:
        self.table = open_table(csv, ("id", "wav_path", "seconds")) if table is None else Table.of(table, csv)
        self.csv = os.fspath(csv)
        self.labels = labels
        self.augment = augment
        self.timed = timed
        self._require_sets()
        self.seconds = self.table.numbers("seconds")
        self._start, self._end = (self.table.times(column) for column in ("start_sec", "end_sec"))
        for column, values in (("seconds", self.seconds), ("start_sec", self._start), ("end_sec", self._end)):
            if values is not None and (values < 0).any():
                row = int(np.argmax(values < 0))
                raise MetadataError(f"{csv}, row {row + 2}, column {column!r}: {values[row]:g} is negative")

    def _require_sets(self) -> None:
        """Check that the utterances have every set that the augmentation names."""
        for name in sorted(getattr(self.augment, "sets", ())):
            known = sorted(set(self.table.columns["corpus"])) if "corpus" in self.table.columns else []
            if name not in known:
                raise MetadataError(
                    f"{self.csv}: an augmentation is for the set {name!r}, which the column corpus does not hold"
                    f"{nearest(name, known)}; it holds {', '.join(known) or 'nothing'}"
                )

    @property
    def ids(self) -> Sequence[str]:
        """The ids, in the order of the CSV."""
        return self.table.columns["id"]

    @property
    def by_length(self) -> np.ndarray | None:
        """The indices by falling length, int (N,), if that is known."""
        return self.table.by_length

    def column(self, name: str) -> Sequence[str]:
        """A column of the CSV.

        Raises:
            KeyError: there is none of that name; it lists those that there are.
        """
        if name not in self.table.columns:
            raise KeyError(f"{self.csv} has the columns {', '.join(self.table.columns)}")
        return self.table.columns[name]

    def __len__(self) -> int:
        return len(self.seconds)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self._read(index, self.augment)

    @property
    def num_variants(self) -> int | None:
        """The number of waveforms that an item may have; None if the augmentation gives any number of them."""
        if self.timed and moves_time(self.augment):
            return None
        return 1 if self.augment is None else getattr(self.augment, "num_variants", None)

    def draw_variant(self) -> int:
        """The number of a random variant, as an access to an item draws it."""
        return 0 if self.augment is None else self.augment.draw()

    def variant(self, index: int, number: int) -> dict[str, Any]:
        """The item with its variant of that number."""
        return self._read(index, self.augment and functools.partial(self.augment.apply, number=number))

    def _read(self, index: int, augment: Callable[[torch.Tensor], torch.Tensor] | None) -> dict[str, Any]:
        row = self._row(index)
        try:
            wav = audio.read(row["wav_path"], *self._segment(index))
        except audio.AudioError as error:
            raise audio.AudioError(f"{self.csv}, id {row['id']!r}: {error}") from error
        if getattr(augment, "sets", None):
            augment = augment.of_set(row["corpus"])
        if augment is not None and self.timed:
            wav, timings = augmented(augment, wav)
            row = row | {column: moved_cell(row[column], timings) for column in self.timed}
        elif augment is not None:
            wav = augment(wav)
        return self._labelled({"id": row["id"], "wav": wav, "wav_len": len(wav)}, row)

    def without_audio(self, index: int) -> dict[str, Any]:
        """Return the item without ``wav`` and ``wav_len``; no audio is read."""
        row = self._row(index)
        return self._labelled({"id": row["id"]}, row)

    @property
    def sources(self) -> list[tuple[str, float | None, float | None]] | None:
        """File, start and end of each item's waveform, in order; None if waveforms are augmented.

        Features of these samples may be cached. A subclass that overrides ``__getitem__`` must define this again.
        """
        if self.augment is not None:
            return None
        return [(path, *self._segment(index)) for index, path in enumerate(self.table.columns["wav_path"])]

    def _segment(self, index: int) -> tuple[float | None, float | None]:
        times = (None if values is None else values[index] for values in (self._start, self._end))
        start, end = (None if time is None or np.isnan(time) else float(time) for time in times)
        return start, end

    def _row(self, index: int) -> dict[str, str]:
        index = operator.index(index)
        if not -len(self) <= index < len(self):
            raise IndexError(f"{self.csv}: no utterance {index}; it has {len(self)} utterances")
        return self.table.row(index % len(self))

    def _labelled(self, item: dict[str, Any], row: dict[str, str]) -> dict[str, Any]:
        """Add the entries of ``labels(row)`` to the item."""
        if self.labels is not None:
            try:
                extra = self.labels(row)
            except ValueError as error:
                raise MetadataError(f"{self.csv}, id {row['id']!r}: {error}") from error
            if not item.keys().isdisjoint(extra):
                raise ValueError(f"labels() may not return {sorted(item.keys() & extra.keys())}; rename the entry")
            item.update(extra)
        return item
