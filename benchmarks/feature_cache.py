"""Benchmark training on a frozen upstream with the feature cache, without it, and in a bare loop from RAM.

    python benchmarks/feature_cache.py DATA/fsdd                      # all of it: about ten minutes on two cores
    python benchmarks/feature_cache.py DATA/fsdd --utterances 320     # a quick look

Single digits: wav2vec 2.0 base with random weights, weighted sum of its 13 states -> linear 256 -> mean over time -> 10
classes, batches of 32. All states are cached, although this head needs only their means (``--pooled`` caches those).
Prints one JSON line. ``cached_30_epochs_s`` is extraction and 30 epochs, measured with ``--epochs 30`` and otherwise
extrapolated from the epochs run; ``plain_30_epochs_s`` is extrapolated from ``--plain-steps`` steps.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as the command line does

import torch

from dataset.collate import collate
from dataset.corpora import get_corpus
from dataset.durations import durations
from dataset.loader import LoaderSettings, train_stream
from dataset.metadata import write_csv
from dataset.samplers.random import RandomBatchSampler
from dataset.utterances import Utterances
from nn.downstream.linear import MeanPoolLinear
from nn.featurizer import Featurizer
from nn.model import UpstreamDownstreamModel
from problems.engine.config.sections import Train
from problems.engine.features.attach import attach_features
from problems.engine.features.policy import Settings
from problems.engine.loops.train import TrainLoop
from problems.engine.optim.scheduled_optimizer import OptimScheduler
from tasks.base import StepOutput, Task

BATCH = 32
INPUTS = ("wav", "wav_len", "hidden_states", "hidden_lens")


def make_upstream() -> torch.nn.Module:
    """The upstream of the benchmark: wav2vec 2.0 base with random weights."""
    from nn.upstream.pretrained.torchaudio_bundles import Wav2Vec2Base

    return Wav2Vec2Base(checkpoint="random")


class PoolFrames(MeanPoolLinear):
    """The head without its claim that means are enough, so that all states are cached."""

    commutes_with_mean = False


class Digits(Task):
    """Cross-entropy over ten digits."""

    takes_features = True

    def forward(self, mode, id, label, **batch):
        logits, _ = self.model(**{k: v for k, v in batch.items() if k in INPUTS})
        return StepOutput(torch.nn.functional.cross_entropy(logits, label), float(len(label)), {"id": id})


def make_data(root: str, folder: Path, utterances: int | None) -> Utterances:
    """The training digits, or ``utterances`` of them, spread over all speakers."""
    rows = get_corpus("fsdd")(dataset_root=root).load(folder / "corpus").train
    rows = rows[:: max(1, len(rows) // (utterances or len(rows)))][:utterances]
    seconds, _ = durations([row["wav_path"] for row in rows], folder)
    write_csv(folder / "train.csv", [{**row, "seconds": seconds[row["wav_path"]]} for row in rows])
    return Utterances(folder / "train.csv", lambda row: {"label": int(row["label"])})


def make_task(upstream: torch.nn.Module, pooled: bool) -> Digits:
    """Build model and task, with the same weights each time."""
    torch.manual_seed(1)
    head = (MeanPoolLinear if pooled else PoolFrames)(768, 10)
    return Digits(UpstreamDownstreamModel(upstream, Featurizer(upstream), head))


class Timed(TrainLoop):
    """The train loop, timed."""

    def parts(self, count: int, steps: int) -> Iterator[float]:
        """Yield the seconds of each of ``count`` parts of ``steps`` steps."""
        self.cadence.open()
        self.task.train()
        began, stream = time.perf_counter(), self.open_stream()
        for _ in range(count):
            for _ in range(steps):
                self.step(self.next_window(stream))
                self.cadence.after_step()
            now = time.perf_counter()
            yield now - began
            began = now


def loop_of(task: Task, dataset: object, sampler: object, workers: int, folder: Path) -> Timed:
    """The toolkit's loop with its default logging."""
    train = vars(Train()) | {"total_steps": 10**9, "eval_step": 10**9, "save_step": 10**9}

    def stream(epoch: int, position: int, make_dataloader: object):
        settings = LoaderSettings(num_workers=workers, make_dataloader=make_dataloader)
        return train_stream(dataset, sampler, collate, seed=0, epoch=epoch, position=position, settings=settings)

    def optimizers(task: Task):
        trained = [p for p in task.parameters() if p.requires_grad]
        return [OptimScheduler(torch.optim.Adam(trained, lr=1e-3), max_norm=1.0)]

    return Timed(task, optimizers, train, folder, stream, dict, lambda folder: None, torch.device("cpu"))


