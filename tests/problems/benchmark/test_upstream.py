"""An encoder on the command line: what it is, and the promises that it breaks."""

from __future__ import annotations

import pytest
import torch
from torchaudio.compliance import kaldi

from dataset.storage.files import read_json
from problems.__main__ import main
from problems.benchmark import reference
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


def test_the_stored_outputs_of_fbank_are_those_of_torchaudio():
    mel = kaldi.fbank(reference.signal()[None], num_mel_bins=80)
    stored = read_json(reference.STORED)["fbank"]["states"][0]
    own = ((mel - mel.mean(dim=0)) / mel.std(dim=0)).reshape(-1)
    at = [round(number * (len(own) - 1) / 15) for number in range(16)]
    assert stored["shape"] == list(mel.shape)
    torch.testing.assert_close(own[at], torch.tensor(stored["values"]), atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", read_json(reference.STORED))
def test_signal_features_are_the_stored_ones(name, capsys):
    assert main(["upstream", name]) == 0
    assert "outputs are the stored ones" in capsys.readouterr().out


def test_an_encoder_is_compared_with_its_outputs_on_another_machine(tmp_path, capsys):
    tiny, file = "tests.parts.tiny_encoder:TinyEncoder", str(tmp_path / "tiny.json")
    assert main(["upstream", tiny, "--save_reference", file]) == 0
    assert main(["upstream", tiny, "--reference", file]) == 0
    capsys.readouterr()
    assert main(["upstream", f"other={{name: '{tiny}', conf: {{seed: 3}}}}", "--reference", file]) == 1
    assert "WRONG: state 0 differs from the stored reference" in capsys.readouterr().out


@pytest.mark.parametrize(
    "change, reason",
    [
        ({"rms": 2.0}, "2 times"),
        ({"rate": 160}, "the rate of state 0 is 160"),
        ({"shape": [9, 16]}, "the shape of state 0"),
        ({"values": [1.0] * 15 + [1.01]}, "of its RMS"),
    ],
)
def test_a_difference_of_outputs_is_named(change, reason):
    row = {"shape": [50, 16], "rate": 320, "rms": 1.0, "values": [1.0] * 16}
    wrong, _ = reference.differences({"states": [row | change]}, {"states": [row]})
    assert len(wrong) == 1 and reason in wrong[0]
    assert reference.differences({"states": [row]}, {"states": [row]}) == ([], 0.0)
    assert "2 states" in reference.differences({"states": [row] * 2}, {"states": [row]})[0][0]


@pytest.mark.parametrize("content", [None, "{", "[]", "{}"])
def test_a_file_that_holds_no_outputs_is_refused(content, tmp_path, capsys):
    if content is not None:
        (tmp_path / "x.json").write_text(content)
    assert main(["upstream", "fbank", "--reference", str(tmp_path / "x.json")]) == 2
    assert "--save_reference" in capsys.readouterr().err
