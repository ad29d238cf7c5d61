"""The cache of a frozen upstream's features: whether one is worth it, where it is, and filling it."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import logging
import math
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dataset.file_digests import content_digests
from problems.engine.features.extraction import PORTION_BYTES, PORTION_SECONDS, Encoder, encode, encode_share, groups_of
from problems.engine.features.shards import SUFFIX, CannotKeepError, Shards, States
from problems.engine.runtime import distributed
from problems.engine.runtime.environment import available_memory, cache_folder, reading_workers

log = logging.getLogger(__name__)

READING = 200e6  # bytes a second at which features are surely read back
MOST_SHARDS = 256  # about, of one dataset: each is an open file
TRIAL_SECONDS = 4.0  # of audio, to measure what computing takes


@dataclasses.dataclass(frozen=True)
class Settings:
    """What the config says about the cache.

    Args:
        mode: auto, off, ram or disk.
        dtype: fp16 or fp32.
        limit: bytes that all kept features may take on the disk.
        root: the folder that runs share.
        num_workers: processes that read audio.
        skip_errors: leave out what cannot be read; whoever asks for it then meets the error.
    """

    mode: str
    dtype: str
    limit: int
    root: Path
    num_workers: int = 0
    skip_errors: bool = False


def settings_of(config: Mapping[str, Any] | None) -> Settings | None:
    """The settings in a whole config; None where it has none."""
    section = (config or {}).get("features")
    if not section:
        return None
    own = section["cache"], section["dtype"], int(section["limit_gb"] * 1e9)
    skip_errors = bool((config.get("train") or {}).get("skip_errors"))
    return Settings(*own, cache_folder(config) / "features", reading_workers(config), skip_errors)


def keys_of(sources: Iterable[tuple[str, float | None, float | None]], root: Path) -> list[str]:
    """What each piece of audio is known by: its file's content, and which part of it. '' where it cannot be read."""
    sources = list(sources)
    digests = content_digests((path for path, *_ in sources), root)
    keys = []
    for path, *segment in sources:
        told = repr((digests.get(path), *segment))
        keys.append(hashlib.blake2b(told.encode(), digest_size=16).hexdigest() if path in digests else "")
    return keys


def decide(mode: str, size: float, computing: float, room: Mapping[str, float]) -> tuple[str, str]:
    """Where ``size`` bytes that take ``computing`` seconds go: disk, ram or off; and why, where off.

    Args:
        room: bytes that there are on ``disk`` and in ``ram``; ``auto`` takes at most half.
    """
    if mode == "off" or (mode == "auto" and computing < 2 * size / READING):
        return "off", "reading them back would take as long as computing them"
    share = 0.5 if mode == "auto" else 1.0
    places = ("disk", "ram") if mode == "auto" else (mode,)
    for place in places:
        if size <= share * room[place]:
            return place, ""
    there = " and ".join(f"{room[place] / 1e9:.1f} GB in {place}" for place in places)
    return "off", f"they take {size / 1e9:.1f} GB, and there are {there}" + (", of which auto takes half" * (share < 1))


def _writable(folder: Path) -> bool:
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    return os.access(folder, os.W_OK)


