"""--remove_all_cache: delete what a run would read from the cache, and nothing of other runs."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from problems.engine.stages.target_folder import TargetFolder

log = logging.getLogger(__name__)


def remove_cache(problem: Any, config: Mapping[str, Any], folder: TargetFolder) -> None:
    """List, and then delete, the audio that a run's corpus made, and the lengths, digests and features of its audio.

    Its audio is that of the run's CSVs; before stage 0 has written them, that of the corpus. Files that the corpus did
    not make stay, even those that lie in the cache.
    """
    from dataset.durations import header_cache
    from dataset.storage.file_digests import digest_cache
    from problems.engine.features.removal import remove_shards, shards_of

    corpus, features = problem.corpus(dict(config["prepare_data"])), folder.cache / "features"
    audio_folders = made_audio(problem, config, folder)
    sources = _sources(folder, corpus, audio_folders)
    paths = sorted({path for path, *_ in sources})
    shards = shards_of(sources, features)
    log.info("removing from the cache %s:", folder.cache)
    for path in (*audio_folders, *shards):
        log.info("  %s", path)
    lengths, digests = header_cache(folder.cache).remove(paths), digest_cache(features).remove(paths)
    log.info("  %d lengths and %d digests of %d audio files", lengths, digests, len(paths))
    remove_shards(shards, features)
    for path in audio_folders:
        shutil.rmtree(path)


def made_audio(problem: Any, config: Mapping[str, Any], folder: TargetFolder) -> list[Path]:
    """The folders of audio in the cache that the run's corpus made."""
    corpus = problem.corpus(dict(config["prepare_data"]))
    return [path for path in corpus.made_audio(folder.cache) if path.is_dir()] if corpus else []


def _sources(
    folder: TargetFolder, corpus: Any, audio_folders: list[Path]
) -> list[tuple[str, float | None, float | None]]:
    """File, start and end of the audio of a run."""
    from dataset.metadata import read_csv

    train, valid, tests = folder.csvs()
    csvs = [csv for csv in (train, valid, *tests) if os.path.isfile(csv)]
    if csvs:
        tables = {csv: read_csv(csv, (), may_be_empty=True).to_dict("records") for csv in csvs}
        return [source for csv, rows in tables.items() for source in _audio_of(rows, Path(csv).parent)]
    if audio_folders:
        return [(str(path), None, None) for parent in audio_folders for path in parent.rglob("*.wav")]
    if corpus is None or corpus.made_audio(folder.cache):  # nothing is known, or nothing is made yet
        return []
    splits = corpus.load(folder.cache)
    rows = [row for rows in (splits.train, splits.valid, *splits.test.values()) for row in rows]
    return _audio_of(rows, Path.cwd())


def _audio_of(rows: Iterable[Mapping[str, str]], parent: Path) -> list[tuple[str, float | None, float | None]]:
    from dataset.metadata import PATH_COLUMNS
    from dataset.places.names import absolute
    from dataset.trial_tables import paths_in

    sources = []
    for row in rows:
        segment = tuple(float(row[name]) if row.get(name) else None for name in ("start_sec", "end_sec"))
        cells = (row[column] for column in PATH_COLUMNS if row.get(column))
        paths = (path for cell in cells for path in paths_in(cell, parent))
        sources += [(absolute(path), *segment) for path in paths]
    return sources
