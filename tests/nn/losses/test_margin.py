"""Margin losses against loops over utterances and speakers."""

from __future__ import annotations

import math

import pytest
import torch

from nn.losses.ge2e import GE2E
from nn.losses.margin import AAMSoftmax, AMSoftmax, Softmax
from tests.parts.embeddings import LABEL, X, cosine


def by_loop(loss: AMSoftmax, x: torch.Tensor, label: torch.Tensor, turned) -> list[float]:
    losses = []
    for vector, speaker_of_vector in zip(x, label.tolist()):
        scores = []
        for speaker in range(len(loss.weight) // loss.subcentres):
            centres = loss.weight[speaker * loss.subcentres : (speaker + 1) * loss.subcentres]
            best = max(cosine(vector, centre) for centre in centres)
            scores.append(loss.scale * (turned(best) if speaker == speaker_of_vector else best))
        losses.append(math.log(sum(map(math.exp, scores))) - scores[speaker_of_vector])
    return losses


@pytest.mark.parametrize("subcentres", [1, 3])
@pytest.mark.parametrize("share", [1.0, 0.25, 0.0])
def test_additive_margin_equals_a_loop(subcentres, share):
    torch.manual_seed(0)
    loss = AMSoftmax(5, 4, subcentres=subcentres)
    expected = by_loop(loss, X, LABEL, lambda c: c - share * 0.4)
    torch.testing.assert_close(loss(X, LABEL, share), torch.tensor(expected), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("subcentres", [1, 2])
def test_additive_angular_margin_equals_a_loop_past_the_turn_too(subcentres):
    torch.manual_seed(0)
    loss, margin = AAMSoftmax(5, 4, margin=0.5, subcentres=subcentres), 0.5
    x = X.clone()
    x[0] = -loss.weight[:subcentres].sum(0).detach()  # as far from its speaker as can be

    def turned(c: float) -> float:
        angle = math.acos(max(-1.0, min(1.0, c)))
        return math.cos(angle + margin) if angle < math.pi - margin else c - margin * math.sin(margin)

    torch.testing.assert_close(loss(x, LABEL), torch.tensor(by_loop(loss, x, LABEL, turned)), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", [AMSoftmax, AAMSoftmax])
def test_gradients_are_finite_on_a_centre_and_opposite_to_it(kind):
    loss = kind(5, 4)
    x = torch.cat([loss.weight[:1], -loss.weight[:1], torch.zeros(1, 5)]).detach().requires_grad_()
    loss(x, torch.tensor([0, 0, 1])).sum().backward()
    assert torch.isfinite(x.grad).all() and torch.isfinite(loss.weight.grad).all()


def test_a_margin_makes_it_harder_and_the_angular_one_never_rises_with_the_angle():
    torch.manual_seed(0)
    for kind in (AMSoftmax, AAMSoftmax):
        loss = kind(5, 4, scale=2.0)  # larger ones round the easy losses to 0
        assert (loss(X, LABEL, 1.0) > loss(X, LABEL, 0.0)).all()
    cosines = torch.linspace(-1, 1, 1001)
    turned = AAMSoftmax._with_margin(cosines, 0.5)
    assert (turned.diff() > 0).all()


@pytest.mark.parametrize("kind", [Softmax, AMSoftmax, AAMSoftmax, GE2E])
def test_half_precision_is_computed_in_full_under_autocast_too(kind):
    loss = kind(5, 4)
    expected = loss(X.bfloat16().float(), LABEL)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(loss(X.bfloat16(), LABEL), expected)


def test_softmax_is_cross_entropy():
    loss = Softmax(5, 4)
    expected = torch.nn.functional.cross_entropy(loss.linear(X), LABEL)
    torch.testing.assert_close(loss(X, LABEL).mean(), expected)


@pytest.mark.parametrize("settings", [{"margin": 2.0}, {"scale": 0.0}, {"subcentres": 0}])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ValueError, match="expected a margin from 0"):
        AMSoftmax(5, 4, **settings)