class FeatureCache:
    """The features of one dataset under one upstream: in shards, and in memory where those cannot be written.

    Args:
        encoder: computes what is missing.
        dataset: the utterances.
        folder: of this upstream's shards.
        settings: what the config says.
    """

    def __init__(self, encoder: Encoder, dataset: Any, folder: Path, settings: Settings):
        self.encoder, self.dataset, self.settings = encoder, dataset, settings
        self.sources = dataset.sources
        self.keys: dict[int, str] = {}  # what each utterance is known by
        self.shards = Shards(folder, encoder.layers, settings.limit)
        self.memory: dict[str, States] = {}
        self.late: dict[int, States] = {}  # computed since it was filled, and not in a shard yet
        self.there: set[str] = set()  # what every process had on its disk before anything was computed
        self.growth = 1.0  # of the portions that are kept, where there are many
        self.full = settings.mode == "ram"

    def get(self, index: int) -> States:
        """The states of an utterance; computed where they are not there."""
        if index not in self.keys:
            self.keys |= self._keys([index])
        key = self.keys[index]
        found = self.late.get(index) or self.memory.get(key) or self.shards.get(key)
        if found is None:
            found = next(encode(self.encoder, self.dataset, [[index]]))[index]
            self._keep_late(index, found)
        return found

    def _keep_late(self, index: int, states: States) -> None:
        """Keep what was not foreseen, once there is enough of it for a shard."""
        self.late[index] = states
        if sum(x.nbytes for late in self.late.values() for x in late) >= PORTION_BYTES:
            portion, self.late = self.late, {}
            try:
                self._keep(portion)
            except CannotKeepError as error:
                log.warning("features of %s utterances are not kept: %s", f"{len(portion):,}", error)

    # ---- filling it ----

    def fill(self, indices: Sequence[int]) -> bool:
        """Compute what is missing of these utterances, all processes together; whether the cache is to be used.

        Where it is not, the reason has been said.
        """
        apart = distributed.any(not self._sees_the_main_ones())
        if distributed.on_main(lambda: self._is_too_much(indices, apart)):
            return False
        self.keys = distributed.on_main(lambda: self._keys(indices))
        unknown = [self.sources[i][0] for i, key in self.keys.items() if not key]
        if unknown and not self.settings.skip_errors:
            log.warning(
                "features are computed anew in each epoch: %s cannot be read%s",
                unknown[0], f", and {len(unknown) - 1:,} more" if unknown[1:] else "",
            )  # fmt: skip
            return False
        indices = np.array([i for i, key in self.keys.items() if key], dtype=int)
        seconds = np.asarray(self.dataset.seconds)[indices]
        groups = [indices[group].tolist() for group in groups_of(seconds, self.encoder.device)]
        self.there = set.intersection(*distributed.gather(self.shards.find(self.keys[i] for i in indices)))
        missing, place, self.growth = distributed.on_main(lambda: self._plan(groups, apart))
        if place == "off":
            return False
        self.full = place == "ram"
        began, wanted = time.monotonic(), [groups[number] for number in missing]
        if distributed.any(not self._computed(wanted)):
            return False
        self._share_memory()
        there = self.shards.find(self.keys[i] for i in indices)
        places = [f"{self.shards.bytes() / 1e9:.2f} GB in {self.shards.folder}"] if there else []
        places += [f"{self._memory_bytes() / 1e9:.2f} GB in RAM"] if self.memory else []
        computed = sum(map(len, wanted))
        log.info(
            "features: %s utterances from the cache, %s computed in %.0f s; %s",
            f"{len(indices) - computed:,}", f"{computed:,}", time.monotonic() - began, " and ".join(places),
        )  # fmt: skip
        return True

    def _sees_the_main_ones(self) -> bool:
        """Whether the cache is on a disk that this process shares with the main one; every process must ask."""
        root = self.settings.root
        if distributed.world().size == 1:
            return True
        is_writable = distributed.on_main(lambda: _writable(root))
        return distributed.sees_main_files(root) if is_writable else distributed.world().shared

    def _keys(self, indices: Iterable[int]) -> dict[int, str]:
        """What utterances are known by, as their files are now."""
        indices = [int(i) for i in indices]
        return dict(zip(indices, keys_of((self.sources[i] for i in indices), self.settings.root)))

    def _is_too_much(self, indices: Sequence[int], apart: bool) -> bool:
        """Whether lengths alone say that it cannot be kept, before any file is read to know it by its content."""
        if any(self.shards.folder.glob(f"*{SUFFIX}")):
            return False
        size = float(self.encoder.sizes(np.asarray(self.dataset.seconds)[np.asarray(indices, dtype=int)]).sum())
        place, why = decide(self.settings.mode, size, math.inf, self._room(apart))
        if place == "off":
            self._say_off(why)
        return place == "off"

    def _room(self, apart: bool) -> dict[str, float]:
        """Bytes on the disk and in RAM."""
        return {
            "disk": 0 if apart else self.shards.room(),
            "ram": available_memory() / 2 / distributed.world().size,
        }

    def _say_off(self, why: str) -> None:
        say = log.info if self.settings.mode == "auto" else log.warning
        say("features are computed anew in each epoch: %s", why)

    def _computed(self, groups: list[list[int]]) -> bool:
        """Compute this process's share of the groups; whether all of it could be kept."""
        try:
            how = self.settings.num_workers, self.settings.skip_errors, self.growth
            encode_share(self.encoder, self.dataset, groups, self._keep, *how)
        except CannotKeepError as error:
            log.warning("features are computed anew in each epoch: %s", error)
            return False
        return True

    def _plan(self, groups: list[list[int]], apart: bool) -> tuple[list[int], str, float]:
        """Which groups have something missing, where it is to go, and how portions grow.

        Says what it will take before work begins.
        Machines that see no common disk (``apart``) can hand each other only what is in RAM.
        """
        missing = [n for n, group in enumerate(groups) if not all(self.keys[i] in self.there for i in group)]
        if not missing:
            return [], "disk", 1.0
        numbers = np.array([i for n in missing for i in groups[n]])
        seconds = np.asarray(self.dataset.seconds)
        size = float(self.encoder.sizes(seconds[numbers]).sum())
        try:
            computing = self._trial(numbers) * float(seconds[numbers].sum()) / distributed.world().size
        except CannotKeepError as error:
            log.warning("features are computed anew in each epoch: %s", error)
            return [], "off", 1.0
        shards = size / PORTION_BYTES + computing * distributed.world().size / PORTION_SECONDS
        room = self._room(apart)
        place, why = decide(self.settings.mode, size, computing, room)
        log.info(
            "features: %s utterances are in the cache, %s are to be computed: about %.2f GB and %.0f s"
            " (room: %.1f GB in %s, %.1f GB in RAM)",
            f"{len(self.there):,}", f"{len(numbers):,}", size / 1e9, computing,
            room["disk"] / 1e9, self.shards.folder, room["ram"] / 1e9,
        )  # fmt: skip
        if place == "off":
            self._say_off(why)
        return missing, place, max(1.0, shards / MOST_SHARDS)

    def _trial(self, numbers: np.ndarray) -> float:
        """Seconds that computing takes for a second of audio, measured on a few utterances of middling length."""
        seconds = np.asarray(self.dataset.seconds)[numbers]
        ranked = numbers[np.argsort(seconds)][len(numbers) // 2 :]
        count = 1 + int(np.searchsorted(np.cumsum(np.asarray(self.dataset.seconds)[ranked]), TRIAL_SECONDS))
        trial = ranked[:count].tolist()
        for _ in range(2):  # what starts up in the first is paid once
            began = time.perf_counter()
            list(encode(self.encoder, self.dataset, [trial], 0, self.settings.skip_errors))
        return (time.perf_counter() - began) / max(1e-3, float(np.asarray(self.dataset.seconds)[trial].sum()))

    def _keep(self, portion: dict[int, States]) -> None:
        now = self._keys(portion)
        for i in portion:
            if now[i] != self.keys[i]:
                log.warning("%s changed while features were computed: its are not kept", self.sources[i][0])
        same = {now[i]: states for i, states in portion.items() if now[i] and now[i] == self.keys[i]}
        entries = {key: states for key, states in same.items() if key not in self.there}
        if not self.full and entries:
            try:
                self.shards.write(entries)
                log.info("features: %s utterances computed and kept", f"{len(portion):,}")
                return
            except CannotKeepError as error:
                log.warning("features cannot be kept on the disk, and are kept in RAM: %s", error)
                self.full = True
        size = sum(x.nbytes for states in entries.values() for x in states)
        if size * distributed.world().size > available_memory() / 2:
            raise CannotKeepError("RAM has no room for them either")
        self.memory |= entries

    def _share_memory(self) -> None:
        """Give every process what each has in memory, some at a time."""
        mine = list(self.memory.items())
        portions = [dict(mine[i : i + 64]) for i in range(0, len(mine), 64)]
        for number in range(max(distributed.gather(len(portions)))):
            for found in distributed.gather(portions[number] if number < len(portions) else {}):
                self.memory |= found

    def _memory_bytes(self) -> int:
        return sum(x.nbytes for states in self.memory.values() for x in states)
