"""Memory and time of a rank that trains a transformer: all of the model on each rank (ddp) against a part (fsdp).

    python benchmarks/sharding.py --millions 100 --processes 2

Random weights, Adam, batches of 2 x 100 frames, float32, on the CPU. Prints one JSON line: for each way the largest
resident memory of a rank while it steps and after a step, in GB without that of the libraries, and the seconds of a
step.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from dataset.loader import Place
from problems.engine.config.sections import Train
from problems.engine.loops.train import TrainLoop
from problems.engine.optim.scheduled_optimizer import OptimScheduler
from problems.engine.runtime import distributed
from tasks.base import StepOutput, Task

WIDTH, FRAMES, BATCH = 1024, 100, 2
LAYER = 12 * WIDTH**2  # parameters


class Encoder(torch.nn.Module):
    """A transformer of so many layers."""

    def __init__(self, layers: int):
        super().__init__()
        options = {"dim_feedforward": 4 * WIDTH, "batch_first": True, "dropout": 0.0}
        self.layers = torch.nn.ModuleList(torch.nn.TransformerEncoderLayer(WIDTH, 8, **options) for _ in range(layers))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Frames in, frames out, (B, T, WIDTH)."""
        for layer in self.layers:
            x = layer(x)
        return x


class Reconstruction(Task):
    """The mean square of what the encoder changes."""

    def forward(self, mode: str, frames: torch.Tensor) -> StepOutput:
        """One step."""
        return StepOutput((self.model(frames) - frames).square().mean(), float(len(frames)))


def status(key: str) -> float:
    """Return a size of this process in GB: VmRSS, or VmHWM for the largest one."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(key)).split()[1]) / 1e9


def run_rank(parallel: str, layers: int, steps: int, folder: Path) -> None:
    """Train on this rank; the first one prints the figures of all."""
    with distributed.process_group(distributed.World.from_environment(), "cpu"):
        torch.manual_seed(0)
        before = status("VmRSS")
        train = vars(Train()) | {"parallel": parallel, "total_steps": steps, "valid_metric": None}
        batches = iter((Place(0, n, 10**6, True), {"frames": torch.randn(BATCH, FRAMES, WIDTH)}) for n in range(10**6))
        loop = TrainLoop(
            Reconstruction(Encoder(layers)),
            lambda task: [OptimScheduler(torch.optim.Adam(task.parameters(), lr=1e-4), max_norm=1.0)],
            train, folder, lambda *place: batches, None, lambda folder: None, torch.device("cpu"),
        )  # fmt: skip
        _, seconds = loop.optimizers, []
        gc.collect()
        stream = loop.open_stream()
        for step in range(steps):
            if step == 2:
                Path("/proc/self/clear_refs").write_text("5")  # the largest memory from now on
            began = time.perf_counter()
            loop.step(loop.next_window(stream))
            seconds.append(time.perf_counter() - began)
        figures = [status("VmHWM") - before, status("VmRSS") - before, statistics.median(seconds[2:])]
        worst = [round(max(values), 3) for values in zip(*distributed.gather(figures))]
        if distributed.world().main:
            parameters = sum(p.numel() for p in loop.task.parameters())
            print(json.dumps(dict(zip(("peak_gb", "after_step_gb", "step_s"), worst)) | {"parameters": parameters}))


def figures_of(parallel: str, options: argparse.Namespace) -> dict[str, float]:
    """Run the ranks of one way and return what the first printed."""
    with socket.socket() as free, tempfile.TemporaryDirectory() as folder:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
        free.close()
        # memory that is freed goes back at once, so that what is resident is what is in use
        group = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
        group |= {"WORLD_SIZE": str(options.processes), "MASTER_PORT": port, "OMP_NUM_THREADS": "1"}
        layers = max(1, round(1e6 * options.millions / LAYER))
        words = [sys.executable, __file__, "--rank", parallel, "--layers", str(layers), "--steps", str(options.steps)]
        ranks = [
            subprocess.Popen([*words, "--folder", folder], env=os.environ | group | {"RANK": str(rank)}, text=True,
                             stdout=subprocess.PIPE)
            for rank in range(options.processes)
        ]  # fmt: skip
        return json.loads([rank.communicate()[0] for rank in ranks][0])


def main() -> None:
    """Run both ways, or one rank of one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--millions", type=float, default=100, help="parameters")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--steps", type=int, default=6)
    for name in ("rank", "layers", "folder"):
        parser.add_argument(f"--{name}", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.rank:
        run_rank(options.rank, int(options.layers), options.steps, Path(options.folder))
        return
    ways = {parallel: figures_of(parallel, options) for parallel in ("sum", "ddp", "fsdp")}
    print(json.dumps({"processes": options.processes, **ways}))


if __name__ == "__main__":
    main()
