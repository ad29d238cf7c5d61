"""Save and load a problem's model and task; each folder is self-contained."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dataset.storage.files import read_json, write_json
from problems.engine.runtime.errors import CheckpointError, ConfigError
from problems.engine.runtime.overrides import call
from problems.registry import NAMES

Section = Mapping[str, Any]


class Checkpointing:
    """Saves and loads what ``build_model`` and ``build_task`` build. Every method may be overridden."""

    build_model: Callable[..., Any]
    build_task: Callable[..., Any]
    load_encoder: Callable[[str], Any]

    def save_model(self, save_model: Section, model_ckpt_dir: str, build_model_all_args: Section, model: Any) -> None:
        """Write a model and its arguments for :meth:`load_model`."""
        from problems.engine.checkpoints import arguments, weights

        folder = Path(model_ckpt_dir)
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "problem.json", arguments.origin(self))
        arguments.save_arguments(folder, build_model_all_args)
        weights.save_weights(folder, model)
        if save_model.get("extra_conf") is not None:
            write_json(folder / "extra_conf.json", save_model["extra_conf"])

    def load_model(self, model_ckpt_dir: str, model_overrides: Section | None = None) -> Any:
        """The model of a checkpoint, in eval mode; ``model_overrides`` replaces saved arguments by name."""
        from problems.engine.checkpoints import arguments, moved_upstream, weights

        folder = Path(model_ckpt_dir)
        self._require_own(folder)
        model_args = arguments.load_arguments(folder, self.load_encoder) | dict(model_overrides or {})
        try:
            model = call(self, "build_model", **model_args)
        except (ConfigError, OSError) as error:
            moved_upstream.explain(error, folder, model_args)
            raise
        weights.load_weights(folder, model)
        return model.eval()

    def save_task(
        self, save_task: Section, task_ckpt_dir: str, build_task_all_args_except_model: Section, task: Any
    ) -> None:
        """Write a task's arguments (JSON, encoders, DataFrames), its state and its own weights."""
        from problems.engine.checkpoints import arguments, task_state

        folder = Path(task_ckpt_dir)
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "problem.json", arguments.origin(self))
        arguments.save_arguments(folder, build_task_all_args_except_model)
        task_state.save_task(folder, task)
        if save_task.get("extra_conf") is not None:
            write_json(folder / "extra_conf.json", save_task["extra_conf"])

    def load_task(self, task_ckpt_dir: str, model: Any, task_overrides: Section | None = None) -> Any:
        """The task of a checkpoint, with ``model``. ``task_overrides`` replaces saved arguments by name."""
        from problems.engine.checkpoints import arguments, task_state

        folder = Path(task_ckpt_dir)
        self._require_own(folder)
        task_args = arguments.load_arguments(folder, self.load_encoder) | dict(task_overrides or {})
        task = call(self, "build_task", model=model, **task_args)
        task_state.load_task(folder, task)
        return task.eval()

    def load_model_and_task(
        self, ckpts_dir: str, task_overrides: Section | None = None, model_overrides: Section | None = None
    ) -> tuple[Any, Any]:
        """The model and the task of a checkpoint folder; overrides replace saved arguments by name."""
        model_dir, task_dir = str(Path(ckpts_dir) / "model"), str(Path(ckpts_dir) / "task")
        model = call(self, "load_model", model_ckpt_dir=model_dir, model_overrides=model_overrides)
        return model, call(self, "load_task", task_ckpt_dir=task_dir, model=model, task_overrides=task_overrides)

    def _require_own(self, folder: Path) -> None:
        try:
            saved = read_json(folder / "problem.json")
        except (FileNotFoundError, NotADirectoryError, ValueError) as error:
            raise CheckpointError(f"{folder} is not part of a checkpoint: it has no problem.json") from error
        if saved["problem"] not in {c.__name__ for c in type(self).__mro__}:
            module, _, attribute = NAMES.get(saved["problem"].lower(), "").partition(":")
            is_built_in = attribute == saved["problem"]
            advice = (
                f"python -m {module}" if is_built_in else "that file's command line, or problems.load(..., problem=...)"
            )
            raise CheckpointError(
                f"{folder} was saved by the problem {saved['problem']} (in {saved['file']}), not by"
                f" {type(self).__name__}: use {advice}"
            )
