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
    """List, and then delete, the made audio of a run's corpus, and the lengths, digests and features of its audio.

    The audio is that of the run's CSVs; before stage 0 has written them, that of the corpus.
    """
    from dataset.durations import length_cache
    from dataset.file_digests import digest_cache
    from problems.engine.features.removal import remove_shards, shards_of

    corpus, features = problem.corpus(dict(config["prepare_data"])), folder.cache / "features"
    audio_folders = [path for path in (corpus.made_audio(folder.cache) if corpus else []) if path.is_dir()]
    folders = [*audio_folders, *(path for name in problem.families() if (path := folder.cache / name).is_dir())]
    sources = _sources(folder, corpus, audio_folders)
    paths = sorted({path for path, *_ in sources})
    inside = [path for path in paths if _is_in(path, [folder.cache]) and not _is_in(path, folders)]
    shards = shards_of(sources, features)
    log.info("removing from the cache %s:", folder.cache)
    for path in (*folders, *inside, *shards):
        log.info("  %s", path)
    lengths, digests = length_cache(folder.cache).remove(paths), digest_cache(features).remove(paths)
    log.info("  %d lengths and %d digests of %d audio files", lengths, digests, len(paths))
    remove_shards(shards, features)
    for path in folders:
        shutil.rmtree(path)
    for name in inside:
        Path(name).unlink(missing_ok=True)


def _is_in(path: str, folders: Iterable[Path]) -> bool:
    return any(path.startswith(os.path.join(folder, "")) for folder in folders)


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
    from dataset.trial_tables import SEPARATOR

    sources = []
    for row in rows:
        segment = tuple(float(row[name]) if row.get(name) else None for name in ("start_sec", "end_sec"))
        cells = (row[column] for column in PATH_COLUMNS if row.get(column))
        paths = (path for cell in cells for path in cell.split(SEPARATOR))
        sources += [(os.path.abspath(os.path.join(parent, path)), *segment) for path in paths]
    return sources
