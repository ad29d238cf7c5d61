"""Short runs of every problem, interrupted at random instants, against undisturbed ones: bytes are compared.

    python benchmarks/faults.py [--interruptions N] [--runs 'a; b'] [--signal KILL|TERM|INT|STOP] [--nproc N] [--seed N]
    python benchmarks/faults.py --controls

Each run is started, interrupted and started again, five times in a row, and then brought to its end. Weights,
optimizer, random generators, history, data, predictions and results must be those of the undisturbed run.
``--controls`` plants a difference in a training that resumes, one kind at a time: each must be noticed, and nothing if
there is none. ``--nproc`` trains in N processes; the signal goes to the agent alone. Prints one JSON line for each run,
and one for all.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as the command line sets it

from tests.parts.faults import CONTROLS, RUNS, KillAfter, Plant, differences, interrupt, prepare, timed

IN_A_ROW = 5


def interrupted(name: str, root: Path, count: int, number: int, *, words: list[str], rng: random.Random) -> dict:
    """The figures of one run: interruptions by stage, failed resumes, and ends that differ."""
    run = prepare(name, root / "data", *words)
    seconds = timed(run, root / "whole")
    stages: collections.Counter[str] = collections.Counter()
    failed, differing, total = [], [], 0
    began = time.monotonic()
    while total < count:
        folder = root / "interrupted"
        shutil.rmtree(folder, ignore_errors=True)
        try:
            hit = interrupt(run, folder, seconds, rng, count=min(IN_A_ROW, count - total), number=number).stages
            total, stages = total + max(1, len(hit)), stages + collections.Counter(hit)
            run.finish(folder)
            differing += differences(root / "whole" / "run", folder / "run")
        except AssertionError as error:
            failed.append(str(error)[-2000:])
            total += 1
    return {
        "run": name,
        "interruptions": sum(stages.values()),
        "failed": len(failed),
        "differing_files": len(differing),
        "by_stage": dict(stages.most_common()),
        "undisturbed_s": round(seconds, 1),
        "seconds": round(time.monotonic() - began),
        **({"first_failure": failed[0]} if failed else {}),
        **({"different": sorted(set(differing))[:10]} if differing else {}),
    }


def controls(root: Path) -> dict[str, bool]:
    """For each planted difference, whether it was noticed; and for none at all."""
    run = prepare("asr, augmented", root / "data")
    timed(run, root / "whole")
    noticed = {}
    for name in ("nothing", *CONTROLS):
        folder = root / "planted"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        process = dataclasses.replace(run, alter=KillAfter(13)).start(folder)
        process.join()
        if process.exitcode != -signal.SIGKILL:
            raise SystemExit(f"the training was to be killed after 13 steps, but ended with {process.exitcode}")
        dataclasses.replace(run, alter=Plant(name)).finish(folder)
        noticed[name] = bool(differences(root / "whole" / "run", folder / "run"))
    return noticed


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--interruptions", type=int, default=20, help="of each run")
    parser.add_argument("--runs", help=f"some of: {'; '.join(RUNS)}")
    parser.add_argument("--signal", default="KILL", choices=("KILL", "TERM", "INT", "STOP"))
    parser.add_argument("--nproc", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--controls", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="faults ") as folder:
        root = Path(folder)
        if options.controls:
            print(json.dumps({"controls": controls(root)}))
            return
        names = [name.strip() for name in options.runs.split(";")] if options.runs else list(RUNS)
        words = [f"--nproc={options.nproc}"] if options.nproc > 1 else []
        rows = []
        for name in names:
            rng = random.Random(f"{options.seed} {name} {options.signal}")
            number = getattr(signal, f"SIG{options.signal}")
            rows.append(interrupted(name, root / name, options.interruptions, number, words=words, rng=rng))
            shutil.rmtree(root / name)
            print(json.dumps(rows[-1]), flush=True)
    sums = {key: sum(row[key] for row in rows) for key in ("interruptions", "failed", "differing_files", "seconds")}
    print(json.dumps({"signal": options.signal, "nproc": options.nproc, **sums}))


if __name__ == "__main__":
    main()
