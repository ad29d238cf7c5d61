"""CTC: losses equal the sum over all paths, error rates equal jiwer's, and padding changes nothing."""

from __future__ import annotations

import itertools
import json
import math
import random

import jiwer
import pytest
import torch
from torch import nn

from tasks.ctc import CTCTask, ctc_losses


class Letters:
    """A tiny encoder: the blank, a, b, space."""

    symbols = "_ab "

    def encode(self, text: str) -> list[int]:
        return [self.symbols.index(letter) for letter in text]

    def decode(self, ids: list[int]) -> str:
        return "".join(self.symbols[i] for i in ids)

    def __len__(self) -> int:
        return len(self.symbols)


class Frames(nn.Module):
    """Each sample is a frame: a linear layer over (sample, sample squared), or over hidden states."""

    def __init__(self, symbols: int = 4):
        super().__init__()
        self.linear = nn.Linear(2, symbols)

    def forward(self, wav=None, wav_len=None, hidden_states=None, hidden_lens=None):
        if hidden_states is not None:
            return self.linear(hidden_states), hidden_lens
        return self.linear(torch.stack([wav, wav * wav], dim=-1)), wav_len


def make_batch(texts: list[str], seed: int = 0) -> dict:
    draw = random.Random(seed)
    lens = [draw.randint(2 * len(text) + 1, 2 * len(text) + 6) for text in texts]
    wav = torch.zeros(len(texts), max(lens))
    tokens = torch.zeros(len(texts), max(map(len, texts)), dtype=torch.long)
    generator = torch.Generator().manual_seed(seed)
    for i, text in enumerate(texts):
        wav[i, : lens[i]] = torch.randn(lens[i], generator=generator)
        tokens[i, : len(text)] = torch.tensor(Letters().encode(text), dtype=torch.long)
    return {
        "wav": wav,
        "wav_len": torch.tensor(lens),
        "tokens": tokens,
        "tokens_len": torch.tensor([len(text) for text in texts]),
        "text": texts,
        "id": [f"{seed}-{i}" for i in range(len(texts))],
    }


@pytest.fixture
def task() -> CTCTask:
    torch.manual_seed(1)
    return CTCTask(Frames(), Letters())


def brute_force_nll(logits: torch.Tensor, target: list[int]) -> float:
    """Minus log of the summed probability of every path that collapses to the target."""
    probs, total = logits.double().softmax(-1), 0.0
    for path in itertools.product(range(probs.shape[1]), repeat=probs.shape[0]):
        if [s for s, _ in itertools.groupby(path) if s != 0] == target:
            total += math.prod(float(probs[t, s]) for t, s in enumerate(path))
    return -math.log(total) if total else math.inf


@pytest.mark.parametrize("target", [[], [1], [1, 2], [1, 1], [2, 1, 2], [1, 1, 2]])
def test_loss_equals_the_sum_over_all_paths(target):
    logits = torch.randn(1, 5, 3, generator=torch.Generator().manual_seed(len(target)))
    tokens = torch.tensor([target], dtype=torch.long)
    losses, too_short = ctc_losses(logits, torch.tensor([5]), tokens, torch.tensor([len(target)]))
    assert losses.item() == pytest.approx(brute_force_nll(logits[0], target) / max(len(target), 1), rel=1e-5)
    assert not too_short.item()


def test_batch_loss_is_torchs_mean_and_weight_counts_utterances(task):
    batch = make_batch(["ab a", "b", "aab"])
    logits, lens = task.model(batch["wav"], batch["wav_len"])
    expected = nn.functional.ctc_loss(
        logits.log_softmax(-1).transpose(0, 1), batch["tokens"], lens, batch["tokens_len"], reduction="mean"
    )
    output = task("train", **batch)
    assert output.loss.item() == pytest.approx(expected.item(), rel=1e-6)
    assert output.weight == 3


def test_padding_changes_neither_loss_nor_text(task):
    texts = ["ab a", "b", "aab", "ba ba ab"]
    together = make_batch(texts)
    records = task("valid", **together).records
    for i, text in enumerate(texts):
        frames, labels = together["wav_len"][i], len(text)
        alone = {key: value[i : i + 1] for key, value in together.items()}
        alone["wav"], alone["tokens"] = alone["wav"][:, :frames], alone["tokens"][:, :labels]
        record = task("valid", **alone).records
        assert record.pop("loss") == pytest.approx([records["loss"][i]], rel=1e-5)
        assert record == {key: values[i : i + 1] for key, values in records.items() if key != "loss"}
    together["wav"] = nn.functional.pad(together["wav"], (0, 7), value=9.0)  # loud padding is never decoded
    assert task("valid", **together).records["hypothesis"] == records["hypothesis"]


