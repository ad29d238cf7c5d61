"""``superb --plan``: what a benchmark will take, from the throughput of this machine."""

from __future__ import annotations

import inspect
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataset.wording import count
from problems.benchmark.cells import Cell, Encoder
from problems.benchmark.runs.halving import steps_of
from problems.engine.features.policy import decide, settings_of
from problems.engine.runtime.formatting import duration

if TYPE_CHECKING:
    import torch

PROBE_SECONDS, PROBE_BATCH, HEAD_BATCH, REPEATS = 10, {"cpu": 4, "cuda": 16}, 2, {"cpu": 1, "cuda": 4}


@dataclass(frozen=True)
class Data:
    """SUPERB's data for a problem: its source, hours of audio in all sets, and seconds of a training utterance."""

    source: str
    hours: float | None
    seconds: float
    labels: int


DATA = {
    "pr": Data("LibriSpeech train-clean-100, dev-clean, test-clean (openslr.org/12) and a lexicon", 111, 12.7, 74),
    "ks": Data("Speech Commands v0.01 and its test archive (arXiv 1804.03209)", 18, 1.0, 12),
    "ic": Data("Fluent Speech Commands (fluent.ai, on request)", 19, 2.3, 24),
    "sid": Data("VoxCeleb1 (robots.ox.ac.uk/~vgg, on request)", 352, 8.0, 1251),
    "er": Data("IEMOCAP (sail.usc.edu, on request); one of five folds", 7, 4.6, 4),
    "asr": Data("LibriSpeech train-clean-100, dev-clean, test-clean (openslr.org/12)", 111, 12.7, 32),
    "qbe": Data("QUESST 2014 (on request)", 23, 7.0, 1),
    "sf": Data("Audio SNIPS (SUPERB's archive)", None, 3.0, 80),
    "asv": Data("VoxCeleb1 (robots.ox.ac.uk/~vgg, on request)", 352, 8.0, 1251),
    "sd": Data("Libri2Mix, two speakers, 16 kHz, max (made by its scripts from LibriSpeech)", 80, 8.0, 2),
}
"""About, from the publications of the sets; a run measures its own."""


@dataclass(frozen=True)
class Speed:
    """The speed of an encoder here: seconds of audio a second, and bytes of all its states for a second of audio."""

    times_real: float
    bytes_per_second: float
    layers: int
    size: int
    has_weights: bool


def lines_of(cells: Sequence[Cell], config: str, is_halving: bool) -> Iterator[str]:
    """The plan as it is measured: audio, cache, steps, rates and time of each cell; sums, disk, where the data are.

    Args:
        is_halving: bad learning rates end early.
    """
    speeds = {}
    for encoder in {cell.encoder.label: cell.encoder for cell in cells}.values():
        speed = speeds[encoder.label] = speed_of(encoder)
        disk_rate = f"{speed.bytes_per_second / 1e3:.0f} kB a second of audio as fp16"
        shape = f"{count(speed.layers, 'state')} of {speed.size}"
        yield f"{encoder.label}: {shape}, {speed.times_real:.0f} times real time here, {disk_rate}"
    if config != "superb":
        yield "The toy corpora are made on first use; sizes and times are those of the runs."
        return
    features, heads, disk = {}, 0.0, {}
    widths = (max(len(label) for label in speeds), 7, 7, 9, 8, 5, 12, 12)
    header = ("upstream", "problem", "audio h", "cache GB", "steps", "rates", "features", "heads")
    yield "  ".join(f"{own:{width}}" for own, width in zip(header, widths))
    for cell in cells:
        row = _row(cell, speeds[cell.encoder.label], is_halving)
        yield "  ".join(f"{own:{width}}" for own, width in zip(row.cells, widths))
        heads += row.head_seconds
        # what is kept is computed once for all problems of a corpus
        corpus = DATA[cell.task.problem].source.partition(" ")[0] if row.disk else cell.task.problem
        key = cell.encoder.label, corpus
        features[key] = max(features.get(key, 0.0), row.feature_seconds)
        disk[key] = max(disk.get(key, 0.0), row.disk)
    free, needed = shutil.disk_usage(_existing(cells[0].root)).free, sum(disk.values())
    total = sum(features.values()) + heads
    times = [duration(own) for own in (sum(features.values()), heads, total)]
    yield f"in all: features {times[0]}, heads {times[1]}, together {times[2]}"
    yield f"disk: {needed / 1e9:.0f} GB of features, {free / 1e9:.0f} GB are free"
    yield "features: with - they are computed in every epoch (features.cache, features.limit_gb)"
    yield "data:"
    yield from (f"  {cell.task.problem:4} {DATA[cell.task.problem].source}" for cell in _first(cells))


def _first(cells: Sequence[Cell]) -> list[Cell]:
    """One cell of each problem."""
    return list({cell.task.problem: cell for cell in cells}.values())


def _existing(path: Path) -> Path:
    path = path.absolute()
    return path if path.exists() else _existing(path.parent)


@dataclass(frozen=True)
class _Row:
    cells: list[str]
    feature_seconds: float
    head_seconds: float
    disk: float


