"""An encoder on the command line: what it is, and the promises that it breaks."""

from __future__ import annotations

import pytest
import torch

from problems.__main__ import main
from problems.benchmark.upstream import checks
from tests.parts.tiny_encoder import TinyEncoder


def test_an_encoder_is_described_and_checked(capsys):
    assert main(["upstream", "tiny={name: 'tests.parts.tiny_encoder:TinyEncoder', conf: {seed: 3}}"]) == 0
    out = capsys.readouterr().out
    for text in ("states      3, of 16 features", "every 20 ms", "shapes, lengths and padding are right"):
        assert text in out
    assert f"parameters  {sum(p.numel() for p in TinyEncoder().parameters()):,}" in out


class Padded(TinyEncoder):
    """Normalises over the padding too."""

    def forward(self, wav, wav_len):
        return super().forward(wav / wav.std(), wav_len)


class Longer(TinyEncoder):
    def output_lengths(self, wav_len):
        return [own + 1 for own in super().output_lengths(wav_len)]

    def forward(self, wav, wav_len):
        states, _ = super().forward(wav, wav_len)
        return states, TinyEncoder.output_lengths(self, wav_len)


class Fewer(TinyEncoder):
    def forward(self, wav, wav_len):
        states, lengths = super().forward(wav, wav_len)
        return states[:2], lengths[:2]


@pytest.mark.parametrize(
    "encoder, reason", [(Padded, "in a padded batch"), (Longer, "declared by output_lengths"), (Fewer, "2 states of")]
)
def test_a_broken_promise_is_named(encoder, reason):
    torch.manual_seed(0)
    assert any(reason in problem for problem in checks(encoder().eval()))
    assert checks(TinyEncoder().eval()) == []


@pytest.mark.parametrize("words, reason", [([], "needs one encoder"), (["fbnk"], "did you mean 'fbank'")])
def test_a_wrong_command_is_refused(words, reason, capsys):
    assert main(["upstream", *words]) == 2
    assert reason in capsys.readouterr().err
