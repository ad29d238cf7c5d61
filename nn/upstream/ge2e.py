"""The GE2E speaker encoder of the PyPI package ``resemblyzer`` (Wan et al. 2018), with its published weights.

Only the file with the weights is read from that package. The package is located without being imported, because
importing it needs webrtcvad and librosa (install it by ``pip install --no-deps resemblyzer``). The network, the mel
energies and the cutting into windows are rewritten here after that package.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import torch
import torchaudio.functional
from torch import Tensor, nn
from torch.nn.functional import pad

from nn.mask import frame_mask, zero_padding
from nn.upstream.signal.base import SAMPLE_RATE

N_FFT, HOP, MELS = 400, 160, 40
WINDOW = 160  # mel frames of one embedding: 1.6 s
SIZE = 256
LEVEL = 10 ** (-30 / 20)  # -30 dBFS


class GE2E(nn.Module):
    """One speaker embedding per window of 1.6 s: (B, T', 256), non-negative, of unit norm.

    A frame is a window. The last window is filled with silence if the utterance covers ``min_coverage`` of it, and
    dropped otherwise. An utterance shorter than one window has one frame, an empty one has none. The mean over the
    frames, scaled to unit norm, is the package's ``embed_utterance``; cosine scores need no scaling. The package also
    cuts silence with a voice detector, which is not done here.

    Args:
        rate: windows per second, 0.625 (without overlap) to 100
        min_coverage: share of the last window that the utterance must cover
        checkpoint: a local file with the weights, or "random"; null: the one in the package resemblyzer
        seed: seed of random weights
    """

    num_layers = 1

    def __init__(
        self, rate: float = 1.3, min_coverage: float = 0.75, checkpoint: str | None = None, seed: int = 0
    ) -> None:
        super().__init__()
        self.step = round(SAMPLE_RATE / rate / HOP) if rate > 0 else 0
        if not 1 <= self.step <= WINDOW:
            raise ValueError(f"rate is {rate}, expected from 0.625 to 100 windows a second")
        if not 0 < min_coverage <= 1:
            raise ValueError(f"min_coverage is {min_coverage}, expected more than 0 and at most 1")
        self.min_coverage = min_coverage
        self.hidden_sizes, self.downsample_rates = [SIZE], [self.step * HOP]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.lstm = nn.LSTM(MELS, SIZE, 3, batch_first=True)
            self.linear = nn.Linear(SIZE, SIZE)
        mel = torchaudio.functional.melscale_fbanks(
            N_FFT // 2 + 1, 0.0, SAMPLE_RATE / 2, MELS, SAMPLE_RATE, norm="slaney", mel_scale="slaney"
        )
        self.register_buffer("mel", mel, persistent=False)
        self.register_buffer("window", torch.hann_window(N_FFT), persistent=False)
        if checkpoint != "random":
            self._load(_packaged() if checkpoint is None else Path(checkpoint).expanduser())

    def _load(self, path: Path) -> None:
        if not path.is_file():
            raise ValueError(f"checkpoint: there is no file {path}")
        state = torch.load(path, map_location="cpu", weights_only=True).get("model_state", {})
        try:
            # the weight and bias of the training loss are not part of the network
            self.load_state_dict({k: v for k, v in state.items() if not k.startswith("similarity_")})
        except RuntimeError as error:
            raise ValueError(f"checkpoint: the weights in {path} do not fit this model: {error}") from error

    def output_lengths(self, wav_len: Tensor) -> list[Tensor]:
        """Windows of utterances of ``wav_len`` (B,) samples: one int64 tensor (B,)."""
        frames = torch.div(wav_len, HOP, rounding_mode="floor") + 1
        last = torch.div((frames - WINDOW + self.step).clamp_min(0), self.step, rounding_mode="floor")
        covered = (wav_len - last * self.step * HOP) / (WINDOW * HOP)
        return [torch.where((covered < self.min_coverage) & (last > 0), last, last + 1) * (wav_len > 0)]

    def forward(self, wav: Tensor, wav_len: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Embeddings of a padded batch.

        Args:
            wav: (B, T) float, 16 kHz, amplitude in [-1, 1].
            wav_len: (B,) int64, samples of each utterance, at most T.

        Returns:
            one tensor (B, T', 256), zeros past an utterance's windows, and one of lengths (B,).
        """
        if wav.dim() != 2 or wav_len.shape != wav.shape[:1]:
            raise ValueError(
                f"wav must be (batch, samples) and wav_len (batch,), got {tuple(wav.shape)} and {tuple(wav_len.shape)}"
            )
        (lengths,) = self.output_lengths(wav_len)
        number = max(1, int(lengths.max())) if len(lengths) else 1
        with torch.autocast(wav.device.type, enabled=False):
            mel = self.mel_energies(raised(wav.float(), wav_len), (number - 1) * self.step + WINDOW)
            windows = mel.unfold(1, WINDOW, self.step).transpose(2, 3)
            inside = frame_mask(lengths, number)
            _, (hidden, _) = self.lstm(windows[inside]) if inside.any() else (None, (mel.new_zeros(1, 0, SIZE), None))
            x = mel.new_zeros(len(wav), number, SIZE)
            x[inside] = torch.nn.functional.normalize(self.linear(hidden[-1]).relu(), dim=-1)
        return [x], [lengths]

    def mel_energies(self, wav: Tensor, frames: int) -> Tensor:
        """Mel power of the first ``frames`` frames, silence after the end: (B, T) -> (B, frames, 40)."""
        half = N_FFT // 2
        wav = pad(wav, (half, max(half, (frames - 1) * HOP + half - wav.shape[1])))
        spectrum = torch.stft(wav, N_FFT, HOP, window=self.window, center=False, return_complex=True)
        power = torch.view_as_real(spectrum[..., :frames]).square().sum(-1)
        return power.transpose(1, 2) @ self.mel


def raised(wav: Tensor, wav_len: Tensor) -> Tensor:
    """Raise each utterance to -30 dBFS; louder ones stay as they are: (B, T) -> (B, T), zero past the length."""
    wav = zero_padding(wav.unsqueeze(-1), wav_len).squeeze(-1)
    power = wav.square().sum(dim=1, keepdim=True) / wav_len.clamp_min(1).unsqueeze(1)
    return wav * (LEVEL * power.clamp_min(1e-20).rsqrt()).clamp_min(1.0).where(power > 0, 1.0)


def _packaged() -> Path:
    spec = find_spec("resemblyzer")
    if spec is None or spec.origin is None:
        raise ValueError(
            "the weights are in the package resemblyzer, which is not installed: pip install --no-deps resemblyzer (its"
            " dependencies are not used), or set build_upstream.conf.checkpoint to a local file, or to random"
        )
    return Path(spec.origin).parent / "pretrained.pt"
