"""Default presets on real speech that they were not made for, beside trivial models.

    python benchmarks/defaults.py DATA [--data sid_librispeech ks_words ...] [--seeds 0 1 2] [--budget 2m]
    python benchmarks/defaults.py DATA --data ks_words ic --set build_downstream.conf.pooling=mean

DATA holds fsdd, speech_commands_9, intent_barista and librispeech_small. No speaker, and of single digits no recording,
is in both training and test. Each run is the default preset with another corpus, from an empty folder to the report. A
JSON line for each run with its metric on the test set, that of the chosen checkpoint on the validation set, those of
the trivial models and its seconds, then the mean and range of seeds.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

from dataset.storage.files import read_json
from problems.engine.config import yaml_text
from problems.registry import find_class

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
OPTIONS: dict[str, Any] = {"num_workers": 0, "device": "cpu"}


SPEAKERS = ["1688", "1998", "2033", "2414", "2609", "3005", "3080", "3331", "367", "533"]  # of LibriSpeech's test-other


def one_utterance_each(metadata: str, columns: dict[str, str]) -> dict[str, Any]:
    """Training speakers with an utterance each; four others to validate with, and six to test."""
    where = {
        "train": {"split": "train-clean-100"},
        "valid": {"speaker": SPEAKERS[:4], "split": "test-other"},
        "test": {"speaker": SPEAKERS[4:], "split": "test-other"},
    }
    return {
        "corpus": "csv_trials",
        **dict.fromkeys(("train", "valid", "test"), metadata),
        "where": where,
        "columns": columns,
    }


def data_sets(root: Path) -> dict[str, tuple[str, str, dict[str, Any]]]:
    """By name: the problem, its metric, and its section ``prepare_data``."""
    csv = {"corpus": "csv", "valid_fraction": 0.1}
    label, speaker = {"wav_path": "path", "label": "label"}, {"wav_path": "path", "spk": "speaker"}
    digits = f"{root}/fsdd/metadata.csv"
    apart = {"where": {"train": {"split": "train"}, "test": {"split": "test"}}, "stratify_by": "label"}
    sentences = csv | {"train": f"{root}/librispeech_small/metadata.csv", "where": {"train": {"split": "test-other"}}}
    by_speaker = {"columns": {"wav_path": "path", "label": "speaker"}, "stratify_by": "label"}
    words = csv | {"train": f"{root}/speech_commands_9/metadata.csv", "test_fraction": 0.2}
    drinks = {"wav_path": "path", "labels": "extra.coffeeDrink"}
    text = {"wav_path": "path", "transcription": "text"}
    return {
        "sid_librispeech": ("SID", "accuracy", sentences | by_speaker | {"test_fraction": 0.4}),
        "ks_words": ("KS", "accuracy", words | {"columns": label, "split_by": "speaker"}),
        "ks_digits": ("KS", "accuracy", csv | apart | {"train": digits, "test": digits, "columns": label}),
        "ic": (
            "IC",
            "accuracy",
            csv | {"train": f"{root}/intent_barista/metadata.csv", "test_fraction": 0.1, "columns": drinks},
        ),
        "asv_words": ("ASV", "eer", words | {"corpus": "csv_trials", "columns": speaker}),
        "asv_librispeech": ("ASV", "eer", one_utterance_each(f"{root}/librispeech_small/metadata.csv", speaker)),
        "asr_digits": ("ASR", "wer", {"corpus": "connected_digits", "dataset_root": f"{root}/fsdd"}),
        "asr_toy": ("ASR", "wer", {}),  # only by name: speech of a synthesiser
        "asr_librispeech": (
            "ASR",
            "wer",
            sentences | {"columns": text, "split_by": "speaker", "test_fraction": 0.2},
        ),
    }


def override(config: dict[str, Any], words: Sequence[str]) -> None:
    """Set the keys of ``KEY=VALUE`` words in a config."""
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise SystemExit(f"--set {word}: expected KEY=VALUE")
        *sections, last = key.split(".")
        section = config
        for name in sections:
            section = section.setdefault(name, {})
        section[last] = yaml_text.load(value)


def measured(
    name: str, *, root: Path, presets: Path, seed: int, budget: str | None, folder: Path, words: Sequence[str]
) -> dict[str, Any]:
    """The result of one run: its metric on both sets, the trivial models', and its seconds."""
    kind, metric, section = data_sets(root)[name]
    config = yaml_text.load((presets / kind.lower() / "default.yaml").read_text())
    config["prepare_data"] = section
    config["train"] = {**config["train"], "seed": seed}
    if kind == "IC":
        config["build_encoder"] = {"slots": ["drink"]}
    override(config, words)
    began, cpu = time.monotonic(), time.process_time()
    with contextlib.redirect_stdout(sys.stderr):
        find_class(kind)().run(target_dir=str(folder), budget=budget, **OPTIONS, **config)
    seconds = {"seconds": round(time.monotonic() - began), "cpu_seconds": round(time.process_time() - cpu)}
    result = next((folder / "evaluate").glob("*/*/result.json"))
    value = read_json(result)["metrics"][metric]
    step = int(result.parent.parent.name.removeprefix("step_"))
    lines = [json.loads(line) for line in (folder / "train/metrics.jsonl").read_text().splitlines()]
    valid = next(line[metric] for line in lines if line["split"] == "valid" and line["step"] == step)
    models = next(iter(read_json(folder / "evaluate/baselines.json")["test_sets"].values()))
    trivial = {model: round(metrics[metric], 4) for model, metrics in models.items() if metric in metrics}
    own = {"set": list(words)} if words else {}
    values = {metric: round(value, 4), "valid": round(valid, 4)}
    return {"data": name, **own, "seed": seed, **values, "step": step, "trivial": trivial, **seconds}


def main() -> None:
    """Run the presets on the data that are named, and print the means."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, metavar="DATA")
    parser.add_argument("--data", nargs="+", help="some of them; all by default")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--budget", help="time of each run, such as 2m")
    parser.add_argument("--presets", type=Path, default=CONFIGS, help="folder of other presets, to compare with these")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", dest="words", help="other settings")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    logging.basicConfig(level=logging.WARNING)
    root, own = arguments.root.absolute(), vars(arguments)
    for name in arguments.data or [name for name in data_sets(root) if name != "asr_toy"]:
        metric, values = data_sets(root)[name][1], []
        for seed in arguments.seeds:
            with tempfile.TemporaryDirectory() as folder:
                settings = {key: own[key] for key in ("presets", "budget", "words")}
                result = measured(name, root=root, seed=seed, folder=Path(folder), **settings)
            values.append(float(result[metric]))
            print(json.dumps(result), flush=True)
        summary = {"mean": round(mean(values), 4), "range": [min(values), max(values)]}
        print(json.dumps({"data": name, "seeds": len(values), metric: summary}), flush=True)


if __name__ == "__main__":
    main()
