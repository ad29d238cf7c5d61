from __future__ import annotations

import ast
import importlib
import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torchaudio
from torchaudio.compliance import kaldi

from nn.upstream import UPSTREAMS
from nn.upstream.signal.kaldi import MFCC, Fbank
from nn.upstream.signal.stft import Linear, Mel, Spectrogram

ROOT = Path(__file__).resolve().parents[4]
DATA = Path(os.environ.get("SOUNDSTAGE_DATA", ROOT / "../shared/data"))
SIGNALS = sorted(
    n
    for n, target in UPSTREAMS.items()
    if target.split(":")[0] in ("nn.upstream.signal.kaldi", "nn.upstream.signal.stft")
)
LENGTHS = [16000, 12345, 0, 10, 400, 399, 8000, 720]


def upstream_class(name: str):
    module, attribute = UPSTREAMS[name].split(":")
    return getattr(importlib.import_module(module), attribute)


def padded(lengths: list[int], seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise whose padding is NaN: nothing may read it."""
    generator = torch.Generator().manual_seed(seed)
    wav = torch.full((len(lengths), max(lengths)), float("nan"))
    for row, length in zip(wav, lengths):
        row[:length] = 0.1 * torch.randn(length, generator=generator)
    return wav, torch.tensor(lengths)


def real_speech() -> list[torch.Tensor]:
    files = sorted((DATA / "fsdd").rglob("*.wav"))[:3] + sorted((DATA / "librispeech_small").rglob("*.flac"))[:2]
    if not files:
        pytest.skip(f"no real speech under {DATA}")
    soundfile = pytest.importorskip("soundfile")
    return [torch.from_numpy(soundfile.read(str(path), dtype="float32")[0]) for path in files]


def alone(upstream: torch.nn.Module, wav: torch.Tensor) -> torch.Tensor:
    (x,), (length,) = upstream(wav.unsqueeze(0), torch.tensor([len(wav)]))
    return x[0, : int(length)]


def test_fbank_and_mfcc_equal_kaldi_on_speech():
    for wav in real_speech():
        reference = kaldi.fbank(wav.unsqueeze(0), num_mel_bins=80, dither=0.0)
        torch.testing.assert_close(alone(Fbank(cmvn="none"), wav), reference, atol=1e-4, rtol=0)
        reference = kaldi.mfcc(wav.unsqueeze(0), num_ceps=13, num_mel_bins=40, dither=0.0)
        torch.testing.assert_close(alone(MFCC(num_mel_bins=40, cmvn="none"), wav), reference, atol=1e-4, rtol=0)


@pytest.mark.parametrize("frames", [(25.0, 10.0), (20.0, 12.5)])
def test_fbank_and_mfcc_equal_kaldi_in_a_batch(frames):
    conf = {"frame_length": frames[0], "frame_shift": frames[1]}
    wav, wav_len = padded(LENGTHS)
    (fbank,), (lengths,) = Fbank(num_mel_bins=40, cmvn="none", **conf)(wav, wav_len)
    (mfcc,), _ = MFCC(cmvn="none", **conf)(wav, wav_len)
    for i, length in enumerate(wav_len.tolist()):
        one = wav[i : i + 1, :length]
        frames_here = int(lengths[i])
        if length < int(16 * frames[0]):
            assert frames_here == 0
            continue
        reference = kaldi.fbank(one, num_mel_bins=40, dither=0.0, **conf)
        torch.testing.assert_close(fbank[i, :frames_here], reference, atol=1e-4, rtol=0)
        reference = kaldi.mfcc(one, dither=0.0, **conf)
        torch.testing.assert_close(mfcc[i, :frames_here], reference, atol=1e-4, rtol=0)


def test_stft_features_equal_torchaudio_transforms():
    wav = 0.1 * torch.randn(1, 9000, generator=torch.Generator().manual_seed(1))
    plain = torchaudio.transforms.Spectrogram(n_fft=400, hop_length=160, center=False, power=2.0)(wav)[0].t()
    mel = torchaudio.transforms.MelSpectrogram(16000, 400, hop_length=160, center=False, n_mels=40)(wav)[0].t()
    torch.testing.assert_close(alone(Spectrogram(cmvn="none"), wav[0]), plain)
    torch.testing.assert_close(alone(Linear(cmvn="none"), wav[0]), (plain + 1e-10).log(), atol=1e-4, rtol=0)
    torch.testing.assert_close(alone(Mel(40, cmvn="none"), wav[0]), (mel + 1e-10).log(), atol=1e-4, rtol=0)


@pytest.mark.parametrize("orders", [1, 2])
def test_deltas_equal_torchaudio_on_the_utterance_alone(orders):
    wav, wav_len = padded(LENGTHS)
    (x,), (lengths,) = Fbank(num_mel_bins=20, cmvn="none", deltas=orders)(wav, wav_len)
    assert x.shape[2] == 20 * (1 + orders)
    for row, length in zip(x, lengths.tolist()):
        if length:
            parts = [row[:length, :20]]
            for _ in range(orders):
                parts.append(torchaudio.functional.compute_deltas(parts[-1].t()).t())
            torch.testing.assert_close(row[:length], torch.cat(parts, 1), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", SIGNALS)
@pytest.mark.parametrize("cmvn", ["none", "mean", "utterance"])
def test_an_utterance_gives_the_same_features_in_a_batch_as_alone(name, cmvn):
    upstream = upstream_class(name)(cmvn=cmvn, deltas=2)
    wav, wav_len = padded(LENGTHS)
    (x,), (lengths,) = upstream(wav, wav_len)
    assert x.isfinite().all()
    assert lengths.dtype == torch.int64
    assert lengths.tolist() == [max(0, 1 + (n - 400) // 160) for n in LENGTHS]
    assert torch.equal(lengths, upstream.output_lengths(wav_len)[0])
    assert x.shape == (len(LENGTHS), int(lengths.max()), upstream.hidden_sizes[0])
    for i, (samples, frames) in enumerate(zip(LENGTHS, lengths.tolist())):
        single = alone(upstream, wav[i, :samples])
        torch.testing.assert_close(x[i, :frames], single, atol=1e-4, rtol=1e-4)
        assert not x[i, frames:].any()


def test_normalisation_uses_each_utterance_s_true_frames():
    wav, wav_len = padded([16000, 5000, 10])
    (raw,), (lengths,) = Fbank(cmvn="none")(wav, wav_len)
    (mean_only,), _ = Fbank(cmvn="mean")(wav, wav_len)
    (full,), _ = Fbank(cmvn="utterance")(wav, wav_len)
    for i, n in enumerate(lengths.tolist()[:2]):
        centred = raw[i, :n] - raw[i, :n].mean(0)
        torch.testing.assert_close(mean_only[i, :n], centred, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(full[i, :n], centred / raw[i, :n].std(0), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", SIGNALS)
def test_silence_constants_and_nothing_give_finite_small_features(name):
    upstream = upstream_class(name)(deltas=1)
    for wav in (torch.zeros(1, 4000), torch.full((1, 4000), 0.3), torch.zeros(1, 0), torch.zeros(1, 400)):
        wav.requires_grad_()
        (x,), (length,) = upstream(wav, torch.tensor([wav.shape[1]]))
        assert x.shape[1] >= 1
        assert x.abs().max() < 0.1
        x.sum().backward()
        assert wav.grad.isfinite().all()


@pytest.mark.parametrize("name", SIGNALS)
def test_gradients_reach_the_waveform_and_are_right(name):
    upstream = upstream_class(name)(frame_length=2.0, frame_shift=1.0, deltas=2, **small(name)).double()
    generator = torch.Generator().manual_seed(2)
    wav = torch.randn(2, 130, dtype=torch.float64, generator=generator).requires_grad_()
    wav_len = torch.tensor([130, 75])
    probe = torch.randn(8, *upstream(wav, wav_len)[0][0].shape, dtype=torch.float64, generator=generator)
    assert torch.autograd.gradcheck(
        lambda w: (probe * upstream(w, wav_len)[0][0]).sum((1, 2, 3)), wav, eps=1e-6, atol=1e-4, rtol=1e-3
    )
    upstream(wav, wav_len)[0][0].square().sum().backward()
    assert not wav.grad[1, 75:].any()


def small(name: str) -> dict:
    return {
        "mfcc": {"num_ceps": 3, "num_mel_bins": 4},
        "fbank": {"num_mel_bins": 4},
        "mel": {"num_mel_bins": 4},
    }.get(name, {})


@pytest.mark.parametrize("name", SIGNALS)
def test_interface_and_empty_state(name):
    upstream = upstream_class(name)()
    assert not upstream.state_dict() and not list(upstream.parameters())
    assert (upstream.num_layers, upstream.downsample_rates) == (1, [160])
    assert len(upstream.hidden_sizes) == 1


def test_features_stay_float32_under_autocast():
    wav, wav_len = padded([4000])
    expected = Fbank()(wav, wav_len)[0][0]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(Fbank()(wav, wav_len)[0][0], expected)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Fbank(cmvn="global"), "cmvn is 'global', expected one of none, mean, utterance"),
        (lambda: Fbank(deltas=3), "deltas is 3, expected 0, 1 or 2"),
        (lambda: Fbank(num_mel_bins=2), "num_mel_bins is 2"),
        (lambda: MFCC(num_ceps=30), "num_ceps is 30, expected from 1 to num_mel_bins"),
        (lambda: Linear(frame_shift=0.0), "frame_shift 0.0 ms"),
        (lambda: Fbank()(torch.zeros(5), torch.tensor([5])), "wav must be"),
    ],
)
def test_mistakes_are_said_in_words(make, words):
    with pytest.raises(ValueError, match=words):
        make()


REGISTERED = ["nn.upstream:UPSTREAMS", "nn.downstream:DOWNSTREAMS"]
OTHERS = [
    "nn.upstream.pretrained.torchaudio_models:Pipeline",
    "nn.featurizer:Featurizer",
    "nn.specaug:SpecAugment",
    "nn.finetune.schedule:FineTuning",
    "nn.finetune.span_mask:SpanMask",
    "nn.model:UpstreamDownstreamModel",
]


def test_registries_load_without_torch():
    code = (
        "import sys, nn, nn.upstream, nn.downstream; "
        "sys.exit(any(m in sys.modules for m in ('torch', 'torchaudio', 'numpy')))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_every_argument_has_one_line_a_type_and_a_literal_default():
    targets = list(OTHERS)
    for registry in REGISTERED:
        module, name = registry.split(":")
        targets += getattr(importlib.import_module(module), name).values()
    for target in targets:
        module, name = target.split(":")
        tree = ast.parse((ROOT / (module.replace(".", "/") + ".py")).read_text())
        node = next(n for n in tree.body if isinstance(n, (ast.ClassDef, ast.FunctionDef)) and n.name == name)
        init = next((n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"), None)
        if isinstance(node, ast.FunctionDef):
            init = node
            init.args.args.insert(0, None)
        elif init is None:
            continue  # its base's, which is among the others
        lines = inspect.cleandoc(ast.get_docstring(node)).split("Args:\n")[1].split("\n\n")[0].splitlines()
        documented = [line.strip().split(": ")[0] for line in lines]
        assert documented == [a.arg for a in init.args.args[1:]], target
        assert all(a.annotation for a in init.args.args[1:]), target
        for default in init.args.defaults:
            ast.literal_eval(default)
