"""Runs that are interrupted at random instants, and compared with one that was not.

Processes are forked from one that has imported torch, so that the instants fall into the work and not into imports.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import multiprocessing
import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from problems.engine.report.history import TIMES
from tests.conftest import write_table, write_tones
from tests.parts import pitches
from tests.problems import test_qbe, test_regression, test_sd, test_sed

PRELOADED = ["torch", "torchaudio", "pandas", "problems.engine.stages.pipeline", "problems.engine.loops.train"]
SPLITS = {"train": 22, "valid": 5, "test": 7}
TRAINING = (
    "--train.total_steps=24",
    "--train.eval_step=6",
    "--train.save_step=6",
    "--train.log_step=3",
    "--train.patience=null",
    "--evaluate.confidence=20",
)
PATIENCE = 120
"""Seconds after which a run is taken to hang."""


# ---- the runs ----


def _tables(write: Callable[[Path, int, int], list[dict[str, str]]], folder: Path) -> list[str]:
    for seed, (split, count) in enumerate(SPLITS.items()):
        write_table(folder / f"{split}.csv", write(folder / split, count, seed))
    return [f"--prepare_data.{split}={folder / split}.csv" for split in SPLITS]


def _sentences(folder: Path) -> list[str]:
    words = _tables(write_tones, folder)
    for split in SPLITS:
        table = pd.read_csv(folder / f"{split}.csv")
        table["slots"] = [json.dumps([["last", text.split()[-1]]]) for text in table["transcription"]]
        table.to_csv(folder / f"{split}.csv", index=False)
    return ["--prepare_data.corpus=csv", *words, "--build_downstream.conf.hidden_size=[16]", *TRAINING]


def _frozen(folder: Path) -> list[str]:
    own = ["--build_upstream={name: 'tests.parts.tiny_encoder:TinyEncoder', conf: {}}", "--features.cache=disk"]
    return [*_sentences(folder), *own]


def _augmented(folder: Path) -> list[str]:
    own = [
        "--train.use_scheduler=true",
        "--build_dataset.speeds=[0.9, 1.0, 1.1]",
        "--build_downstream.conf.dropout=0.3",
        "--train.average=newest",
    ]
    specaug = "--build_model.specaug={time_warp: 0, freq_mask_width: [0, 3], time_mask_width: [0, 5]}"
    return [*_sentences(folder), *own, specaug, "--train.gradient_accumulate=2", "--train.ema=0.9"]


def _labels(folder: Path) -> list[str]:
    def write(place: Path, count: int, seed: int) -> list[dict[str, str]]:
        return pitches.write_tones(place, count, pitches.PITCHES, seed)

    return ["--prepare_data.corpus=csv", *_tables(write, folder), *TRAINING]


def _speakers(folder: Path) -> list[str]:
    return [
        "--prepare_data.corpus=tests.parts.voices:Voices",
        "--build_dataset.max_seconds=0.4",
        "--build_upstream.conf={num_mel_bins: 20, cmvn: none}",
        "--build_downstream={name: xvector, conf: {hidden_size: 16, tdnn_size: 16, aggregation_size: 16}}",
        "--build_model.embedding_size=12",
        "--build_batch_sampler.train.batch_size=8",
        *TRAINING,
    ]


def _turns(folder: Path) -> list[str]:
    words = _tables(test_sd.write_recordings, folder)
    return ["--prepare_data.corpus=csv_turns", *words, *TRAINING, "--build_downstream.conf.hidden_size=[16]"]


def _events(folder: Path) -> list[str]:
    words = [*_tables(test_sed.write_recordings, folder), "--build_dataset.window=1.5"]
    head = "--build_downstream={name: frame_mlp, conf: {hidden_size: [16]}}"
    return ["--prepare_data.corpus=csv_events", *words, head, *TRAINING]


def _numbers(folder: Path) -> list[str]:
    return ["--prepare_data.corpus=csv", *_tables(test_regression.write_tones, folder), *TRAINING]


def _queries(folder: Path) -> list[str]:
    files = test_qbe.write_queries(folder)
    return ["--prepare_data.corpus=csv_queries", *(f"--prepare_data.{k}={json.dumps(v)}" for k, v in files.items())]


RUNS: dict[str, tuple[str, Callable[[Path], list[str]]]] = {
    "asr": ("asr", _sentences),
    "asr, augmented": ("asr", _augmented),
    "asr, cached features": ("asr", _frozen),
    "ks": ("ks", _labels),
    "asv": ("asv", _speakers),
    "pr": ("pr", _sentences),
    "sf": ("sf", _sentences),
    "sd": ("sd", _turns),
    "sed": ("sed", _events),
    "regression": ("regression", _numbers),
    "qbe": ("qbe", _queries),
}
"""By name: a problem, and the function that writes its data and returns the words of its short run."""


@dataclasses.dataclass(frozen=True)
class Run:
    """A short run of a problem.

    Args:
        name: of :data:`RUNS`.
        words: the command line but the folders.
        alter: called in the process before the run begins, to plant a difference; None leaves it alone.
    """

    name: str
    words: tuple[str, ...]
    alter: Callable[[], None] | None = None

    def start(self, folder: Path) -> BaseProcess:
        """Start it in a process of its own, with ``folder/run`` and ``folder/cache``."""
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOADED)
        process = context.Process(target=_work, args=(self, folder))
        process.start()
        return process

    def finish(self, folder: Path, log: str = "log.txt") -> None:
        """Run it to its end.

        Raises:
            AssertionError: it failed, or hangs.
        """
        deadline = time.monotonic() + PATIENCE
        while True:
            process = self.start(folder)
            process.join(PATIENCE)
            if process.is_alive():
                process.kill()
                process.join()
            if process.exitcode == 0:
                return
            last = (folder / log).read_text("utf-8")[-3000:]
            if "is in use by" not in last.splitlines()[-1] or time.monotonic() > deadline:
                raise AssertionError(f"{self.name} ended with {process.exitcode}: {last}")
            time.sleep(0.2)  # the other processes of a run whose agent was killed end by themselves


def _work(run: Run, folder: Path) -> None:
    import sys

    import torch

    import problems

    os.setpgid(0, 0)
    torch.set_num_threads(1)
    with open(folder / "log.txt", "a", encoding="utf-8", buffering=1) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        sys.stdout = sys.stderr = file
        if run.alter is not None:
            run.alter()
        places = [f"--target_dir={folder / 'run'}", f"--cache_dir={folder / 'cache'}"]
        problems.get(RUNS[run.name][0])().main(["run", *run.words, *places])


def prepare(name: str, folder: Path, *more: str) -> Run:
    """Write the data of a run of :data:`RUNS` into ``folder`` and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    return Run(name, (*RUNS[name][1](folder), "--num_workers=1", *more))


