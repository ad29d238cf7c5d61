"""Batch samplers: what a model learns in equal steps and in equal time, the padding, and what several processes wait.

    python benchmarks/samplers.py DATA [--data ks_digits ks_words ic asr] [--seeds 0 1 2] [--out result/samplers]

DATA holds fsdd, speech_commands_9 and intent_barista. Each training takes the same steps with batches of utterances of
any length (random), of similar length (bucket), and of as many as fit in 16 or 32 times the mean length (duration). Its
time is that of the processor, in one process with one thread, which other work on the machine changes little: the steps
of equal time are those that fit in the time of the fastest of the three, to a tenth of the training. Weights are those
of the last step, not the best in validation. A JSON line for each training, then the means.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import sys
import time
from pathlib import Path
from statistics import mean
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch

from dataset.storage.files import read_json
from dataset.table import open_table
from dataset.utterances import Utterances
from problems.engine.config import yaml_text
from problems.engine.loops.base import Callback
from problems.engine.loops.parallel.waiting import share_of_waiting
from problems.engine.runtime.checkpoint_names import name_of
from problems.methods.batches import build_sampler
from problems.registry import find_class

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
COLUMNS = {"wav_path": "path", "label": "label"}
SAVED = 10  # checkpoints of a training


def data_sets(root: Path) -> dict[str, dict[str, Any]]:
    """By name: the problem, its preset, its metric, its steps and the sections that differ from the preset."""
    csv = {"corpus": "csv", "valid_fraction": 0.1}
    digits = csv | {"train": f"{root}/fsdd/metadata.csv", "columns": COLUMNS, "stratify_by": "label"}
    digits["test"] = digits["train"]
    digits["where"] = {"train": {"split": "train"}, "test": {"split": "test"}}
    words = csv | {"train": f"{root}/speech_commands_9/metadata.csv", "columns": COLUMNS}
    orders = csv | {"train": f"{root}/intent_barista/metadata.csv", "test_fraction": 0.1}
    orders["columns"] = {"wav_path": "path", "labels": "extra.coffeeDrink"}
    strings = {"corpus": "connected_digits", "dataset_root": f"{root}/fsdd", "num_train": 1200, "num_test": 300}
    return {
        "ks_digits": {"of": ("KS", "default", "accuracy", 600), "prepare_data": digits},
        "ks_words": {
            "of": ("KS", "default", "accuracy", 600),
            "prepare_data": words | {"split_by": "speaker", "test_fraction": 0.2},
        },
        "ic": {
            "of": ("IC", "default", "accuracy", 200),
            "prepare_data": orders,
            "build_encoder": {"slots": ["drink"]},
        },
        "asr": {
            "of": ("ASR", "fsdd", "wer", 500),
            "prepare_data": strings,
            "build_downstream": {"name": "rnn", "conf": {"hidden_size": [128, 128], "stack": 3}},
        },
    }


class Clock(Callback):
    """The time of the processor after each step, in seconds from the first."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def on_fit_batch_end(self, loop: Any, batch: Any, output: Any) -> None:
        """Take the time."""
        self.times.append(time.process_time())

    def seconds(self, step: int) -> float:
        """The seconds of the first ``step`` steps, estimated from all but the first."""
        return (self.times[step - 1] - self.times[0]) * step / (step - 1)


