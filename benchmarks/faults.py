"""Short command lines of every problem, interrupted at random instants and typed again, against undisturbed ones.

    python benchmarks/faults.py [--faults N] [--runs 'a; b'] [--fault NAME] [--seed N] [--out FILE] [--with=WORD]...
    python benchmarks/faults.py --controls
    python benchmarks/faults.py --table FILE...

Each run is started, interrupted and started again until it ends; then its files are compared with those of the
undisturbed run, byte by byte. Half of the signals come at a random time, half before a random change of a file.
``--controls`` plants a difference in a training that resumes, one kind at a time: each must be noticed, and nothing if
there is none. Prints one JSON line for each run, also appended to ``--out``; ``--table`` sums such lines up.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import json
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as the command line sets it

from tests.parts.faults.comparison import differences, digests
from tests.parts.faults.controls import CONTROLS, KILLED_AT, KillAfter, Plant
from tests.parts.faults.interruption import FAULTS, interrupt, undisturbed
from tests.parts.faults.process import erase, prepare, wait
from tests.parts.faults.runs import OF_OTHERS, RUNS, SEVERAL

IN_A_ROW = 20
"""Most interruptions of a run before it is left to end."""
STAGES = (
    "start", "prepare data", "build encoder", "train", "writing a checkpoint", "evaluate checkpoints", "report",
    "between",
)  # fmt: skip
COLUMNS = (*STAGES, "faults", "failed", "differing")


def interrupted(
    name: str, folder: Path, *, fault: str, count: int, words: list[str], rng: random.Random
) -> dict[str, Any]:
    """The figures of one run: faults by stage, failed resumes, and files that differ at the end."""
    run, place = prepare(name, folder / "data", *words), folder / "run"
    whole = undisturbed(run, place)
    stages: collections.Counter[str] = collections.Counter()
    failures, differing, laps = [], [], 0
    began = time.monotonic()
    while stages.total() < count and laps < count:
        most, laps = min(IN_A_ROW, count - stages.total()), laps + 1
        try:
            stages.update(interrupt(run, place, whole, fault, rng=rng, most=most))
            run.finish(place)
            differing += differences(whole.digests, digests(place))
        except AssertionError as error:
            failures.append(str(error)[-3000:])
    erase(place)
    return {
        "run": name,
        "fault": fault,
        "faults": stages.total(),
        "ends": laps,
        "failed": len(failures),
        "differing": len(differing),
        "by_stage": {stage: stages[stage] for stage in STAGES if stages[stage]},
        "seconds": round(time.monotonic() - began),
        **({"first_failure": failures[0]} if failures else {}),
        **({"differing_files": sorted(set(differing))[:10]} if differing else {}),
    }


def controls(folder: Path) -> dict[str, bool]:
    """For each planted difference, whether it was noticed; and for none at all."""
    run, place = prepare("asr, augmented", folder / "data"), folder / "run"
    whole, noticed = undisturbed(run, place), {}
    for name in ("nothing", *CONTROLS):
        erase(place)
        (code,) = wait(run.start(place, KillAfter(KILLED_AT)), place)
        if code != -signal.SIGKILL:
            raise SystemExit(f"the training was to be killed after {KILLED_AT} steps, but ended with {code}")
        dataclasses.replace(run, alter=Plant(name)).finish(place)
        noticed[name] = bool(differences(whole.digests, digests(place)))
    return noticed


def table(files: list[str]) -> str:
    """The lines of runs as one row for each run and fault, in Markdown, with sums."""
    rows: dict[tuple[str, str], collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for path in files:
        for line in Path(path).read_text("utf-8").splitlines():
            row = json.loads(line)
            figures = row["by_stage"] | {name: row[name] for name in COLUMNS if name in row}
            for key in ((row["run"], row["fault"]), ("all", "")):
                rows[key].update(figures)
    ordered = sorted(rows, key=lambda key: (key[0] == "all", key[1] != "kill", key[1], key[0]))
    lines = [f"| {' | '.join(('run', 'fault', *COLUMNS))} |", "| --- | --- |" + " ---: |" * len(COLUMNS)]
    return "\n".join([*lines, *(f"| {' | '.join((*key, *(str(rows[key][c]) for c in COLUMNS)))} |" for key in ordered)])


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--faults", type=int, default=20, help="of each run")
    parser.add_argument(
        "--runs", help=f"some of: {'; '.join((*RUNS, *SEVERAL, *OF_OTHERS))}; default: those of one process"
    )
    parser.add_argument("--fault", default="kill", choices=FAULTS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", help="a file to append the lines to")
    parser.add_argument("--controls", action="store_true")
    parser.add_argument(
        "--with",
        action="append",
        default=[],
        metavar="WORD",
        dest="words",
        help="added to each line: --with=--device=cuda",
    )
    parser.add_argument("--table", nargs="+", metavar="FILE")
    options = parser.parse_args()
    if options.table:
        print(table(options.table))
        return
    names = [name.strip() for name in options.runs.split(";")] if options.runs else list(RUNS)
    with tempfile.TemporaryDirectory(prefix="faults ") as folder:
        if options.controls:
            print(json.dumps({"controls": controls(Path(folder))}))
            return
        for name in names:
            rng = random.Random(f"{options.seed} {name} {options.fault}")
            figures = interrupted(
                name, Path(folder) / name, fault=options.fault, count=options.faults, words=options.words, rng=rng
            )
            line = json.dumps(figures)
            print(line, flush=True)
            if options.out:
                with open(options.out, "a", encoding="utf-8") as file:
                    file.write(line + "\n")


if __name__ == "__main__":
    main()
