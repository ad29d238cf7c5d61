"""Each recipe of the cookbook trains, and does what it says."""

from __future__ import annotations

import json
import math
import re
import runpy

import numpy as np
import pytest
import soundfile
import torch

import problems
from problems.asr import ASR
from problems.engine.cli.main import execute
from problems.engine.loops.train import TrainLoop
from tests.conftest import ROOT

RECIPES = dict(
    re.findall(r"`(\w+\.py)`:\n\n```python\n(.*?)```", (ROOT / "docs" / "cookbook.md").read_text("utf-8"), re.S)
)
PROBLEMS = {"focal.py": "FocalKS", "sentences.py": "SentenceASR", "layers.py": "LayersASR", "steady.py": "SteadyASR"}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    for name, text in RECIPES.items():
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.fixture
def sounds(tmp_path):
    """Loud and soft noises, in folders of their own."""
    rng = np.random.default_rng(0)
    for label, level in (("loud", 0.5), ("soft", 0.005)):
        (tmp_path / "recordings" / label).mkdir(parents=True)
        for number in range(15):
            soundfile.write(tmp_path / "recordings" / label / f"{number}.wav", level * rng.uniform(-1, 1, 8000), 16000)
    return tmp_path / "recordings"


def problem_of(file: str, name: str):
    return runpy.run_path(file)[name]()


def of_labels(folder) -> list[str]:
    return ["--cache_dir=cache", "--num_workers=0", f"--prepare_data.dataset_root={folder}",
            "--prepare_data.corpus=folders", "--prepare_data.valid_fraction=0.2", "--prepare_data.test_fraction=0.2",
            "--build_upstream.conf.cmvn=none", "--build_downstream={name: mean_pool_linear, conf: {hidden_size: 8}}",
            "--train={total_steps: 40, eval_step: 40, save_step: 40}", "--evaluate.baselines=false"]  # fmt: skip


def metrics_of(target) -> dict:
    (result,) = target.glob("evaluate/*/test/result.json")
    return json.loads(result.read_text())["metrics"]


def test_every_recipe_is_tested_here():
    assert [*RECIPES] == ["focal.py", "sentences.py", "clip.py", "growing.py", "layers.py", "steady.py", "loud.py"]


def test_the_focal_loss_trains_keywords_and_counts_sure_ones_less(folder, sounds):
    problem = problem_of("focal.py", "FocalKS")
    assert execute(problem, ["run", *of_labels(sounds), "--target_dir=run"]) == 0
    assert metrics_of(folder / "run")["accuracy"] == 1
    task = runpy.run_path("focal.py")["Focal"]
    logits = torch.tensor([[4.0, 0.0], [0.0, 0.0]])
    focal = task._training_loss(None, 0, logits, torch.tensor([0, 0]))
    plain = torch.nn.functional.cross_entropy(logits, torch.tensor([0, 0]), reduction="none")
    assert torch.allclose(focal, plain * (1 - (-plain).exp()) ** 2)


def test_the_metric_has_an_interval_and_chooses_the_checkpoint(folder, tiny):
    assert execute(problem_of("sentences.py", "SentenceASR"), ["run", *tiny]) == 0
    (path,) = (folder / "run").glob("evaluate/*/test/result.json")
    result = json.loads(path.read_text())
    assert 0 <= result["metrics"]["sentence_errors"] <= 1 and len(result["intervals"]["sentence_errors"]) == 2
    assert "sentence_errors" in next(iter(json.loads((folder / "run/train/best.json").read_text())))


def test_the_augmentation_clips_the_training_alone(folder, tiny, tones):
    options = ["--build_dataset.augment=[{name: 'clip:Clip', prob: 1.0, conf: {loudest: 0.2}}]", "--stop=2"]
    assert execute(ASR(), ["run", *tiny, *options]) == 0
    from clip import Clip

    torch.manual_seed(0)
    wav = torch.randn(1000)
    clipped = [Clip(0.2)(wav).abs().max() / wav.abs().max() for _ in range(20)]
    assert 0.2 <= min(clipped) < 0.5 < max(clipped) <= 1


def test_the_sampler_begins_with_short_utterances(tiny):
    options = ["--build_batch_sampler.train.name=growing:Growing", "--build_batch_sampler.train.conf.epochs=3"]
    assert execute(ASR(), ["run", *tiny, *options, "--stop=2"]) == 0
    from growing import Growing

    class Lengths:
        seconds = [9.0, 1.0, 8.0, 2.0, 7.0, 3.0]

    sampler = Growing(Lengths(), 2, None, epochs=3)
    assert [len(sampler), *map(sorted, [sampler.batch(0, 0, 0)])] == [3, [1, 3]]
    taken = {index for number in range(100) for index in sampler.batch(0, 2, number)}
    assert taken == set(range(6)) and sampler.batch(1, 2, 3) == sampler.batch(1, 2, 3)


def test_the_callback_writes_after_each_validation(folder, tiny):
    assert execute(problem_of("layers.py", "LayersASR"), ["run", *tiny, "--stop=2"]) == 0
    rows = [json.loads(line) for line in (folder / "layers.jsonl").read_text().splitlines()]
    assert len(rows) == 2 and rows[0]["weights"] == {"0": 1.0} and "wer" in rows[0]


def test_the_loop_leaves_out_steps_with_far_larger_gradients(tiny, monkeypatch):
    file = runpy.run_path("steady.py")
    assert execute(file["SteadyASR"](), ["run", *tiny, "--stop=2"]) == 0

    loop = object.__new__(file["Steady"])  # the method alone
    monkeypatch.setattr(TrainLoop, "check_gradients", lambda self, norms: torch.isfinite(norms[0]))
    norms = (math.nan, 1.0, 2.0, math.inf, 1000.0, 3.0, 20000.0)
    accepted = [bool(loop.check_gradients([torch.tensor(own)])) for own in norms]
    assert accepted == [False, True, True, False, True, True, False]


def test_the_problem_learns_what_is_loud_and_predicts(folder, sounds, capsys):
    problem = problem_of("loud.py", "Loud")
    assert execute(problem, ["run", *of_labels(sounds), "--target_dir=run"]) == 0
    assert metrics_of(folder / "run")["accuracy"] == 1
    assert problems.load("run", problem=type(problem)).predict(sounds / "loud" / "0.wav").label == "loud"
