"""The lines after a run: commands to try next."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from problems.engine.config.schema import Configurable


def program_of(problem: Configurable) -> str:
    """How the command line of a problem is started."""
    module = type(problem).__module__
    return f"python -m {module}" if module.startswith("problems.") else f"python {Path(sys.argv[0]).name}"


def next_steps(problem: Configurable, config: Mapping[str, Any]) -> list[str]:
    """Commands that make sense after a whole run: predict, train on, look around."""
    program, train = program_of(problem), config["train"]
    if train["total_steps"] in (None, "auto"):
        key = "epochs" if train["epochs"] else "auto_epochs"
    else:
        key = "total_steps"
    return [
        f"{program} predict --ckpt {shlex.quote(str(config['target_dir']))} a.wav b.wav    # your own audio",
        f"the same command with --train.{key} {2 * train[key]}    # train on",
        f"{program} --help    # every setting; yours: --prepare_data.corpus csv --prepare_data.train my.csv",
    ]
