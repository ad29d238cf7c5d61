"""Whole runs on cached features end as runs without, over processes, kills and changed settings."""

from __future__ import annotations

import json
import random
import signal
import time

import pytest

from problems.engine.cli.main import execute
from problems.engine.report.history import read_history
from tests.parts.features import stored_keys
from tests.parts.frozen_asr import FrozenASR
from tests.parts.processes import PLAIN, finish, finish_ranks, launch, launch_ranks

PROGRAM = ("-m", "tests.parts.frozen_asr")


@pytest.fixture
def options(tiny):
    drop = ("--target_dir", "--build_upstream")
    own = ["--build_dataset.speeds=[1.0]", "--train.total_steps=16", "--train.eval_step=8"]
    return [o for o in tiny if not o.startswith(drop)] + PLAIN + own


def run(options, folder, *more) -> int:
    return execute(FrozenASR(), ["run", *options, f"--target_dir={folder}", *more])


def outcome(folder):
    """The losses of training, and the metrics and predictions of stage 3."""
    (path,) = (folder / "evaluate").glob("*/*/result.json")
    losses = [row["loss"] for row in read_history(folder / "train") if row["split"] == "train"]
    return losses, json.loads(path.read_text())["metrics"], (path.parent / "predictions.csv").read_text()


@pytest.mark.parametrize("mode", ["disk", "ram"])
def test_a_run_with_the_cache_ends_as_one_without(options, tmp_path, capfd, mode):
    assert run(options, tmp_path / "off", "--features.cache=off") == 0
    capfd.readouterr()
    assert run(options, tmp_path / "on", f"--features.cache={mode}") == 0
    output = capfd.readouterr().err
    expected, cached = outcome(tmp_path / "off"), outcome(tmp_path / "on")
    assert cached[0] == pytest.approx(expected[0], rel=2e-3)
    assert cached[1] == pytest.approx(expected[1], rel=2e-3)
    assert output.count("0 utterances from the cache, 22 computed") == 1  # train
    assert (
        output.count("0 utterances from the cache, 5 computed") == 1 and output.count(" 7 computed") == 1
    )  # valid, test
    assert len(stored_keys(tmp_path / "cache")) == (34 if mode == "disk" else 0)


def test_a_second_run_reads_the_features_of_the_first_and_gives_the_same_bits(options, tmp_path, capfd):
    for name in ("one", "two"):
        capfd.readouterr()
        assert run(options, tmp_path / name, "--features.cache=disk") == 0
    assert "22 utterances from the cache, 0 computed" in capfd.readouterr().err
    assert outcome(tmp_path / "one") == outcome(tmp_path / "two")


def test_the_weights_of_the_layers_are_reported_after_training(options, tmp_path, capfd):
    assert run(options, tmp_path / "run") == 0
    weights = json.loads((tmp_path / "run" / "train" / "layer_weights.json").read_text())
    assert list(weights) == ["0", "1", "2"] and sum(weights.values()) == pytest.approx(1)
    model = FrozenASR().load_model(str(tmp_path / "run" / "train" / "step_00000016" / "model"))
    assert {int(layer): weight for layer, weight in weights.items()} == model.featurizer.weight_by_layer()
    assert f"weights of the layers: 0: {weights['0']:.3f}, 1: " in capfd.readouterr().err
    assert json.loads((tmp_path / "run" / "report" / "results.json").read_text())["layers"] == weights
    assert "Weights of the layers" in (tmp_path / "run" / "report" / "report.html").read_text()


def test_cache_and_limit_may_change_under_a_training_but_not_the_type(options, tmp_path, capfd):
    assert run(options, tmp_path / "run", "--features.cache=disk") == 0
    result = next((tmp_path / "run").glob("evaluate/*/*/result.json"))
    written = result.stat().st_mtime_ns
    free = ("--features.cache=off", "--features.limit_gb=3")
    capfd.readouterr()
    assert run(options, tmp_path / "run", *free) == 0
    assert "every stage is done and fresh" in capfd.readouterr().err
    assert run(options, tmp_path / "run", *free, "--start=3") == 0
    assert result.stat().st_mtime_ns == written
    assert run(options, tmp_path / "run", *free, "--train.total_steps=20") == 0
    capfd.readouterr()
    assert run(options, tmp_path / "run", "--features.dtype=fp32", "--train.total_steps=24") == 2
    assert 'features.dtype: "fp16" -> "fp32"' in capfd.readouterr().err


