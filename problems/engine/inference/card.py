"""The card of a trained model: what it is, what it was trained on, and how good it is."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from dataset.storage.files import finite, read_json
from problems.engine.checkpoints.averaging import MEMBERS
from problems.engine.config import yaml_text
from problems.engine.runtime.environment import versions

CARD = "card.json"
PARTS = ("build_upstream", "build_featurizer", "build_downstream", "build_model", "build_task")
"""The sections of the config that say what a model is."""


def card_of(checkpoint: Path, problem: Any, model: nn.Module, license: str | None = None) -> dict[str, Any]:
    """The card of a checkpoint: that of an exported folder, or one made of what lies beside it.

    Results are those of stage 3, if the checkpoint lies in its target folder.

    Args:
        license: of the weights, as an SPDX identifier.
    """
    if (checkpoint / CARD).is_file():
        card = read_json(checkpoint / CARD)
        return card | {"license": license} if license else card
    upstream = getattr(model, "upstream", None)
    parameters = sum(p.numel() for p in model.parameters())
    in_upstream = 0 if upstream is None else sum(p.numel() for p in upstream.parameters())
    config = _config(checkpoint)
    return {
        "problem": read_json(checkpoint / "model" / "problem.json")["problem"],
        "summary": problem.summary,
        "checkpoint": checkpoint.name,
        "average_of": read_json(members)["of"] if (members := checkpoint / MEMBERS).is_file() else None,
        "license": license,
        "sample_rate": 16000,
        "parameters": {"all": parameters, "upstream": in_upstream, "head": parameters - in_upstream},
        "corpus": config.get("prepare_data", {}).get("corpus"),
        "config": without_folders({name: config[name] for name in PARTS if name in config}),
        "results": results_beside(checkpoint),
        "versions": versions(),
    }


def without_folders(value: Any) -> Any:
    """A config in which each absolute path is ``./`` and its last part: nothing of the machine is told."""
    if isinstance(value, Mapping):
        return {key: without_folders(own) for key, own in value.items()}
    if isinstance(value, list):
        return [without_folders(own) for own in value]
    is_path = isinstance(value, str) and os.path.isabs(os.path.expanduser(value))
    return f"./{Path(value).name}" if is_path else value


def _config(checkpoint: Path) -> dict[str, Any]:
    path = checkpoint / "config.yaml"
    return yaml_text.load(path.read_text("utf-8")) if path.is_file() else {}


def results_beside(checkpoint: Path) -> dict[str, Any]:
    """The metrics of a checkpoint on each test set, with their intervals; none without a target folder."""
    results = {}
    for path in sorted((checkpoint.parent.parent / "evaluate" / checkpoint.name).glob("*/result.json")):
        result = read_json(path)
        declared, intervals = result["declarations"], result.get("intervals") or {}
        results[path.parent.name] = {
            "utterances": result["utterances"],
            "metrics": {
                name: {"value": value, **declared.get(name, {}), "interval": intervals.get(name)}
                for name, value in result["metrics"].items()
            },
        }
    return finite(results)


def readme_of(card: Mapping[str, Any]) -> str:
    """The card as the hub's ``README.md``: metadata, results, and how to use the model."""
    name, problem = card["problem"].lower(), card["problem"]
    upstream = card["config"].get("build_upstream", {}).get("name", "none")
    front = ["---", "library_name: soundstage", f"tags: [speech, {name}, {upstream}]"]
    front += [f"license: {card['license']}"] if card["license"] else []
    lines = [*front, "---", "", f"# {problem}: {card['summary']}", ""]
    parameters = card["parameters"]
    lines += [
        f"Upstream `{upstream}`, {parameters['all'] / 1e6:.2f} M parameters, {parameters['head'] / 1e6:.2f} M of them"
        f" in the head. Audio is 16 kHz mono; files of any rate and channel count are converted.",
        "",
        *_results_table(card["results"]),
        "## Use",
        "",
        "```python",
        "import soundstage",
        "",
        'model = soundstage.load("FOLDER")',
        'print(model.predict("some.wav"))',
        "```",
        "",
        f"    soundstage {name} predict --ckpt FOLDER some.wav",
        "",
        "## Settings",
        "",
        "```json",
        json.dumps(card["config"], indent=2, ensure_ascii=False),
        "```",
        "",
    ]
    return "\n".join(lines)


def _results_table(results: Mapping[str, Any]) -> list[str]:
    rows = [
        f"| {test_set} | {metric.get('label') or name} | {_amount(metric, metric['value'])} | {_interval(metric)} |"
        for test_set, result in results.items()
        for name, metric in result["metrics"].items()
        if metric["value"] is not None and metric.get("better")
    ]
    if not rows:
        return []
    return ["## Results", "", "| test set | metric | value | 95 % interval |", "| --- | --- | --- | --- |", *rows, ""]


def _amount(metric: Mapping[str, Any], value: float) -> str:
    return f"{100 * value:.2f} %" if metric.get("kind") == "rate" else f"{value:.4g}"


def _interval(metric: Mapping[str, Any]) -> str:
    return " to ".join(_amount(metric, bound) for bound in metric["interval"]) if metric["interval"] else ""
