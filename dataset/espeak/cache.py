"""Speech by request: made once by a process of its own, kept under a key, verified at every use."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import json
import logging
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from dataset.corpora.common.base import CorpusError
from dataset.espeak.utterance import Spoken, Utterance, check
from dataset.files import sha256, sweep, write_folder
from dataset.locks import locked

MISSING = (
    "the toy corpus needs the package espeakng-loader (GPL-3): "
    'pip install "soundstage[toy]" — or use your own recordings: '
    "--prepare_data.corpus csv --prepare_data.train my.csv"
)
SUMS = "sha256sums.json"

# the child finds the modules that this process finds, wherever the working directory is
_BOOTSTRAP = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from dataset.espeak.generate import main; sys.exit(main(*sys.argv[2:]))"
)

logger = logging.getLogger(__name__)


def synthesise(utterances: Sequence[Utterance], cache_dir: Path) -> list[Spoken]:
    """Speech for every utterance, in their order, made under ``cache_dir/toy/`` or found there.

    The same utterances in the same order give the same bytes (of one version of the library). Several
    processes may ask at once: one makes the audio, the others wait for it. A kill leaves nothing that is ever
    taken for whole.

    Raises:
        CorpusError: espeakng-loader is not installed, or the generator failed.
        ValueError: an utterance cannot be made.
    """
    check(utterances)
    request = _locate() | {"utterances": [dataclasses.asdict(u) for u in utterances]}
    root = Path(cache_dir).absolute() / "toy"
    root.mkdir(parents=True, exist_ok=True)
    key = _key(request)
    folder = root / key
    with locked(root / f"{key}.lock"):
        if folder.exists():
            damage = verify(folder)
            if damage:
                logger.warning("the toy corpus in %s is damaged (%s); it is made again", folder, damage)
        if not folder.exists() or damage:
            _make(request, folder)
    return _read(folder)


def verify(folder: Path) -> str | None:
    """None where every file is what it was when it was made, else what is wrong with one."""
    try:
        sums = json.loads((folder / SUMS).read_text(encoding="utf-8"))
        items = list(sums.items())
    except (OSError, ValueError, AttributeError):
        return f"{SUMS} cannot be read"
    for name, expected in items:
        try:
            found = sha256(folder / name)
        except OSError as error:
            return f"{name}: {error.strerror}"
        if found != expected:
            return f"{name} has changed"
    return None


def _locate() -> dict[str, str]:
    if importlib.util.find_spec("espeakng_loader") is None:
        raise CorpusError(MISSING)
    import espeakng_loader

    return {"library": espeakng_loader.get_library_path(), "data": espeakng_loader.get_data_path()}


def _key(request: dict) -> str:
    """Names the request, the code that meets it and the library; not where the library is installed."""
    digest = hashlib.sha256(json.dumps(request["utterances"], sort_keys=True).encode())
    sources = [Path(__file__).parent / f"{name}.py" for name in ("generate", "library", "alignment", "utterance")]
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
    logger.info("making %d utterances of the toy corpus in %s", len(request["utterances"]), folder)
    write_folder(folder, fill)


def _run(request: dict, target: Path) -> None:
    request_file = target / "request.json"
    request_file.write_text(json.dumps(request), encoding="utf-8")
    paths = json.dumps([os.path.abspath(entry) for entry in sys.path])
    command = [sys.executable, "-c", _BOOTSTRAP, paths, str(request_file), str(target)]
    # a Ctrl-C or any other exception here kills the child and waits for it
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace")
    request_file.unlink()
    if done.returncode == 0:
        return
    last = "\n".join(done.stderr.strip().splitlines()[-5:])
    how = f"signal {-done.returncode}" if done.returncode < 0 else f"exit code {done.returncode}"
    raise CorpusError(
        f"the toy corpus could not be made: its generator ended with {how}. "
        + (f"It said last:\n{last}" if last else "It said nothing.")
    )


def _read(folder: Path) -> list[Spoken]:
    spoken = []
    with open(folder / "alignments.jsonl", encoding="utf-8") as lines:
        for line in map(json.loads, lines):
            words, phones = (tuple((a, b, label) for a, b, label in line[key]) for key in ("words", "phones"))
            spoken.append(Spoken(line["id"], folder / line["wav"], line["seconds"], words, phones))
    return spoken
