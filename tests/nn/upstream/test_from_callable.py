"""Any callable as an upstream: exact in padded batches though it knows no padding, refused if it is wrong."""

from __future__ import annotations

import pytest
import torch

from nn.upstream.from_callable import FromCallable
from problems.__main__ import main
from tests.parts.upstreams import check_states

NAME = "tests.nn.upstream.test_from_callable"


def encode(wav: torch.Tensor, lengths: torch.Tensor) -> list[torch.Tensor]:
    """Two layers, the second with a statistic over the whole row: padding would change it."""
    frames = wav.unfold(1, 400, 160)
    return [frames[..., :12], frames[..., :5] - wav.mean(dim=1)[:, None, None]]


class Encoder(torch.nn.Module):
    """A module whose states are one tensor."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv = torch.nn.Conv1d(1, 8, 400, 320)

    def forward(self, wav, lengths):
        return self.conv(wav[:, None]).transpose(1, 2)


def strided(wav, lengths):
    return [wav.unfold(1, 400, 160), wav.unfold(1, 400, 320)]


def pooled(wav, lengths):
    return [wav.mean(dim=1)]


def test_a_function_is_an_upstream():
    upstream = FromCallable(f"{NAME}:encode")
    assert upstream.hidden_sizes == [12, 5] and upstream.downsample_rates == [160, 160]
    assert not list(upstream.parameters())
    check_states(upstream, lambda wav: encode(wav, None), [12000, 7001, 400, 3000, 100, 0])


def test_a_class_is_built_and_its_weights_are_the_upstreams():
    upstream = FromCallable(f"{NAME}:Encoder")
    assert sum(p.numel() for p in upstream.parameters()) == 8 * 401 and upstream.downsample_rates == [320]
    check_states(upstream, lambda wav: [Encoder()(wav, None)], [12000, 7001, 400, 100, 0])


def test_the_command_checks_it_and_finds_a_batch_that_is_not_masked(capsys):
    conf = f"function: '{NAME}:encode'"
    assert main(["upstream", f"mine={{name: callable, conf: {{{conf}}}}}"]) == 0
    assert main(["upstream", f"mine={{name: callable, conf: {{{conf}, batch: true}}}}"]) == 1
    assert "differ by" in capsys.readouterr().out


@pytest.mark.parametrize(
    "function, reason",
    [
        ("", "expected module:name, as my_encoder:encode"),
        ("torch", "expected module:name"),
        ("no_such_module:encode", "cannot be imported"),
        (f"{NAME}:nothing", "cannot be imported"),
        (f"{NAME}:NAME", "is a str, expected a callable"),
        (f"{NAME}:pooled", r"returned \[\(1,\)\], expected a list of states \(B, T', H\)"),
        (f"{NAME}:strided", r"layers of \[99, 198\] frames"),
    ],
)
def test_what_is_no_encoder_is_refused_by_name(function, reason):
    with pytest.raises(ValueError, match=reason):
        FromCallable(function)
