"""Joint beam search: exhaustive search on small cases, greedy search, and the same in a padded batch as alone."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from nn.decode.beam import ctc_beam_search
from nn.decode.joint import joint_beam_search
from nn.transformer_decoder import DecoderSearch, TransformerDecoder
from tests.nn.decode.test_beam import added, all_prefixes, draw, scoring


def decoder(vocabulary=4, sharpness=3.0) -> TransformerDecoder:
    torch.manual_seed(2)
    made = TransformerDecoder(vocabulary, size=8, layers=1, heads=2, feedforward=12)
    made.output.weight.data *= sharpness
    return made.eval()


def search(used: TransformerDecoder, memory, log_probs, lens, beam=8, **settings):
    state = DecoderSearch(used, memory, lens, beam)
    return joint_beam_search(state, log_probs, lens, beam=beam, **settings)


def forced(used: TransformerDecoder, memory, tokens) -> float:
    """The decoder's log probability of a text and its end, all at once."""
    scores = used(torch.tensor([tokens], dtype=torch.int64), memory, torch.tensor([memory.shape[1]])).log_softmax(-1)
    return scores[0, range(len(tokens) + 1), [*tokens, 0]].double().sum().item()


@pytest.mark.parametrize("weight", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("norm", [0.0, 1.0])
@pytest.mark.parametrize("words", [None, "words", "closed"])
def test_a_wide_beam_finds_what_an_exhaustive_search_finds(weight, norm, words):
    frames, vocabulary = 4, 4
    scores = scoring(words == "closed") if words else None
    log_probs, memory = draw(frames, vocabulary, seed=1), torch.randn(1, frames, 8)
    by_ctc, used = all_prefixes(log_probs.double()), decoder()
    expected = {}
    for length in range(frames + 1):
        for tokens in itertools.product(range(1, vocabulary), repeat=length):
            total = (1 - weight) * forced(used, memory, tokens) if weight < 1 else 0.0
            total += weight * by_ctc.get(tokens, -math.inf) if weight else 0.0
            total += added(tokens, scores, words == "closed") if words else 0.0
            if total > -math.inf:
                expected[tokens] = total / (length + 1) ** norm
    found = search(
        used,
        memory,
        log_probs[None],
        torch.tensor([frames]),
        beam=256,
        ctc_weight=weight,
        length_norm=norm,
        nbest=1000,
        scoring=scores,
    )[0]
    assert {tuple(one.tokens): one.score for one in found} == pytest.approx(expected, abs=1e-5)
    best = [one.score for one in found]
    assert best == sorted(best, reverse=True) and len(best) > 10
    for nbest in (1, 3):
        kept = search(
            used,
            memory,
            log_probs[None],
            torch.tensor([frames]),
            beam=256,
            ctc_weight=weight,
            length_norm=norm,
            nbest=nbest,
            scoring=scores,
        )[0]
        assert kept[:nbest] == found[:nbest], "it may stop early, but not too early"


def test_a_beam_of_one_follows_the_likeliest_token():
    memory, lens, used = torch.randn(1, 12, 8), torch.tensor([12]), decoder()
    tokens: list[int] = []
    while len(tokens) < 12:
        scores = used(torch.tensor([tokens], dtype=torch.int64), memory, lens)[0, -1]
        tokens.append(int(scores[1:].argmax()) + 1)
    kept = search(used, memory, draw(1, 12, 4), lens, beam=1, ctc_weight=0.0, nbest=13)[0]
    assert sorted((one.tokens for one in kept), key=len) == [tokens[:length] for length in range(13)]


def test_ctc_alone_finds_the_texts_of_ctcs_own_search():
    for seed in range(5):
        log_probs, lens = draw(3, 9, 4, seed=seed), torch.tensor([9, 4, 7])
        for used in (None, scoring()):
            expected = ctc_beam_search(log_probs, lens, 500, used)
            found = search(
                decoder(), torch.randn(3, 9, 8), log_probs, lens, beam=60, ctc_weight=1.0, length_norm=0.0, scoring=used
            )
            assert [own[0].tokens for own in found] == [own[0].tokens for own in expected]
            assert [own[0].score for own in found] == pytest.approx([own[0].score for own in expected], abs=1e-5)


def test_a_padded_batch_is_decoded_as_its_utterances_alone():
    lens = torch.tensor([9, 40, 0, 23, 1, 31])
    log_probs, memory, used = draw(6, 40, 4), torch.randn(6, 40, 8), decoder()
    for settings in ({}, {"scoring": scoring()}, {"ctc_weight": 0.0}, {"length_norm": 0.0, "beam": 3}):
        together = search(used, memory, log_probs, lens, nbest=3, **settings)
        for b, length in enumerate(lens.tolist()):
            own = memory[b : b + 1, :length], log_probs[b : b + 1, :length], lens[b : b + 1]
            (alone,) = search(used, *own, nbest=3, **settings)
            assert [one.tokens for one in together[b]] == [one.tokens for one in alone]
            assert [one.score for one in together[b]] == pytest.approx([one.score for one in alone], abs=1e-5)
            assert all(len(one.tokens) <= length for one in alone)


def test_ctc_forbids_what_the_decoder_repeats():
    """A decoder that says one token for ever, and frames that hold it twice."""
    used = decoder()
    used.output.weight.data.zero_()
    used.output.bias.data = torch.tensor([-4.0, 4.0, -4.0, -4.0])
    path = torch.tensor([0, 1, 0, 0, 1, 0, 0, 0, 0])
    log_probs = (10.0 * torch.nn.functional.one_hot(path, 4)).log_softmax(-1)[None]
    inputs = used, torch.randn(1, 9, 8), log_probs, torch.tensor([9])
    assert search(*inputs, ctc_weight=0.0)[0][0].tokens == [1] * 9
    assert search(*inputs, ctc_weight=0.4)[0][0].tokens == [1, 1]


def test_no_utterance():
    assert search(decoder(), torch.zeros(0, 3, 8), torch.zeros(0, 3, 4), torch.zeros(0, dtype=torch.long)) == []
