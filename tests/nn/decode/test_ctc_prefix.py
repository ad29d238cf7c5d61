"""CTC's prefix scores: the sum over all paths on small cases, and the same in a padded batch as alone."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from nn.decode.ctc_prefix import CTCPrefixes
from tests.nn.decode.test_beam import all_prefixes, draw


def log_sum(values) -> float:
    return float(torch.tensor([*values, -math.inf], dtype=torch.float64).logsumexp(0))


def grown(prefixes: CTCPrefixes, tokens) -> CTCPrefixes:
    for token in tokens:
        prefixes.step(torch.tensor([[0]]), torch.tensor([[token]]))
    return prefixes


@pytest.mark.parametrize("frames", [0, 1, 2, 6])
@pytest.mark.parametrize("seed", range(3))
def test_scores_equal_the_sum_over_all_paths(frames, seed):
    log_probs = draw(frames, 3, seed=seed).double().log_softmax(-1)  # normalised to the last bits
    texts = all_prefixes(log_probs)
    for length in range(4):
        for tokens in itertools.product((1, 2), repeat=length):
            longer, whole = grown(CTCPrefixes(log_probs[None], torch.tensor([frames]), 1), tokens).scores()
            assert whole.item() == pytest.approx(log_sum([texts.get(tokens, -math.inf)]), abs=1e-9)
            expected = [
                log_sum(p for text, p in texts.items() if text[: length + 1] == (*tokens, token)) for token in (1, 2)
            ]
            assert longer[0, 0].tolist() == pytest.approx([-math.inf, *expected], abs=1e-9)


def test_hypotheses_of_a_padded_batch_are_scored_as_each_alone():
    lens, texts = torch.tensor([9, 40, 0, 23]), [[1, 1, 2], [3, 2, 3], [2, 2, 2]]
    log_probs = draw(4, 40, 4, seed=5)
    log_probs[0, 9:] = torch.nan  # nothing may read the padding
    together = CTCPrefixes(log_probs, lens, 3)
    for place in range(3):
        # backwards and forwards again, so that each hypothesis comes from another slot
        parents = torch.tensor([[2, 1, 0]] * 4)
        own = [texts[k][place] for k in ((2, 1, 0) if place % 2 == 0 else (0, 1, 2))]
        together.step(parents, torch.tensor([own] * 4))
    longer, whole = together.scores()
    for b, length in enumerate(lens.tolist()):
        for slot, tokens in enumerate(texts[::-1]):
            alone = grown(CTCPrefixes(log_probs[b : b + 1, :length], lens[b : b + 1], 1), tokens).scores()
            torch.testing.assert_close(longer[b, slot], alone[0][0, 0], atol=1e-9, rtol=1e-9)
            torch.testing.assert_close(whole[b, slot], alone[1][0, 0], atol=1e-9, rtol=1e-9)


def test_long_and_sure_outputs_are_exact():
    """A recording of 4000 frames whose likeliest path has the probability of nearly 1."""
    path = [0, 1, 1, 0, 2, 0, 2, 0] * 500
    log_probs = (30.0 * torch.nn.functional.one_hot(torch.tensor(path), 3)).double().log_softmax(-1)
    prefixes = CTCPrefixes(log_probs[None], torch.tensor([4000]), 1)
    for token in [1, 2, 2] * 500:
        longer, _ = prefixes.scores()
        assert longer[0, 0, token].item() == pytest.approx(0.0, abs=1e-6)
        prefixes.step(torch.tensor([[0]]), torch.tensor([[token]]))
    expected = torch.nn.functional.ctc_loss(
        log_probs[:, None], torch.tensor([[1, 2, 2] * 500]), torch.tensor([4000]), torch.tensor([1500]), reduction="sum"
    )
    assert prefixes.scores()[1].item() == pytest.approx(-expected.item(), abs=1e-9)
