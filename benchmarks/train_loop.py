"""The train loop against a bare PyTorch loop: same model, data, loader workers and machine, in turn, in one run.

    python benchmarks/train_loop.py digits    DATA/fsdd    # fbank 80 -> linear 256 -> mean pool -> 10, batch 32
    python benchmarks/train_loop.py connected DATA/fsdd    # fbank, 3 stacked frames, 2 x BiLSTM 256, CTC, batch 16

The two alternate in blocks of steps, so that a machine that drifts slows both. Prints one JSON line: steps a second of
each (medians over the blocks) and their ratio; the same without the times of a step's parts, and the share of CPU time
that these cost, which other processes affect less. Features have no parameters, so both compute them in the workers.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as the command line does, for both

import torch
from torch.utils.data import DataLoader

from dataset.collate import collate
from dataset.corpora import get_corpus
from dataset.encoders import build_encoder
from dataset.loader import LoaderSettings, train_stream
from dataset.metadata import write_csv
from dataset.samplers.bucket import BucketBatchSampler
from dataset.samplers.random import RandomBatchSampler
from dataset.utterances import Utterances
from nn.downstream.linear import MeanPoolLinear
from nn.downstream.rnn import RNNEncoder
from nn.featurizer import Featurizer
from nn.model import UpstreamDownstreamModel
from nn.upstream.signal.kaldi import Fbank
from problems.engine.config.sections import Train
from problems.engine.features.attach import ComputedFeatures
from problems.engine.loops.train import TrainLoop
from problems.engine.optim.scheduled_optimizer import OptimScheduler
from tasks.base import StepOutput, Task
from tasks.ctc import CTCTask


class Digits(Task):
    """Cross-entropy over ten digits."""

    def forward(self, mode, id, label, **batch):
        logits, _ = self.model(**batch)
        return StepOutput(torch.nn.functional.cross_entropy(logits, label), float(len(label)), {"id": id})


def make(name: str, root: str, folder: Path) -> tuple[Task, object, object]:
    """Task, dataset and batch sampler of one of the two works."""
    corpus = get_corpus("fsdd" if name == "digits" else "connected_digits")(dataset_root=root)
    rows = corpus.load(folder / "cache").train
    csv = folder / "train.csv"
    from dataset.durations import durations

    seconds, _ = durations([r["wav_path"] for r in rows], folder / "cache")
    write_csv(csv, [{**r, "seconds": seconds[r["wav_path"]]} for r in rows])
    upstream = Fbank()
    featurizer = Featurizer(upstream)
    if name == "digits":
        dataset = Utterances(csv, lambda row: {"label": int(row["label"])})
        head, sampler = MeanPoolLinear(80, 10), RandomBatchSampler(dataset, 32, None)
        task = Digits(UpstreamDownstreamModel(upstream, featurizer, head))
    else:
        encoder = build_encoder("character", [r["transcription"] for r in rows])
        dataset = Utterances(
            csv,
            lambda row: {"tokens": torch.tensor(encoder.encode(row["transcription"])), "text": row["transcription"]},
        )
        sampler = BucketBatchSampler(dataset, 16, None)
        head = RNNEncoder(80, len(encoder), hidden_size=[256, 256], stack=3)
        task = CTCTask(UpstreamDownstreamModel(upstream, featurizer, head), encoder)
    return task, ComputedFeatures(dataset, upstream), sampler


def bare(task: Task, dataset: object, sampler: object, workers: int, blocks: int, steps: int):
    """A loop as one writes it by hand: epoch after epoch, with clipping, and a loss read every 50 steps."""
    optimizer = torch.optim.Adam(task.parameters(), lr=1e-3)
    loader = DataLoader(
        dataset, batch_sampler=sampler, collate_fn=collate, num_workers=workers, persistent_workers=workers > 0
    )

    def batches():
        epoch = 0
        while True:
            sampler.set_epoch(epoch)
            yield from loader
            epoch += 1

    task.train()
    stream, step = batches(), 0
    for _ in range(blocks):
        began = time.perf_counter()
        for _ in range(steps):
            optimizer.zero_grad()
            loss = task("train", **next(stream)).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(task.parameters(), 1.0)
            optimizer.step()
            step += 1
            if step % 50 == 0:
                float(loss)
        yield steps / (time.perf_counter() - began)


class Timed(TrainLoop):
    """The train loop, timed by blocks of steps."""

    def blocks(self, blocks: int, steps: int):
        """Yield the steps per second of each block, with the loop's own order: window, step, log."""
        self.cadence.open()
        self.task.train()
        stream = self.open_stream()
        for _ in range(blocks):
            began = time.perf_counter()
            for _ in range(steps):
                self.step(self.next_window(stream))
                self.cadence.after_step()
            yield steps / (time.perf_counter() - began)


