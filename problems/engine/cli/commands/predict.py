"""``predict``: a trained checkpoint on new audio."""

from __future__ import annotations

import hashlib
import io
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataset.wording import nearest
from problems.engine.cli.arguments import Arguments, number_of
from problems.engine.cli.commands.predict_stream import predict_stream
from problems.engine.cli.console import spin_briefly
from problems.engine.cli.verbs import VERBS
from problems.engine.config import yaml_text
from problems.engine.runtime.errors import ConfigError

if TYPE_CHECKING:
    from problems.engine.inference.output import Output
    from problems.engine.inference.predictor import Predictor
    from problems.engine.inference.recordings import Recording


def predict(problem: Any, arguments: Arguments) -> int:
    """Write a prediction for each recording; 1 if one cannot be read."""
    spin_briefly()
    options = dict(arguments.overrides)
    if "ckpt" not in options or not arguments.files:
        missing = "an audio file" if "ckpt" in options else "--ckpt DIR"
        raise ConfigError(f"predict needs {missing}: predict {VERBS['predict'].usage}")
    if options.pop("stream", "false").lower() in ("true", "yes", "on"):
        return predict_stream(problem, options, arguments.files, task_of(options))
    for key in ("chunk_ms", "raw"):
        if key in options:
            raise ConfigError(f"--{key} is of recordings that come in chunks: add --stream, or leave --{key} out")
    from problems.engine.checkpoints.find import find
    from problems.engine.checkpoints.places.fetch import fetch
    from problems.engine.inference.formats import FORMATS
    from problems.engine.inference.predictor import Failure, Predictor
    from problems.engine.inference.recordings import Recording, recordings

    form = options.get("format", "text")
    if form not in FORMATS:
        raise ConfigError(f"--format {form}{nearest(form, FORMATS)}: expected one of {', '.join(FORMATS)}")
    task, (column, lexicon) = task_of(options), _alignment_of(options)
    sources = [Recording("-", io.BytesIO(sys.stdin.buffer.read())) if word == "-" else word for word in arguments.files]
    items = list(recordings(sources, column))
    _require_texts(items, column)
    checkpoint = find(fetch(options["ckpt"]))
    origin = {"checkpoint": _identity(checkpoint), "task": task, "enrol": _digest(options.get("enrol"))}
    origin |= {} if column is None else {"align": column, "lexicon": lexicon, "texts": _digest_of_texts(items)}
    output = _output(options.get("out"), form, items, origin)
    todo = [items[place] for place in output.missing([own.name for own in items])]
    predictor = Predictor(checkpoint, problem, options.get("device", "auto"), options.get("upstream"), task)
    code = 0
    for result in _with_bar(_results(predictor, todo, options), len(todo)):
        if isinstance(result, Failure):
            print(f"error: {result.error}", file=sys.stderr)
            code = 1
        else:
            output.write(result)
    output.close()
    return code


def _alignment_of(options: Mapping[str, str]) -> tuple[str | None, str | None]:
    """The column of the texts to align with, and the lexicon of their words; None without.

    Raises:
        ConfigError: an option excludes another, or stands alone.
    """
    if "align" in options and "enrol" in options:
        raise ConfigError("--align and --enrol are for different models: leave one out")
    for key in ("batch_seconds", "num_workers"):
        if "align" in options and key in options:
            raise ConfigError(f"--{key} is of predictions, and recordings are aligned one by one: leave it out")
    if "lexicon" in options and "align" not in options:
        raise ConfigError("--lexicon is for texts to align with: add --align COLUMN, their column in the CSV")
    return options.get("align"), options.get("lexicon")


def _require_texts(items: list[Recording], column: str | None) -> None:
    """Refuse recordings without a text, and those with several, if there is a column of texts."""
    if column is None:
        return
    texts: dict[str, str] = {}
    for own in items:
        if own.text is None:
            raise ConfigError(
                f"--align {column} is a column of CSVs, and {own.name} is none: list it in one, with its text"
            )
        if not own.text.strip():
            raise ConfigError(f"--align {column}: {own.name} has an empty text: write it, or leave the row out")
        if texts.setdefault(own.name, own.text) != own.text:
            raise ConfigError(f"--align {column}: {own.name} has two rows with different texts: leave one out")


def _digest_of_texts(items: list[Recording]) -> str:
    """A digest of the texts to align with, so that a folder of other ones is not continued."""
    return hashlib.sha256(repr([(own.name, own.text) for own in items]).encode()).hexdigest()[:12]


def _results(predictor: Predictor, todo: list[Recording], options: dict[str, str]) -> Iterator[Any]:
    from problems.engine.inference.alignment import align

    numbers = {key: number_of(key, options[key]) for key in ("batch_seconds", "num_workers") if key in options}
    if "align" in options:
        texts = [own.text for own in todo]
        return align(predictor, todo, texts, options.get("lexicon"), keep_errors=True)
    enrolled = [options["enrol"]] if "enrol" in options else []
    if enrolled:
        return predictor.verify(enrolled, todo, errors="return", **numbers)
    return predictor.predict(todo, errors="return", **numbers)


def task_of(options: Mapping[str, str]) -> dict[str, Any]:
    """The values of ``--task.KEY``, by key."""
    names = (key for key in options if key.startswith("task."))
    return {key.removeprefix("task."): yaml_text.load(options[key]) for key in names}


def _identity(checkpoint: Path) -> str:
    """A digest of a checkpoint: that of its manifest, which has those of its files."""
    from dataset.storage.files import sha256
    from problems.engine.checkpoints.store import MANIFEST

    return sha256(checkpoint / MANIFEST)[:12]


def _digest(path: str | None) -> str | None:
    """A digest of the enrolled file; None without one."""
    from dataset.storage.files import sha256

    if path is not None and not Path(path).is_file():
        raise ConfigError(f"--enrol: there is no file {path}")
    return None if path is None else sha256(Path(path))


def _output(folder: str | None, form: str, items: list[Recording], origin: dict[str, Any]) -> Output:
    from problems.engine.inference.output import FolderOutput, StreamOutput

    if folder is None:
        return StreamOutput(sys.stdout, form)
    return FolderOutput(Path(folder), form, origin, [own.name for own in items])


def _with_bar(results: Iterable[Any], total: int) -> Iterable[Any]:
    """Show a bar on a terminal, if there are many and the results are not shown there too."""
    from tqdm import tqdm

    is_shown = total > 1 and sys.stderr.isatty() and not sys.stdout.isatty()
    return tqdm(results, total=total, unit="file", leave=False, disable=not is_shown)
