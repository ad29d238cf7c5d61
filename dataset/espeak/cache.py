"""Synthesise sentences once, in a separate process; keep the audio under a key and verify it at every use."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
from collections.abc import Sequence
from pathlib import Path

from dataset.corpora.common.base import CorpusError
from dataset.espeak.apart import locate, run_apart
from dataset.espeak.sentence import Spoken, ToySentence, check
from dataset.storage.files import sha256, sweep, write_folder
from dataset.storage.locks import locked

MISSING = (
    "the toy corpus needs the package espeakng-loader (GPL-3): "
    'pip install "soundstage[toy]", or use your own recordings: '
    "--prepare_data.corpus csv --prepare_data.train my.csv"
)
SUMS = "sha256sums.json"

logger = logging.getLogger(__name__)


def synthesise(sentences: Sequence[ToySentence], cache_dir: Path) -> list[Spoken]:
    """Synthesise the sentences, in their order, in ``cache_dir/toy/``, or find them there.

    The same sentences in the same order give the same bytes with the same version of the library. If several processes
    ask at once, one synthesises and the others wait. After a kill, nothing partial is ever used.

    Raises:
        CorpusError: espeakng-loader is not installed, or the generator failed.
        ValueError: a sentence cannot be synthesised.
    """
    check(sentences)
    request = _request(sentences)
    folder = folder_of(sentences, cache_dir)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(folder.with_name(f"{folder.name}.lock")):
        if folder.exists():
            damage = verify(folder)
            if damage:
                logger.warning("the toy corpus in %s is damaged (%s); it is synthesised again", folder, damage)
        if not folder.exists() or damage:
            _make(request, folder)
    return _read(folder)


def folder_of(sentences: Sequence[ToySentence], cache_dir: Path) -> Path:
    """The folder in which :func:`synthesise` keeps these sentences."""
    return Path(cache_dir).absolute() / "toy" / _key(_request(sentences))


def _request(sentences: Sequence[ToySentence]) -> dict:
    return _locate() | {"utterances": [dataclasses.asdict(sentence) for sentence in sentences]}


def verify(folder: Path) -> str | None:
    """Describe the damage to a file of the folder; None if all are as they were written."""
    try:
        sums = json.loads((folder / SUMS).read_text(encoding="utf-8"))
        items = list(sums.items())
    except (OSError, ValueError, AttributeError):
        return f"{SUMS} cannot be read"
    for name, expected in items:
        try:
            actual = sha256(folder / name)
        except OSError as error:
            return f"{name}: {error.strerror}"
        if actual != expected:
            return f"{name} has changed"
    return None


def _locate() -> dict[str, str]:
    library = locate()
    if library is None:
        raise CorpusError(MISSING)
    return library


def _key(request: dict) -> str:
    """The key of the request, the code that answers it, and the library's content (not its path)."""
    digest = hashlib.sha256(json.dumps(request["utterances"], sort_keys=True).encode())
    sources = [Path(__file__).parent / f"{name}.py" for name in ("generate", "library", "alignment", "sentence")]
    for file in [*sources, Path(request["library"])]:
        digest.update(sha256(file).encode())
    return digest.hexdigest()[:16]


def _make(request: dict, folder: Path) -> None:
    def fill(target: Path) -> None:
        _run(request, target)
        files = sorted(path for path in target.rglob("*") if path.is_file())
        sums = {path.relative_to(target).as_posix(): sha256(path) for path in files}
        (target / SUMS).write_text(json.dumps(sums, indent=0), encoding="utf-8")

    sweep(folder.parent, folder.name)  # the caller holds the lock
    logger.info("synthesising %d utterances of the toy corpus in %s", len(request["utterances"]), folder)
    write_folder(folder, fill)


def _run(request: dict, target: Path) -> None:
    request_file = target / "request.json"
    request_file.write_text(json.dumps(request), encoding="utf-8")
    reason = run_apart("dataset.espeak.generate", str(request_file), str(target))
    request_file.unlink()
    if reason is not None:
        raise CorpusError(f"the toy corpus could not be synthesised: its generator {reason}")


def _read(folder: Path) -> list[Spoken]:
    spoken = []
    with open(folder / "alignments.jsonl", encoding="utf-8") as lines:
        for line in map(json.loads, lines):
            words, phones = (tuple((a, b, label) for a, b, label in line[key]) for key in ("words", "phones"))
            spoken.append(
                Spoken(
                    id=line["id"], wav_path=folder / line["wav"], seconds=line["seconds"], words=words, phones=phones
                )
            )
    return spoken
