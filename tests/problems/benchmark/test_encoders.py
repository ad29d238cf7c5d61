"""Our upstreams in the form that MAEB and X-ARES ask for: frames, masked means, cosines."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from torchaudio.functional import resample

import soundstage
from problems.engine.runtime.errors import ConfigError
from soundstage import MAEBEncoder, XARESEncoder
from tests.parts.tiny_encoder import TinyEncoder

TINY = "tests.parts.tiny_encoder:TinyEncoder"


def states_of(wave: torch.Tensor) -> torch.Tensor:
    """The mean over layers of the tiny encoder's states (T', 16)."""
    with torch.no_grad():
        states, lengths = TinyEncoder()(wave[None], torch.tensor([len(wave)]))
    return torch.stack([state[0, : int(n)] for state, n in zip(states, lengths)]).mean(0)


def noise(samples: int, seed: int = 0) -> torch.Tensor:
    return 0.1 * torch.randn(samples, generator=torch.Generator().manual_seed(seed))


def test_x_ares_gets_frames_of_the_size_and_rate_that_are_declared():
    encoder = XARESEncoder(TINY)
    assert isinstance(encoder, torch.nn.Module)
    assert (encoder.sampling_rate, encoder.output_dim, encoder.hop_size_in_ms) == (16000, 16, 20.0)
    audio = torch.stack([noise(48000), noise(48000, 1)])
    frames = encoder(audio)
    assert frames.shape == (2, 48000 / 16 / encoder.hop_size_in_ms, encoder.output_dim)
    torch.testing.assert_close(frames[1], states_of(audio[1]))
    torch.testing.assert_close(encoder(audio[0]), frames[:1])
    with torch.no_grad():
        (*_, last), _ = TinyEncoder()(audio, torch.tensor([48000, 48000]))
    torch.testing.assert_close(XARESEncoder(TINY, layers="last")(audio), last)


def test_maeb_gets_the_mean_of_each_utterance_at_16_khz_whatever_the_batch():
    encoder = MAEBEncoder(TINY, max_seconds=1.5)
    slow, stereo = noise(8000, 1), torch.stack([noise(9600, 2), noise(9600, 3)])
    waves = [noise(16000), resample(slow, 8000, 16000), stereo.mean(0), noise(40000, 4)[:24000]]
    items = [
        {"array": waves[0].double().numpy(), "sampling_rate": 16000},
        {"array": slow.numpy(), "sampling_rate": 8000},
        {"array": stereo.numpy(), "sampling_rate": 16000},
        {"array": noise(40000, 4).numpy()},
    ]
    task = SimpleNamespace(name="a task")
    kwargs = {"task_metadata": task, "hf_split": "test", "hf_subset": "default", "batch_size": 2}
    embeddings = encoder.encode([{"audio": items[:3]}, {"audio": items[3:]}], prompt_type=None, **kwargs)
    assert embeddings.shape == (4, 16) and embeddings.dtype == np.float32
    np.testing.assert_allclose(embeddings, np.stack([states_of(w).mean(0).numpy() for w in waves]), atol=1e-6)
    assert encoder.encode([], **kwargs).shape == (0, 16)
    with pytest.raises(ConfigError, match="encodes audio, but a batch has text"):
        encoder.encode([{"text": ["a"]}], **kwargs)


def test_similarities_are_cosines():
    encoder, one, other = MAEBEncoder(TINY), np.eye(3)[:2] * 2, np.array([[1.0, 1, 0], [0, 5, 0]])
    root = 0.5**0.5
    torch.testing.assert_close(encoder.similarity(one, other), torch.tensor([[root, 0], [root, 1]]))
    torch.testing.assert_close(encoder.similarity_pairwise(one, other), torch.tensor([root, 1]))
    assert encoder.similarity(one[0], other).shape == (1, 2)


def test_the_card_has_what_mteb_asks_for_and_mteb_is_named_if_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "mteb", None)
    encoder = MAEBEncoder(TINY, revision="abc")
    with pytest.raises(ConfigError, match="pip install mteb"):
        _ = encoder.mteb_model_meta
    monkeypatch.setitem(sys.modules, "mteb", ModuleType("mteb"))
    models = ModuleType("mteb.models")
    models.ModelMeta = lambda **fields: SimpleNamespace(**fields)
    monkeypatch.setitem(sys.modules, "mteb.models", models)
    meta = encoder.mteb_model_meta
    assert (meta.name, meta.revision) == ("soundstage/tests.parts.tiny_encoder_TinyEncoder", "abc")
    assert meta.embed_dim == 16 and meta.modalities == ["audio"] and meta.similarity_fn_name == "cosine"
    assert meta.n_parameters == sum(p.numel() for p in TinyEncoder().parameters())


def test_an_unknown_upstream_is_refused_by_name():
    with pytest.raises(ConfigError, match="'huber_base'.*did you mean 'hubert_base'"):
        soundstage.XARESEncoder("huber_base")
