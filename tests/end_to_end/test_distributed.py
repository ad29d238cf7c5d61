"""Two processes do what one does: the same losses, the same metrics, and they end together."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch

from problems.engine.checkpoints.store import steps_in
from problems.engine.report.history import read_history
from tests.conftest import ROOT, tiny_options
from tests.parts.processes import (
    PROGRAM,
    finish,
    finish_ranks,
    free_port,
    launch,
    launch_ranks,
    options_of,
    result,
    rows,
    start,
)


@pytest.fixture(scope="module")
def alone(tones, tmp_path_factory):
    """A run of one process, which accumulates two batches a step; its target folder."""
    folder = tmp_path_factory.mktemp("alone")
    finish(launch(folder / "run", options_of(tiny_options(tones, folder)), "--train.gradient_accumulate=2"))
    return folder / "run"


@pytest.fixture(scope="module")
def together(tones, tmp_path_factory):
    """The same training by two processes; its target folder."""
    folder = tmp_path_factory.mktemp("together")
    finish_ranks(launch_ranks([folder / "run"] * 2, options_of(tiny_options(tones, folder))))
    return folder / "run"


def assert_learnt_alike(one, two):
    losses = [[r["loss"] for r in rows(folder, "train")] for folder in (one, two)]
    assert len(losses[0]) == 50
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    assert result(two)[0] == pytest.approx(result(one)[0], rel=1e-5)


def test_two_processes_learn_what_one_learns_from_the_same_batches(alone, together):
    """22 utterances in batches of 3: 8 batches, the last of 1. Two processes, or one that accumulates two batches."""
    assert_learnt_alike(alone, together)


def test_nproc_starts_two_processes_that_learn_the_same(alone, tiny, tmp_path):
    finish(launch(tmp_path / "two", options_of(tiny), "--nproc=2"))
    assert_learnt_alike(alone, tmp_path / "two")


def test_two_processes_with_a_part_of_the_model_each_learn_the_same(alone, tiny, tmp_path):
    options = options_of(tiny, "--train.parallel=fsdp", "--train.average=newest")
    finish(launch(tmp_path / "two", options, "--nproc=2", "--stop=2"))
    assert (tmp_path / "two" / "train" / "average" / "model").is_dir()
    finish(launch(tmp_path / "two", options, "--start=3"))  # whole again, in one process
    assert_learnt_alike(alone, tmp_path / "two")


def test_evaluation_in_shares_is_that_of_one_process_to_the_last_bit(alone, tiny, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(alone, folder)
    shutil.rmtree(folder / "evaluate")
    options = options_of(tiny, "--train.gradient_accumulate=2")
    finish_ranks(launch_ranks([folder] * 2, options, "--start=3"))
    assert result(folder) == result(alone)


def test_a_killed_worker_restarts_and_ends_as_if_nothing_had_been(together, tiny, tmp_path):
    cut = tmp_path / "cut"
    process = launch(cut, options_of(tiny), "--stop=2", processes=2, restarts=1)
    while len(steps_in(cut / "train")) < 1:
        assert process.poll() is None
        time.sleep(0.005)
    workers = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True).stdout.split()
    os.kill(int(workers[-1]), signal.SIGKILL)
    out = finish(process)
    assert "training continues from step 25" in out
    weights = [(steps_in(f / "train")[-1] / "model/weights.safetensors").read_bytes() for f in (together, cut)]
    assert weights[0] == weights[1]
    assert rows(together, "train") == rows(cut, "train")


FAILING = '''
import os, time
from problems.asr import ASR

class FailingASR(ASR):
    """Fails on one process, at one place."""

    def fail(self, where):
        if os.environ["WHERE"] == where and os.environ.get("RANK", "0") == os.environ["ON"]:
            with open(os.environ["WHEN"], "w") as file:
                file.write(str(time.time()))
            raise RuntimeError(f"broken on purpose in {where}")

    def prepare_data(self, prepare_data, target_dir, cache_dir, get_path_only=False):
        if not get_path_only:
            self.fail("stage 0")
        return super().prepare_data(prepare_data, target_dir, cache_dir, get_path_only)

    def build_task(self, build_task, model, encoder):
        task, problem = super().build_task(build_task, model, encoder), self
        forward, seen = task.forward, []

        def failing(mode, **batch):
            seen.append(mode)
            if seen.count(mode) == 2:
                problem.fail(mode)
            return forward(mode, **batch)

        task.forward = failing
        return task

if __name__ == "__main__":
    FailingASR().main()
'''


@pytest.mark.parametrize(("where", "on"), [("stage 0", 0), ("train", 1), ("valid", 1), ("test", 1), ("test", 0)])
def test_an_error_on_one_process_ends_all_within_seconds_with_that_error(tiny, tmp_path, where, on):
    file = tmp_path / "failing_asr.py"
    file.write_text(FAILING)
    options = options_of(tiny, "--train.total_steps=8", "--train.eval_step=4")
    environment = {"WHERE": where, "ON": str(on), "WHEN": str(tmp_path / "when")}
    processes = launch_ranks([tmp_path / "run"] * 2, options, program=(str(file),), **environment)
    outputs = [process.communicate(timeout=60)[0] for process in processes]
    assert time.time() - float((tmp_path / "when").read_text()) < 15
    assert all(process.returncode for process in processes)
    assert f"broken on purpose in {where}" in outputs[on], outputs[on][-4000:]
    assert "broken on purpose" in outputs[1 - on], outputs[1 - on][-4000:]


def test_an_error_on_one_process_ends_torchrun_with_that_error(tiny, tmp_path):
    file = tmp_path / "failing_asr.py"
    file.write_text(FAILING)
    environment = {"WHERE": "train", "ON": "1", "WHEN": str(tmp_path / "when")}
    out = finish(launch(tmp_path / "run", options_of(tiny), program=(str(file),), processes=2, **environment), code=1)
    assert "broken on purpose in train" in out, out[-4000:]


def test_resuming_on_another_number_of_processes_is_said_and_loses_nothing(tiny, tmp_path):
    folder = tmp_path / "run"
    options = options_of(tiny, "--train.total_steps=30", "--train.save_step=5", "--stop=2")
    process = launch(folder, options, processes=2)
    while len(steps_in(folder / "train")) < 1:
        time.sleep(0.005)
    process.terminate()  # the agent hands it on: both processes stop at the same step
    assert "the training is saved at step" in process.communicate(timeout=60)[0]
    out = finish(launch(folder, options))
    assert "saved by 2 processes; this training continues with 1" in out
    last = torch.load(steps_in(folder / "train")[-1] / "training.pt", weights_only=True)["progress"]
    assert last["step"] == 30


def on_two_machines(tmp_path, options, program=PROGRAM):
    """Run on two machines without a common folder, as two folders: ``target_dir`` is relative to where each runs."""
    group = {"WORLD_SIZE": "2", "LOCAL_RANK": "0", "MASTER_PORT": str(free_port()), "PYTHONPATH": str(ROOT)}
    folders = [tmp_path / f"machine{node}" for node in (0, 1)]
    for folder in folders:
        folder.mkdir(exist_ok=True)
    words = [*program, "run", "--target_dir=run", *options]
    finish_ranks([start(words, cwd=folder, **group, RANK=str(rank)) for rank, folder in enumerate(folders)])


LEARNING = '''
from problems.asr import ASR
from tasks.ctc import CTCTask

class Learning(CTCTask):
    """Learns from each validation how many there were."""

    seen = 0

    def reduction(self, mode, records):
        self.seen += mode == "valid"
        return super().reduction(mode, records)

    def get_state(self):
        return {"seen": self.seen}

    def set_state(self, state):
        self.seen = state["seen"]

class LearningASR(ASR):
    def build_task(self, build_task, model, encoder):
        return Learning(model, encoder)

if __name__ == "__main__":
    LearningASR().main()
'''


def test_what_a_task_learns_in_validation_is_in_the_checkpoint_of_every_machine(tiny, tmp_path):
    (tmp_path / "learning.py").write_text(LEARNING)
    options = options_of(tiny, "--train.total_steps=4", "--train.eval_step=2", "--train.save_step=2", "--stop=2")
    on_two_machines(tmp_path, options, (str(tmp_path / "learning.py"),))
    for node in (0, 1):
        state = tmp_path / f"machine{node}" / "run" / "train" / "step_00000004" / "task" / "state.json"
        assert json.loads(state.read_text()) == {"seen": 2}  # and nothing of the look before the first step


def test_machines_without_common_files_each_have_data_and_checkpoints(tiny, tmp_path):
    options = options_of(tiny, "--train.total_steps=8", "--train.eval_step=4", "--train.save_step=4")
    on_two_machines(tmp_path, options)
    one, two = (tmp_path / f"machine{node}" / "run" for node in (0, 1))
    for name in ("data/train.csv", "encoder/encoder.json", "train/step_00000008/model/weights.safetensors"):
        assert (one / name).read_bytes() == (two / name).read_bytes()
    assert result(one)[0]["utterances"] == 7
    assert not (two / "report").exists()
    shutil.rmtree(two / "train" / "step_00000008")  # as if a kill had come between the two
    on_two_machines(tmp_path, [*options, "--train.total_steps=12", "--start=2", "--stop=2"])
    assert (two / "train" / "step_00000012").exists()
    assert [r["step"] for r in read_history(one / "train") if r["split"] == "valid"] == [4, 8, 12]
    shutil.rmtree(two / "data")
    (tmp_path / "other.csv").write_text((one / "data" / "train.csv").read_text().replace(" ba", " de"))
    other = [o for o in options if "prepare_data.train" not in o]
    on_two_machines(tmp_path, [*other, "--fresh=true", f"--prepare_data.train={tmp_path / 'other.csv'}"])
    assert (two / "train.1").exists()


def test_sharing_an_epoch_sees_each_utterance_once():
    from dataset.loader import train_stream
    from tests.parts.samplers import FixedBatchSampler

    for count, batch, size in ((22, 3, 2), (7, 2, 3), (5, 2, 4), (9, 3, 3)):
        seen, lengths = [], []
        for rank in range(size):
            stream = train_stream(
                list(range(count)), FixedBatchSampler(count, batch, True), list, seed=0, rank=rank, size=size
            )
            rounds = []
            for place, items in stream:
                rounds.append(place.real)
                seen += items if place.real else []
                if place.last:
                    break
            lengths.append(len(rounds))
        assert sorted(seen) == list(range(count)) and len(set(lengths)) == 1


def test_a_schedule_over_epochs_goes_on_on_another_number_of_processes(tiny, tmp_path):
    """8 batches an epoch: 8 steps of one process, 4 of two. The rate falls to nothing at the end, not before."""
    folder = tmp_path / "run"
    schedule = "--build_scheduler={name: warmup_linear, conf: {warmup: 0}}"
    options = options_of(tiny, "--train.total_steps=null", schedule, "--train.use_scheduler=true", "--stop=2")
    finish(launch(folder, options, "--train.epochs=2"))
    finish_ranks(launch_ranks([folder] * 2, options, "--train.epochs=4"))
    found = {r["step"]: r["lr"] for r in rows(folder, "train")}
    assert max(found) == 16 + 2 * 4  # two epochs of one process, two of two
    assert all(found[step] > found[step + 1] > 0 for step in range(17, 23))


UNEQUAL = """
import os
import torch
from problems.asr import ASR

class UnequalASR(ASR):
    def build_model(self, *args, **kwargs):
        torch.manual_seed(int(os.environ["RANK"]))
        return super().build_model(*args, **kwargs)

if __name__ == "__main__":
    UnequalASR().main()
"""


def test_every_process_starts_from_the_weights_of_the_first(tiny, tmp_path):
    (tmp_path / "unequal.py").write_text(UNEQUAL)
    options = options_of(tiny, "--train.total_steps=4", "--train.save_step=4", "--build_model.specaug=null", "--stop=2")
    on_two_machines(tmp_path, options, (str(tmp_path / "unequal.py"),))
    weights = Path("run/train/step_00000004/model/weights.safetensors")
    one, two = ((tmp_path / f"machine{node}" / weights).read_bytes() for node in (0, 1))
    assert one == two
