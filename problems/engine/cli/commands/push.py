"""``push``: a trained checkpoint on the Hugging Face hub, as the folder that ``export`` writes."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from problems.engine.cli.arguments import Arguments
from problems.engine.cli.verbs import VERBS
from problems.engine.runtime.errors import ConfigError


def push(problem: Any, arguments: Arguments) -> int:
    """Export the checkpoint into a temporary folder, and write that to the hub."""
    options = dict(arguments.overrides)
    if "ckpt" not in options or len(arguments.files) != 1:
        missing = "the name to write to, user/name" if "ckpt" in options else "--ckpt DIR"
        raise ConfigError(f"push needs {missing}: push {VERBS['push'].usage}")
    from problems.engine.checkpoints.find import find
    from problems.engine.checkpoints.places import hub
    from problems.engine.inference.export import export
    from problems.engine.inference.predictor import Predictor

    flags = {name: options.get(name, "false").lower() in ("true", "yes", "on") for name in VERBS["push"].flags}
    name = hub.checked_name(arguments.files[0])
    predictor = Predictor(find(Path(options["ckpt"])), problem, "cpu", options.get("upstream"))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "model"
        export(predictor, folder, flags["include_upstream"], options.get("license"))
        print(
            f"{predictor.folder} is now {hub.push(folder, name, flags['private'])}; use it: predict --ckpt {name} ..."
        )
    return 0