def sections_of(data: dict[str, Any], sampler: dict[str, Any], seed: int) -> dict[str, Any]:
    """The sections of a training."""
    problem, preset, _, steps = data["of"]
    config = yaml_text.load((CONFIGS / problem.lower() / f"{preset}.yaml").read_text())
    config = {**config, **{key: value for key, value in data.items() if key != "of"}}
    config["build_batch_sampler"] = {"train": sampler}
    often = {"eval_step": None, "save_step": steps // SAVED, "keep_num_ckpts": None, "patience": None}
    config["train"] = {**config["train"], "total_steps": steps, **often, "valid_metric": None, "seed": seed}
    config["evaluate"] = {"baselines": False, "confidence": 0}
    return config


def samplers_of(csv: str, batch_size: int) -> dict[str, dict[str, Any]]:
    """The settings of the three samplers on a training set."""
    seconds = float(np.mean(open_table(csv).numbers("seconds"))) * batch_size
    return {
        "random": {"name": "random", "batch_size": batch_size},
        "bucket": {"name": "bucket", "batch_size": batch_size},
        "duration": {"name": "duration", "batch_size": None, "max_seconds": round(seconds, 1)},
    }


def waste_of(csv: str, settings: dict[str, Any]) -> dict[str, float]:
    """Padded seconds / seconds - 1 over three epochs, and the part of their time that 2 and 4 processes wait."""
    utterances = Utterances(csv)
    sampler = build_sampler(settings, "benchmark", utterances)
    batches = [sampler.batch(0, epoch, n) for epoch in range(3) for n in range(len(sampler))]
    seconds = [utterances.seconds[batch] for batch in batches]
    padding = sum(len(own) * own.max() for own in seconds) / sum(own.sum() for own in seconds) - 1
    waiting = {f"waiting_{size}": round(share_of_waiting(batches, utterances.seconds, size), 3) for size in (2, 4)}
    return {"padding": round(padding, 4), **waiting}


def measured(folder: Path, problem: Any, config: dict[str, Any], steps: list[int], metric: str) -> dict[int, float]:
    """The metric on the test set after some steps."""
    problem.run(target_dir=str(folder), start=3, stop=3, test_ckpt_steps=steps, **OPTIONS, **config)
    results = {step: next((folder / "evaluate" / name_of(step)).glob("*/result.json")) for step in steps}
    return {step: read_json(path)["metrics"][metric] for step, path in results.items()}


OPTIONS: dict[str, Any] = {"num_workers": 0, "device": "cpu"}


def compare(name: str, data: dict[str, Any], seed: int, out: Path) -> list[dict[str, Any]]:
    """Train with each sampler and test after equal steps and after equal time; a result for each."""
    kind, _, metric, steps = data["of"]
    config = sections_of(data, {"name": "bucket"}, seed)
    first = out / f"{name}-{seed}"
    size = yaml_text.load((CONFIGS / kind.lower() / f"{data['of'][1]}.yaml").read_text())["build_batch_sampler"]
    trained: dict[str, tuple[Path, Any, dict[str, Any], Clock]] = {}
    find_class(kind)().run(target_dir=str(first), stop=0, **OPTIONS, **config)
    csv = str(first / "data" / "train.csv")
    samplers = samplers_of(csv, size["train"]["batch_size"])
    for sampler, settings in samplers.items():
        folder, clock = out / f"{name}-{seed}-{sampler}", Clock()
        problem = find_class(kind)()
        problem.callbacks = [clock]
        config = sections_of(data, settings, seed)
        problem.run(target_dir=str(folder), stop=2, **OPTIONS, **config)
        trained[sampler] = folder, problem, config, clock
    fastest, results = min(clock.seconds(steps) for *_, clock in trained.values()), []
    for sampler, (folder, problem, config, clock) in trained.items():
        saved = [steps * part // SAVED for part in range(1, SAVED + 1)]
        equal_time = max(step for step in saved if step == saved[0] or clock.seconds(step) <= fastest * 1.001)
        metrics = measured(folder, problem, config, sorted({steps, equal_time}), metric)
        result = {"data": name, "sampler": sampler, "seed": seed, "metric": metric, "steps": steps}
        result |= {"equal_steps": round(metrics[steps], 5), "equal_time": round(metrics[equal_time], 5)}
        result |= {"steps_of_equal_time": equal_time, "cpu_seconds": round(clock.seconds(steps), 1)}
        results.append(result | waste_of(csv, samplers[sampler]))
        print(json.dumps(results[-1]), flush=True)
        shutil.rmtree(folder)
    shutil.rmtree(first)
    return results


def main() -> None:
    """Compare the samplers on the data that are named, and print the means."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, metavar="DATA")
    parser.add_argument("--data", nargs="+", default=["ks_digits", "ks_words", "ic", "asr"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("result/samplers"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    logging.basicConfig(level=logging.WARNING)
    known = data_sets(arguments.root.absolute())
    results = [
        r
        for name in arguments.data
        for seed in arguments.seeds
        for r in compare(name, known[name], seed, arguments.out)
    ]
    for name, sampler in dict.fromkeys((r["data"], r["sampler"]) for r in results):
        own = [r for r in results if (r["data"], r["sampler"]) == (name, sampler)]
        means = {
            key: round(mean(r[key] for r in own), 4) for key in ("equal_steps", "equal_time", "cpu_seconds", "padding")
        }
        print(json.dumps({"data": name, "sampler": sampler, "seeds": len(own), **means}))


if __name__ == "__main__":
    main()
