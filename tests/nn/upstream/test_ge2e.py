"""The GE2E encoder against its source package, which is loaded without its dependencies."""

from __future__ import annotations

import sys
import types
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import torchaudio

from nn.pooling import MeanPooling
from nn.upstream import ge2e
from nn.upstream.ge2e import GE2E
from tests.conftest import data_folder
from tests.parts.upstreams import padded

SAMPLES = [25600, 12321, 40000, 60000, 100000, 1, 0, 31519, 31520, 160 * 77 * 3 + 19200]


@pytest.fixture
def package(monkeypatch):
    """``resemblyzer.voice_encoder`` with torchaudio's mel spectrogram in librosa's place."""
    if find_spec("resemblyzer") is None:
        pytest.skip("pip install --no-deps resemblyzer")
    mel = torchaudio.transforms.MelSpectrogram(
        16000, 400, hop_length=160, n_mels=40, norm="slaney", mel_scale="slaney", pad_mode="constant"
    )
    librosa = types.ModuleType("librosa")
    librosa.feature = types.SimpleNamespace(
        melspectrogram=lambda y, **_: mel(torch.from_numpy(y.astype(np.float32))).numpy()
    )
    for name, module in (
        ("librosa", librosa),
        ("webrtcvad", types.ModuleType("webrtcvad")),
        ("scipy.ndimage.morphology", types.SimpleNamespace(binary_dilation=None)),
    ):
        monkeypatch.setitem(sys.modules, name, module)
    for name in [n for n in sys.modules if n.startswith("resemblyzer")]:
        monkeypatch.delitem(sys.modules, name)
    import resemblyzer.audio
    import resemblyzer.voice_encoder

    yield resemblyzer
    for name in [n for n in sys.modules if n.startswith("resemblyzer")]:
        del sys.modules[name]


@pytest.mark.parametrize(("rate", "min_coverage"), [(1.3, 0.75), (0.625, 1.0), (7.0, 0.1)])
def test_windows_are_the_package_s_at_every_length(package, rate, min_coverage):
    upstream = GE2E(rate, min_coverage, checkpoint="random")
    rule = package.voice_encoder.VoiceEncoder.compute_partial_slices
    lengths = [*range(1, 80_000, 997), *range(25_400, 25_800, 7), *(upstream.downsample_rates[0] * k for k in range(9))]
    expected = [len(rule(n, rate, min_coverage)[0]) if n else 0 for n in lengths]
    assert upstream.output_lengths(torch.tensor(lengths))[0].tolist() == expected


def test_embeddings_are_the_package_s_alone_and_in_a_batch(package):
    upstream = GE2E().eval()
    source = package.voice_encoder.VoiceEncoder("cpu", verbose=False)
    wav, wav_len = padded(SAMPLES)
    wav[1] *= 0.001  # to be raised
    with torch.no_grad():
        (states,), (lengths,) = upstream(wav, wav_len)
        assert torch.equal(lengths, upstream.output_lengths(wav_len)[0])
        pooled = torch.nn.functional.normalize(MeanPooling()(states, lengths), dim=-1)
    assert states.isfinite().all() and not states[6].any() and lengths[6] == 0
    for row, samples in enumerate(SAMPLES):
        if samples < 2:
            continue
        one = package.audio.normalize_volume(wav[row, :samples].numpy(), -30, increase_only=True)
        whole, parts, _ = source.embed_utterance(one, return_partials=True)
        assert len(parts) == lengths[row]
        np.testing.assert_allclose(states[row, : len(parts)], parts, atol=1e-5)
        np.testing.assert_allclose(pooled[row], whole, atol=1e-5)
        alone = upstream(wav[row : row + 1, :samples], wav_len[row : row + 1])[0][0]
        np.testing.assert_allclose(alone[0, : len(parts)].detach(), parts, atol=1e-5)


def test_speakers_of_real_speech_are_separated():
    folder = data_folder() / "librispeech_small"
    files = sorted(folder.rglob("*.flac"))
    if not files or find_spec("resemblyzer") is None:
        pytest.skip(f"no speech under {folder}, or no resemblyzer")
    by_speaker: dict[str, list[Path]] = {}
    for path in files:
        by_speaker.setdefault(path.name.split("-")[0], []).append(path)
    speakers = [paths[:2] for paths in by_speaker.values() if len(paths) > 1][:6]
    wavs = [torch.from_numpy(soundfile.read(p, dtype="float32")[0])[:64000] for pair in speakers for p in pair]
    wav_len = torch.tensor([len(w) for w in wavs])
    with torch.no_grad():
        (states,), (lengths,) = GE2E().eval()(torch.nn.utils.rnn.pad_sequence(wavs, batch_first=True), wav_len)
    pooled = torch.nn.functional.normalize(MeanPooling()(states, lengths), dim=-1)
    scores = pooled @ pooled.t()
    same = torch.tensor([scores[i, i + 1] for i in range(0, len(wavs), 2)])
    other = torch.tensor([scores[i, j] for i in range(len(wavs)) for j in range(i) if i // 2 != j // 2])
    assert same.mean() > other.mean() + 0.15


def test_gradients_reach_the_waveform_and_training_is_possible():
    upstream = GE2E(checkpoint="random").train()
    wav = torch.randn(2, 30000).requires_grad_()
    (x,), _ = upstream(wav, torch.tensor([30000, 20000]))
    (x * torch.randn(256)).sum().backward()
    assert wav.grad.isfinite().all() and wav.grad[1, :20000].any() and not wav.grad[1, 20000:].any()
    assert all(p.grad is not None for p in upstream.parameters())


def test_silence_and_nothing_are_finite():
    upstream = GE2E(checkpoint="random")
    for wav, wav_len in ((torch.zeros(2, 4000), [4000, 0]), (torch.zeros(1, 0), [0])):
        (x,), (lengths,) = upstream(wav, torch.tensor(wav_len))
        assert x.isfinite().all() and x.shape[1] == 1 and lengths.tolist() == [int(n > 0) for n in wav_len]


@pytest.mark.parametrize(
    ("conf", "words"),
    [
        ({"rate": 0.5}, "rate is 0.5, expected from 0.625 to 100"),
        ({"rate": 0.0}, "rate is 0.0"),
        ({"min_coverage": 0.0}, "min_coverage is 0.0"),
        ({"checkpoint": "/none.pt"}, "there is no file"),
    ],
)
def test_wrong_settings_are_refused(conf, words):
    with pytest.raises(ValueError, match=words):
        GE2E(**conf)


def test_without_the_package_the_way_to_its_weights_is_named(monkeypatch):
    monkeypatch.setattr(ge2e, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="pip install --no-deps resemblyzer"):
        GE2E()


def test_another_file_s_weights_are_refused(tmp_path):
    torch.save({"model_state": {"a": torch.zeros(1)}}, tmp_path / "w.pt")
    with pytest.raises(ValueError, match="w.pt do not fit this model"):
        GE2E(checkpoint=str(tmp_path / "w.pt"))