def bare(task: Digits, dataset: object, sampler: RandomBatchSampler, epochs: int) -> list[float]:
    """Seconds of each epoch of a hand-written loop over fp16 states in RAM, the upper bound of the speed."""
    items = [dataset[index] for index in range(len(dataset))]
    states = [torch.stack(item["hidden_states"]).clone() for item in items]  # (L, T, H), copied
    optimizer = torch.optim.Adam([p for p in task.parameters() if p.requires_grad], lr=1e-3)
    seconds = []
    task.train()
    for epoch in range(epochs):
        sampler.set_epoch(epoch)
        began = time.perf_counter()
        for batch in sampler:
            lengths = torch.tensor([states[i].shape[1] for i in batch])
            x = torch.zeros(13, len(batch), int(lengths.max()), 768, dtype=torch.float16)
            for row, i in enumerate(batch):
                x[:, row, : states[i].shape[1]] = states[i]
            logits, _ = task.model(hidden_states=x, hidden_lens=lengths)
            labels = torch.tensor([items[i]["label"] for i in batch])
            loss = torch.nn.functional.cross_entropy(logits, labels)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(task.parameters(), 1.0)
            optimizer.step()
        seconds.append(time.perf_counter() - began)
    return seconds


def main() -> None:
    """Run the three loops and print the measurements."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", help="a folder with FSDD's recordings")
    parser.add_argument("--utterances", type=int, help="training utterances; default: all")
    parser.add_argument("--epochs", type=int, default=30, help="epochs to run with the cache")
    parser.add_argument(
        "--plain-steps", type=int, default=20, help="steps to run without the cache, after one to warm up"
    )
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--pooled", action="store_true", help="cache means over time only")
    parser.add_argument("--cache", choices=("disk", "ram"), default="disk")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        print(json.dumps(measure(options, Path(temporary))))


def measure(options: argparse.Namespace, folder: Path) -> dict[str, object]:
    """All measurements as one flat dict; times in seconds."""
    dataset = make_data(options.root, folder, options.utterances)
    sampler, steps = RandomBatchSampler(dataset, BATCH, None), -(-len(dataset) // BATCH)
    upstream = make_upstream()

    task = make_task(upstream, options.pooled)
    plain = loop_of(task, dataset, sampler, options.workers, folder / "plain").parts(1 + options.plain_steps, 1)
    without = 1 / statistics.mean(list(plain)[1:])

    began = time.perf_counter()
    task = make_task(upstream, options.pooled)
    settings = Settings(options.cache, "fp16", 10**12, folder / "features", options.workers)
    cached = attach_features(task, dataset, settings, [range(len(dataset))])
    first_pass = time.perf_counter() - began
    parts = loop_of(task, cached, sampler, options.workers, folder / "cached").parts(options.epochs, steps)
    epochs = list(parts)
    later = steps / statistics.mean(epochs[1:])
    total = first_pass + epochs[0] + (sum(epochs[1:]) if options.epochs == 30 else 29 * steps / later)
    by_hand = {} if options.pooled else {"bare_from_ram": bare(make_task(upstream, False), cached, sampler, 3)}
    cached_bytes = sum(x.nbytes for i in range(len(cached)) for x in cached[i]["hidden_states"])
    measured = {
        "without_steps_per_s": without,
        "first_epoch_steps_per_s": steps / (first_pass + epochs[0]),
        "later_steps_per_s": later,
        "later_over_without": later / without,
        **{f"{name}_steps_per_s": steps / statistics.mean(times[1:]) for name, times in by_hand.items()},
        "pass_s": first_pass,
        "bytes_per_s_of_audio": cached_bytes / dataset.seconds.sum(),
        "cached_30_epochs_s": total,
        "plain_30_epochs_s": 30 * steps / without,
    }
    settings_of_run = {
        "utterances": len(dataset),
        "seconds_of_audio": float(dataset.seconds.sum()),
        "epochs_run": options.epochs,
    }
    settings_of_run |= {"threads": torch.get_num_threads(), "workers": options.workers, "cache": options.cache}
    return {
        name: round(value, 3) if isinstance(value, float) else value
        for name, value in (measured | settings_of_run).items()
    }


if __name__ == "__main__":
    main()
