"""CTC with an attention decoder: losses, metrics, decoding, and that padding changes nothing."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from nn.streaming import CannotStream
from nn.transformer_decoder import TransformerDecoder
from tasks.ctc import CTCTask
from tasks.joint import JointTask, attention_losses
from tests.tasks.test_ctc import Letters, make_batch
from tests.tasks.test_decoding import NGRAMS

SIZE = 8
TEXTS = ["ab a", "b", "aab", "ba ba ab"]


class Model(nn.Module):
    """Each sample is a frame; its outputs are CTC's scores, and what the attention decoder reads."""

    def __init__(self, outputs: int = 4 + SIZE):
        super().__init__()
        self.linear = nn.Linear(2, outputs)
        self.attention_decoder = TransformerDecoder(4, size=SIZE, layers=1, heads=2, feedforward=12, dropout=0.0)

    def forward(self, wav, wav_len):
        return self.linear(torch.stack([wav, wav * wav], dim=-1)), wav_len


class CTCAlone(nn.Module):
    def __init__(self, model: Model):
        super().__init__()
        self.model = model

    def forward(self, wav, wav_len):
        outputs, lengths = self.model(wav, wav_len)
        return outputs[..., :4], lengths


def task(**settings) -> JointTask:
    torch.manual_seed(1)
    return JointTask(Model(), Letters(), **settings)


def test_the_loss_is_that_of_both_by_their_weights_and_each_has_its_name():
    batch, alone = make_batch(TEXTS), CTCTask(CTCAlone(task().model), Letters())
    ctc = alone("train", **batch).loss
    for weight in (0.0, 0.3, 1.0):
        output = task(ctc_weight=weight)("train", **batch)
        parts = output.losses
        assert set(parts) == {"loss_ctc", "loss_attention"} and output.weight == 4
        torch.testing.assert_close(parts["loss_ctc"], ctc)
        torch.testing.assert_close(output.loss, weight * ctc + (1 - weight) * parts["loss_attention"])
        assert set(output.records) == {"id"}


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_attention_loss_is_the_mean_over_an_utterances_tokens_and_its_end(smoothing):
    logits = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0))
    tokens, lengths = torch.tensor([[1, 2, 3, 1], [2, 9, 9, 9], [9, 9, 9, 9]]), torch.tensor([4, 1, 0])
    losses, right = attention_losses(logits, tokens, lengths, smoothing)
    for own, row, length, loss, count in zip(logits, tokens, lengths.tolist(), losses, right.tolist()):
        targets = [*row[:length].tolist(), 0]
        log_probs = own.double().log_softmax(-1)[: length + 1]
        each = [-(1 - smoothing) * p[t] - smoothing * p.mean() for p, t in zip(log_probs, targets)]
        assert loss.item() == pytest.approx(float(sum(each)) / (length + 1), rel=1e-5)
        assert count == sum(int(p.argmax()) == t for p, t in zip(log_probs, targets))


def test_gradients_of_both_reach_the_encoder_and_the_decoder():
    whole = task()
    for name in ("loss_ctc", "loss_attention"):
        whole.zero_grad()
        whole("train", **make_batch(TEXTS)).losses[name].backward()
        weight = whole.model.linear.weight.grad
        assert weight[:4].abs().max() > 0 if name == "loss_ctc" else weight[4:].abs().max() > 0
        decoder = [own.grad for own in whole.model.attention_decoder.parameters()]
        assert all(own is None for own in decoder) == (name == "loss_ctc")


def test_metrics_are_over_all_utterances_and_tokens():
    whole = task().eval()
    records = whole("test", **make_batch(TEXTS)).records
    metrics = whole.reduction("test", records)
    assert set(metrics) - set(CTCTask.metrics) == {"loss_ctc", "loss_attention", "token_accuracy"}
    assert metrics["token_accuracy"] == sum(records["right_tokens"]) / sum(len(text) + 1 for text in TEXTS)
    assert metrics["loss"] == pytest.approx(0.3 * metrics["loss_ctc"] + 0.7 * metrics["loss_attention"])
    weights = torch.ones(1, 4).double().numpy()
    for name, value in whole.resampled("test", records, weights).items():
        assert value[0] == pytest.approx(metrics[name]), name
    assert set(JointTask.metrics) >= set(metrics)


