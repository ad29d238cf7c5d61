"""Short command lines of every problem, and of the tools beside them, with their data."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from tests.conftest import write_table, write_tones
from tests.parts import pitches
from tests.problems import test_qbe, test_regression, test_sd, test_sed

SPLITS = {"train": 10, "valid": 3, "test": 4}
STEPS = 12
TRAINING = (
    f"--train.total_steps={STEPS}",
    "--train.eval_step=6",
    "--train.save_step=2",
    "--train.log_step=4",
    "--train.patience=null",
    "--build_batch_sampler.train.batch_size=4",
    "--evaluate.confidence=20",
    "--num_workers=0",
)
SMALL = "--build_upstream.conf={num_mel_bins: 20, cmvn: none}"
HEAD = "--build_downstream.conf.hidden_size=[8]"
FOLDERS = ("--target_dir=FOLDER/run", "--cache_dir=FOLDER/cache")
"""``FOLDER`` stands for the folder of a run."""

Line = tuple[str, ...]
"""A command line: a problem or ``problems``, then its words."""


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
    return ["--prepare_data.corpus=csv", *words, SMALL, HEAD, *TRAINING]


def _frozen(folder: Path) -> list[str]:
    own = ["--build_upstream={name: 'tests.parts.tiny_encoder:TinyEncoder', conf: {}}", "--features.cache=disk"]
    return [*(word for word in _sentences(folder) if word != SMALL), *own]


def _augmented(folder: Path) -> list[str]:
    own = [
        "--train.use_scheduler=true",
        "--build_dataset.speeds=[0.9, 1.0, 1.1]",
        "--build_downstream.conf.dropout=0.3",
        "--train.average=newest",
    ]
    specaug = "--build_model.specaug={time_warp: 0, freq_mask_width: [0, 3], time_mask_width: [0, 5]}"
    return [*_sentences(folder), *own, specaug, "--train.gradient_accumulate=2", "--train.ema=0.9"]


def _plain(folder: Path) -> list[str]:
    """Nothing random, with an average of the best: for several processes."""
    own = ["--build_downstream.conf.dropout=0", "--build_model.specaug=null", "--train.average=best"]
    return [*_sentences(folder), *own, "--train.keep_best_ckpts=2"]


def _pitches(folder: Path) -> list[str]:
    def write(place: Path, count: int, seed: int) -> list[dict[str, str]]:
        return pitches.write_tones(place, count, pitches.PITCHES, seed)

    return ["--prepare_data.corpus=csv", *_tables(write, folder), SMALL, *TRAINING]


def _intents(folder: Path) -> list[str]:
    words = _pitches(folder)
    for split in SPLITS:
        table = pd.read_csv(folder / f"{split}.csv", dtype=str, keep_default_na=False)
        table["labels"] += " ; here"
        table.to_csv(folder / f"{split}.csv", index=False)
    return words


def _speakers(folder: Path) -> list[str]:
    return [
        "--prepare_data.corpus=tests.parts.voices:Voices",
        "--prepare_data.per_speaker=3",
        "--build_dataset.max_seconds=0.4",
        SMALL,
        "--build_downstream={name: xvector, conf: {hidden_size: 8, tdnn_size: 8, aggregation_size: 8}}",
        "--build_model.embedding_size=8",
        *TRAINING,
    ]


def _turns(folder: Path) -> list[str]:
    words = _tables(test_sd.write_recordings, folder)
    return ["--prepare_data.corpus=csv_turns", *words, "--build_dataset.window=3", SMALL, HEAD, *TRAINING]


def _events(folder: Path) -> list[str]:
    words = [*_tables(test_sed.write_recordings, folder), "--build_dataset.window=1.5"]
    head = "--build_downstream={name: frame_mlp, conf: {hidden_size: [8]}}"
    return ["--prepare_data.corpus=csv_events", *words, SMALL, head, *TRAINING]


def _numbers(folder: Path) -> list[str]:
    return ["--prepare_data.corpus=csv", *_tables(test_regression.write_tones, folder), SMALL, *TRAINING]


def _queries(folder: Path) -> list[str]:
    files = test_qbe.write_queries(folder)
    own = [f"--prepare_data.{split}={json.dumps(paths)}" for split, paths in files.items()]
    return ["--prepare_data.corpus=csv_queries", *own, "--num_workers=0"]


def _run(problem: str, write: Callable[[Path], list[str]], *more: str) -> Callable[[Path], list[Line]]:
    return lambda folder: [(problem, "run", *write(folder), *FOLDERS, *more)]


def _packed(folder: Path) -> list[Line]:
    words = _sentences(folder)
    own = [word for word in words if not word.startswith("--prepare_data.")]
    shards = ["--prepare_data.corpus=packed", "--prepare_data.dataset_root=FOLDER/shards"]
    packing = [*words, "--target_dir=FOLDER/pack", "--cache_dir=FOLDER/cache", "--out=FOLDER/shards"]
    return [("asr", "pack", *packing, "--shard_mb=0.1"), ("asr", "run", *shards, *own, *FOLDERS)]


def _predicted(folder: Path) -> list[Line]:
    words = [*_sentences(folder), "--train.total_steps=2", "--train.eval_step=2"]
    predict = ["predict", "--ckpt=FOLDER/run", "--format=ctm", "--out=FOLDER/predicted", str(folder / "train")]
    export = ["export", "--ckpt=FOLDER/run", "FOLDER/exported"]
    return [("asr", "run", *words, *FOLDERS), ("asr", *predict), ("asr", *export)]


def _superb(folder: Path) -> list[Line]:
    writers = {"ks": _pitches, "ic": _intents}
    words = [(name, word) for name, write in writers.items() for word in write(folder / name) if word != SMALL]
    own = [f"--{name}.{word.removeprefix('--')}" for name, word in words]
    rates = ["--config=toy", "--problems=ks,ic", "--learning_rates=[0.01, 0.001]", "--upstream=fbank"]
    return [("problems", "superb", *rates, *own, *FOLDERS)]


def _sweep(folder: Path) -> list[Line]:
    rates = ["--over.build_optimizer.conf.lr=[0.01, 0.001]", "--over.train.seed=[1, 2]"]
    return [("problems", "sweep", "ks", *_pitches(folder), *rates, *FOLDERS)]


RUNS: dict[str, Callable[[Path], list[Line]]] = {
    "asr": _run("asr", _sentences),
    "asr, augmented": _run("asr", _augmented),
    "asr, cached features": _run("asr", _frozen),
    "ks": _run("ks", _pitches),
    "ic": _run("ic", _intents),
    "er": _run("er", _pitches),
    "sid": _run("sid", _pitches),
    "lid": _run("lid", _pitches),
    "asv": _run("asv", _speakers),
    "pr": _run("pr", _sentences),
    "sf": _run("sf", _sentences),
    "sd": _run("sd", _turns),
    "sed": _run("sed", _events),
    "regression": _run("regression", _numbers),
    "qbe": _run("qbe", _queries),
    "pack, asr from shards": _packed,
    "run, predict, export": _predicted,
    "superb": _superb,
    "sweep": _sweep,
}
"""By name: a function that writes the data of a run into a folder and returns its command lines."""
SEVERAL: dict[str, tuple[int, Callable[[Path], list[Line]]]] = {
    "asr, 2 ranks": (2, _run("asr", _plain)),
    "asr, augmented, 2 ranks": (2, _run("asr", _augmented)),
    "asr, cached features, 2 ranks": (2, _run("asr", _frozen)),
    "sd, 2 ranks": (2, _run("sd", _turns)),
    "asr, 3 ranks": (3, _run("asr", _plain)),
    "asr, 4 ranks": (4, _run("asr", _plain)),
}
"""Runs of several processes, which are started as a cluster does, without an agent: their number, and as above."""
OF_OTHERS: dict[str, Callable[[Path], list[Line]]] = {
    "asr, an agent of 2": _run("asr", _plain, "--nproc=2"),
    "asr, a worker": _run("asr", _augmented, "--num_workers=1"),
}
"""Runs that start Pythons of their own, which import everything first: a kill costs several seconds."""
