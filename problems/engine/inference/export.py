"""Write a trained model as one portable folder, which ``load`` and ``predict`` take as they take a checkpoint."""

from __future__ import annotations

import inspect
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dataset.storage.files import read_json, sweep, write_json, write_text
from problems.engine.checkpoints import weights
from problems.engine.checkpoints.arguments import ARGUMENTS
from problems.engine.checkpoints.learnt import copy_learnt
from problems.engine.checkpoints.moved_upstream import UPSTREAM_FOLDER
from problems.engine.checkpoints.task_state import STATE
from problems.engine.checkpoints.writing import README, write
from problems.engine.config import yaml_text
from problems.engine.config.registry import load_class, resolve
from problems.engine.inference.card import CARD, card_of, readme_of, without_folders
from problems.engine.inference.predictor import Predictor
from problems.engine.runtime.code import carried_files
from problems.engine.runtime.errors import ConfigError

CONFIG = "config.yaml"
RANDOM = "random"
"""The value of ``build_upstream.conf.checkpoint`` that builds an upstream without weights, which are then loaded."""


def export(
    predictor: Predictor,
    out: Path,
    include_upstream: bool = False,
    license: str | None = None,
    write_more: Callable[[Path], None] | None = None,
) -> None:
    """Write the folder: weights, settings, label encoder, ``card.json`` and ``README.md``.

    What only a training needs is left out, and so are folders of this machine. Files that ``build_task`` reads, such as
    a language model, are copied into the folder, and used from there.

    Args:
        include_upstream: also write the weights of a frozen upstream, which a checkpoint refers to.
        license: of the weights, as an SPDX identifier.
        write_more: writes further files into the folder, before it has its name.

    Raises:
        ConfigError: ``out`` exists and is not empty, or the upstream cannot be included.
        CheckpointError: the disk is full or refuses.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{out} exists and is not empty: choose another folder")
    source = predictor.folder
    refers = weights.refers(source / "model")
    card = card_of(source, predictor.problem, predictor.model, license)
    card["upstream_included"] = not refers or include_upstream

    def fill(folder: Path) -> None:
        names = _carry_files(predictor, folder / carried_files.FOLDER)
        for part in ("model", "task"):
            shutil.copytree(source / part, folder / part)
            arguments = read_json(folder / part / ARGUMENTS)
            arguments["values"] = carried_files.replaced(carried_files.resolved(arguments["values"], source), names)
            write_json(folder / part / ARGUMENTS, without_folders(arguments))
            origin = read_json(folder / part / "problem.json")
            write_json(folder / part / "problem.json", origin | {"file": Path(origin["file"]).name})
        copy_learnt(source, folder)
        if predictor.learnt is not None:  # paths among its settings have changed
            write_text(folder / "task" / STATE, json.dumps(predictor.task.get_state(), ensure_ascii=False) + "\n")
        if refers and include_upstream:
            _include_upstream(predictor.model, folder)
        elif (source / UPSTREAM_FOLDER).is_dir():
            shutil.copytree(source / UPSTREAM_FOLDER, folder / UPSTREAM_FOLDER)
        if (source / CONFIG).is_file():  # the settings of a test
            config = yaml_text.load((source / CONFIG).read_text("utf-8"))
            config = carried_files.replaced(carried_files.resolved(config, source), names)
            write_text(folder / CONFIG, yaml_text.dump(without_folders(config)))
        write_json(folder / CARD, card)
        write_text(folder / README, readme_of(card))
        if write_more:
            write_more(folder)

    if out.exists():
        out.rmdir()
    sweep(out.parent, out.name)  # what an export that was killed left
    write(out, fill)


def _carry_files(predictor: Predictor, folder: Path) -> dict[str, str]:
    """Copy the files that ``build_task`` reads; return by path the setting that stands for each.

    Raises:
        ConfigError: one is not there.
    """
    arguments = read_json(predictor.folder / "task" / ARGUMENTS)["values"]
    section = carried_files.resolved(arguments.get("build_task") or {}, predictor.folder)
    names: dict[str, str] = {}
    for number, source in enumerate(predictor.problem.task_sources(section)):
        path = Path(source).expanduser()
        if not path.is_file():
            raise ConfigError(
                f"build_task names the file {source}, which is not there: put it back, so that it is copied"
            )
        folder.mkdir(exist_ok=True)
        name = path.name if not (folder / path.name).exists() else f"{number}_{path.name}"
        shutil.copyfile(path, folder / name)
        names[source] = f"{carried_files.PREFIX}{name}"
    return names


def _include_upstream(model: Any, folder: Path) -> None:
    """Write all weights, and settings by which the upstream is built without its own."""
    arguments = read_json(folder / "model" / ARGUMENTS)
    section = arguments["values"].get("build_upstream")
    if section is None:
        raise ConfigError("include_upstream: the model was not built from a build_upstream section")
    target = load_class(resolve(section["name"], load_class("nn.upstream:UPSTREAMS"), "build_upstream.name"))
    parameters = inspect.signature(target).parameters
    if "checkpoint" not in parameters:
        raise ConfigError(
            f"include_upstream: the upstream {section['name']} cannot be built without its weights, as it has no"
            " argument checkpoint that may be 'random': copy its weights beside the folder, and load with upstream=PATH"
        )
    conf = dict(section.get("conf") or {}) | {"checkpoint": RANDOM}
    if hasattr(model.upstream, "save_settings"):
        conf |= model.upstream.save_settings(folder / UPSTREAM_FOLDER)
    arguments["values"]["build_upstream"] = {**section, "conf": conf}
    write_json(folder / "model" / ARGUMENTS, arguments)
    weights.include_upstream(folder / "model", model)