@pytest.mark.parametrize("decode", [{}, {"name": "joint", "beam": 3, "nbest": 2}])
def test_padding_changes_neither_losses_nor_texts(decode):
    whole, together = task(decode=decode).eval(), make_batch(TEXTS)
    records = whole("test", **together).records
    for i, text in enumerate(TEXTS):
        frames = together["wav_len"][i]
        alone = {key: value[i : i + 1] for key, value in together.items()}
        alone["wav"], alone["tokens"] = alone["wav"][:, :frames], alone["tokens"][:, : len(text)]
        record = whole("test", **alone).records
        for name in ("loss", "loss_ctc", "loss_attention"):
            assert record.pop(name) == pytest.approx(records[name][i : i + 1], rel=1e-4)
        if decode:
            (own,), other = (json.loads(record.pop("nbest")[0]),), json.loads(records["nbest"][i])
            assert [one for one, _ in own] == [one for one, _ in other]
            assert [score for _, score in own] == pytest.approx([score for _, score in other], abs=1e-4)
        assert record == {key: records[key][i : i + 1] for key in record}


def test_an_utterance_that_is_too_short_costs_nothing():
    batch = make_batch(["ab", "ab a"])
    for frames in (0, 1):
        batch["wav_len"][0] = frames
        output = task().eval()("valid", **batch)
        assert output.records["loss"][0] == 0 < output.records["loss"][1]
        assert output.records["too_short"] == [True, False]
        output.loss.backward()
    batch["wav"], batch["wav_len"] = batch["wav"][:, :0], batch["wav_len"] * 0
    output = task(decode={"name": "joint"}).eval()("test", **batch)
    assert output.loss.item() == 0 and output.records["hypothesis"] == ["", ""]


def test_the_decoder_learns_and_a_joint_search_finds_the_texts():
    texts = ["ab", "ba", "aab", "b"]
    whole, batch = task(decode={"name": "joint", "beam": 4}), make_batch(texts)
    optimizer = torch.optim.Adam(whole.parameters(), 0.02)
    for _ in range(150):
        optimizer.zero_grad()
        whole("train", **batch).losses["loss_attention"].backward()  # CTC learns nothing
        optimizer.step()
    whole.eval()
    output = whole("test", **batch)
    assert whole.reduction("test", output.records)["token_accuracy"] == 1.0
    whole.decoder.ctc_weight = 0.0
    assert [str(own) for own in whole.predict(batch["wav"], batch["wav_len"])] == texts
    assert whole("valid", **batch).records["hypothesis"] != texts, "validations decode by CTC"


def test_other_decoders_are_those_of_ctc():
    batch = make_batch(TEXTS)
    for decode in ({"name": "greedy"}, {"name": "beam", "beam": 5, "nbest": 3}):
        whole = task(decode=decode).eval()
        alone = CTCTask(CTCAlone(whole.model), Letters(), decode=decode).eval()
        records, expected = whole("test", **batch).records, alone("test", **batch).records
        assert {key: records[key] for key in expected if key != "loss"} == {
            key: own for key, own in expected.items() if key != "loss"
        }


def test_a_language_model_counts_in_a_joint_search():
    batch, ngrams = make_batch(TEXTS), {("a",): (-0.1, 0.0), ("b",): (-3.0, 0.0), ("</s>",): (-0.5, 0.0)}
    settings = {"name": "joint", "lm_weight": 5.0, "lexicon": True}
    whole = task(decode=settings, ngrams=ngrams).eval()
    words = {word for text in whole("test", **batch).records["hypothesis"] for word in text.split()}
    assert words <= {"a", "b"}
    free = task(decode={"name": "joint"}, ngrams=NGRAMS).eval()("test", **batch).records["hypothesis"]
    assert {word for text in free for word in text.split()} - {"a", "b"}


def test_wrong_settings_and_sizes_are_named():
    with pytest.raises(ValueError, match="ctc_weight is 1.5"):
        task(ctc_weight=1.5)
    with pytest.raises(ValueError, match="decode.ctc_weight is 2"):
        task(decode={"name": "joint", "ctc_weight": 2})
    with pytest.raises(ValueError, match="expected one of greedy, beam, joint"):
        task(decode={"name": "best"})
    with pytest.raises(ValueError, match="gives 4 outputs a frame: expected 4, .* and 8 more"):
        JointTask(Model(4), Letters())("train", **make_batch(TEXTS))


def test_a_recording_in_chunks_is_refused():
    with pytest.raises(CannotStream, match="takes a recording as a whole"):
        task().stream()
