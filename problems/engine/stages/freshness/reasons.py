"""The reasons why each stage of a run is stale, determined once a run."""

from __future__ import annotations

from problems.engine.checkpoints.store import CheckpointError
from problems.engine.config.schema import free_keys
from problems.engine.stages.freshness.fingerprint import Fingerprint
from problems.engine.stages.stage import Stage


class Freshness:
    """Fingerprints and reasons by stage. What a stage reads is hashed once, until an earlier stage has run."""

    def __init__(self) -> None:
        self._fingerprints: dict[int, Fingerprint] = {}
        self._reasons: dict[int, list[str]] = {}

    def fingerprint(self, stage: Stage) -> Fingerprint:
        """The fingerprint of a stage as things stand."""
        if stage.number not in self._fingerprints:
            self._fingerprints[stage.number] = stage.fingerprint()
        return self._fingerprints[stage.number]

    def reasons(self, stage: Stage) -> list[str]:
        """Why a stage is not done and fresh, one reason a line; an empty list if it is."""
        if stage.number not in self._reasons:
            self._reasons[stage.number] = self._examine(stage)
        return self._reasons[stage.number]

    def _examine(self, stage: Stage) -> list[str]:
        free = free_keys(stage.problem, stage.config)
        try:
            return stage.manifest.stale(stage.number, self.fingerprint(stage), free) or stage.damage()
        except CheckpointError as error:
            return [str(error)]

    def forget(self, stage: Stage) -> None:
        """Examine a stage that has run, and all after it, anew."""
        for cache in (self._fingerprints, self._reasons):
            for number in [number for number in cache if number >= stage.number]:
                del cache[number]

    def clear(self) -> None:
        """Examine every stage anew."""
        self._fingerprints.clear()
        self._reasons.clear()
