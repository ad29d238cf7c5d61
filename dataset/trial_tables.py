"""Speaker verification trials in CSVs, and the tables of their utterances and of a cohort.

A trial has ``id1, id2, wav_path1, wav_path2, label``. Its first side may be an enrolment of several utterances, whose
ids and paths are joined by " ; ".
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from dataset import SEPARATOR
from dataset.durations import durations
from dataset.metadata import MetadataError, read_csv
from dataset.places.names import join

COLUMNS = ("id1", "id2", "wav_path1", "wav_path2", "label")


def utterance_paths(sides: Iterable[tuple[str, str]], folder: str = "") -> dict[str, str]:
    """Return the path of every utterance by id, in order of first appearance.

    Args:
        sides: ``(id, path)`` of each side of each trial.
        folder: the folder of relative paths.

    Raises:
        MetadataError: an enrolment has more ids than paths or the reverse, or an id is used for two files.
    """
    paths: dict[str, str] = {}
    for side in sides:
        for id, relative_path in split_side(*side):
            path = join(folder, relative_path)
            if paths.setdefault(id, path) != path:
                raise MetadataError(
                    f"the id {id!r} is used for {paths[id]} and for {path} in trials; give each file a unique id"
                )
    return paths


def split_side(id: str, path: str) -> list[tuple[str, str]]:
    """Return the id and the path of each utterance of one side; a MetadataError if their numbers differ."""
    ids = id.split(SEPARATOR)
    if len(ids) == 1:
        return [(id, path)]
    paths = path.split(SEPARATOR)
    if len(ids) != len(paths):
        raise MetadataError(
            f"the enrolment {id!r} has {len(ids)} ids and {len(paths)} paths ({path!r}); expected a path for each id, "
            f"separated by {SEPARATOR!r}"
        )
    return list(zip(ids, paths))


def paths_in(cell: str, folder: str | os.PathLike[str] = "") -> list[str]:
    """Return the paths in one cell of a path column: of one file, or of the utterances of an enrolment.

    Args:
        folder: the folder of relative paths.
    """
    whole = join(folder, cell)
    return [whole] if os.path.exists(whole) else [join(folder, path) for path in cell.split(SEPARATOR)]


def read_trials(csv: str | os.PathLike[str], *, may_be_empty: bool = False) -> tuple[pd.DataFrame, dict[str, str]]:
    """Return the trials of a CSV as a table ``id1, id2, label``, and the absolute path of each utterance by id."""
    table = read_csv(csv, COLUMNS, may_be_empty=may_be_empty)
    sides = [table[[f"id{side}", f"wav_path{side}"]].drop_duplicates() for side in (1, 2)]
    try:
        rows = (row for side in sides for row in side.itertuples(index=False, name=None))
        paths = utterance_paths(rows, os.path.dirname(os.path.abspath(csv)))
    except MetadataError as error:
        raise MetadataError(f"{csv}: {error}") from error
    # categories save memory: millions of trials name thousands of utterances
    return table[["id1", "id2", "label"]].astype("category"), paths


def utterance_table(paths: Mapping[str, str], cache_dir: str | os.PathLike[str]) -> pd.DataFrame:
    """Return utterances as a table ``id, wav_path, seconds``; an AudioError if a file cannot be used."""
    seconds, errors = durations(paths.values(), Path(cache_dir))
    if errors:
        raise next(iter(errors.values()))
    rows = [(id, path, f"{seconds[path]:.6g}") for id, path in paths.items()]
    return pd.DataFrame(rows, columns=["id", "wav_path", "seconds"], dtype=object)


def cohort_table(train_csv: str | os.PathLike[str], per_speaker: int) -> pd.DataFrame:
    """Return at most ``per_speaker`` utterances of each speaker of a training CSV, with all columns.

    They are chosen by a hash of their ids, because neighbours in the file are often of one recording.
    """
    table = read_csv(train_csv, ("id", "wav_path", "seconds", "spk"))
    keys = [hashlib.sha256(id.encode("utf-8", "surrogatepass")).hexdigest() for id in table["id"]]
    chosen = table.assign(_key=keys).sort_values("_key").groupby("spk", sort=False).head(per_speaker)
    return table.loc[sorted(chosen.index)].reset_index(drop=True)


def add_cohort(trials: pd.DataFrame, cohort: pd.DataFrame, csv: str | os.PathLike[str]) -> pd.DataFrame:
    """Return the utterances of trials and of a cohort as one table; a MetadataError if an id is used for two files."""
    paths = dict(zip(cohort["id"], cohort["wav_path"]))
    for id, path in zip(trials["id"], trials["wav_path"]):
        if paths.get(id, path) != path:
            raise MetadataError(
                f"{csv}: the id {id!r} is used for {path} here and for {paths[id]} in the training set; rename one"
            )
    rest = cohort[~cohort["id"].isin(set(trials["id"]))]
    return pd.concat([trials, rest], ignore_index=True).fillna("")
