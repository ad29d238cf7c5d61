"""The lines after a run: commands to try next."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from problems.engine.config.schema import Configurable
from problems.engine.runtime.formatting import seconds_of


def program_of(problem: Configurable) -> str:
    """The words that start the command line of a problem."""
    module = type(problem).__module__
    return f"python -m {module}" if module.startswith("problems.") else f"python {Path(sys.argv[0]).name}"


def next_steps(problem: Configurable, config: Mapping[str, Any]) -> list[str]:
    """Commands that make sense after a whole run: predict, train on, look around."""
    program = _python() + program_of(problem).removeprefix("python")
    own = f"--prepare_data.corpus {problem.own_corpus}"
    steps = [f"{program} predict --ckpt {shlex.quote(str(config['target_dir']))} a.wav b.wav    # your own audio"]
    if config["train"]["total_steps"] != 0:
        steps.append(f"the same command with {_longer(config)}    # train on")
    return [*steps, f"{program} --help    # every setting; your files: {own}"]


def _longer(config: Mapping[str, Any]) -> str:
    """The option that doubles what decides the length of the training."""
    train = config["train"]
    if config["budget"] is not None:
        return f"--budget {2 * seconds_of(config['budget']):g}s"
    if train["total_steps"] in (None, "auto"):
        key = "epochs" if train["epochs"] else "auto_epochs"
    else:
        key = "total_steps"
    return f"--train.{key} {2 * train[key]}"


def _python() -> str:
    """This Python as it can be typed here: ``python`` if that is found, or else its path."""
    if shutil.which("python") == sys.executable:
        return "python"
    path = Path(sys.executable)
    return shlex.quote(str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path))
