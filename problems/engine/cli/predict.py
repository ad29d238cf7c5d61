"""``predict``: a trained checkpoint on new audio files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from problems.engine.cli.arguments import Arguments
from problems.engine.cli.verbs import VERBS
from problems.engine.runtime.errors import ConfigError


def predict(problem: Any, arguments: Arguments) -> int:
    """Print ``path<TAB>prediction`` for each file; 1 if a file cannot be read."""
    options = dict(arguments.overrides)
    if "ckpt" not in options or not arguments.files:
        missing = "an audio file" if "ckpt" in options else "--ckpt DIR"
        raise ConfigError(f"predict needs {missing}: predict {VERBS['predict'].usage}")
    from dataset.audio import AudioError
    from problems.engine.checkpoints.find import find
    from problems.engine.checkpoints.predictor import Predictor

    device, upstream = options.get("device", "auto"), options.get("upstream")
    predictor = Predictor(find(Path(options["ckpt"])), problem, device, upstream)
    code = 0
    for path, prediction in predictor.predict_files(arguments.files):
        if isinstance(prediction, AudioError):
            print(f"error: {prediction}", file=sys.stderr)
            code = 1
        else:
            print(f"{path}\t{prediction}", flush=True)
    return code
