"""Loggers beside TensorBoard, by name; each needs the extra of its name.

The history is the record. A logger gets the same rows as they are written, so that after a kill it may have rows that
the history has dropped, again. A logger that fails is warned of once and left out: it never ends a training.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from dataset.storage.files import write_text
from problems.engine.config.registry import build, resolve
from problems.engine.runtime.errors import ConfigError

log = logging.getLogger(__name__)

LOGGERS = {
    "wandb": f"{__name__}.weights_and_biases:WeightsAndBiases",
    "mlflow": f"{__name__}.mlflow_runs:MLflowRuns",
}
METHODS = ("tick", "log", "show", "sync", "close")


def check_loggers(entries: Any) -> None:
    """Refuse loggers that do not exist or whose library is not installed.

    Raises:
        ConfigError: with the entry, and the extra to install.
    """
    for entry in entries or ():
        name, _ = _parsed(entry)
        resolve(name, LOGGERS, "train.loggers")
        if name in LOGGERS and not _is_installed(name):
            raise ConfigError(f"train.loggers: {name} is not installed: pip install 'soundstage[{name}]'")


def _is_installed(name: str) -> bool:
    spec = find_spec(name)
    return spec is not None and spec.origin is not None  # a folder of this name, such as wandb's own, is no package


def _parsed(entry: Any) -> tuple[str, Mapping[str, Any]]:
    if isinstance(entry, str):
        return entry, {}
    known = isinstance(entry, Mapping) and isinstance(entry.get("name"), str) and set(entry) <= {"name", "conf"}
    if not known or not isinstance(entry.get("conf", {}), Mapping):
        raise ConfigError(f"train.loggers has the entry {entry!r}: expected wandb, mlflow or {{name: ..., conf: ...}}")
    return entry["name"], entry.get("conf", {})


def open_loggers(entries: Sequence[Any], train_dir: Path, config: Mapping[str, Any]) -> list[Guarded]:
    """The loggers of a config, each guarded.

    Raises:
        ConfigError: as :func:`check_loggers`, or a setting is unknown.
    """
    check_loggers(entries)
    loggers = []
    for name, conf in map(_parsed, entries):
        target = resolve(name, LOGGERS, "train.loggers")
        loggers.append(
            Guarded(name, lambda t=target, c=conf: build(t, c, "train.loggers", **_given(train_dir, config)))
        )
    return loggers


def _given(train_dir: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    return {"train_dir": Path(train_dir), "config": config}


class Guarded:
    """A logger, a :class:`problems.engine.loops.monitoring.history.Sink`, whose failures are warned of once.

    Args:
        name: for the warning.
        make: opens the logger.
    """

    def __init__(self, name: str, make: Callable[[], Any]):
        self.name, self.sink = name, None
        try:
            self.sink = make()
        except ConfigError:
            raise
        except Exception as error:
            self._warn(error)

    def __getattr__(self, method: str) -> Callable[..., None]:
        if method not in METHODS:
            raise AttributeError(method)

        def guarded(*values: Any) -> None:
            if self.sink is None:
                return
            try:
                getattr(self.sink, method)(*values)
            except Exception as error:
                self.sink = None
                self._warn(error)

        return guarded

    def _warn(self, error: Exception) -> None:
        text = (str(error).splitlines() or [""])[0]
        log.warning(
            "the logger %s failed, and the training goes on without it: %s: %s", self.name, type(error).__name__, text
        )


def kept_id(path: Path, make: Callable[[], str]) -> str:
    """The id of a training's run in a logger's store, kept in a file so that a resumed training continues it."""
    if path.is_file():
        return path.read_text("utf-8").strip()
    id = make()
    write_text(path, f"{id}\n")
    return id


def sample_text(sample: Mapping[str, str]) -> str:
    """A sample utterance of a validation as lines."""
    return "{id}\n  reference:  {reference}\n  hypothesis: {hypothesis}\n".format(**sample)


def run_name(train_dir: Path) -> str:
    """A name for people: the last two parts of the target folder."""
    return "/".join(train_dir.resolve().parent.parts[-2:])
