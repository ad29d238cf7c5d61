"""stages.json: the record that each stage leaves in the target folder."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from dataset.storage.files import read_json, sha256, write_json
from problems.engine.stages.freshness.fingerprint import Fingerprint, differences, hash_files


class Manifest:
    """``stages.json`` of a target folder."""

    def __init__(self, target_dir: Path):
        self.root = Path(target_dir)
        self.path = self.root / "stages.json"

    def load(self) -> dict[str, dict[str, Any]]:
        """The record of each stage by number; empty before the first run or if the file is damaged."""
        try:
            entries = read_json(self.path)["stages"].items()
        except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
            return {}
        return {number: entry for number, entry in entries if isinstance(entry, dict)}

    def entry(self, number: int) -> dict[str, Any]:
        """The record of a stage; empty if it never ran."""
        return self.load().get(str(number), {})

    def record(self, number: int, **values: Any) -> None:
        """Add ``values`` to the record of a stage."""
        entries = self.load()
        entries[str(number)] = {
            **entries.get(str(number), {}),
            "host": socket.gethostname(),
            **values,
            "time": time.strftime("%Y-%m-%dT%H:%M:%S"),
        }
        write_json(self.path, {"stages": dict(sorted(entries.items()))})

    def record_done(
        self,
        number: int,
        fingerprint: Fingerprint,
        outputs: Iterable[Path],
        *,
        seconds: float,
        versions: Mapping[str, str],
    ) -> None:
        """Record a stage as done, with its fingerprint and the digests of what it left."""
        self.record(
            number,
            status="done",
            fingerprint=fingerprint,
            outputs=hash_files(outputs, self.root),
            seconds=round(seconds, 3),
            versions=versions,
        )

    def stale(self, number: int, fingerprint: Fingerprint, ignore: Iterable[str] = ()) -> list[str]:
        """Why a stage is not done and fresh, one reason a line; an empty list if it is.

        Args:
            fingerprint: of the stage as things stand.
            ignore: config keys that may differ.
        """
        entry = self.entry(number)
        if not entry:
            return ["it has not run"]
        if "status" not in entry:
            return ["it did not finish (no status recorded)"]
        if entry["status"] != "done" or not {"fingerprint", "outputs"} <= entry.keys():
            return [f"it was {entry['status']} on {entry.get('time', 'an earlier day')}"]
        reasons = differences(entry["fingerprint"], fingerprint, set(ignore))
        for name, digest in entry["outputs"].items():
            path = self.root / name
            if not path.is_file():
                reasons.append(f"its output {name} is missing")
            elif sha256(path) != digest:
                reasons.append(f"its output {name} was changed or damaged since")
        return reasons
