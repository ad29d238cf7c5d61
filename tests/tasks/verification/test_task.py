"""Verification: validation learns the threshold, the calibration and the scorer; a test only uses them."""

from __future__ import annotations

import json
import math
import random

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from nn.losses.margin import AAMSoftmax
from tasks.metrics.verification import TrialScores
from tasks.verification.embeddings import from_text, to_text
from tasks.verification.scoring import Scorer
from tasks.verification.task import VerificationTask

DIMS = 4


class Echo(nn.Module):
    """The first samples of each waveform are its embedding."""

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(()))

    def forward(self, wav=None, wav_len=None, hidden_states=None, hidden_lens=None):
        x = wav if hidden_states is None else hidden_states
        return self.gain * x[:, :DIMS], torch.ones(len(x), dtype=torch.long)


def voices(count: int, utterances: int, name: str, seed: int) -> tuple[list[str], torch.Tensor, list[str]]:
    """Ids, embeddings and speakers."""
    draw = np.random.default_rng(seed)
    centres = np.repeat(draw.normal(1, 1, (count, DIMS)), utterances, axis=0)
    speakers = [f"{name}{n // utterances}" for n in range(count * utterances)]
    ids = [f"{name}-{n}" for n in range(count * utterances)]
    return ids, torch.from_numpy(centres + draw.normal(0, 0.7, centres.shape)).float(), speakers


def trials_of(ids: list[str], speakers: list[str]) -> pd.DataFrame:
    rows = [(a, b, str(int(s == t))) for i, (a, s) in enumerate(zip(ids, speakers)) for b, t in zip(ids[:i], speakers)]
    return pd.DataFrame(rows, columns=["id1", "id2", "label"])


VALID, TEST, COHORT = voices(6, 5, "v", 0), voices(5, 6, "t", 1), voices(12, 4, "c", 2)
VALID_TRIALS, TEST_TRIALS = trials_of(VALID[0], VALID[2]), trials_of(TEST[0], TEST[2])
COHORT_TABLE = pd.DataFrame({"id": COHORT[0], "spk": COHORT[2]})


def make(scorer: Scorer | None = None, **settings: object) -> VerificationTask:
    torch.manual_seed(0)
    tables = {"valid_trials": VALID_TRIALS, "test_trials": TEST_TRIALS, **settings}
    return VerificationTask(Echo(), AAMSoftmax(DIMS, 3), scorer, **tables).eval()


def records(task: VerificationTask, mode: str, *parts: tuple) -> dict:
    ids = [id for part in parts for id in part[0]]
    x = torch.cat([part[1] for part in parts])
    return task(mode, id=ids, wav=x, wav_len=torch.full((len(x),), DIMS)).records


