"""The results of a benchmark as files to submit, one for each encoder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dataset.storage.files import read_json
from problems.benchmark.results.schema import FORMAT
from problems.engine.config.layers import load_file
from problems.engine.runtime.errors import ConfigError

SETTINGS = ("build_featurizer", "build_downstream", "build_optimizer", "build_scheduler", "evaluate")
OF_TRAIN = ("total_steps", "epochs", "seed", "gradient_accumulate", "gradient_clipping", "use_scheduler", "precision")
OF_ENVIRONMENT = ("python", "soundstage", "torch", "torchaudio", "transformers", "git", "gpu")


def rows_of(folder: Path, revisions: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """The content of a file for each encoder of a finished benchmark.

    Args:
        folder: the target folder of ``superb``.
        revisions: of the weights, by the encoder's label; "" for any encoder without one of its own.

    Raises:
        ConfigError: the folder holds no results, a revision is missing, or one is for no encoder.
    """
    path = folder / "results.json"
    try:
        table = read_json(path)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{folder} has no results of superb ({path.name}: {error}); run superb first") from error
    by_label: dict[str, list[dict[str, Any]]] = {}
    for row in table["rows"]:
        by_label.setdefault(row["upstream"], []).append(row)
    if not by_label:
        raise ConfigError(f"{path} has no rows: no run has come to its end; run superb again")
    unknown = next((label for label in revisions if label and label not in by_label), None)
    if unknown is not None:
        raise ConfigError(f"--upstream_revision {unknown}=...: expected one of {', '.join(by_label)}")
    for label, rows in by_label.items():
        yield {
            "format": FORMAT,
            "protocol": table["config"],
            "source": "soundstage",
            "upstream": _upstream(label, rows[0]["upstream_settings"], revisions),
            "versions": _versions(folder / rows[0]["folder"]),
            "results": [result for row in rows for result in _results(folder, row)],
        }


def _upstream(label: str, settings: Mapping[str, Any], revisions: Mapping[str, str]) -> dict[str, Any]:
    from nn.upstream import UPSTREAMS

    conf = dict(settings["conf"])
    revision = revisions.get(label) or revisions.get("") or conf.get("revision")
    is_known_by_name = settings["name"] in UPSTREAMS and settings["name"] != "hf"
    if revision is None and not is_known_by_name:
        raise ConfigError(
            f"the revision of {label} is unknown, so that nobody could run it again: give its commit or a digest of its"
            f" weights, as --upstream_revision {label}=REVISION"
        )
    return {"label": label, "name": settings["name"], "conf": conf, "revision": revision, "url": None}


def _versions(folder: Path) -> dict[str, Any]:
    try:
        environment = read_json(folder / "env.json")
    except (OSError, ValueError):
        return {}
    return {key: environment[key] for key in OF_ENVIRONMENT if environment.get(key) is not None}


def _results(folder: Path, row: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A result for each metric of a cell that has a value."""
    config = load_file(folder / row["folder"] / "config.yaml").tree
    settings = {key: config[key] for key in SETTINGS if key in config}
    settings["train"] = {key: config["train"][key] for key in OF_TRAIN if key in config["train"]}
    for metric, own in row["metrics"].items():
        if own["value"] is not None:
            yield {
                "problem": row["problem"],
                "metric": metric,
                "value": own["value"],
                "interval": own["interval"],
                "test_set": row["test_set"],
                "test_ids_sha256": row["test_ids_sha256"],
                "learning_rate": row["learning_rate"],
                "settings": settings,
            }
