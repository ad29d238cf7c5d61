"""A trained model on recordings that arrive in chunks, such as those of a microphone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from dataset import SAMPLE_RATE
from dataset.audio import as_mono
from dataset.long_audio.blocks import Resampling
from dataset.places.audio_file import RATES
from nn.streaming import CannotStream
from problems.engine.runtime.errors import ConfigError
from problems.engine.runtime.numerics import numerics
from tasks.base import ResultStream

if TYPE_CHECKING:
    from problems.engine.inference.predictor import Predictor


class Stream:
    """Recordings in chunks, one after the other: each is pushed chunk by chunk, and finished. For one thread.

    Args:
        predictor: its model and its device.
        rate: of the chunks, Hz.

    Raises:
        ConfigError: the model needs the whole recording, or the rate is not one of audio.
    """

    def __init__(self, predictor: Predictor, rate: int = SAMPLE_RATE) -> None:
        if rate not in RATES:
            raise ConfigError(f"rate is {rate!r}: expected {RATES.start} to {RATES.stop - 1} Hz")
        self._task, self._device, self._rate = predictor.task, predictor.device, rate
        self._begin()

    def push(self, chunk: Any) -> Any:
        """The result of the recording so far.

        Args:
            chunk: its next samples, a tensor or an array (T,) or (channels, T), floats or integers of full scale; T may
                be 0.

        Returns:
            a :class:`tasks.results.Result`, of which only the last word or phone can still change; of events and turns,
            those that reach the end, and what later ones may still be joined to.

        Raises:
            AudioError: the samples have another shape, or one is NaN or infinite.
        """
        samples = torch.as_tensor(chunk)
        wav = as_mono(samples) if samples.numel() else torch.zeros(0)
        self._samples += len(wav)
        return self._result(wav if self._resampling is None else self._resampling.add(wav), is_last=False)

    def finish(self) -> Any:
        """The result of the whole recording. The next chunk begins another one, whose times are counted from there."""
        result = self._result(torch.zeros(0) if self._resampling is None else self._resampling.finish(), is_last=True)
        self._begin()
        return result

    def _begin(self) -> None:
        self._samples = 0
        self._resampling = None if self._rate == SAMPLE_RATE else Resampling(self._rate)
        try:
            self._stream: ResultStream = self._task.stream()
        except CannotStream as error:
            raise ConfigError(
                f"this model cannot take a recording in chunks: {error}; predict takes whole recordings"
            ) from error

    def _result(self, wav: Tensor, is_last: bool) -> Any:
        with numerics(deterministic=False, tf32=False), torch.inference_mode():
            result = self._stream(wav[None].to(self._device), is_last)
        result.seconds = round(self._samples / self._rate, 3)
        return result