# ---- interruptions ----


@dataclasses.dataclass
class Interruptions:
    """Interruptions of a run: how many came before its end, and in which stage each."""

    stages: list[str] = dataclasses.field(default_factory=list)


def interrupt(run: Run, folder: Path, seconds: float, rng: random.Random, *, count: int, number: int) -> Interruptions:
    """Start a run ``count`` times, each time with a signal at a random instant; return what was hit.

    Args:
        seconds: of an undisturbed run.
        number: the signal. SIGSTOP is followed by SIGCONT a moment later; the run then goes on.
    """
    hit = Interruptions()
    folder.mkdir(parents=True, exist_ok=True)
    for _ in range(count):
        process = run.start(folder)
        process.join(rng.uniform(0.02, 0.9) * seconds)
        if process.is_alive():
            hit.stages.append(stage_under_way(folder / "run"))
            _send(process, number)
            if number == signal.SIGSTOP:
                time.sleep(rng.uniform(0.1, 1.0))
                _send(process, signal.SIGCONT)
        process.join(PATIENCE)
        if process.is_alive():
            process.kill()
            process.join()
            raise AssertionError(f"{run.name} hangs after signal {number}: {(folder / 'log.txt').read_text()[-3000:]}")
    return hit


def _send(process: BaseProcess, number: int) -> None:
    """Send a signal to a run and to its workers, as a terminal or a scheduler does."""
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:  # it has not made its group yet, or is gone
        try:
            os.kill(process.pid, number)
        except ProcessLookupError:
            pass


def stage_under_way(run: Path) -> str:
    """The name of the stage that a run is in; ``start`` before the first."""
    try:
        stages = json.loads((run / "stages.json").read_text("utf-8"))["stages"]
    except (OSError, ValueError, KeyError):
        return "start"
    begun = [stage["name"] for stage in stages.values() if stage["status"] == "started"]
    done = [stage["name"] for stage in stages.values() if stage["status"] == "done"]
    return begun[-1] if begun else f"after {done[-1]}" if done else "start"


# ---- comparison ----


