"""Run a frozen upstream over many utterances and give the states that a model needs."""

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
from dataset.protocols import CacheableDataset
from dataset.samplers.base import Limits, by_length
from dataset.samplers.sorted import cut
from nn.pooling import MeanPooling
from problems.engine.features import quantisation
from problems.engine.features.shards import CannotCacheError, States
from problems.engine.runtime import distributed
from problems.engine.runtime.memory import is_out_of_memory
from problems.engine.runtime.numerics import numerics

log = logging.getLogger(__name__)

DTYPES = {"fp16": torch.float16, "fp32": torch.float32, "int8": torch.int8}
PORTION_BYTES = 1 << 27  # of states in one portion; a kill loses one portion at most
PORTION_SECONDS = 60.0  # of work in one portion
GROUP_SECONDS = {"cpu": 24.0, "cuda": 240.0}  # of audio computed at once, with its padding
MEASURED_SECONDS = 4.0  # of audio, to measure the speed

Source = tuple[str, float | None, float | None]  # file, start and end in seconds


@dataclasses.dataclass
class FeatureExtractor:
    """Extracts the layers that a model needs from its frozen upstream.

    Args:
        upstream: frozen, in evaluation mode.
        layers: numbers of the layers to keep.
        mean: keep only each layer's mean over time, as one frame (none for an utterance without frames).
        dtype: a key of ``DTYPES``.
    """

    upstream: torch.nn.Module
    layers: list[int]
    mean: bool
    dtype: str

    @property
    def device(self) -> torch.device:
        """The device of the upstream."""
        return next(self.upstream.parameters()).device

    @torch.no_grad()
    def __call__(self, wav: torch.Tensor, wav_len: torch.Tensor) -> list[States]:
        """wav (B, T), wav_len (B,) -> the states (T', H) of each utterance, one a layer, on the CPU.

        Raises:
            CannotCacheError: a value exceeds the range of ``dtype``.
        """
        exact = numerics(deterministic=False, tf32=False)  # the cache also serves runs with other numerics
        with seeding.isolated(), exact, torch.autocast(self.device.type, enabled=False):
            states, lengths = self.upstream(wav.to(self.device), wav_len.to(self.device))
            layers = [self._stored(states[layer], lengths[layer]) for layer in self.layers]
        return [list(states) for states in zip(*layers)]

    def _stored(self, state: torch.Tensor, lengths: torch.Tensor) -> States:
        """One layer (B, T', H) as it is stored for each utterance."""
        if self.mean:
            state, lengths = MeanPooling()(state.float(), lengths).unsqueeze(1), lengths.clamp_max(1)
        if self.dtype == "int8":
            return self._quantised(state.cpu(), lengths.tolist())
        state = state.to(DTYPES[self.dtype]).cpu()
        states = [x[:n].clone() for x, n in zip(state, lengths.tolist())]
        if any(bool(torch.isinf(x).any()) for x in states):
            raise CannotCacheError(
                f"the upstream gives values beyond {torch.finfo(state.dtype).max:g}, the largest of {self.dtype}"
                + (" (use --features.dtype fp32)" if self.dtype == "fp16" else "")
            )
        return states

    @staticmethod
    def _quantised(state: torch.Tensor, lengths: list[int]) -> States:
        try:
            return [quantisation.pack(x[:n]) for x, n in zip(state, lengths)]
        except ValueError as error:
            raise CannotCacheError(f"{error} (use --features.dtype fp32)") from error

    def sizes(self, seconds: np.ndarray) -> np.ndarray:
        """The bytes of the states of utterances of these lengths: (N,) -> float64 (N,)."""
        lengths = self.upstream.output_lengths(torch.from_numpy(np.round(seconds * SAMPLE_RATE).astype(np.int64)))
        frames = [lengths[layer].clamp_max(1) if self.mean else lengths[layer] for layer in self.layers]
        if self.dtype == "int8":
            frames = [n + quantisation.HEAD * (n > 0) for n in frames]
        numbers = sum(n.double() * self.upstream.hidden_sizes[layer] for n, layer in zip(frames, self.layers))
        return (numbers * DTYPES[self.dtype].itemsize).numpy()


