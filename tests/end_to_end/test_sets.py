"""Two corpora with different columns in one training, by ratio and as sub-batches, killed and on two processes."""

from __future__ import annotations

import csv

import pytest

from problems.asr import ASR
from problems.engine.checkpoints.store import steps_in
from problems.engine.cli.main import execute
from problems.engine.report.history import TIMES, read_history
from tests.conftest import write_table
from tests.end_to_end.test_resume import kill_when
from tests.parts.processes import finish, launch, options_of, rows

WAYS = {
    "ratio": ["--build_batch_sampler.train={name: mixed, conf: {parts: {small: 0.3, large: 0.7}}}"],
    "sub-batches": [
        "--build_batch_sampler.train.sets={small: {name: random, batch_size: 2, conf: {}}, large: {weight: 0.5}}"
    ],
}
LONGER = [
    "--build_dataset.speeds=[0.9, 1.0, 1.1]", "--build_dataset.augment=[{name: volume}]", "--train.total_steps=24",
    "--train.save_step=3", "--train.log_step=2", "--train.eval_step=12", "--stop=2",
]  # fmt: skip


@pytest.fixture(scope="module")
def sets(tones, tmp_path_factory) -> str:
    """The setting of two corpora: 7 utterances with a speaker each, 15 with other names of columns."""
    folder = tmp_path_factory.mktemp("sets")
    parts = {}
    for name in ("train", "valid", "test"):
        with open(tones / f"{name}.csv", newline="", encoding="utf-8") as file:
            all_rows = list(csv.DictReader(file))
        cut = len(all_rows) // 3
        small = [row | {"speaker": f"s{number}"} for number, row in enumerate(all_rows[:cut])]
        large = [{"key": row["id"], "file": row["wav_path"], "words": row["transcription"]} for row in all_rows[cut:]]
        parts[name] = write_table(folder / f"small_{name}.csv", small), write_table(folder / f"large_{name}.csv", large)
    small, large = (", ".join(f"{name}: {paths[i]}" for name, paths in parts.items()) for i in (0, 1))
    columns = "columns: {id: key, wav_path: file, transcription: words}"
    return f"--prepare_data.sets={{small: {{corpus: csv, {small}}}, large: {{corpus: csv, {large}, {columns}}}}}"


@pytest.fixture
def options(tiny, sets) -> list[str]:
    """Options for a run on both."""
    own = [word for word in options_of(tiny) if not word.startswith("--prepare_data")]
    return [*own, "--prepare_data.corpus=mixture", sets]


def training(run) -> tuple[bytes, list[dict]]:
    """The last weights of a training, and its history without times."""
    weights = (steps_in(run / "train")[-1] / "model" / "weights.safetensors").read_bytes()
    return weights, [{k: v for k, v in row.items() if k not in TIMES} for row in read_history(run / "train")]


@pytest.mark.parametrize("way", WAYS)
def test_a_killed_training_ends_in_the_same_bytes(way, options, tmp_path):
    words = [*options, *LONGER, *WAYS[way]]
    finish(launch(tmp_path / "whole", words))
    cut = tmp_path / "cut"
    history = cut / "train"
    for number, step in enumerate((4, 13)):
        process = launch(cut, [*words, f"--num_workers={number}"])
        assert kill_when(process, lambda least=step: last_step(history) >= least)
    finish(launch(cut, words))
    assert training(cut) == training(tmp_path / "whole")
    losses = [row for row in rows(cut, "train") if {"loss/small", "loss/large"} <= set(row)]
    assert len(losses) == (12 if way == "sub-batches" else 0)


def last_step(train_dir) -> int:
    history = read_history(train_dir)
    return history[-1]["step"] if history else 0


def test_two_processes_learn_what_one_learns_from_the_same_sub_batches(options, tmp_path):
    """Batches of 1 from 7 and 15 utterances: 15 batches an epoch, the last of which one process has alone."""
    plain = ["--build_downstream.conf.dropout=0", "--build_model.specaug=null", "--train.log_step=1", "--stop=2"]
    words = [*options, *plain, "--build_batch_sampler.train.batch_size=1", "--train.total_steps=10"]
    words += ["--build_batch_sampler.train.sets={small: {weight: 2}, large: {}}"]
    finish(launch(tmp_path / "one", words, "--train.gradient_accumulate=2"))
    finish(launch(tmp_path / "two", words, "--nproc=2"))
    losses = [
        [(r["loss"], r["loss/small"], r["loss/large"]) for r in rows(tmp_path / n, "train")] for n in ("one", "two")
    ]
    assert len(losses[0]) == 10
    assert [n for row in losses[1] for n in row] == pytest.approx([n for row in losses[0] for n in row], rel=1e-4)


def test_mistakes_are_found_before_any_work(options, tmp_path, capfd):
    words = [*options, f"--target_dir={tmp_path / 'run'}", "--build_batch_sampler.train.sets={small: {weigth: 2}}"]
    assert execute(ASR(), ["run", *words]) == 2
    assert "sets.small.weigth: unknown key (did you mean 'weight'?)" in capfd.readouterr().err
    assert not (tmp_path / "run" / "data").exists()