def digests(run: Path) -> dict[str, str]:
    """A digest of everything that a run leaves and that may not depend on interruptions, by name.

    Tensors are compared as bytes, so that +0 and -0 differ. Times of the clock are left out.
    """
    contents: dict[str, str] = {}
    patterns = ("data/*.csv", "encoder/**/*", "train/*/**/*.safetensors", "evaluate/**/*.csv", "**/*.rttm")
    here = str(run.parent).encode()
    for path in (path for pattern in patterns for path in run.glob(pattern) if path.is_file()):
        content = path.read_bytes().replace(here, b"")  # a corpus that makes its audio names its place
        contents[str(path.relative_to(run))] = hashlib.sha256(content).hexdigest()
    for path in run.glob("train/*/training.pt"):
        contents[str(path.relative_to(run))] = _digest(_training_state(path))
    for path in run.glob("evaluate/**/result.json"):
        result = {k: v for k, v in json.loads(path.read_text("utf-8")).items() if k != "seconds"}
        contents[str(path.relative_to(run))] = json.dumps(result, sort_keys=True)
    history = run / "train" / "metrics.jsonl"
    if history.exists():
        rows = [json.loads(line) for line in history.read_text("utf-8").splitlines()]
        own = [{key: value for key, value in row.items() if key not in TIMES} for row in rows]
        contents["train/metrics.jsonl"] = json.dumps(own, sort_keys=True)
    return contents


def _training_state(path: Path) -> dict[str, Any]:
    import torch

    state = torch.load(path, weights_only=True)
    for name in ("seconds", "saved_at"):
        state["progress"].pop(name, None)
    return state


def _digest(value: Any) -> str:
    """A digest of a nested structure, of tensors by their bytes."""
    import torch

    sha = hashlib.sha256()

    def add(part: Any) -> None:
        if isinstance(part, torch.Tensor):
            array = part.detach().contiguous().cpu().reshape(-1).view(torch.uint8)
            sha.update(str((part.dtype, tuple(part.shape))).encode() + np.asarray(array).tobytes())
        elif isinstance(part, Mapping):
            for key in sorted(part, key=repr):
                sha.update(repr(key).encode())
                add(part[key])
        elif isinstance(part, Sequence) and not isinstance(part, str):
            sha.update(str(len(part)).encode())
            for item in part:
                add(item)
        else:
            sha.update(repr(part).encode())

    add(value)
    return sha.hexdigest()


def differences(one: Path, other: Path) -> list[str]:
    """The names of what differs between two finished runs."""
    first, second = digests(one), digests(other)
    assert first, f"{one} is empty"
    return sorted(name for name in first.keys() | second.keys() if first.get(name) != second.get(name))


def timed(run: Run, folder: Path) -> float:
    """Run to the end in a new folder, and return the seconds."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    began = time.monotonic()
    run.finish(folder)
    return time.monotonic() - began


# ---- planted differences ----


def _alter_state(change: Callable[[dict[str, Any]], None]) -> None:
    """Change the state of a training when it is restored."""
    from problems.engine.loops.state import training_state

    plain = training_state.read

    def read(folder: Path) -> dict[str, Any]:
        state = plain(folder)
        change(state)
        return state

    training_state.read = read


def _generator(state: dict[str, Any]) -> None:
    generator = state["rng"][0]["torch"]
    generator[40] = (int(generator[40]) + 1) % 256


def _schedule(state: dict[str, Any]) -> None:
    (optimizer,) = state["optimizers"]
    optimizer["scheduler"]["last_epoch"] += 1


def _skip(state: dict[str, Any]) -> None:
    state["progress"]["position"] += 1


def _twice(state: dict[str, Any]) -> None:
    state["progress"]["position"] -= 1


def _moment(state: dict[str, Any]) -> None:
    (optimizer,) = state["optimizers"]
    moments = optimizer["optimizer"]["state"]
    moments[next(iter(moments))]["exp_avg"].view(-1)[0] *= 1.001


CONTROLS: dict[str, Callable[[dict[str, Any]], None]] = {
    "a bit of the random generator": _generator,
    "a step of the schedule": _schedule,
    "a batch skipped": _skip,
    "a batch twice": _twice,
    "a moment of the optimizer": _moment,
}
"""Differences to plant in a training that resumes. Each must be noticed."""


@dataclasses.dataclass(frozen=True)
class Plant:
    """Plants a difference of :data:`CONTROLS`; ``nothing`` plants none."""

    name: str

    def __call__(self) -> None:
        if self.name in CONTROLS:
            _alter_state(CONTROLS[self.name])


@dataclasses.dataclass(frozen=True)
class KillAfter:
    """Kills the process after so many steps."""

    steps: int

    def __call__(self) -> None:
        from problems.engine.loops.train import TrainLoop

        plain = TrainLoop.step

        def step(loop: TrainLoop, window: Any) -> None:
            plain(loop, window)
            if loop.progress.step == self.steps:
                os.kill(os.getpid(), signal.SIGKILL)

        TrainLoop.step = step
