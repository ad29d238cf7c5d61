"""``test``: trained checkpoints on test sets that their training did not have."""

from __future__ import annotations

import dataclasses
import logging
import os
import re
import sys
from pathlib import Path
from typing import Any

from problems.engine.cli.arguments import Arguments
from problems.engine.cli.console import spin_briefly, start_logging
from problems.engine.cli.verbs import VERBS
from problems.engine.config import yaml_text
from problems.engine.config.layers import Layer, load_file, override_layer
from problems.engine.config.merge import resolve
from problems.engine.config.schema import Tree
from problems.engine.runtime.code import carried_files
from problems.engine.runtime.errors import ConfigError

log = logging.getLogger(__name__)

OF_ITS_RUN = (
    *("target_dir", "start", "stop", "fresh", "remove_all_cache", "budget", "learning_curve", "folds", "seeds"),
    *("nproc", "world_size", "rank", "test_ckpt_dir", "test_ckpt_steps", "test_data", "evaluate", "eval_batch"),
)
"""Keys of the config in a checkpoint that are not of the model: what a test sets is typed."""


def test(problem: Any, arguments: Arguments) -> int:
    """Prepare the test sets, test the checkpoints on them, and report: stages 0, 3 and 4 in a folder of their own."""
    spin_briefly()
    config = _config_of(problem, arguments)
    from problems.engine.stages.pipeline import Pipeline

    pipeline = Pipeline(problem, config)
    start_logging(pipeline.root, main=os.environ.get("RANK", "0") == "0")
    log.info("$ %s", " ".join(sys.argv), extra={"quiet": True})
    pipeline.run()
    log.info("results: %s", pipeline.folder.evaluate_dir)
    return 0


test.__test__ = False  # its name is not that of a test


def _config_of(problem: Any, arguments: Arguments) -> Tree:
    """The config of the first checkpoint, with the tests and the settings of the command line.

    Raises:
        ConfigError: an option is missing, or the folder of the results holds other tests.
    """
    from problems.engine.checkpoints.find import find
    from problems.engine.checkpoints.places.fetch import fetch
    from problems.engine.stages.testing.later_tests import training_of

    usage = f"test {VERBS['test'].usage}"
    folders = [value for key, value in arguments.overrides if key == "ckpt"]
    files = [*(value for key, value in arguments.overrides if key == "data"), *arguments.files]
    options = [pair for pair in arguments.overrides if pair[0] not in ("ckpt", "data")]
    if not folders:
        raise ConfigError(f"test needs --ckpt DIR: {usage}")
    checkpoints = [find(fetch(folder)).absolute() for folder in folders]
    layer = override_layer([(_key_of(key), value) for key, value in options])
    data = layer.tree.setdefault("test_data", {})
    if files:
        data["test"] = _sets(files)
    elif not data:
        raise ConfigError(f"test needs --data FILE: {usage}")
    data.setdefault("corpus", problem.own_corpus)
    training = training_of(checkpoints[0])
    layer.tree.setdefault("evaluate", {})["ckpts"] = [str(own) for own in checkpoints]
    if "target_dir" not in layer.tree:
        if training is None:
            raise ConfigError(f"{folders[0]} is not in the target folder of a training: --out DIR says where to")
        layer.tree["target_dir"] = str(training / "tests" / _name_of(data))
    _require_same_tests(Path(layer.tree["target_dir"]), data)
    return resolve(problem, [_trained_layer(checkpoints[0], has_training=training is not None), layer])


def _key_of(option: str) -> str:
    """The key of the config that an option stands for."""
    if option.startswith("task."):
        return f"evaluate.{option}"
    return {"out": "target_dir", "trials": "test_data.trials"}.get(option, option)


def _sets(files: list[str]) -> Any:
    """The test sets of ``--data``: one path, several by name, or YAML such as ``{name: path}``."""
    if len(files) == 1 and files[0].startswith(("{", "[")):
        return yaml_text.load(files[0])
    paths = [Path(file).absolute() for file in files]
    names = [re.sub(r"[^\w.-]", "_", path.stem) for path in paths]
    if len(paths) == 1 and names[0] == paths[0].stem:
        return str(paths[0])
    if len(set(names)) < len(names):
        raise ConfigError(f"--data: two test sets have the same name; give names: --data '{{NAME: {files[0]}, ...}}'")
    return dict(zip(names, map(str, paths)))


def _name_of(data: Tree) -> str:
    """A name for the folder of tests: those of the sets, or else of their corpus."""
    test = data.get("test")
    if isinstance(test, str):
        return Path(test).stem
    return "+".join(Path(str(name)).name for name in test or [data["corpus"]])


def _require_same_tests(folder: Path, data: Tree) -> None:
    """Refuse a folder with the results of other test sets, which would be lost."""
    path = folder / "config.yaml"
    if not path.is_file():
        return
    known = (load_file(path).tree.get("test_data") or {}).get("test")
    if known != data.get("test"):
        raise ConfigError(f"{folder} holds a run with test data {known!r}, not {data.get('test')!r}: choose --out DIR")


def _trained_layer(checkpoint: Path, *, has_training: bool) -> Layer:
    """The config that the checkpoint was trained with, but for :data:`OF_ITS_RUN`.

    Raises:
        ConfigError: the checkpoint has none.
    """
    path = checkpoint / "config.yaml"
    if not path.is_file():
        raise ConfigError(
            f"{checkpoint} has no config.yaml with the settings of its data: if it was exported by an older version,"
            " export it again"
        )
    layer = load_file(path)
    for key in (*OF_ITS_RUN, *(() if has_training else ("cache_dir",))):
        layer.tree.pop(key, None)
    return dataclasses.replace(layer, tree=carried_files.resolved(layer.tree, checkpoint))
