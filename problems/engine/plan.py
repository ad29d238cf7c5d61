"""The screen before the first stage: what will be read, trained, written, and where."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from problems.engine import randomness
from problems.engine.stages import Stage

BYTES = 4 * 3  # a weight and Adam's two moments, in float32
NOMINAL_LABELS = 32  # before stage 1 has counted them


def describe_plan(pipeline: Any, chosen: list[Stage]) -> list[str]:
    """Lines for a person: stages, data where it is known, model, steps, device, disk."""
    config = pipeline.config
    lines = [
        f"{type(pipeline.problem).__name__} in {pipeline.root}",
        f"  stages   {', '.join(f'{s.number} {s.name}' for s in chosen)}",
        f"  data     {_data(pipeline)}",
    ]
    if any(s.number == 2 for s in chosen):
        trained, frozen, guess = _parameters(pipeline)
        train = config["train"]
        kept = (train["keep_num_ckpts"] or 10) + train["keep_best_ckpts"]
        unit = f"{train['epochs']} epochs" if train["epochs"] else f"{train['total_steps']} steps"
        lines += [
            f"  model    {trained:,} parameters trained, {frozen:,} frozen{guess}",
            f"  training {unit}, {_batch(config)} x {train['gradient_accumulate']} a step{_epochs(pipeline, config)}",
            f"  disk     about {_megabytes(trained, kept)} MB for {kept} checkpoints in {pipeline.train_dir}",
        ]
    return [
        *lines,
        f"  device   {pipeline.device}, {pipeline.workers} processes read audio; cache in {pipeline.cache}",
    ]


def _megabytes(trained: int, checkpoints: int) -> int:
    return max(1, math.ceil(trained * BYTES * checkpoints / 1e6))


def _hours(csv: str) -> tuple[int, float]:
    from dataset.metadata import numbers, read_csv

    table = read_csv(csv, ("id",))
    return len(table), float(numbers(table, "seconds", csv).sum()) / 3600 if "seconds" in table else 0.0


def _data(pipeline: Any) -> str:
    if pipeline.stale(_stage(0)):
        source = pipeline.config["prepare_data"].get("corpus", "its own")
        return f"to be read from the corpus: {source}"
    train, valid, tests = pipeline.csvs()
    sets = ((Path(csv).stem, *_hours(csv)) for csv in (train, valid, *tests))
    return "; ".join(f"{name} {count} utterances, {hours:.2f} h" for name, count, hours in sets)


def _stage(number: int) -> Stage:
    from problems.engine.pipeline import STAGES

    return STAGES[number]


def _parameters(pipeline: Any) -> tuple[int, int, str]:
    """Parameters trained and frozen, from the model itself: what it refuses is known before any work begins."""
    from problems.engine.training import count_parameters

    known = not pipeline.stale(_stage(0)) and not pipeline.stale(_stage(1))
    labels: Any = pipeline.problem.load_encoder(pipeline.encoder_path()) if known else range(NOMINAL_LABELS)
    with randomness.isolated():
        model = pipeline.problem.build_model(**pipeline.model_arguments(labels))
    return *count_parameters(model), "" if known else " (labels not counted yet)"


def _batch(config: dict[str, Any]) -> str:
    batches = (config.get("build_batch_sampler") or {}).get("train") or {}
    size, seconds = batches.get("batch_size"), batches.get("max_seconds")
    return f"{size or '?'} utterances" if not seconds else f"up to {seconds:g} s"


def _epochs(pipeline: Any, config: dict[str, Any]) -> str:
    """How many epochs the steps are, where that can be said."""
    batches = (config.get("build_batch_sampler") or {}).get("train") or {}
    if config["train"]["epochs"] or not batches.get("batch_size") or pipeline.stale(_stage(0)):
        return ""
    steps = math.ceil(_hours(pipeline.csvs()[0])[0] / batches["batch_size"] / config["train"]["gradient_accumulate"])
    return f", about {config['train']['total_steps'] / steps:.1f} epochs"