def group_by_length(seconds: np.ndarray, device: torch.device) -> list[list[int]]:
    """Group utterances of the lengths ``seconds`` (N,) to compute them together. Depends on nothing but the lengths.

    The last bit of a state may depend on the utterances it is batched with. Groups are therefore always computed whole,
    so that an interrupted pass gives the same bits as an undisturbed one.
    """
    limit = GROUP_SECONDS.get(device.type, GROUP_SECONDS["cpu"])
    order = by_length(seconds)
    starts = cut(seconds[order], Limits(None, limit))
    return [group.tolist() for group in np.split(order, starts[1:])]


def extract(
    extractor: FeatureExtractor,
    dataset: CacheableDataset,
    groups: Sequence[list[int]],
    *,
    num_workers: int = 0,
    skip_errors: bool = False,
) -> Iterator[dict[int, States]]:
    """Yield the states of each group of utterances, by utterance. Workers read the audio.

    With ``skip_errors``, an utterance that cannot be read or computed is logged and left out of its group.

    The upstream computes whole groups in this process, with all its threads. On two cores that is as fast as two
    workers with one thread each, whose results would have to be copied.
    """
    settings = LoaderSettings(num_workers=num_workers, keep_errors=True)
    stream = eval_stream(dataset, list(groups), _collate, settings)
    for group, batch in zip(groups, stream):
        try:
            yield dict(zip(group, _extract_batch(extractor, **require_readable(batch))))
        except Exception as error:
            if not (skip_errors and _concerns_an_utterance(error)):
                raise
            if len(group) > 1:
                yield from extract(extractor, dataset, [[index] for index in group], skip_errors=True)
            else:
                log.warning("an utterance is left out of the features: %s", error)


def extract_share(
    extractor: FeatureExtractor,
    dataset: CacheableDataset,
    groups: Sequence[list[int]],
    store: Callable[[dict[int, States]], None],
    *,
    num_workers: int = 0,
    skip_errors: bool = False,
    portion_factor: float = 1.0,
) -> None:
    """Compute this process's share of the groups and ``store`` them in portions.

    Args:
        store: takes the states of a portion, by utterance.
        portion_factor: portions are this many times the usual size.
    """
    portion: dict[int, States] = {}
    size, began = 0, time.monotonic()
    share = distributed.world().share(groups)
    for group in extract(extractor, dataset, share, num_workers=num_workers, skip_errors=skip_errors):
        portion |= group
        size += sum(x.nbytes for states in group.values() for x in states)
        late = time.monotonic() - began > portion_factor * PORTION_SECONDS
        if size >= portion_factor * PORTION_BYTES or late:
            store(portion)
            portion, size, began = {}, 0, time.monotonic()
    if portion:
        store(portion)


def measure_speed(
    extractor: FeatureExtractor, dataset: CacheableDataset, indices: np.ndarray, skip_errors: bool
) -> float:
    """Measure the seconds that one second of audio takes, on a few utterances of about the median length."""
    lengths = np.asarray(dataset.seconds)
    ranked = indices[np.argsort(lengths[indices])][len(indices) // 2 :]
    count = 1 + int(np.searchsorted(np.cumsum(lengths[ranked]), MEASURED_SECONDS))
    sample = ranked[:count].tolist()
    for _ in range(2):  # the first time pays for what happens once
        began = time.perf_counter()
        list(extract(extractor, dataset, [sample], skip_errors=skip_errors))
        duration = time.perf_counter() - began
    return duration / max(1e-3, float(lengths[sample].sum()))


def _collate(items: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
    wavs = [item["wav"] for item in items]
    return {"wav": pad_sequence(wavs, batch_first=True), "wav_len": torch.tensor([len(wav) for wav in wavs])}


def _concerns_an_utterance(error: Exception) -> bool:
    """Return True if the cause of an error may be one utterance."""
    return not (isinstance(error, CannotCacheError) or is_out_of_memory(error))


def _extract_batch(extractor: FeatureExtractor, wav: torch.Tensor, wav_len: torch.Tensor) -> list[States]:
    """The states of a batch, computed in halves if memory runs out."""
    try:
        return extractor(wav, wav_len)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error) or len(wav) == 1:
            raise
    if extractor.device.type == "cuda":
        torch.cuda.empty_cache()
    middle = (len(wav) + 1) // 2
    halves = zip(wav.split(middle), wav_len.split(middle))
    return [states for part, lens in halves for states in _extract_batch(extractor, part[:, : int(lens.max())], lens)]
