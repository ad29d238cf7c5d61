"""The mean of the weights of several checkpoints, as a checkpoint of its own: ``train/average``.

Izmailov et al., "Averaging weights leads to wider optima and better generalization", 2018.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path

from problems.engine import checkpoint
from problems.engine.files import read_json, write_json
from problems.engine.saving import WEIGHTS

log = logging.getLogger(__name__)

NAME = "average"
BEST, NEWEST = "best", "newest"


def members(train_dir: Path, of: str) -> list[Path]:
    """The checkpoints to average: those of the primary rule, the best first, or all that are kept, the newest first."""
    if of == NEWEST:
        return checkpoint.steps_in(train_dir)[::-1]
    ranked: dict[str, list[str]] = read_json(Path(train_dir) / "best.json")
    return [Path(train_dir) / name for name in next(iter(ranked.values()))]


def write_average(train_dir: Path, of: str, newest: int | None = None) -> Path:
    """Write ``train_dir/average`` from the ``best`` or the ``newest`` kept checkpoints.

    Args:
        newest: how many of the newest; None takes all that are there.

    Raises:
        CheckpointError: one of them is damaged.
    """
    folders = members(train_dir, of)[: newest if of == NEWEST else None]
    folder, names = Path(train_dir) / NAME, [f.name for f in folders]
    if checkpoint.damage(folder) is None and read_json(folder / "average.json")["of"] == names:
        return folder
    for one in folders:
        checkpoint.require(one)

    def fill(temporary: Path) -> None:
        shutil.copytree(folders[0], temporary, dirs_exist_ok=True, ignore=shutil.ignore_patterns("training.pt"))
        (temporary / checkpoint.MANIFEST).unlink()
        for weights in temporary.rglob(WEIGHTS):
            average_weights([f / weights.relative_to(temporary) for f in folders], weights)
        write_json(temporary / "average.json", {"of": names})

    checkpoint.write(folder, fill)
    log.info("%s: the mean of the weights of %s", folder, ", ".join(names))
    return folder


def average_weights(paths: Sequence[Path], target: Path) -> None:
    """Write the mean of equally named tensors; those that are not floating-point come from the first file."""
    from safetensors.torch import load_file, save_file

    mean = {k: v.double() if v.is_floating_point() else v for k, v in load_file(paths[0]).items()}
    types = {k: v.dtype for k, v in load_file(paths[0]).items()}
    for path in paths[1:]:
        for name, value in load_file(path).items():
            if value.is_floating_point():
                mean[name] += value.double()
    floating = {k for k, kind in types.items() if kind.is_floating_point}
    save_file({k: (v / len(paths)).to(types[k]) if k in floating else v for k, v in mean.items()}, target)
