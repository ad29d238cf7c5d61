"""Numbered stages: which are done and fresh, and why the others are not.

A stage is done when its outputs are there and verify and when its fingerprint matches: the config sections that
affect it, the methods of the same names that a user overrode, and the content of the files it read.
"""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import json
import os
import socket
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from dataset.files import read_json, sha256, write_json

Fingerprint = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Stage:
    """A numbered stage and the config sections (and the methods called like them) that affect it."""

    number: int
    name: str
    sections: tuple[str, ...]
    parts: tuple[str, ...] = ()  # further attributes of a problem that a user may have replaced


DATA = ("build_dataset", "build_collate_fn", "features")
STAGES = (
    Stage(0, "prepare data", ("prepare_data",)),
    Stage(1, "build encoder", ("build_encoder",)),
    Stage(
        2,
        "train",
        (*DATA, "build_batch_sampler", "build_upstream", "build_featurizer", "build_downstream", "build_model",
         "build_task", "build_optimizer", "build_scheduler", "train", "save_model", "save_task"),
        ("train_loop", "callbacks"),
    ),
    Stage(3, "evaluate checkpoints", (*DATA, "evaluate"), ("eval_loop",)),
    Stage(4, "report", ()),
)  # fmt: skip


def hash_files(paths: Iterable[Path], root: Path) -> dict[str, str]:
    """``{path: sha256}``, relative to ``root`` where the file is inside it; a missing file has ``"missing"``.

    Of a folder, the names of the files in it and below count, not their content.
    """
    found = {}
    for path in paths:
        path = Path(path)
        name = path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
        found[name] = sha256(path) if path.is_file() else _listing(path) if path.is_dir() else "missing"
    return found


def _listing(folder: Path) -> str:
    names = (f"{below}\0{name}" for below, _, files in os.walk(folder) for name in files)
    relative = (name.removeprefix(str(folder)) for name in names)
    return hashlib.sha256("\n".join(sorted(relative)).encode("utf-8", "surrogateescape")).hexdigest()


def overridden_code(problem: Any, names: Iterable[str]) -> dict[str, str]:
    """The hash of the source of each method or class that comes from outside this package, so that an edit is seen."""
    found = {}
    for name in names:
        sources = [source for code in _code_of(problem, name) if (source := _source(code))]
        if sources:
            found[name] = hashlib.sha256("\n".join(sources).encode()).hexdigest()
    return found


def _code_of(problem: Any, name: str) -> list[Any]:
    """The functions and classes that stand behind an attribute of a problem."""
    value = getattr(type(problem), name, None)
    if callable(value):
        return [inspect.unwrap(value)]
    value = getattr(problem, name, None)
    return [type(one) for one in value] if isinstance(value, (list, tuple)) else []


def _source(code: Any) -> str:
    """The source of a user's function or class; nothing for one of ours."""
    home = __name__.partition(".")[0]
    if getattr(code, "__module__", home).partition(".")[0] == home:
        return ""
    try:
        return inspect.getsource(code)
    except (OSError, TypeError):  # typed into an interpreter: no file to read
        return code.__code__.co_code.hex() if hasattr(code, "__code__") else code.__qualname__


def fingerprint(problem: Any, stage: Stage, config: Mapping[str, Any], inputs: Mapping[str, str]) -> Fingerprint:
    """What decides the outcome of ``stage``, as plain JSON."""
    sections = {name: config[name] for name in stage.sections if name in config}
    kind = type(problem).__qualname__
    code = overridden_code(problem, (*stage.sections, *stage.parts))
    return json.loads(json.dumps({"class": kind, "code": code, "config": sections, "inputs": dict(inputs)}))


def flatten(tree: Any, prefix: str = "") -> dict[str, Any]:
    """A nested dict as dotted keys; an empty dict is a value."""
    if not isinstance(tree, Mapping) or not tree:
        return {prefix.rstrip("."): tree}
    return {k: v for key, value in tree.items() for k, v in flatten(value, f"{prefix}{key}.").items()}


def differences(old: Fingerprint, new: Fingerprint, ignore: Iterable[str] = ()) -> list[str]:
    """What changed between two fingerprints, a line each, with the old and the new value.

    A key that was not there and is null now is no change: a setting that is off, of a newer version.
    """
    lines = []
    if old["class"] != new["class"]:
        lines.append(f"class: {old['class']} -> {new['class']}")
    before, after = flatten(old["config"]), flatten(new["config"])
    for key in sorted(before.keys() | after.keys()):
        if before.get(key) != after.get(key) and key not in set(ignore):
            shown = ["(not there)" if key not in t else json.dumps(t[key], ensure_ascii=False) for t in (before, after)]
            lines.append(f"{key}: {shown[0]} -> {shown[1]}")
    lines += [
        f"the code of {name} changed"
        for name in sorted(old["code"].keys() | new["code"].keys())
        if old["code"].get(name) != new["code"].get(name)
    ]
    for path in sorted(old["inputs"].keys() | new["inputs"].keys()):
        was, now = old["inputs"].get(path), new["inputs"].get(path)
        if was != now:
            how = (
                "is missing"
                if now == "missing"
                else "is new"
                if was is None
                else "changed"
                if now
                else "is not read now"
            )
            lines.append(f"{path} {how}")
    return lines


class Manifest:
    """``stages.json`` of a target folder: what each stage did."""

    def __init__(self, target_dir: Path):
        self.root = Path(target_dir)
        self.path = self.root / "stages.json"

    def load(self) -> dict[str, dict[str, Any]]:
        """The record of each stage by number; empty before the first run or where the file is damaged."""
        try:
            found = read_json(self.path)["stages"].items()
        except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
            return {}
        return {number: entry for number, entry in found if isinstance(entry, dict)}

    def record(self, stage: Stage, **values: Any) -> None:
        """Write what became of ``stage``; outputs are paths, hashed by content."""
        stages = self.load()
        entry = {
            **stages.get(str(stage.number), {}),
            "name": stage.name,
            "host": socket.gethostname(),
            **values,
        }
        entry["time"] = time.strftime("%Y-%m-%dT%H:%M:%S")
        stages[str(stage.number)] = entry
        write_json(self.path, {"stages": dict(sorted(stages.items()))})

    def done(self, stage: Stage, mark: Fingerprint, outputs: Iterable[Path], seconds: float, versions: dict) -> None:
        """Record ``stage`` as done with what it read and what it left."""
        hashes = hash_files(outputs, self.root)
        self.record(
            stage,
            status="done",
            fingerprint=mark,
            outputs=hashes,
            seconds=round(seconds, 3),
            versions=versions,
        )

    def stale(self, stage: Stage, mark: Fingerprint) -> list[str]:
        """Why ``stage`` is not done and fresh, a line a reason; an empty list when it is."""
        entry = self.load().get(str(stage.number))
        if entry is None:
            return ["it has not run"]
        if entry.get("status") != "done" or not {"fingerprint", "outputs"} <= entry.keys():
            return [f"it was {entry.get('status', 'left')} on {entry.get('time', 'an earlier day')}"]
        reasons = differences(entry["fingerprint"], mark)
        for name, digest in entry["outputs"].items():
            path = self.root / name
            if not path.is_file():
                reasons.append(f"its output {name} is missing")
            elif sha256(path) != digest:
                reasons.append(f"its output {name} was changed or damaged since")
        return reasons
