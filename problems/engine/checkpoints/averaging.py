"""The mean of several checkpoints' weights, as a checkpoint of its own: ``train/average``.

Izmailov et al., "Averaging weights leads to wider optima and better generalization", 2018.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dataset.storage.files import read_json, write_json
from problems.engine.checkpoints import store
from problems.engine.checkpoints.writing import write
from problems.engine.runtime.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor

NAME = "average"
NEWEST = "newest"
MEMBERS = "average.json"


def members(train_dir: Path, of: str, newest: int | None = None) -> list[Path]:
    """The checkpoints to average, verified; the arguments are those of :func:`candidates`.

    Raises:
        CheckpointError: there is none, or one of them is damaged.
    """
    return [store.require(folder) for folder in candidates(train_dir, of, newest)]


def candidates(train_dir: Path, of: str, newest: int | None = None) -> list[Path]:
    """The checkpoints to average, not verified.

    Args:
        of: ``best``: those of the primary rule, the best first; ``newest``: the last ones, the last first.
        newest: how many of the last ones; None takes all.

    Raises:
        CheckpointError: there is none.
    """
    if of == NEWEST:
        planned = [folder for folder in store.steps_in(train_dir) if not store.is_interim(folder)]
        folders = planned[::-1][:newest]
    else:
        ranked: dict[str, list[str]] = read_json(Path(train_dir) / store.BEST)
        folders = [Path(train_dir) / name for name in next(iter(ranked.values()), [])]
    if not folders:
        raise CheckpointError(
            f"train.average {of}: there is no such checkpoint in {train_dir}"
            + ("" if of == NEWEST else ", since no validation gave a finite valid_metric; use newest, or null")
        )
    return folders


def is_of(folder: Path, names: Sequence[str]) -> bool:
    """Return True if ``folder`` is a whole checkpoint with the average of the checkpoints of these names."""
    return store.damage(folder) is None and read_json(Path(folder) / MEMBERS)["of"] == list(names)


def write_mean(folders: Sequence[Path], target: Path) -> None:
    """Write a checkpoint with the mean of the weights of some, without what only a training needs.

    What a task has learnt in a validation, such as a calibration, is that of the first.
    """

    def fill(folder: Path) -> None:
        from safetensors.torch import save_file

        from problems.engine.checkpoints.weights import WEIGHTS

        for part in ("model", "task"):
            shutil.copytree(folders[0] / part, folder / part)
            if (folder / part / WEIGHTS).exists():
                save_file(mean_of([own / part / WEIGHTS for own in folders]), folder / part / WEIGHTS)
        if (folders[0] / "config.yaml").is_file():
            shutil.copyfile(folders[0] / "config.yaml", folder / "config.yaml")
        write_json(folder / MEMBERS, {"of": [own.name for own in folders]})

    write(target, fill)


def mean_of(paths: Sequence[Path]) -> dict[str, Tensor]:
    """The mean of equally named tensors of several files; tensors that are not floating-point are the first file's."""
    from safetensors.torch import load_file

    first = load_file(paths[0])
    floating = [name for name, value in first.items() if value.is_floating_point()]
    mean = {name: first[name].double() for name in floating}
    for path in paths[1:]:
        other = load_file(path)
        for name in floating:
            mean[name] += other[name].double()
    return first | {name: (mean[name] / len(paths)).to(first[name].dtype) for name in floating}