def test_off_in_a_config_file_is_not_read_as_false(options, tmp_path):
    config = tmp_path / "mine.yaml"
    config.write_text("features:\n  cache: off\n")
    assert run(options, tmp_path / "run", f"--config={config}", "--stop=2") == 0
    assert not stored_keys(tmp_path / "cache")
    assert run(options, tmp_path / "run", f"--config={tmp_path / 'run' / 'config.yaml'}", "--stop=2") == 0


def test_the_summary_states_the_space_that_features_will_take(options, tmp_path, capfd):
    assert run(options, tmp_path / "run", "--stop=1") == 0
    capfd.readouterr()
    assert run(options, tmp_path / "run", "--features.cache=disk") == 0
    output = next(line for line in capfd.readouterr().err.splitlines() if line.startswith("  features"))
    used = sum(path.stat().st_size for path in (tmp_path / "cache").glob("features/*/*.safetensors"))
    assert "1 MB" in output and used < 1e6 and str(tmp_path / "cache" / "features") in output


@pytest.mark.parametrize("mode", [pytest.param("disk", marks=pytest.mark.slow), "ram"])
def test_two_processes_share_the_computing_and_train_the_same_model(options, tmp_path, mode):
    assert run(options, tmp_path / "one", f"--features.cache={mode}", "--train.gradient_accumulate=2") == 0
    more = (f"--features.cache={mode}", f"--cache_dir={tmp_path / 'other'}")
    output = finish_ranks(launch_ranks([tmp_path / "two"] * 2, options, *more, program=PROGRAM))
    assert "22 computed" in output
    one, two = outcome(tmp_path / "one"), outcome(tmp_path / "two")
    assert two[0] == pytest.approx(one[0], rel=1e-4) and two[1] == pytest.approx(one[1], rel=1e-4)
    assert sorted(stored_keys(tmp_path / "other")) == sorted(stored_keys(tmp_path / "cache"))


@pytest.mark.slow
def test_machines_without_a_common_disk_do_not_cache_on_disk(options, tmp_path):
    output = finish(launch(tmp_path / "run", options, "--nproc=2", "--features.cache=disk", program=PROGRAM, APART="1"))
    assert "room for 0.0 GB on disk" in output and not list((tmp_path / "cache").glob("*/features/*/*.safetensors"))


def kill_and_finish(options, tmp_path, trials: int, seed: int, longest: float) -> None:
    """Kill two runs that fill one cache at random moments; a later run ends as one that was never disturbed."""
    randoms = random.Random(seed)
    assert run([*options, f"--cache_dir={tmp_path / 'quiet'}"], tmp_path / "expected", "--features.cache=disk") == 0
    most_keys = 0
    for _ in range(trials):
        pair = [
            launch(tmp_path / name, options, "--features.cache=disk", program=PROGRAM, SLOW="0.05")
            for name in ("a", "b")
        ]
        began = time.monotonic()
        while not list((tmp_path / "cache").glob("features/*/*")) and time.monotonic() - began < 30:
            time.sleep(0.02)
        time.sleep(randoms.uniform(0, longest))
        for process in pair:
            process.send_signal(signal.SIGKILL)
            process.communicate()
        most_keys = max(most_keys, len(stored_keys(tmp_path / "cache")))
    assert most_keys
    finish(launch(tmp_path / "a", options, "--features.cache=disk", program=PROGRAM))
    assert outcome(tmp_path / "a")[1] == pytest.approx(outcome(tmp_path / "expected")[1], rel=1e-3)
    assert sorted(set(stored_keys(tmp_path / "cache"))) == sorted(stored_keys(tmp_path / "quiet"))
    assert not list((tmp_path / "cache").glob("features/*/.*.tmp"))


def test_two_runs_killed_while_they_fill_the_cache(options, tmp_path):
    kill_and_finish(options, tmp_path, 1, seed=0, longest=0.5)


@pytest.mark.slow
def test_two_runs_killed_many_times(options, tmp_path):
    kill_and_finish(options, tmp_path, 8, seed=1, longest=1.5)