@pytest.mark.parametrize(
    "text, frames, too_short",
    [("ab", 2, 0), ("ab", 1, 1), ("aa", 2, 1), ("aa", 3, 0), ("a", 0, 1), ("", 0, 1), ("", 1, 0)],
)
def test_too_few_frames_cost_nothing_and_are_counted(task, text, frames, too_short):
    batch = make_batch([text, "ab a"])
    batch["wav_len"][0] = frames
    output = task("valid", **batch)
    assert output.records["too_short"] == [bool(too_short), False]
    assert (output.records["loss"][0] == 0) == too_short
    assert task.reduction("valid", output.records)["too_short"] == too_short
    output.loss.backward()
    assert output.loss.item() == pytest.approx(sum(output.records["loss"]) / 2)
    assert all(torch.isfinite(p.grad).all() for p in task.parameters())


def test_a_batch_without_a_single_frame(task):
    batch = make_batch(["a", "ab"])
    batch["wav"], batch["wav_len"] = batch["wav"][:, :0], batch["wav_len"] * 0
    output = task("valid", **batch)
    output.loss.backward()
    assert output.loss.item() == 0 and output.records["hypothesis"] == ["", ""]
    assert output.records["too_short"] == [True, True]


def test_training_records_hold_only_the_id(task):
    assert task("train", **make_batch(["ab", "a"])).records == {"id": ["0-0", "0-1"]}
    assert task.reduction("train", {"id": ["0-0"]}) == {}


def test_loss_is_float32_under_reduced_precision(task):
    batch = make_batch(["ab a", "b"])
    full = task("train", **batch).loss
    with torch.autocast("cpu", dtype=torch.bfloat16):
        reduced = task("train", **batch).loss
    assert reduced.dtype == torch.float32 and reduced.item() == pytest.approx(full.item(), rel=2e-2)


def test_hidden_states_instead_of_wav(task):
    batch = make_batch(["ab", "b"])
    expected = task("valid", **batch).records
    wav, wav_len = batch.pop("wav"), batch.pop("wav_len")
    batch |= {"hidden_states": torch.stack([wav, wav * wav], dim=-1), "hidden_lens": wav_len}
    assert task.takes_features and task("valid", **batch, speaker=["x", "y"]).records == expected


def gather(task: CTCTask, sizes: list[int]) -> list[dict]:
    texts = [" ".join(random.Random(i).choices(["a", "ab", "ba"], k=3)) for i in range(sum(sizes))]
    task.model.linear.weight.data.mul_(3)
    return [task("test", **make_batch(texts[i : i + n], seed=i)).records for i, n in enumerate(sizes)]


def join(parts: list[dict]) -> dict[str, list]:
    return {key: [value for part in parts for value in part[key]] for key in parts[0]}


def test_reduction_is_corpus_level_and_equals_jiwer(task):
    records = join(gather(task, [1, 5, 2, 7]))
    metrics = task.reduction("test", records)
    words = jiwer.process_words(records["reference"], records["hypothesis"])
    assert metrics["wer"] == words.wer
    tidy = [" ".join(text.split()) for text in records["hypothesis"]]  # jiwer counts doubled spaces
    assert metrics["cer"] == jiwer.cer(records["reference"], tidy)
    assert (metrics["utterances"], metrics["words"]) == (15, 45)
    assert set(metrics) | {"word_ece", "word_ece_uncalibrated"} == set(task.metrics)
    counts = [metrics[name] for name in ("substitutions", "deletions", "insertions")]
    assert counts == [words.substitutions, words.deletions, words.insertions]
    assert metrics["loss"] == pytest.approx(sum(records["loss"]) / 15)
    assert sum(records["word_errors"]) == sum(counts)
    assert json.loads(json.dumps(records)) == records


def test_reduction_is_the_same_to_the_last_bit_in_any_order(task):
    parts = gather(task, [3, 1, 4, 1, 5])
    expected = task.reduction("test", join(parts))
    for seed in range(20):
        random.Random(seed).shuffle(parts)
        assert task.reduction("test", join(parts)) == expected


def test_a_prediction_is_the_hypothesis(task):
    batch = make_batch(["ab", "b a"])
    expected = task("test", **batch).records["hypothesis"]
    predictions = [str(own) for own in task.eval().predict(batch["wav"], batch["wav_len"])]
    assert predictions == [" ".join(text.split()) for text in expected]


def test_log_predictions_shows_the_first_by_id(task, caplog):
    task.log_predictions = 1
    records = task("valid", **make_batch(["ab", "b a"])).records
    backwards = {key: values[::-1] for key, values in records.items()}
    with caplog.at_level("INFO"):
        task.reduction("valid", backwards)
    assert [record.args[:2] for record in caplog.records] == [("0-0", "ab")]


def test_wrong_settings_are_refused(task):
    batch = make_batch(["ab"])
    with pytest.raises(ValueError, match="gives 7 scores a frame but the encoder has 4 classes"):
        CTCTask(Frames(7), Letters())("train", **batch)
    with pytest.raises(ValueError, match="log_predictions is -1"):
        CTCTask(Frames(), Letters(), log_predictions=-1)
