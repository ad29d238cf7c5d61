"""``pack``: write the audio of stage 0 into tar shards, and CSVs that name places in them."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

from problems.engine.cli.arguments import Arguments, resolve_config
from problems.engine.cli.console import start_logging
from problems.engine.runtime.environment import reading_workers
from problems.engine.runtime.errors import ConfigError, SoundstageError
from problems.engine.runtime.folder_lock import folder_lock

OPTIONS = ("out", "shard_mb", "shards")
MOST_LISTED, UNUSABLE = 20, "unusable.txt"

log = logging.getLogger(__name__)


def pack(problem: Any, arguments: Arguments) -> int:
    """Prepare the data if stage 0 is not done and fresh, and pack it; print the command that trains on it."""
    own = {key: value for key, value in arguments.overrides if key in OPTIONS}
    overrides = [(key, value) for key, value in arguments.overrides if key not in OPTIONS]
    shard_bytes, url = _shard_bytes(own.get("shard_mb", "500")), _url(own.get("shards"))
    config = resolve_config(problem, arguments.configs, overrides, recorded=True)
    from problems.engine.stages.pipeline import Pipeline

    pipeline = Pipeline(problem, {**config, "start": None, "stop": 0, "fresh": False})
    start_logging(pipeline.root)
    log.info("$ %s", " ".join(sys.argv), extra={"quiet": True})
    if pipeline.freshness.reasons(pipeline.stages[0]):
        pipeline.run()
    train, valid, tests = pipeline.folder.csvs()
    folder = Path(own.get("out", pipeline.root / "shards")).expanduser().absolute()
    with folder_lock(folder, option="out"):
        csvs, workers = [train, valid, *tests], max(1, reading_workers(config))
        summary = _packed(csvs, folder, shard_bytes=shard_bytes, num_workers=workers, url=url)
    log.info(
        "%s utterances in %s shards (%s complete before), %.1f MB, in %s",
        *(f"{number:,}" for number in summary[:3]),
        summary.bytes / 1e6,
        url or folder,
    )
    log.info(
        "next:\n  python -m problems.%s run --prepare_data.corpus packed --prepare_data.dataset_root %s%s"
        " --target_dir DIR",
        problem.families()[0],
        folder,
        f" --prepare_data.shards {url}" if url else "",
    )
    return 0


def _shard_bytes(text: str) -> int:
    try:
        megabytes = float(text)
    except ValueError:
        megabytes = 0.0
    if not 0 < megabytes < 1e6:
        raise ConfigError(f"shard_mb is {text!r}: expected the size of a shard in megabytes, such as 500")
    return round(megabytes * 1e6)


def _url(text: str | None) -> str | None:
    from dataset.places.names import is_url

    if text is not None and (not is_url(text) or text.lower().startswith("file://")):
        raise ConfigError(f"shards is {text!r}: expected a URL, such as s3://bucket/folder; a folder here is --out DIR")
    return text


def _packed(csvs: list[str], folder: Path, *, shard_bytes: int, num_workers: int, url: str | None) -> Any:
    from tqdm import tqdm

    from dataset.packing.pack import pack as pack_csvs
    from dataset.packing.shards import BadAudioError
    from dataset.storage.files import write_text
    from dataset.wording import count

    listing = folder / UNUSABLE
    try:
        with tqdm(desc="packing", unit="utt", disable=not sys.stderr.isatty(), leave=False) as bar:

            def progress(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            options = {"shard_bytes": shard_bytes, "num_workers": num_workers, "url": url}
            summary = pack_csvs(csvs, folder, **options, progress=progress)
    except BadAudioError as error:
        listed = error.messages[:MOST_LISTED]
        if len(error.messages) > MOST_LISTED:
            write_text(listing, f"{error}\n")
            listed.append(f"... and {len(error.messages) - MOST_LISTED} more, all listed in {listing}")
        raise SoundstageError(
            f"{count(len(error.messages), 'utterance')} cannot be read:\n  " + "\n  ".join(listed) + "\nrepair them, or"
            " take them out of the corpus, and run the same command again; all other shards are complete"
        ) from error
    except OSError as error:
        raise SoundstageError(
            f"the shards cannot be written to {folder} ({error.strerror or error}); complete ones are kept: free disk "
            "space, or choose another folder (--out DIR), and run the same command again"
        ) from error
    listing.unlink(missing_ok=True)
    return summary
