"""The generalised end-to-end loss against a loop over utterances and speakers."""

from __future__ import annotations

import math

import torch

from nn.losses.ge2e import GE2E
from tests.parts.embeddings import LABEL, X, cosine


def test_it_equals_a_loop_and_leaves_out_single_utterances():
    loss = GE2E(5, 4)
    unit = X / X.norm(dim=1, keepdim=True)
    expected = []
    for i, target in enumerate(LABEL.tolist()):
        scores = {}
        for speaker in LABEL.unique().tolist():
            members = [j for j, s in enumerate(LABEL.tolist()) if s == speaker and j != i]
            if members:
                scores[speaker] = 10 * cosine(unit[i], unit[members].mean(0)) - 5
        total = math.log(sum(map(math.exp, scores.values())))
        expected.append(total - scores[target] if target in scores else 0.0)
    losses = loss(X, LABEL)
    torch.testing.assert_close(losses, torch.tensor(expected), rtol=1e-4, atol=1e-5)
    assert losses[[1, 0]].gt(0).all() and losses[2] == losses[6] == 0
    losses.sum().backward()
    assert torch.isfinite(loss.scale.grad)


def test_speakers_with_one_utterance_each_give_no_gradient():
    x = X[:3].clone().requires_grad_()
    GE2E(5, 4)(x, torch.tensor([0, 1, 2])).sum().backward()
    assert (x.grad == 0).all()
