"""Pack metadata CSVs: write their shards in parallel, then the CSVs that name places in them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any, NamedTuple

from dataset import SEPARATOR
from dataset.metadata import read_csv, write_csv
from dataset.packing.plan import Rows, Shard, rows_of, shards_of
from dataset.packing.shards import BadAudioError, complete_places, index_of, write_shard
from dataset.places.names import join
from dataset.storage.files import read_json, sweep, write_json
from dataset.table import open_table
from dataset.trial_tables import split_side

LIST = "pack.json"
"""The names of the sets and the shards of a folder, and whether all of them are complete."""


class PackingError(ValueError):
    """A folder cannot be packed into."""


class Summary(NamedTuple):
    """The numbers of a packing: utterances, shards, how many of these were complete before, and bytes."""

    utterances: int
    shards: int
    complete: int
    bytes: int


class _Stopped(Exception):
    """The packing ends before its time."""


def pack(
    csvs: Sequence[str | os.PathLike[str]],
    folder: Path,
    *,
    shard_bytes: int = 500_000_000,
    num_workers: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
    url: str | None = None,
) -> Summary:
    """Write shards of ``csvs`` to ``folder``, and each CSV with the places of its audio there.

    Complete shards of an earlier call, which may have been killed at any instant, are kept; the result is the same,
    byte by byte. Only this process may write to the folder.

    Args:
        csvs: metadata or lists of trials; the stem of a file's name is the name of the set.
        shard_bytes: the size of a shard, about.
        num_workers: threads that read and write.
        progress: called with the number of utterances done, and of all.
        url: of a folder of any ``fsspec`` file system, where each shard is moved once it is whole; CSVs stay here.

    Raises:
        BadAudioError: utterances cannot be read. All are listed, and all other shards are complete.
        PackingError: the folder holds a file of the same name that is not of an earlier packing.
        OSError: the folder cannot be written to, such as on a full disk.
        AudioError: the URL cannot.
    """
    url = url and url.rstrip("/")
    folder.mkdir(parents=True, exist_ok=True)
    sweep(folder)
    sets = rows_of(csvs)
    shards = [shard for rows in sets for shard in shards_of(rows, shard_bytes)]
    names = {"sets": [rows.name for rows in sets], "shards": [shard.name for shard in shards]}
    earlier = _earlier(folder)
    _require_own(folder, _files(names) - _files(earlier))
    places = {shard.name: complete_places(folder, shard, url) for shard in shards}
    missing = [shard for shard in shards if places[shard.name] is None]
    if missing:
        all_names = {key: [*dict.fromkeys(earlier[key] + names[key])] for key in names}
        write_json(folder / LIST, {**all_names, "complete": False})
    counter = _Counter(progress, sets, missing)
    places |= _write_all(folder, missing, num_workers=num_workers, count=counter, url=url)
    _write_csvs(csvs, sets, folder, {rows.name: [] for rows in sets} | _joined(shards, places))
    write_json(folder / LIST, {**names, "complete": True})
    for name in _files(earlier) - _files(names):
        (folder / name).unlink(missing_ok=True)
    size = sum(read_json(index_of(folder / shard.name))["size"] for shard in shards)
    return Summary(sum(map(len, sets)), len(shards), len(shards) - len(missing), size)


def read_list(folder: Path) -> dict[str, Any]:
    """The names of the sets and shards in a folder, and whether they are complete."""
    return read_json(folder / LIST)


def _earlier(folder: Path) -> dict[str, list[str]]:
    try:
        names = read_list(folder)
        return {"sets": list(names["sets"]), "shards": list(names["shards"])}
    except (FileNotFoundError, ValueError, KeyError, TypeError):  # or not ours
        return {"sets": [], "shards": []}


def _files(names: Mapping[str, list[str]]) -> set[str]:
    """The names of the files of a packing."""
    tables = {f"{name}.{suffix}" for name in names["sets"] for suffix in ("csv", "arrow")}
    return {*tables, *names["shards"], *(index_of(Path(name)).name for name in names["shards"])}


def _require_own(folder: Path, new: set[str]) -> None:
    """Refuse to replace a file that no packing has written."""
    others = sorted(name for name in new if not name.endswith(".arrow") and (folder / name).exists())
    if others:
        raise PackingError(
            f"{folder} holds {others[0]}, which an earlier packing did not write, and which would be replaced; "
            "choose another folder: --out DIR"
        )


class _Counter:
    """Tell ``progress`` how many utterances are done, from several threads."""

    def __init__(self, progress: Callable[[int, int], None], sets: Sequence[Rows], missing: Sequence[Shard]):
        self.progress, self.total, self.lock = progress, sum(map(len, sets)), threading.Lock()
        self.done = self.total - sum(shard.end - shard.begin for shard in missing)
        progress(self.done, self.total)

    def __call__(self) -> None:
        with self.lock:
            self.done += 1
            self.progress(self.done, self.total)


def _write_all(
    folder: Path, shards: Sequence[Shard], *, num_workers: int, count: Callable[[], None], url: str | None
) -> dict[str, list[str]]:
    """Write shards in threads, since decoding and compressing are done outside of Python; give the places in each."""
    stop = threading.Event()

    def each() -> None:
        if stop.is_set():
            raise _Stopped
        count()

    places: dict[str, list[str]] = {}
    bad: dict[str, list[str]] = {}
    with ThreadPoolExecutor(max(1, num_workers)) as pool:
        names = {pool.submit(write_shard, folder, shard, each, url): shard.name for shard in shards}
        try:
            for future in as_completed(names):
                try:
                    places[names[future]] = future.result()
                except BadAudioError as error:
                    bad[names[future]] = error.messages
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    if bad:
        raise BadAudioError([message for shard in shards for message in bad.get(shard.name, ())])
    return places


def _joined(shards: Sequence[Shard], places: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """The places of each set, in the order of its rows."""
    joined: dict[str, list[str]] = {}
    for shard in shards:
        joined.setdefault(shard.rows.name, []).extend(places[shard.name])
    return joined


def _write_csvs(
    csvs: Sequence[str | os.PathLike[str]], sets: Sequence[Rows], folder: Path, places: Mapping[str, list[str]]
) -> None:
    """Write the CSVs with places for paths, and compile them."""
    lists = [rows for rows in sets if rows.is_of_trials]
    of_file = {file: place for rows in lists for file, place in zip(rows.table.strings("wav_path"), places[rows.name])}
    for csv, rows in zip(csvs, sets):
        path = folder / f"{rows.name}.csv"
        table = read_csv(csv, (), may_be_empty=True)
        lines = table.to_dict("records")
        if rows.is_of_trials:
            source = os.path.dirname(os.path.abspath(csv))
            lines = [{**line, **_packed_sides(line, source, of_file)} for line in lines]
        else:
            lines = [{**line, "wav_path": place} for line, place in zip(lines, places[rows.name])]
        columns = [name for name in table.columns if name not in ("start_sec", "end_sec")]
        write_csv(path, [{name: line[name] for name in columns} for line in lines], columns)
        open_table(path, may_be_empty=True)


def _packed_sides(trial: Mapping[str, str], folder: str, of_file: Mapping[str, str]) -> dict[str, str]:
    """The path columns of a trial."""
    sides = {}
    for side in (1, 2):
        files = (join(folder, path) for _, path in split_side(trial[f"id{side}"], trial[f"wav_path{side}"]))
        sides[f"wav_path{side}"] = SEPARATOR.join(of_file[file] for file in files)
    return sides
