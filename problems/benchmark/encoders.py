"""Our upstreams as encoders of other benchmarks: MAEB (mteb) and X-ARES. Neither package is needed to import this.

The interfaces are those of mteb 2's ``EncoderProtocol`` and of X-ARES's encoders.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dataset import SAMPLE_RATE
from nn.featurizer import Featurizer
from nn.pooling import MeanPooling
from problems.engine.config.registry import build, load_class, resolve
from problems.engine.runtime.errors import ConfigError


class UpstreamEncoder(nn.Module):
    """A frozen upstream with a readout that has nothing to train.

    Args:
        name: a key of the registry of upstreams, or ``module:Class``.
        conf: its settings.
        layers: as ``build_featurizer.layer_selections``: a layer, "last", or a list, whose mean is taken; None for all.
        device: that computes.
    """

    def __init__(
        self,
        name: str,
        conf: Mapping[str, Any] | None = None,
        layers: int | list[int] | str | None = None,
        device: str = "cpu",
    ) -> None:
        super().__init__()
        target = resolve(name, load_class("nn.upstream:UPSTREAMS"), "name")
        self.name, self.device = name, torch.device(device)
        self.upstream = build(target, dict(conf or {}), "conf").to(self.device).eval().requires_grad_(False)
        self.featurizer = Featurizer(self.upstream, layers, readout="mean")

    @torch.inference_mode()
    def frames(self, wav: Tensor, wav_len: Tensor) -> tuple[Tensor, Tensor]:
        """wav (B, T) at 16 kHz, wav_len (B,) -> frames (B, T', D) and their lengths (B,)."""
        states, lengths = self.upstream(wav.float().to(self.device), wav_len.to(self.device))
        return self.featurizer(states, lengths)


class XARESEncoder(UpstreamEncoder):
    """An upstream for X-ARES: ``encoder(audio)`` gives frames. Arguments as of :class:`UpstreamEncoder`."""

    sampling_rate = SAMPLE_RATE

    @property
    def output_dim(self) -> int:
        """Features of a frame."""
        return self.featurizer.output_size

    @property
    def hop_size_in_ms(self) -> float:
        """The time from frame to frame."""
        return 1000 * self.featurizer.downsample_rate / SAMPLE_RATE

    def forward(self, audio: Tensor) -> Tensor:
        """Audio (B, T) or (T,) at 16 kHz -> (B, T', D)."""
        audio = audio.unsqueeze(0) if audio.dim() == 1 else audio
        return self.frames(audio, torch.full((len(audio),), audio.shape[1]))[0]


class MAEBEncoder(UpstreamEncoder):
    """An upstream for MAEB: an utterance's embedding is the mean of its frames, compared by cosine.

    Args:
        name, conf, layers, device: as of :class:`UpstreamEncoder`.
        revision: of the weights, for the result files.
        max_seconds: longer audio is cut, as mteb's own speech encoders cut it.
    """

    def __init__(
        self,
        name: str,
        conf: Mapping[str, Any] | None = None,
        layers: int | list[int] | str | None = None,
        device: str = "cpu",
        *,
        revision: str | None = None,
        max_seconds: float = 30.0,
    ) -> None:
        super().__init__(name, conf, layers, device)
        self.revision, self.max_samples = revision, int(max_seconds * SAMPLE_RATE)

    def encode(
        self,
        inputs: Iterable[Mapping[str, Any]],
        *,
        task_metadata: Any = None,
        hf_split: str = "",
        hf_subset: str = "",
        prompt_type: Any = None,
        **kwargs: Any,
    ) -> np.ndarray:
        """Batches whose ``audio`` is a list of ``{array, sampling_rate}`` -> embeddings float32 (N, D).

        Raises:
            ConfigError: a batch has no audio.
        """
        embeddings = [self._embed(batch) for batch in inputs]
        return np.concatenate(embeddings) if embeddings else np.zeros((0, self.featurizer.output_size), np.float32)

    def _embed(self, batch: Mapping[str, Any]) -> np.ndarray:
        if "audio" not in batch:
            raise ConfigError(f"{self.name} encodes audio, but a batch has {', '.join(batch)}")
        waves = [self._wave(item) for item in batch["audio"]]
        wav_len = torch.tensor([len(wave) for wave in waves])
        x, lengths = self.frames(nn.utils.rnn.pad_sequence(waves, batch_first=True), wav_len)
        with torch.inference_mode():
            return MeanPooling()(x, lengths).float().cpu().numpy()

    def _wave(self, item: Mapping[str, Any]) -> Tensor:
        """An item as mono audio at 16 kHz."""
        from torchaudio.functional import resample

        wave = torch.as_tensor(np.asarray(item["array"]), dtype=torch.float32)
        wave = wave.mean(dim=0) if wave.dim() == 2 else wave
        rate = int(item.get("sampling_rate") or SAMPLE_RATE)
        wave = resample(wave, rate, SAMPLE_RATE) if rate != SAMPLE_RATE else wave
        return wave[: self.max_samples]

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Tensor:
        """Cosines of each of (N, D) with each of (M, D): (N, M)."""
        return _unit(embeddings1) @ _unit(embeddings2).T

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Tensor:
        """Cosines of pairs (N, D): (N,)."""
        return (_unit(embeddings1) * _unit(embeddings2)).sum(dim=-1)

    @property
    def mteb_model_meta(self) -> Any:
        """The model's card in mteb's form.

        Raises:
            ConfigError: mteb is not installed.
        """
        try:
            from mteb.models import ModelMeta
        except ImportError as error:
            raise ConfigError(f"MAEB needs mteb ({error}): pip install mteb") from error
        unknown = ("languages", "release_date", "memory_usage_mb", "license", "reference", "training_datasets")
        return ModelMeta(
            loader=type(self),
            name=f"soundstage/{self.name.replace(':', '_').replace('/', '_')}",
            revision=self.revision,
            modalities=["audio"],
            n_parameters=sum(own.numel() for own in self.upstream.parameters()),
            max_tokens=float("inf"),
            embed_dim=self.featurizer.output_size,
            open_weights=None,
            framework=["PyTorch"],
            similarity_fn_name="cosine",
            use_instructions=False,
            **dict.fromkeys((*unknown, "public_training_code", "public_training_data")),
        )


def _unit(embeddings: Any) -> Tensor:
    return nn.functional.normalize(torch.atleast_2d(torch.as_tensor(embeddings).float()), dim=-1)
