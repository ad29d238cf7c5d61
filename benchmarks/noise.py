"""Noise: keywords trained with and without noise and reverberation, tested clean and in noise that training lacks.

    python benchmarks/noise.py DATA [--seeds 0 1 2] [--steps 600] [--out result/noise]

DATA holds speech_commands_9 and noise_rir. Speakers are apart; every second noise and impulse response is for
training and the others are for the tests. The test sets hold the same utterances at 10, 5 and 0 dB, each with the same
piece of noise. The preset is that of ks, with its speeds and SpecAugment in both trainings, and the same steps. A JSON
line for each training with its accuracies, then the means.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from pathlib import Path
from statistics import mean
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import soundfile
import torch

from dataset import SAMPLE_RATE, audio
from dataset.augmentations.noise import Noise
from dataset.metadata import read_csv, write_csv
from dataset.seeding import derive, isolated
from dataset.storage.files import read_json
from problems.engine.config import yaml_text
from problems.ks import KS

RATIOS = (10, 5, 0)
PRESET = Path(__file__).resolve().parents[1] / "configs/ks/default.yaml"
OPTIONS: dict[str, Any] = {"num_workers": 1, "device": "cpu"}


def halves(root: Path, label: str, out: Path) -> list[Path]:
    """CSVs of the recordings of a label: those for training, and those for the tests."""
    rows = read_csv(root / "metadata.csv", ("path", "label"))
    paths = sorted(str(root / path) for path, own in zip(rows["path"], rows["label"]) if own == label)
    csvs = [out / f"{label}_{name}.csv" for name in ("train", "test")]
    for number, csv in enumerate(csvs):
        write_csv(csv, [{"wav_path": path} for path in paths[number::2]])
    return csvs


def noisy_copy(csv: Path, noises: Path, ratio: int, folder: Path) -> Path:
    """The CSV of the same utterances with noise at a ratio in dB, a function of their ids."""
    rows, noise = [], Noise(str(noises), [ratio, ratio])
    folder.mkdir(parents=True, exist_ok=True)
    for row in read_csv(csv, ("id", "wav_path", "label")).to_dict("records"):
        path = folder / f"{len(rows):05}.wav"
        with isolated(derive(0, row["id"])):
            soundfile.write(path, noise(audio.read(row["wav_path"])).numpy(), SAMPLE_RATE, subtype="FLOAT")
        rows.append({"id": row["id"], "wav_path": str(path), "label": row["label"]})
    write_csv(folder.with_suffix(".csv"), rows)
    return folder.with_suffix(".csv")


def prepared(root: Path, out: Path) -> dict[str, Any]:
    """The section of data: speakers apart, and a test set for each ratio."""
    words = {"corpus": "csv", "train": f"{root}/speech_commands_9/metadata.csv", "split_by": "speaker"}
    words |= {"columns": {"wav_path": "path", "label": "label"}, "valid_fraction": 0.1, "test_fraction": 0.2}
    KS().run(target_dir=str(out / "data_only"), stop=0, prepare_data=words, **OPTIONS)
    train, valid, test = (out / "data_only/data" / f"{name}.csv" for name in ("train", "valid", "test"))
    noises = halves(root / "noise_rir", "noise", out)[1]
    tests = {f"{ratio}dB": str(noisy_copy(test, noises, ratio, out / f"{ratio}dB")) for ratio in RATIOS}
    return {"corpus": "csv", "train": str(train), "valid": str(valid), "test": {"clean": str(test), **tests}}


def trained(
    data: dict[str, Any], augment: list[dict[str, Any]], seed: int, steps: int, folder: Path
) -> dict[str, float]:
    """The accuracy on each test set after training."""
    config = yaml_text.load(PRESET.read_text())
    config["prepare_data"] = data
    config["build_dataset"] = {**config["build_dataset"], "augment": augment}
    often = {"total_steps": steps, "eval_step": steps // 4, "save_step": steps, "patience": None}
    config["train"] = {**config["train"], **often, "seed": seed}
    config["evaluate"] = {"baselines": False}
    KS().run(target_dir=str(folder), **OPTIONS, **config)
    results = {path.parent.name: read_json(path) for path in (folder / "evaluate").glob("*/*/result.json")}
    return {name: round(results[name]["metrics"]["accuracy"], 4) for name in data["test"]}


def main() -> None:
    """Train both ways and print the accuracies."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, metavar="DATA")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--out", type=Path, default=Path("result/noise"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    logging.basicConfig(level=logging.WARNING)
    out = arguments.out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    data = prepared(arguments.root.absolute(), out)
    sources = {name: str(halves(arguments.root / "noise_rir", name, out)[0]) for name in ("noise", "rir")}
    ways: dict[str, list[dict[str, Any]]] = {
        "without": [],
        "with": [
            {"name": "reverb", "prob": 0.3, "conf": {"source": sources["rir"]}},
            {"name": "noise", "prob": 0.7, "conf": {"source": sources["noise"], "snr": [0.0, 15.0]}},
        ],
    }
    results: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
    for seed in arguments.seeds:
        for way, augment in ways.items():
            accuracies = trained(data, augment, seed, arguments.steps, out / f"{way}-{seed}")
            results[way].append(accuracies)
            print(json.dumps({"noise": way, "seed": seed, **accuracies}), flush=True)
    for way, own in results.items():
        means = {name: round(mean(accuracies[name] for accuracies in own), 4) for name in data["test"]}
        print(json.dumps({"noise": way, "seeds": len(own), **means}))


if __name__ == "__main__":
    main()
