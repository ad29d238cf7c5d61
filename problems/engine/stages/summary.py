"""The screen before the first stage: what will be read, trained and written, and where."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dataset import SAMPLE_RATE
from problems.engine.loops.length import plan
from problems.engine.runtime.environment import reading_workers
from problems.engine.runtime.errors import ConfigError
from problems.engine.runtime.formatting import duration, seconds_of
from problems.engine.runtime.overrides import call, is_overridden
from problems.engine.stages.stage import Stage
from problems.engine.stages.target_folder import TargetFolder
from problems.engine.stages.train import Train

BYTES = 4 * 3  # a weight and Adam's two moments, in float32
OF_EQUAL_SIZE = ("random", "sequential", "sorted", "bucket", "balanced", "weighted")
"""Samplers whose number of batches follows from ``batch_size`` alone."""
NOMINAL_LABELS = 32  # until stage 1 has counted them


def summary(train: Train, chosen: Sequence[Stage], *, has_data: bool, has_encoder: bool, device: str) -> Iterator[str]:
    """The lines of the screen: stages, data if it is known, model, steps, disk, device.

    Args:
        train: the stage that trains, chosen or not.
        chosen: the stages to run.
        has_data: True if stage 0 is done and fresh.
        has_encoder: True if stage 1 is too.
        device: for models.
    """
    problem, config, folder = train.problem, train.config, train.folder
    yield f"{type(problem).__name__} in {folder.root}"
    yield f"  stages    {', '.join(f'{stage.number} {stage.name}' for stage in chosen)}"
    yield f"  data      {_data(folder) if has_data else _source(problem, config)}"
    if train in chosen:
        yield from _training(train, has_data, has_encoder)
    readers = {0: "audio is read by the main process", 1: "audio is read by 1 more process"}
    workers = reading_workers(config)
    yield f"  device    {device}; {readers.get(workers, f'audio is read by {workers} more processes')}"
    yield f"  cache     {folder.cache}"


def _training(train: Train, has_data: bool, has_encoder: bool) -> Iterator[str]:
    """The lines about model, steps and disk. The model is built, so that bad settings are refused before any work."""
    from dataset import seeding
    from problems.engine.loops.build_task import count_parameters

    folder, section = train.folder, train.config["train"]
    labels = train.problem.load_encoder(folder.encoder_path()) if has_encoder else range(NOMINAL_LABELS)
    with seeding.isolated():
        model = call(train.problem, "build_model", **train.model_arguments(labels))
    _require_attributes(train.problem, model)
    trained, frozen = count_parameters(model)
    guess = "" if has_encoder else f" (assuming {NOMINAL_LABELS} labels; stage 1 counts them)"
    yield f"  model     {trained:,} parameters trained, {frozen:,} frozen{guess}"
    yield from _head(train, model)
    steps_per_epoch = _steps_per_epoch(train.config, folder) if has_data else None
    if steps_per_epoch and section["epochs"] is None:
        section = plan.planned(section, steps_per_epoch, has_budget=train.config["budget"] is not None)
    yield f"  training  {_steps(section, train.config, steps_per_epoch)}"
    yield f"  disk      {_disk(trained, section, folder.train_dir)}"
    if has_encoder:
        yield from _features(train, model)
    yield from _transfer(train, model)


def _head(train: Train, model: Any) -> Iterator[str]:
    """The head that ``auto`` chose by how far apart frames are; a warning if one was named that does not suit them."""
    from nn.downstream import DOWNSTREAMS
    from nn.downstream.auto import AUTO, LONGEST_STRIDE

    stride = getattr(getattr(model, "featurizer", None), "downsample_rate", None)
    if stride is None or not hasattr(model, "downstream") or is_overridden(train.problem, "build_downstream"):
        return
    upstream, name = (train.config[section]["name"] for section in ("build_upstream", "build_downstream"))
    is_long, frames = stride > LONGEST_STRIDE, f"frames of {upstream} are {stride / SAMPLE_RATE:.2f} s apart"
    if name == AUTO:
        kind = f":{type(model.downstream).__name__}"
        chosen = next(head for head, target in DOWNSTREAMS.items() if target.endswith(kind))
        yield f"  head      {chosen}{' without settings' if is_long else ''}, as {frames}"
    elif is_long and hasattr(model.downstream, "context"):
        yield f"  WARNING   {name} joins frames, and {frames}: mean_pool_linear or mean_pool_adapter suits better"


def _transfer(train: Train, model: Any) -> Iterator[str]:
    """The pretrained encoders on this machine, if a new training begins from an upstream that has learnt nothing."""
    from nn.upstream.downloaded import downloaded

    upstream = getattr(model, "upstream", None)
    if upstream is None or any(True for _ in upstream.parameters()) or train.folder.train_dir.exists():
        return
    if names := downloaded():
        known = f"{', '.join(names[:3])} and {len(names) - 3} more" if len(names) > 4 else ", ".join(names)
        yield f"  transfer  from {known} on this machine is possible: docs/defaults.md"


def _require_attributes(problem: Any, model: Any) -> None:
    """Check that the model has what ``build_task`` reads from it."""
    missing = [name for name in problem.model_attributes if not hasattr(model, name)]
    if missing and not is_overridden(problem, "build_task"):
        raise ConfigError(
            f"{type(problem).__name__}.build_model: the {type(model).__name__} that it returns has no attribute"
            f" {missing[0]!r}, which build_task reads: set it in build_model (model.{missing[0]} = ...)"
        )


def _disk(trained: int, train: Mapping[str, Any], train_dir: Path) -> str:
    """The space that checkpoints will take, and what is free if that is not enough."""
    total, newest = train["total_steps"], train["keep_num_ckpts"]
    is_known = plan.AUTO not in (total, train["save_step"]) and total is not None and train["save_per_epochs"] is None
    written = max(1, math.ceil(total / (train["save_step"] or total or 1))) if is_known else None
    count = (newest or written or 10) + train["keep_best_ckpts"]
    count = count if written is None else min(count, written)
    needed = max(1e6, trained * BYTES * (count + 1))  # one more while a new one is written
    free = shutil.disk_usage(next(p for p in (train_dir, *train_dir.parents) if p.exists())).free
    short = f"; ONLY {free / 1e6:,.0f} MB ARE FREE" if free < needed else ""
    checkpoints = "1 checkpoint" if count == 1 else f"{count} checkpoints"
    return f"about {math.ceil(needed / 1e6):,} MB for {checkpoints} in {train_dir}{short}"


def _size(csv: str) -> tuple[int, float]:
    """The number of utterances of a CSV and their length in seconds; of trials their number, and 0."""
    from dataset.table import open_table

    table = open_table(csv, may_be_empty=True)
    return len(table), float(table.numbers("seconds").sum()) if "seconds" in table.columns else 0.0


def _source(problem: Any, config: Mapping[str, Any]) -> str:
    """The line about data before stage 0."""
    corpus = (config["test_data"] or config["prepare_data"]).get("corpus")
    is_ours = config["test_data"] is not None or not is_overridden(problem, "prepare_data")
    return f"to be prepared by {f'the corpus {corpus}' if corpus and is_ours else type(problem).__name__}"


def _data(folder: TargetFolder) -> str:
    from dataset.wording import speech_length

    train, valid, tests = folder.csvs()
    sets = ((Path(csv).stem, *_size(csv)) for csv in (train, valid, *tests))
    return "; ".join(
        f"{name} {count:,} utterances, {speech_length(seconds)}" if seconds or not count else f"{name} {count:,} trials"
        for name, count, seconds in sets
    )


def _features(train: Train, model: Any) -> Iterator[str]:
    """The space that a frozen upstream's features take, if they may be cached."""
    from problems.engine.features.attach import extractor_of, why_uncacheable
    from problems.engine.features.policy import settings_of

    settings, folder = settings_of(train.config), train.folder
    extractor = None if settings is None or settings.mode == "off" else extractor_of(model, settings)
    if extractor is None:
        return
    train_csv, valid_csv, tests = folder.csvs()
    valid = [] if train.config["train"]["valid_metric"] is None else [("valid", valid_csv)]
    sets = (("train", train_csv), *valid, *(("test", csv) for csv in tests))
    datasets = [train.build_data(mode, csv, folder.encoder_path())[0] for mode, csv in sets]
    size = sum(float(extractor.sizes(dataset.seconds).sum()) for dataset in datasets if not why_uncacheable(dataset))
    place = "RAM" if settings.mode == "ram" else f"{settings.root}, of {settings.limit / 1e9:g} GB at most"
    yield f"  features  about {math.ceil(size / 1e6):,} MB of the frozen upstream, computed once, in {place}"


