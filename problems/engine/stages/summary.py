"""The screen before the first stage: what will be read, trained, written, and where."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

from problems.engine.stages.stage import STAGES, Stage

BYTES = 4 * 3  # a weight and Adam's two moments, in float32
NOMINAL_LABELS = 32  # before stage 1 has counted them


def describe_plan(pipeline: Any, chosen: list[Stage]) -> list[str]:
    """Lines for a person: stages, data where it is known, model, steps, device, disk."""
    from problems.engine.loops.setup import count_parameters

    config = pipeline.config
    lines = [
        f"{type(pipeline.problem).__name__} in {pipeline.root}",
        f"  stages    {', '.join(f'{s.number} {s.name}' for s in chosen)}",
        f"  data      {_data(pipeline)}",
    ]
    if any(s.number == 2 for s in chosen):
        model, guess = _model(pipeline)
        trained, frozen = count_parameters(model)
        lines += [
            f"  model     {trained:,} parameters trained, {frozen:,} frozen{guess}",
            f"  training  {_steps(pipeline, config)}",
            f"  disk      {_disk(trained, config['train'], pipeline.train_dir)}",
            *_features(pipeline, model),
        ]
    readers = {0: "audio is read by the main process", 1: "audio is read by 1 more process"}
    reading = readers.get(pipeline.work.workers, f"audio is read by {pipeline.work.workers} more processes")
    return [*lines, f"  device    {pipeline.work.device}; {reading}", f"  cache     {pipeline.cache}"]


def _disk(trained: int, train: dict[str, Any], train_dir: Path) -> str:
    """What the checkpoints will take, and what is free where that is not enough."""
    total, newest = train["total_steps"], train["keep_num_ckpts"]
    written = math.ceil(total / train["save_step"]) if total else None
    kept = (newest or written or 10) + train["keep_best_ckpts"]
    kept = kept if written is None else min(kept, written)
    needed = max(1e6, trained * BYTES * (kept + 1))  # one more while a new one is written
    free = shutil.disk_usage(next(p for p in (train_dir, *train_dir.parents) if p.exists())).free
    short = f"; ONLY {free / 1e6:,.0f} MB ARE FREE" if free < needed else ""
    many = "1 checkpoint" if kept == 1 else f"{kept} checkpoints"
    return f"about {math.ceil(needed / 1e6):,} MB for {many} in {train_dir}{short}"


def _seconds(csv: str) -> tuple[int, float]:
    """How many utterances a CSV has, and how long they are together; of trials their number, and 0."""
    from dataset.metadata import numbers, read_csv

    table = read_csv(csv, ())
    return len(table), float(numbers(table, "seconds", csv).sum()) if "seconds" in table else 0.0


def _data(pipeline: Any) -> str:
    from dataset.prepare import length

    if pipeline.stale(STAGES[0]):
        source = pipeline.config["prepare_data"].get("corpus")
        own = source is None or _is_overridden(pipeline.problem, "prepare_data")
        return "to be prepared by " + (f"{type(pipeline.problem).__name__}" if own else f"the corpus {source}")
    train, valid, tests = pipeline.work.csvs()
    sets = ((Path(csv).stem, *_seconds(csv)) for csv in (train, valid, *tests))
    return "; ".join(
        f"{name} {count:,} utterances, {length(seconds)}" if seconds else f"{name} {count:,} trials"
        for name, count, seconds in sets
    )


def _is_overridden(problem: Any, method: str) -> bool:
    return getattr(type(problem), method).__module__.partition(".")[0] != "problems"


def _model(pipeline: Any) -> tuple[Any, str]:
    """The model itself: what it refuses is known before any work begins."""
    from dataset import seeding

    known = not pipeline.stale(STAGES[0]) and not pipeline.stale(STAGES[1])
    labels: Any = pipeline.problem.load_encoder(pipeline.work.encoder_path()) if known else range(NOMINAL_LABELS)
    with seeding.isolated():
        model = pipeline.problem.build_model(**pipeline.work.model_arguments(labels))
    return model, "" if known else f" (with {NOMINAL_LABELS} labels; stage 1 counts them)"


def _features(pipeline: Any, model: Any) -> list[str]:
    """What keeping a frozen upstream's features takes, where that may be done and the data is known."""
    from problems.engine.features.attach import changing, encoder_of
    from problems.engine.features.cache import settings_of

    settings = settings_of(pipeline.config)
    encoder = None if settings is None or settings.mode == "off" else encoder_of(model, settings)
    if encoder is None or pipeline.stale(STAGES[0]) or pipeline.stale(STAGES[1]):
        return []
    train, valid, tests = pipeline.work.csvs()
    sets = (("train", train), ("valid", valid), *(("test", csv) for csv in tests))
    datasets = [pipeline.work.data(mode, csv, pipeline.work.encoder_path())[0] for mode, csv in sets]
    kept = [encoder.sizes(dataset.seconds).sum() for dataset in datasets if not changing(dataset)]
    size = math.ceil(float(sum(kept)) / 1e6)
    place = "RAM" if settings.mode == "ram" else f"{settings.root}, of {settings.limit / 1e9:g} GB at most"
    return [f"  features  about {size:,} MB of the frozen upstream, computed once, in {place}"]


def _steps(pipeline: Any, config: dict[str, Any]) -> str:
    """Steps and epochs, as far as they can be said before the batches are made."""
    train, batches = config["train"], (config.get("build_batch_sampler") or {}).get("train") or {}
    size, seconds, joined = batches.get("batch_size"), batches.get("max_seconds"), train["gradient_accumulate"]
    limits = ([f"{size} utterances"] if size else []) + ([f"{seconds:g} s"] if seconds else [])
    text = f"{train['epochs']:,} epochs" if train["epochs"] else f"{train['total_steps']:,} steps"
    if limits:
        text += f" of {'at most ' if seconds else ''}{' and '.join(limits)}" + (f" x {joined}" if joined > 1 else "")
    if train["epochs"] or not size or seconds or pipeline.stale(STAGES[0]):
        return text
    an_epoch = math.ceil(math.ceil(_seconds(pipeline.work.csvs()[0])[0] / size) / joined)
    return f"{text}, about {train['total_steps'] / an_epoch:.1f} epochs"
