"""``export``: a trained checkpoint as one portable folder."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from problems.engine.cli.arguments import Arguments, number_of
from problems.engine.cli.console import spin_briefly
from problems.engine.cli.verbs import VERBS
from problems.engine.runtime.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

    from problems.engine.inference.predictor import Predictor

PROGRAMS = {"onnx": "model.onnx", "torch_export": "model.pt2"}
MOST_RECORDINGS = 50


def export(problem: Any, arguments: Arguments) -> int:
    """Write the folder, and the programs that are asked for; each is compared with the model first."""
    spin_briefly()
    options = dict(arguments.overrides)
    if "ckpt" not in options or len(arguments.files) != 1:
        missing = "the folder to write" if "ckpt" in options else "--ckpt DIR"
        raise ConfigError(f"export needs {missing}: export {VERBS['export'].usage}")
    from problems.engine.checkpoints.find import find
    from problems.engine.checkpoints.places.fetch import fetch
    from problems.engine.inference.export import export as write_folder
    from problems.engine.inference.predictor import Predictor

    out = Path(arguments.files[0])
    include = options.get("include_upstream", "false").lower() in ("true", "yes", "on")
    programs = {kind: _recordings(kind, options[kind]) for kind in PROGRAMS if kind in options}
    with tempfile.TemporaryDirectory() as temporary:
        if "average" in options:
            checkpoint = _average(options["ckpt"], number_of("average", options["average"], 2), Path(temporary))
        else:
            checkpoint = find(fetch(options["ckpt"]))
        predictor = Predictor(checkpoint, problem, "cpu", options.get("upstream"))
        more = {"license": options.get("license"), "write_more": _writers(predictor, programs)}
        write_folder(predictor, out, include_upstream=include, **more)
        members = predictor.card.get("average_of")
    source = f"the average of {', '.join(members)}" if members else checkpoint
    print(f"{source} is now {out}, with README.md; use it: predict --ckpt {out} some.wav")
    return 0


def _average(place: str, count: float, folder: Path) -> Path:
    """A checkpoint in ``folder`` with the mean of the last ``count`` checkpoints' weights of a training."""
    from problems.engine.checkpoints import averaging, store

    train_dir = next((own for own in (Path(place), Path(place) / "train") if store.steps_in(own)), Path(place))
    kept = [own for own in store.steps_in(train_dir) if not store.is_interim(own)]
    if len(kept) < count:
        raise ConfigError(
            f"--average {count}: {train_dir} has {len(kept)} checkpoints: average fewer, or keep more in a training, by"
            " train.keep_num_ckpts"
        )
    averaging.write_mean(averaging.members(train_dir, averaging.NEWEST, int(count)), folder / averaging.NAME)
    return folder / averaging.NAME


def _recordings(kind: str, source: str) -> list[Tensor]:
    """The first recordings of a folder or a CSV, to compare a program on."""
    from itertools import islice

    from problems.engine.inference.recordings import recordings

    opened = [own.open() for own in islice(recordings(source), MOST_RECORDINGS)]
    short = [own.samples for own in opened if own.samples is not None]
    if not short:
        raise ConfigError(f"--{kind} {source}: expected recordings of up to two minutes, to compare the program on")
    return short


def _writers(predictor: Predictor, programs: dict[str, list[Tensor]]) -> Any:
    """A function that writes the programs into a folder."""

    def write(folder: Path) -> None:
        from problems.engine.inference import onnx

        for kind, recordings in programs.items():
            path = folder / PROGRAMS[kind]
            own = onnx.write(predictor.model, path, kind, recordings)
            size = path.stat().st_size / 1e6
            print(
                f"{path.name}: {size:.1f} MB; over {own.count} recordings its scores differ by at most"
                f" {own.difference:.1e} of the largest; {own.seconds:.2f} s for them, torch {own.model_seconds:.2f} s"
            )

    return write
