"""The pause of a training at a checkpoint: writing all of it first, against copying it and writing in the background.

    python benchmarks/saving.py                             # 100 M parameters with Adam's state: 1.2 GB a checkpoint
    python benchmarks/saving.py --parameters 10000 --saves 400

Prints one JSON line: seconds that the loop waits for a save (medians, and those of the first and the last save), and
the seconds until the checkpoint is complete.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import torch

from problems.engine.checkpoints.store import Checkpoints
from problems.engine.checkpoints.weights import save_weights
from problems.engine.loops.state import training_state

LAYER = 1_000_000


def trained(parameters: int) -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    """Return a model of that size and its optimizer after one step."""
    sizes = [min(LAYER, parameters - done) for done in range(0, parameters, LAYER)]
    model = torch.nn.ParameterList(torch.nn.Parameter(torch.randn(size)) for size in sizes)
    optimizer = torch.optim.Adam(model.parameters())
    for p in model.parameters():
        p.grad = torch.ones_like(p)
    optimizer.step()
    return model, optimizer


def pauses(folder: Path, parameters: int, saves: int, in_background: bool) -> list[tuple[float, float]]:
    """Return the pause and the time until the checkpoint is complete, of each save."""
    model, optimizer = trained(parameters)
    checkpoints = Checkpoints(folder, {}, keep_newest=1)

    def fill(temporary: Path) -> None:
        (temporary / "model").mkdir()
        save_weights(temporary / "model", model)
        training_state.write({"optimizers": [optimizer.state_dict()]}, temporary)

    seconds = []
    for step in range(1, saves + 1):
        began = time.perf_counter()
        checkpoints.start_saving(step, fill)
        if not in_background:
            checkpoints.wait()
        paused = time.perf_counter() - began
        checkpoints.wait()
        seconds.append((paused, time.perf_counter() - began))
    return seconds


def main() -> None:
    """Save both ways and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parameters", type=int, default=100_000_000)
    parser.add_argument("--saves", type=int, default=3)
    parser.add_argument("--folder", default=None, help="a folder on the disk to measure; default: the temporary one")
    options = parser.parse_args()
    figures: dict[str, object] = {"parameters": options.parameters, "saves": options.saves}
    for name, in_background in (("at_once", False), ("in_background", True)):
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            seconds = pauses(Path(folder), options.parameters, options.saves, in_background)
        paused, complete = zip(*seconds)
        figures[name] = {
            "pause": round(statistics.median(paused), 4),
            "first_pause": round(paused[0], 4),
            "last_pause": round(paused[-1], 4),
            "complete": round(statistics.median(complete), 4),
        }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