def scores_of(x: torch.Tensor, ids: list[str], table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    place = {id: n for n, id in enumerate(ids)}
    unit = x / x.norm(dim=1, keepdim=True)
    scores = [float(unit[place[a]] @ unit[place[b]]) for a, b in zip(table["id1"], table["id2"])]
    return np.array(scores), (table["label"] == "1").to_numpy()


def test_embeddings_survive_the_text_to_the_last_bit():
    x = torch.randn(3, 5, dtype=torch.float32)
    assert (from_text(json.loads(json.dumps(to_text(x)))) == x.numpy()).all()
    assert (from_text(to_text(x.half())) == x.half().float().numpy()).all()


@pytest.mark.parametrize("settings", [{}, {"lda": 3, "backend": "plda", "as_norm": 5}])
def test_nothing_depends_on_the_order_of_utterances(settings):
    def metrics(order: list[int]) -> dict:
        task = make(Scorer(**settings), cohort=COHORT_TABLE)
        batch_records = records(task, "valid", VALID, COHORT)
        return task.reduction("valid", {name: [values[i] for i in order] for name, values in batch_records.items()})

    order = list(range(len(VALID[0]) + len(COHORT[0])))
    assert metrics(random.Random(0).sample(order, len(order))) == metrics(order)


def test_validation_scores_each_trial():
    task = make()
    batch_records = records(task, "valid", VALID)
    metrics = task.reduction("valid", batch_records)
    expected = TrialScores(*scores_of(VALID[1], VALID[0], VALID_TRIALS))
    assert metrics["eer"] == pytest.approx(expected.eer)
    assert metrics["min_dcf_0.01"] == pytest.approx(expected.min_dcf(0.01))
    assert metrics["min_dcf_0.05"] == pytest.approx(expected.min_dcf(0.05))
    assert metrics["trials"] == len(VALID_TRIALS) and metrics["utterances"] == 30
    assert 0 < metrics["cllr"] < 1


def test_a_test_uses_the_threshold_and_the_calibration_of_validation_from_a_checkpoint():
    task, other = make(), make(valid_trials=None)
    task.reduction("valid", records(task, "valid", VALID))
    other.set_state(json.loads(json.dumps(task.get_state())))
    metrics = other.reduction("test", records(other, "test", TEST))
    scores, targets = scores_of(TEST[1], TEST[0], TEST_TRIALS)
    assert set(metrics) == set(other.metrics)
    assert metrics["miss"] == pytest.approx((scores[targets] < task.threshold).mean())
    assert metrics["false_alarm"] == pytest.approx((scores[~targets] >= task.threshold).mean())
    expected = TrialScores(task.calibration(scores), targets).cllr()
    assert metrics["cllr"] == pytest.approx(expected, rel=1e-4)
    np.testing.assert_allclose(other.likelihood_ratios(scores), task.calibration(scores))
    assert other.threshold == task.threshold  # a test learns nothing


def test_weights_that_moved_on_since_validation_have_no_calibration(caplog):
    task = make()
    task.reduction("valid", records(task, "valid", VALID))
    task.train()("train", id=["a"], label=torch.tensor([0]), wav=torch.randn(1, DIMS), wav_len=torch.tensor([DIMS]))
    metrics = task.eval().reduction("test", records(task, "test", TEST))
    assert "eer" in metrics and not {"cllr", "miss", "false_alarm"} & metrics.keys()
    assert "never validated" in caplog.text and task.likelihood_ratios(np.zeros(1)) is None


SCORERS = [
    {"centre": True},
    {"lda": 3},
    {"backend": "plda"},
    {"as_norm": 5},
    {"lda": 3, "backend": "plda", "as_norm": 5},
]


@pytest.mark.parametrize("settings", SCORERS)
def test_what_is_learnt_of_the_cohort_is_learnt_in_validation_and_kept(settings):
    task = make(Scorer(**settings), cohort=COHORT_TABLE)
    metrics = task.reduction("valid", records(task, "valid", VALID, COHORT))
    assert metrics["trials"] == len(VALID_TRIALS) and metrics["eer"] < 0.5
    alone = Scorer(**settings)
    alone.learn(COHORT[1].numpy(), COHORT[2])
    other = make(Scorer(**settings), valid_trials=None)
    other.set_state(task.get_state())
    trials, scores = other.scored("test", records(other, "test", TEST))
    np.testing.assert_allclose(scores, alone.score(TEST[0], TEST[1].numpy(), trials), rtol=1e-4, atol=1e-5)

    other.batches += 1
    with pytest.raises(
        ValueError, match="training batch 0, but the weights are of 1: this checkpoint was never validated"
    ):
        other.reduction("test", records(other, "test", TEST))
    with pytest.raises(ValueError, match="this checkpoint was never validated; take the best one"):
        other.compare([[0.0] * DIMS], [1.0] * DIMS)


def test_the_mean_of_the_speakers_helps_where_all_embeddings_lean_one_way():
    plain, centred = make(), make(Scorer(centre=True), cohort=COHORT_TABLE)
    away = plain.reduction("valid", records(plain, "valid", VALID))["eer"]
    assert centred.reduction("valid", records(centred, "valid", VALID, COHORT))["eer"] < away


def test_scoring_that_needs_a_cohort_is_refused_without_one_before_training():
    with pytest.raises(ValueError, match="set build_dataset.cohort_per_speaker"):
        make(Scorer(as_norm=5))
    with pytest.raises(ValueError, match="as_norm is 13: there are 12 training speakers"):
        make(Scorer(as_norm=13), cohort=COHORT_TABLE)
    make(Scorer(as_norm=12), cohort=COHORT_TABLE)


@pytest.mark.parametrize("settings", [{}, {"as_norm": 5}])
def test_a_part_of_the_data_gives_the_metrics_of_its_trials(settings, caplog):
    task = make(Scorer(**settings), cohort=COHORT_TABLE)
    one = task.reduction("valid", records(task, "valid", tuple(part[:1] for part in VALID)))
    assert math.isnan(one["eer"]) and one["trials"] == 0 and {"min_dcf_0.01", "cllr"} <= one.keys()
    some = task.reduction("valid", records(task, "valid", tuple(part[:10] for part in VALID)))
    assert some["trials"] == (0 if settings else 45)
    metrics = task.reduction("test", records(task, "test", tuple(part[:12] for part in TEST)))
    assert math.isnan(metrics["eer"]) == bool(settings)
    assert "12 utterances cover 66 of 435 trials" in caplog.text


def test_the_margin_grows_over_training_batches_and_goes_on_from_a_checkpoint():
    task = make(margin_schedule=[2, 6]).train()
    data = {"id": ["a", "b"], "label": torch.tensor([0, 2]), "wav": torch.randn(2, DIMS)}
    shares, losses = [], []
    for _ in range(8):
        shares.append(task.margin_share)
        losses.append(task("train", wav_len=torch.tensor([DIMS] * 2), **data).loss.item())
    assert shares == [0, 0, 0, 0.25, 0.5, 0.75, 1, 1]
    for share, loss in zip(shares, losses):
        assert loss == pytest.approx(task.loss(data["wav"], data["label"], share).mean().item())
    other = make(margin_schedule=[2, 6])
    other.set_state(task.get_state())
    assert other.batches == 8 and other.margin_share == 1
    assert make().margin_share == 1  # without a schedule
    assert make(margin_schedule=[3, 3]).margin_share == 0


def test_hidden_states_reach_the_model():
    task, lengths = make(), torch.full((len(VALID[0]),), DIMS)
    output = task("valid", id=VALID[0], hidden_states=VALID[1], hidden_lens=lengths)
    assert task.takes_features and output.records == records(task, "valid", VALID)


def test_training_reaches_model_and_loss_and_keeps_no_embeddings():
    task = make().train()
    out = task("train", id=["a"], label=torch.tensor([1]), wav=torch.randn(1, DIMS), wav_len=torch.tensor([DIMS]))
    out.loss.backward()
    assert task.model.gain.grad is not None and task.loss.weight.grad is not None
    assert list(out.records) == ["id"] and task.reduction("train", out.records) == {}


def test_a_new_pair_scores_as_a_trial_does():
    task = make()
    first, *rest = task.predict(TEST[1][:3], torch.full((3,), DIMS))
    pair = task.verify([first], rest[0])
    assert pair.score == pytest.approx(float(torch.cosine_similarity(TEST[1][0], TEST[1][1], dim=0)), abs=1e-6)
    assert pair.same is None and pair.probability is None, "it was never validated"
    task.reduction("valid", records(task, "valid", VALID))
    assert task.decide(task.threshold) is True and task.decide(task.threshold - 1e-3) is False
    ratio = float(task.calibration([pair.score])[0])
    assert task.verify([first], rest[0]).probability == pytest.approx(1 / (1 + math.exp(-ratio)))
    unit = torch.nn.functional.normalize(TEST[1][:2], dim=1).mean(0)
    assert task.verify([first, rest[0]], rest[1]).score == pytest.approx(
        float(torch.cosine_similarity(unit, TEST[1][2], dim=0)), abs=1e-6
    )


def test_a_test_is_scored_once_for_its_metrics_and_its_files_and_no_other_records_get_its_scores(monkeypatch):
    task, counted = make(), []
    score = task.scorer.score
    monkeypatch.setattr(task.scorer, "score", lambda *args: counted.append(1) or score(*args))
    batch_records = records(task, "test", TEST)
    task.reduction("test", batch_records)
    _, scores = task.scored("test", batch_records)
    assert len(counted) == 1
    np.testing.assert_array_equal(task.scored("test", batch_records)[1], scores)
    assert len(counted) == 2, "they are handed over once"
    task.reduction("test", batch_records)
    other = {**batch_records, "embedding": batch_records["embedding"][::-1]}
    assert (task.scored("test", other)[1] != scores).any()


def test_what_cannot_be_scored_is_refused():
    task = make(test_trials=None)
    with pytest.raises(ValueError, match="no trials for mode test: build the task with test_trials"):
        task.reduction("test", records(task, "test", TEST))
    with pytest.raises(ValueError, match="margin_schedule is"):
        make(margin_schedule=[5, 2])