def _steps_per_epoch(config: Mapping[str, Any], folder: TargetFolder) -> int | None:
    """The optimizer steps of an epoch; None if they are not known before the batches are made.

    Args:
        folder: holds the metadata.
    """
    batches = (config.get("build_batch_sampler") or {}).get("train") or {}
    number = batches.get("batches_per_epoch")
    if number is None:
        of_equal_size = batches.get("name") in OF_EQUAL_SIZE and not batches.get("sets")
        if not of_equal_size or not batches.get("batch_size") or batches.get("max_seconds"):
            return None
        count, _ = _size(folder.csvs()[0])
        number = math.ceil(count / batches["batch_size"])
    return math.ceil(number / config["train"]["gradient_accumulate"])


def _steps(train: Mapping[str, Any], config: Mapping[str, Any], steps_per_epoch: int | None) -> str:
    """Steps, their batches, and epochs if they are known before the batches are made; when the training ends early.

    Args:
        train: the section, with a plan in place of ``auto`` if it is known.
    """
    batches = (config.get("build_batch_sampler") or {}).get("train") or {}
    size, seconds, joined = batches.get("batch_size"), batches.get("max_seconds"), train["gradient_accumulate"]
    limits = ([f"{size} utterances"] if size else []) + ([f"{seconds:g} s"] if seconds else [])
    if batches.get("sets"):
        seconds, limits = None, [f"a batch each of {', '.join(map(str, batches['sets']))}"]
    if config["budget"] is not None:
        text, steps_per_epoch = f"as many steps as {duration(seconds_of(config['budget']))} allow", None
    elif train["epochs"]:
        text = f"{train['epochs']:,} epochs"
    elif train["total_steps"] == plan.AUTO:
        text = f"{train['auto_epochs']:,} epochs, but from {plan.LEAST_STEPS:,} to {plan.MOST_STEPS:,} steps"
    else:
        text = f"{train['total_steps']:,} steps"
    if limits:
        text += f" of {'at most ' if seconds else ''}{' and '.join(limits)}" + (f" x {joined}" if joined > 1 else "")
    if steps_per_epoch and not train["epochs"]:
        text += f", about {train['total_steps'] / steps_per_epoch:.1f} epochs"
    patience = train["patience"]
    if patience == plan.AUTO:
        is_planned = train["total_steps"] == plan.AUTO or config["budget"] is not None
        patience = plan.PATIENCE if is_planned else None
    if patience:
        text += f"; ends after {patience} validations without improvement"
    return text
