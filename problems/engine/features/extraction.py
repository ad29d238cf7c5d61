"""A frozen upstream over waveforms: its states as they are kept, what they take, and many of them by all processes."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from dataset import SAMPLE_RATE, seeding
from dataset.loader import LoaderSettings, eval_stream, require_readable
from dataset.samplers.buckets import BucketBatchSampler
from nn.pooling import MeanPooling
from problems.engine.features.shards import CannotKeepError, States
from problems.engine.runtime import distributed
from problems.engine.runtime.errors import Interrupted
from problems.engine.runtime.memory import is_out_of_memory
from problems.engine.runtime.numerics import numerics

log = logging.getLogger(__name__)

DTYPES = {"fp16": torch.float16, "fp32": torch.float32}
PORTION_BYTES = 1 << 27  # handed over at once, and lost at most by a kill,
PORTION_SECONDS = 60.0  # as is the work of this time
GROUP_SECONDS = {"cpu": 24.0, "cuda": 240.0}  # of audio at once, with its padding


@dataclasses.dataclass
class Encoder:
    """What an upstream gives for an utterance, as far as a model needs it.

    Args:
        upstream: frozen, in evaluation mode.
        layers: the layers that are needed.
        mean: their means over the frames are enough; they are kept as one frame (none of an utterance without frames).
        dtype: a key of ``DTYPES``.
    """

    upstream: torch.nn.Module
    layers: list[int]
    mean: bool
    dtype: str

    @property
    def device(self) -> torch.device:
        """Where the upstream is."""
        return next(self.upstream.parameters()).device

    @torch.no_grad()
    def __call__(self, wav: torch.Tensor, wav_len: torch.Tensor) -> list[States]:
        """wav (B, T), wav_len (B,) -> for each utterance its states (T', H), one of each layer, on the CPU.

        Raises:
            CannotKeepError: a value is beyond what the type holds.
        """
        exact = numerics(deterministic=False, tf32=False)  # kept for runs that ask for other numerics too
        with seeding.isolated(), exact, torch.autocast(self.device.type, enabled=False):
            states, lengths = self.upstream(wav.to(self.device), wav_len.to(self.device))
            chosen = [self._kept(states[layer], lengths[layer]) for layer in self.layers]
        return [list(layers) for layers in zip(*chosen)]

    def _kept(self, state: torch.Tensor, lengths: torch.Tensor) -> States:
        """A layer (B, T', H) as what is kept of each utterance."""
        if self.mean:
            state, lengths = MeanPooling()(state.float(), lengths).unsqueeze(1), lengths.clamp_max(1)
        state = state.to(DTYPES[self.dtype]).cpu()
        kept = [x[:n].clone() for x, n in zip(state, lengths.tolist())]
        if any(bool(torch.isinf(x).any()) for x in kept):
            raise CannotKeepError(
                f"the upstream gives values beyond {torch.finfo(state.dtype).max:g}, the largest of {self.dtype}"
                + (" (--features.dtype fp32 holds them)" if self.dtype == "fp16" else "")
            )
        return kept

    def sizes(self, seconds: np.ndarray) -> np.ndarray:
        """Bytes of the states of utterances of these lengths (N,): float64 (N,)."""
        lengths = self.upstream.output_lengths(torch.from_numpy(np.round(seconds * SAMPLE_RATE).astype(np.int64)))
        frames = [lengths[layer].clamp_max(1) if self.mean else lengths[layer] for layer in self.layers]
        numbers = sum(n.double() * self.upstream.hidden_sizes[layer] for n, layer in zip(frames, self.layers))
        return (numbers * DTYPES[self.dtype].itemsize).numpy()


def groups_of(seconds: np.ndarray, device: torch.device) -> list[list[int]]:
    """Utterances (N,) in groups to compute at once, a function of their lengths alone.

    What a state's last bit is may depend on its group; so a group is computed whole even where only some of it is
    missing, and a pass that was cut ends with the bits of one that was not.
    """
    limit = GROUP_SECONDS.get(device.type, GROUP_SECONDS["cpu"])
    return list(BucketBatchSampler(seconds, batch_size=None, max_seconds=limit))


def _waveforms(items: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
    wavs = [item["wav"] for item in items]
    return {"wav": pad_sequence(wavs, batch_first=True), "wav_len": torch.tensor([len(wav) for wav in wavs])}


def encode(
    encoder: Encoder, dataset: Any, groups: Sequence[list[int]], num_workers: int = 0, skip_errors: bool = False
) -> Iterator[dict[int, States]]:
    """The states of groups of a dataset's utterances by their numbers. Workers read the audio.

    With ``skip_errors``, an utterance that cannot be read or encoded is named and left out of its group.

    The upstream works on whole groups in this process, with all its threads: on two cores as fast as two workers with
    one thread each, whose results would have to be copied.
    """
    stream = eval_stream(dataset, list(groups), _waveforms, LoaderSettings(num_workers=num_workers, keep_errors=True))
    for group, batch in zip(groups, stream):
        try:
            yield dict(zip(group, _encoded(encoder, **require_readable(batch))))
        except Exception as error:
            if not (skip_errors and _is_of_data(error)):
                raise
            if len(group) > 1:
                yield from encode(encoder, dataset, [[index] for index in group], skip_errors=True)
            else:
                log.warning("an utterance is left out of the features: %s", error)


def _is_of_data(error: Exception) -> bool:
    """Whether an error may be that of one utterance."""
    return not (isinstance(error, (CannotKeepError, Interrupted)) or is_out_of_memory(error))


def _encoded(encoder: Encoder, wav: torch.Tensor, wav_len: torch.Tensor) -> list[States]:
    """The states of a batch, in halves where memory runs out."""
    try:
        return encoder(wav, wav_len)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error) or len(wav) == 1:
            raise
    if encoder.device.type == "cuda":
        torch.cuda.empty_cache()
    middle = (len(wav) + 1) // 2
    halves = zip(wav.split(middle), wav_len.split(middle))
    return [states for part, lens in halves for states in _encoded(encoder, part[:, : int(lens.max())], lens)]


def encode_share(
    encoder: Encoder,
    dataset: Any,
    groups: Sequence[list[int]],
    keep: Callable[[dict[int, States]], None],
    num_workers: int = 0,
    skip_errors: bool = False,
    growth: float = 1.0,
) -> None:
    """Compute this process's share of the groups, and ``keep`` them portion by portion.

    ``growth``: portions are so many times the usual.
    """
    world = distributed.world()
    portion: dict[int, States] = {}
    size, began = 0, time.monotonic()
    for found in encode(encoder, dataset, groups[world.rank :: world.size], num_workers, skip_errors):
        portion |= found
        size += sum(x.nbytes for states in found.values() for x in states)
        if size >= growth * PORTION_BYTES or time.monotonic() - began > growth * PORTION_SECONDS:
            keep(portion)
            portion, size, began = {}, 0, time.monotonic()
    if portion:
        keep(portion)