def _row(cell: Cell, speed: Speed, is_halving: bool) -> _Row:
    name, data, config = cell.task.problem, DATA[cell.task.problem], _config_of(cell)
    steps, rates = config["train"]["total_steps"] or 0, max(1, len(cell.learning_rates))
    step = head_step(name, config, speed, data) if steps else 0.0
    head_seconds = (steps_of(rates, steps) if is_halving else steps * rates) * step
    seconds = (data.hours or 0) * 3600 * (config["prepare_data"].get("train_fraction") or 1)
    feature_seconds, disk = _features(cell, config, speed, seconds) if speed.has_weights else (0.0, 0.0)
    hours = "?" if data.hours is None else f"{seconds / 3600:.0f}"
    cells = [cell.encoder.label, name, hours, f"{disk / 1e9:.1f}" if disk else "-", f"{steps:,}", str(rates)]
    return _Row([*cells, duration(feature_seconds), duration(head_seconds)], feature_seconds, head_seconds, disk)


def _features(cell: Cell, config: Mapping[str, Any], speed: Speed, seconds: float) -> tuple[float, float]:
    """The seconds that computing the states of so many seconds of audio takes, and the bytes of those that are kept."""
    from problems.engine.runtime.memory import available_memory

    length = DATA[cell.task.problem].seconds
    only_means = cell.task.problem in ("ks", "sid", "er", "ic")
    size = seconds / length * speed.layers * speed.size * 2 if only_means else seconds * speed.bytes_per_second
    settings = settings_of(config)
    free = shutil.disk_usage(_existing(cell.root)).free
    available = {"disk": min(settings.limit, free), "ram": available_memory() / 2}
    if decide(settings.mode, size, seconds / speed.times_real, available).place != "off":
        return seconds / speed.times_real, size
    # each batch is computed once for all learning rates
    train = config["train"]
    batches = (train["total_steps"] or 0) * (train["gradient_accumulate"] or 1)
    return max(seconds, batches * _batch_size(config) * length) / speed.times_real, 0.0


def _batch_size(config: Mapping[str, Any]) -> int:
    return config["build_batch_sampler"]["train"].get("batch_size") or 8


def _config_of(cell: Cell) -> dict[str, Any]:
    """The config of a cell's run; values that only a corpus needs may be missing."""
    import problems
    from problems.engine.cli.arguments import flags_of, parse, resolve_config

    problem = problems.get(cell.task.problem)()
    arguments = parse([*cell.words, *cell.encoder.words], flags=flags_of(problem))
    return resolve_config(problem, arguments.configs, arguments.overrides, to_edit=True)


def speed_of(encoder: Encoder) -> Speed:
    """Measure an encoder on noise, with random weights if it can have them: they do not change its speed."""
    import torch

    from problems.engine.runtime.device import pick_device
    from problems.engine.runtime.numerics import numerics

    device = pick_device("auto")
    upstream = _upstream(encoder).to(device).eval()
    batch = PROBE_BATCH[device.type]
    wav = torch.randn(batch, PROBE_SECONDS * 16000, device=device) * 0.1
    wav_len = torch.full((batch,), wav.shape[1], device=device)
    with numerics(deterministic=False, tf32=False), torch.inference_mode():  # as features are computed
        best = _best_seconds(lambda: upstream(wav, wav_len), device)
    per_second = sum(size * 16000 / rate * 2 for size, rate in zip(upstream.hidden_sizes, upstream.downsample_rates))
    has_weights = any(True for _ in upstream.parameters())
    return Speed(batch * PROBE_SECONDS / best, per_second, upstream.num_layers, upstream.hidden_sizes[0], has_weights)


def _upstream(encoder: Encoder) -> Any:
    from problems.engine.config.registry import build, load_class, resolve

    target = resolve(encoder.name, load_class("nn.upstream:UPSTREAMS"), "--upstream")
    parameters = inspect.signature(load_class(target)).parameters
    random = {"checkpoint": "random"} if "checkpoint" in parameters else {}
    return build(target, {**encoder.conf, **random}, "--upstream")


def head_step(name: str, config: Mapping[str, Any], speed: Speed, data: Data) -> float:
    """The seconds of a training step of a problem's head here, on random states of a typical batch."""
    import torch

    import problems
    from problems.engine.runtime.device import pick_device
    from problems.engine.runtime.numerics import autocast, numerics
    from problems.engine.runtime.overrides import call

    device = pick_device("auto")
    fake = {"name": "problems.benchmark.plan:States", "conf": {"layers": speed.layers, "size": speed.size}}
    sections = {key: config[key] for key in ("build_model", "build_featurizer", "build_downstream")}
    model = call(
        problems.get(name)(), "build_model", **sections, build_upstream=fake, model_output_size=data.labels
    ).to(device)
    full = _batch_size(config)
    frames = 1 if getattr(model, "commutes_with_mean", False) else round(data.seconds * 50)
    # of long ones, on a CPU a part: there the time grows with their number
    size = full if frames == 1 or device.type == "cuda" else min(full, HEAD_BATCH)
    states = torch.randn(speed.layers, size, frames, speed.size, device=device)
    lengths = torch.full((size,), frames, device=device)

    train = config["train"]

    def step() -> None:
        with autocast(device, train["precision"]):
            output, _ = model(hidden_states=states, hidden_lens=lengths)
        output.float().square().mean().backward()

    with numerics(deterministic=False, tf32=train["tf32"]):
        return _best_seconds(step, device) * full / size * (train["gradient_accumulate"] or 1)


def _best_seconds(work: Callable[[], object], device: torch.device) -> float:
    """The seconds of the fastest of some calls, of which the first warms up."""
    import torch

    best = float("inf")
    for _ in range(REPEATS[device.type] + 1):
        began = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - began)
    return best


def States(layers: int = 1, size: int = 1) -> Any:
    """An upstream of a given shape that computes nothing."""
    import torch

    class Shape(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.num_layers, self.hidden_sizes, self.downsample_rates = layers, [size] * layers, [320] * layers

    return Shape()
