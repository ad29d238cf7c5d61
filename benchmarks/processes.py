"""Two processes against one: the same recogniser on the same machine, the cores shared out.

    python benchmarks/processes.py DATA/fsdd
    python benchmarks/processes.py DATA/fsdd --processes 4 --steps 200

One process has all cores as threads and accumulates as many batches to a step as the others have processes, so that a
step is the same work everywhere. Prints one JSON line: steps a second of each, and the threads each process had.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from problems.engine.report.history import read_history
from problems.engine.runtime.environment import cores


def steps_per_second(folder: Path, root: str, steps: int, processes: int, joined: int, threads: int) -> float:
    """Return the median over the rows of a training's history but the first."""
    every = max(1, steps // 8)
    command = [
        sys.executable, "-m", "problems.asr", "run", "--config", "fsdd", "--prepare_data.dataset_root", root,
        "--target_dir", str(folder / str(processes)), "--cache_dir", str(folder / "cache"), "--stop", "2",
        "--nproc", str(processes), "--num_workers", "1", "--train.total_steps", str(steps),
        "--train.gradient_accumulate", str(joined), "--train.log_step", str(every), "--train.eval_step", str(steps),
        "--train.save_step", str(steps),
    ]  # fmt: skip
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    rows = [r for r in read_history(folder / str(processes) / "train") if r["split"] == "train"]
    return statistics.median(r["steps_per_second"] for r in rows[1:])


def main() -> None:
    """Run both and print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", help="a folder with FSDD's recordings")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--steps", type=int, default=80)
    options = parser.parse_args()
    threads = max(1, cores() // options.processes)
    root, steps, count = str(Path(options.root).absolute()), options.steps, options.processes
    with tempfile.TemporaryDirectory() as temporary:
        one = steps_per_second(Path(temporary), root, steps, 1, count, cores())
        many = steps_per_second(Path(temporary), root, steps, count, 1, threads)
    figures = {"one": one, "one_threads": cores(), "processes": count, "many": many, "many_threads_each": threads}
    print(json.dumps(figures | {"ratio": round(many / one, 3)}))


if __name__ == "__main__":
    main()