class NoTimes:
    """Stands in for the times of a step's parts, and measures nothing."""

    steps = 0

    def part(self, name: str) -> contextlib.AbstractContextManager[None]:
        """Measure nothing."""
        return contextlib.nullcontext()

    def read(self) -> dict[str, float]:
        """Nothing."""
        return {}


def toolkit(
    task: Task, dataset: object, sampler: object, workers: int, blocks: int, steps: int, folder: Path, timed=True
):
    """The toolkit's loop with its default cadence of logging, and perhaps without the times of a step's parts."""
    train = vars(Train()) | {"total_steps": 10**9, "eval_step": 10**9, "save_step": 10**9}

    def stream(epoch: int, position: int, make_dataloader: object):
        settings = LoaderSettings(num_workers=workers, make_dataloader=make_dataloader)
        return train_stream(dataset, sampler, collate, seed=0, epoch=epoch, position=position, settings=settings)

    def optimizers(task: Task):
        return [OptimScheduler(torch.optim.Adam(task.parameters(), lr=1e-3), max_norm=1.0)]

    parts = (task, optimizers, train, folder / "train", stream, dict, lambda folder: None, torch.device("cpu"))
    loop = Timed(*parts)
    if not timed:
        loop.times = NoTimes()
    return loop.blocks(blocks, steps)


def main() -> None:
    """Run both and print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", choices=("digits", "connected"))
    parser.add_argument("root", help="a folder with FSDD's recordings")
    parser.add_argument("--steps", type=int, default=None, help="steps of a block (digits 200, connected 20)")
    parser.add_argument("--blocks", type=int, default=9, help="blocks of each loop; the first is a warm-up")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    steps = options.steps or (200 if options.work == "digits" else 20)
    with tempfile.TemporaryDirectory() as temporary:
        folder, speeds = Path(temporary), {"bare": [], "toolkit": [], "untimed": []}
        made = make(options.work, options.root, folder)
        seconds = {name: [] for name in speeds}
        runs = {"bare": bare(*made, options.workers, options.blocks, steps)}
        made = make(options.work, options.root, folder)
        runs["toolkit"] = toolkit(*made, options.workers, options.blocks, steps, folder)
        made = make(options.work, options.root, folder)
        runs["untimed"] = toolkit(*made, options.workers, options.blocks, steps, folder / "untimed", timed=False)
        for _ in range(options.blocks):
            for name, run in runs.items():
                began = time.process_time()
                speeds[name].append(next(run))
                seconds[name].append((time.process_time() - began) / steps)
        ratios = [t / b for t, b in zip(speeds["toolkit"][1:], speeds["bare"][1:])]
        costs = [t / u - 1 for t, u in zip(seconds["toolkit"][1:], seconds["untimed"][1:])]
        medians = {name: round(statistics.median(values[1:]), 2) for name, values in speeds.items()}
        threads = {"threads": torch.get_num_threads(), "workers": options.workers}
        shares = {"ratio": round(statistics.median(ratios), 3), "cost_of_times": round(statistics.median(costs), 4)}
        shares["costs"] = [round(cost, 4) for cost in costs]
        print(json.dumps({"work": options.work, **medians, **shares, **threads}))


if __name__ == "__main__":
    main()
