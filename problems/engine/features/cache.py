"""Fill and read the feature cache of one dataset."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import logging
import math
import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch

from dataset.protocols import CacheableDataset
from dataset.storage.file_digests import content_digests
from problems.engine.features.extraction import (
    PORTION_BYTES,
    PORTION_SECONDS,
    FeatureExtractor,
    Source,
    extract,
    extract_share,
    group_by_length,
    measure_speed,
)
from problems.engine.features.policy import Decision, Settings, decide
from problems.engine.features.quantisation import LayerErrors, unpack
from problems.engine.features.shards import SUFFIX, CannotCacheError, Shards, States
from problems.engine.runtime import distributed
from problems.engine.runtime.memory import available_memory

log = logging.getLogger(__name__)

MAX_SHARDS = 256  # about, of one dataset: each is an open file
SHARED_AT_ONCE = 64  # utterances that processes hand each other from memory in one go


@dataclasses.dataclass(frozen=True)
class Plan:
    """The utterances to compute, and the place to cache them.

    Args:
        decision: where the features are cached.
        indices: all utterances that the cache shall hold.
        groups: those to compute, in the groups that are computed at once.
        portion_factor: portions are this many times the usual size, so that a large dataset has few shards.
    """

    decision: Decision
    indices: Sequence[int] = ()
    groups: Sequence[list[int]] = ()
    portion_factor: float = 1.0


class FeatureCache:
    """The features of one dataset under one upstream: in shards, or in memory if those cannot be written.

    Args:
        extractor: computes what is missing.
        dataset: the utterances.
        folder: the folder of this upstream's shards.
        settings: the settings of the cache.
    """

    def __init__(self, extractor: FeatureExtractor, dataset: CacheableDataset, folder: Path, settings: Settings):
        self.extractor, self.dataset, self.settings = extractor, dataset, settings
        self.sources = dataset.sources
        self.keys: dict[int, str] = {}  # by utterance
        self.shards = Shards(folder, extractor.layers, settings.limit)
        self.memory: dict[str, States] = {}
        self.pending: dict[int, States] = {}  # computed after the cache was filled, not in a shard yet
        self.on_all_disks: set[str] = set()  # keys that every process had on its disk before anything was computed
        self.errors = LayerErrors()  # of what this process computes
        self.in_memory = settings.mode == "ram"

    def get(self, index: int) -> States:
        """The states of an utterance, computed if the cache does not hold them."""
        if index not in self.keys:
            self.keys |= self._keys_of([index])
        key = self.keys[index]
        states = self.pending.get(index) or self.memory.get(key) or self.shards.get(key)
        if states is None:
            states = next(extract(self.extractor, self.dataset, [[index]]))[index]
            self._add_pending(index, states)
        return [unpack(state) if state.dtype == torch.int8 else state for state in states]

    def _add_pending(self, index: int, states: States) -> None:
        """Keep the states of an utterance that was not planned until there are enough for a shard."""
        self.pending[index] = states
        if sum(map(_bytes, self.pending.values())) >= PORTION_BYTES:
            portion, self.pending = self.pending, {}
            try:
                self._store(portion)
            except CannotCacheError as error:
                log.warning("the features of %s utterances are not cached: %s", f"{len(portion):,}", error)

    def plan(self, indices: Sequence[int]) -> Plan:
        """Plan to hold these utterances. Every process must ask, and all get the same plan."""
        apart = distributed.any(not self._shares_the_main_disk())
        decision = distributed.on_main(lambda: self._decide_by_lengths(indices, apart))
        if decision.place == "off":
            return Plan(decision)
        self.keys = distributed.on_main(lambda: self._keys_of(indices))
        unreadable = [self.sources[i][0] for i, key in self.keys.items() if not key]
        if unreadable and not self.settings.skip_errors:
            more = f", and {len(unreadable) - 1:,} more" if unreadable[1:] else ""
            return Plan(Decision.failed(f"{unreadable[0]} cannot be read{more}"))
        readable = np.array([i for i, key in self.keys.items() if key], dtype=int)
        keys = self.shards.open(self.keys[i] for i in readable)
        self.on_all_disks = set.intersection(*distributed.gather(keys))
        return distributed.on_main(lambda: self._plan(readable, apart))

    def fill(self, plan: Plan) -> Decision:
        """Compute what the plan says, all processes together. The place is off if it could not be stored."""
        self.in_memory = plan.decision.place == "ram"
        began = time.monotonic()
        failures = distributed.gather(self._compute_share(plan))
        if any(failures):
            return Decision.failed(next(filter(None, failures)))
        self._share_memory()
        on_disk = self.shards.open(self.keys[i] for i in plan.indices)
        places = [f"{self.shards.bytes() / 1e9:.2f} GB in {self.shards.folder}"] if on_disk else []
        places += [f"{sum(map(_bytes, self.memory.values())) / 1e9:.2f} GB in RAM"] if self.memory else []
        computed = sum(map(len, plan.groups))
        log.info(
            "features: %s utterances from the cache, %s computed in %.0f s; %s",
            f"{len(plan.indices) - computed:,}",
            f"{computed:,}",
            time.monotonic() - began,
            " and ".join(places),
        )
        if self.errors.squared_error:
            errors = zip(self.extractor.layers, self.errors.relative())
            shown = ", ".join(f"{layer}: {100 * error:.2f} %" for layer, error in errors)
            log.info("features: rounded to 8 bits; error by layer, relative to the deviation: %s", shown)
        return plan.decision

    # ---- planning ----

    def _shares_the_main_disk(self) -> bool:
        """Return True if this process sees the main one's cache folder. Every process must ask."""
        root = self.settings.root
        if distributed.world().size == 1:
            return True
        is_writable = distributed.on_main(lambda: _is_writable(root))
        return distributed.sees_main_files(root) if is_writable else distributed.world().shared

    def _decide_by_lengths(self, indices: Sequence[int], apart: bool) -> Decision:
        """Decide from the lengths alone, before any file is read for its digest."""
        if any(self.shards.folder.glob(f"*{SUFFIX}")):
            return Decision("disk")
        size = self._size_of(np.asarray(indices, dtype=int))
        return decide(self.settings.mode, size, math.inf, self._available(apart))

    def _plan(self, indices: np.ndarray, apart: bool) -> Plan:
        """Plan for utterances whose keys are known, and log what it will take."""
        seconds = np.asarray(self.dataset.seconds)
        groups = [indices[group].tolist() for group in group_by_length(seconds[indices], self.extractor.device)]
        groups = [group for group in groups if any(self.keys[i] not in self.on_all_disks for i in group)]
        if not groups:
            return Plan(Decision("disk"), indices)
        missing = np.concatenate(groups)
        try:
            speed = measure_speed(self.extractor, self.dataset, missing, self.settings.skip_errors)
        except CannotCacheError as error:
            return Plan(Decision.failed(error))
        size, work = self._size_of(missing), speed * float(seconds[missing].sum())
        duration = work / distributed.world().size
        available = self._available(apart)
        log.info(
            "features: %s utterances are cached, %s are to be computed: about %.2f GB and %.0f s"
            " (room for %.1f GB in %s, %.1f GB in RAM)",
            f"{len(self.on_all_disks):,}",
            f"{len(missing):,}",
            size / 1e9,
            duration,
            available["disk"] / 1e9,
            self.shards.folder,
            available["ram"] / 1e9,
        )
        portions = size / PORTION_BYTES + work / PORTION_SECONDS
        # a cache that was begun is finished, however fast: an interruption must not change the features of a training
        decision = decide(self.settings.mode, size, math.inf if self.on_all_disks else duration, available)
        return Plan(decision, indices, groups, portion_factor=max(1.0, portions / MAX_SHARDS))

    def _size_of(self, indices: np.ndarray) -> float:
        return float(self.extractor.sizes(np.asarray(self.dataset.seconds)[indices]).sum())

    def _available(self, apart: bool) -> dict[str, float]:
        """Bytes on disk and in RAM. Processes that are ``apart`` can share only what is in RAM."""
        ram = available_memory() / 2 / distributed.world().size
        return {"disk": 0 if apart else self.shards.room(), "ram": ram}

    def _keys_of(self, indices: Iterable[int]) -> dict[int, str]:
        """The keys of utterances, from their files as they are now."""
        indices = [int(i) for i in indices]
        return dict(zip(indices, cache_keys((self.sources[i] for i in indices), self.settings.root)))

    # ---- filling ----

    def _compute_share(self, plan: Plan) -> str:
        """Compute and store this process's share of the groups; the reason if it cannot be stored."""
        try:
            extract_share(
                self.extractor,
                self.dataset,
                plan.groups,
                self._store,
                num_workers=self.settings.num_workers,
                skip_errors=self.settings.skip_errors,
                portion_factor=plan.portion_factor,
            )
        except CannotCacheError as error:
            return str(error)
        return ""

    def _store(self, portion: dict[int, States]) -> None:
        """Write a portion into a shard, or keep it in memory if that fails.

        Raises:
            CannotCacheError: not enough memory either.
        """
        keys = self._keys_of(portion)
        changed = [i for i in portion if keys[i] != self.keys[i]]
        for i in changed:
            log.warning("%s changed while its features were being computed; they are discarded", self.sources[i][0])
        states_by_key = {keys[i]: states for i, states in portion.items() if keys[i] and i not in changed}
        entries = {key: states for key, states in states_by_key.items() if key not in self.on_all_disks}
        for states in entries.values() if self.extractor.dtype == "int8" else ():
            self.errors.add(states)
        if not self.in_memory and entries:
            try:
                self.shards.write(entries)
                log.info("features: %s utterances computed and cached", f"{len(portion):,}")
                return
            except CannotCacheError as error:
                log.warning("features cannot be cached on disk; they are kept in RAM instead: %s", error)
                self.in_memory = True
        size = sum(map(_bytes, entries.values()))
        if size * distributed.world().size > available_memory() / 2:
            raise CannotCacheError("there is not enough RAM either")
        self.memory |= entries

    def _share_memory(self) -> None:
        """Give every process what each has in memory, some utterances at a time."""
        entries = list(self.memory.items())
        portions = [dict(entries[i : i + SHARED_AT_ONCE]) for i in range(0, len(entries), SHARED_AT_ONCE)]
        for number in range(max(distributed.gather(len(portions)))):
            for portion in distributed.gather(portions[number] if number < len(portions) else {}):
                self.memory |= portion


def cache_keys(sources: Iterable[Source], root: Path) -> list[str]:
    """The key of each piece of audio: a digest of its file's content and its segment; '' for an unreadable file."""
    sources = list(sources)
    digests = content_digests((path for path, *_ in sources), root)
    keys = []
    for path, *segment in sources:
        content = repr((digests.get(path), *segment))
        keys.append(hashlib.blake2b(content.encode(), digest_size=16).hexdigest() if path in digests else "")
    return keys


def _bytes(states: States) -> int:
    return sum(state.nbytes for state in states)


def _is_writable(folder: Path) -> bool:
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    return os.access(folder, os.W_OK)
