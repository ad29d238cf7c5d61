"""CTC's beam search against another one: flashlight's, in C++, over the outputs of a trained model."""

from __future__ import annotations

import pytest
import torch

import problems
from dataset.audio import read
from dataset.language.ngrams import learn
from nn.decode.ngram import NgramModel
from problems.asr import ASR
from problems.engine.cli.main import execute
from tests.conftest import tiny_options, write_tones

pytest.importorskip("flashlight.lib.text.decoder", reason="flashlight-text is not installed (extra dev)")
from tests.parts.flashlight_decoder import LetterSearch, WordSearch

UTTERANCES, BEAM, THEIR_BEAM = 100, 300, 1500


@pytest.fixture(scope="module")
def outputs(tones, tmp_path_factory):
    """Log probabilities (T, V) of a trained recogniser for 100 utterances that it does not know, its symbols, texts."""
    folder = tmp_path_factory.mktemp("flashlight")
    steps = "--train={total_steps: 400, eval_step: 400, save_step: 400, log_step: 400, use_scheduler: false}"
    settings = ["--build_model.specaug=null", "--build_downstream.conf={hidden_size: [24], dropout: 0}", steps]
    assert execute(ASR(), ["run", *tiny_options(tones, folder), *settings, "--stop=2"]) == 0
    own = problems.load(str(folder / "run"), device="cpu")
    rows = write_tones(folder / "more", UTTERANCES, seed=7)
    texts = [row["transcription"] for row in rows]
    log_probs = []
    with torch.inference_mode():
        for row in rows:
            wav = torch.as_tensor(read(row["wav_path"]))
            logits, _ = own.model(wav=wav[None], wav_len=torch.tensor([len(wav)]))
            log_probs.append(logits[0].log_softmax(-1))
    return log_probs, list(own.task.encoder.symbols), texts


def exact(log_probs: torch.Tensor, tokens: list[int]) -> float:
    """The log probability of all paths of some tokens."""
    log_probs, lengths = log_probs.double()[:, None], (torch.tensor([len(log_probs)]), torch.tensor([len(tokens)]))
    return -torch.nn.functional.ctc_loss(log_probs, torch.tensor([tokens]), *lengths, reduction="sum").item()


def test_without_a_language_model(outputs):
    log_probs, symbols, texts = outputs
    search, scores, right = LetterSearch(symbols), [], 0
    for own, text in zip(log_probs, texts):
        theirs, their_score = search.theirs(own, THEIR_BEAM)
        ours, score = search.ours(own, BEAM)
        assert theirs == ours
        assert score == pytest.approx(their_score, abs=1e-4) == exact(own, ours)
        scores.append(score)
        right += "".join(symbols[token] for token in ours) == text
    assert len(scores) == UTTERANCES and 20 < right and min(scores) < -1, "neither a matter of course nor of chance"


def test_with_a_trigram_model_and_its_words(outputs):
    log_probs, symbols, texts = outputs
    search, right = WordSearch(NgramModel(learn(texts[::2], 3)), symbols, weight=0.8, word_score=0.4), 0
    for own, text in zip(log_probs, texts):
        theirs, their_score = search.theirs(own, THEIR_BEAM)
        ours, score = search.ours(own, BEAM)
        assert ours == theirs and score == pytest.approx(their_score, abs=1e-4)
        right += ours == tuple(text.split())
    assert right > 20
