"""The base of the signal features: windows of samples, lengths, deltas, normalisation.

Written here and not taken from torchaudio because ``torchaudio.compliance.kaldi`` takes one utterance at a
time and rebuilds its windows and filters at each call, and ``torchaudio.transforms`` does not know lengths.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nn.mask import zero_padding
from nn.streaming import CannotStream
from nn.upstream.signal.deltas_cmvn import CMVN, add_deltas, normalise
from nn.upstream.signal.streaming import SignalStream

SAMPLE_RATE = 16000


class SignalUpstream(nn.Module):
    """One layer of features, each frame computed from one window of samples.

    An utterance gives the same features in a padded batch as alone; frames past its length are zero. There are
    no parameters and the state dict is empty. Features are differentiable with respect to the waveform. Under
    autocast they are still computed in float32.

    Windows lie wholly inside the utterance: n samples have ``max(0, 1 + (n - window) // shift)`` frames (Kaldi's
    snip_edges). Subclasses set ``size``, implement :meth:`features`, and may place the windows otherwise.

    Args:
        frame_length: window length in milliseconds
        frame_shift: step between windows in milliseconds
        deltas: orders of time derivatives appended (0, 1 or 2)
        cmvn: normalisation over each utterance's frames: "none", "mean", "utterance" (mean and variance), or
            "sliding" (mean of the last 3 s at the usual shift, so that a recording can be taken in chunks)
    """

    num_layers = 1
    size: int  # features of a frame, without deltas

    def __init__(
        self, frame_length: float = 25.0, frame_shift: float = 10.0, deltas: int = 0, cmvn: str = "utterance"
    ) -> None:
        super().__init__()
        self.window_size = int(SAMPLE_RATE * frame_length * 0.001)
        self.shift = int(SAMPLE_RATE * frame_shift * 0.001)
        if self.window_size < 2 or self.shift < 1:
            raise ValueError(
                f"frame_length is {frame_length} ms and frame_shift {frame_shift} ms, expected at least "
                f"2 samples and 1 sample at {SAMPLE_RATE} Hz"
            )
        if deltas not in (0, 1, 2):
            raise ValueError(f"deltas is {deltas!r}, expected 0, 1 or 2 (orders of time derivatives)")
        if cmvn not in CMVN:
            raise ValueError(f"cmvn is {cmvn!r}, expected one of {', '.join(CMVN)}")
        self.deltas = deltas
        self.cmvn = cmvn
        self.downsample_rates = [self.shift]

    @property
    def hidden_sizes(self) -> list[int]:
        return [self.size * (1 + self.deltas)]

    def windows(self, wav: Tensor, wav_len: Tensor) -> Tensor:
        """(B, T) -> (B, T', window), T' at least 1. Windows past an utterance's frames may hold anything."""
        if wav.shape[1] < self.window_size:
            wav = nn.functional.pad(wav, (0, self.window_size - wav.shape[1]))
        return wav.unfold(1, self.window_size, self.shift)

    def features(self, windows: Tensor) -> Tensor:
        """(B, T', window) -> (B, T', size), frame by frame."""
        raise NotImplementedError

    def output_lengths(self, wav_len: Tensor) -> list[Tensor]:
        """Frames of utterances of ``wav_len`` (B,) samples: one int64 tensor (B,)."""
        frames = torch.div(wav_len - self.window_size, self.shift, rounding_mode="floor") + 1
        return [frames.clamp_min(0)]

    def forward(self, wav: Tensor, wav_len: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Features of a padded batch.

        Args:
            wav: (B, T) float, 16 kHz, amplitude in [-1, 1].
            wav_len: (B,) int64, samples of each utterance, at most T.

        Returns:
            one tensor (B, T', H), T' at least 1, and its lengths, one int64 tensor (B,).
        """
        if wav.dim() != 2 or wav_len.shape != wav.shape[:1]:
            raise ValueError(
                f"wav must be (batch, samples) and wav_len (batch,), got {tuple(wav.shape)} and {tuple(wav_len.shape)}"
            )
        (lengths,) = self.output_lengths(wav_len)
        with torch.autocast(wav.device.type, enabled=False):
            if wav.dtype != torch.float64:
                wav = wav.float()
            x = add_deltas(self.features(self.windows(wav, wav_len)), lengths, self.deltas)
            x = normalise(zero_padding(x, lengths), lengths, self.cmvn)
        return [x], [lengths]

    def stream(self) -> SignalStream:
        """A stream, which takes a recording in chunks.

        Raises:
            CannotStream: the normalisation, or the place of the windows, depends on the whole recording.
        """
        name = type(self).__name__
        if type(self).windows is not SignalUpstream.windows:
            raise CannotStream(f"{name} reflects a recording at its end")
        if self.cmvn not in ("none", "sliding"):
            raise CannotStream(f"{name} normalises over the whole recording (cmvn is {self.cmvn}, not sliding or none)")
        return SignalStream(self)


def power_spectrum(windows: Tensor, n_fft: int) -> Tensor:
    """Squared magnitude of the FFT of windows (..., window): (..., n_fft // 2 + 1)."""
    spectrum = torch.view_as_real(torch.fft.rfft(windows, n=n_fft))
    # not abs().square(): the root would cost time and has no gradient at zero
    return spectrum[..., 0].square() + spectrum[..., 1].square()
