"""Training on a GPU against a bare loop, and the throughput of frozen upstreams.

    python benchmarks/gpu.py finetune    # wav2vec 2.0 base with CTC, 16 utterances of 10 s, random weights
    python benchmarks/gpu.py probe       # the same with the upstream frozen
    python benchmarks/gpu.py frozen      # HuBERT base and WavLM large: hours of audio per hour

``finetune`` and ``probe`` run the toolkit's loop and a bare one in turn, in blocks of steps, for each precision, and
print a JSON line for each: steps a second (medians over the blocks), their ratio, the share of the time in which the
GPU computes and the peak of its memory. Both compute on the same batches of noise, made by the same number of workers.
``frozen`` prints the share of the card's peak too: its floating-point operations a second over those of a product of
two matrices of 8192 x 8192 in the same precision.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import string
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch.utils.data import DataLoader
from torch.utils.flop_counter import FlopCounterMode
from train_loop import Timed

from dataset.collate import collate
from dataset.encoders import build_encoder
from dataset.loader import LoaderSettings, train_stream
from nn.downstream.linear import FrameLinear
from nn.featurizer import Featurizer
from nn.model import UpstreamDownstreamModel
from nn.upstream.pretrained.torchaudio_bundles import HubertBase, Wav2Vec2Base, WavLMLarge
from problems.engine.config.sections import Train
from problems.engine.loops.prefetch import to_device
from problems.engine.optim.scheduled_optimizer import OptimScheduler
from problems.engine.runtime.numerics import autocast, numerics
from tasks.ctc import CTCTask

BATCH, SECONDS, RATE, LETTERS = 16, 10, 16000, 100
DEVICE = torch.device("cuda")
PRECISIONS = {"fp32": {}, "tf32": {"tf32": True}, "bf16": {"precision": "bf16", "tf32": True}}
SETTINGS = PRECISIONS | {f"{name} compiled": own | {"compile": "inductor"} for name, own in PRECISIONS.items()}


class Noise(torch.utils.data.Dataset):
    """Ten seconds of noise and a hundred letters for each index."""

    def __len__(self) -> int:
        return 4096

    def __getitem__(self, index: int) -> dict[str, object]:
        generator = torch.Generator().manual_seed(index)
        return {
            "id": str(index),
            "wav": torch.randn(SECONDS * RATE, generator=generator) * 0.1,
            "tokens": torch.randint(1, 27, (LETTERS,), generator=generator),
            "text": "",
        }


class InOrder:
    """Batches of consecutive indices, epoch after epoch the same."""

    def __init__(self, size: int):
        self.batches = [list(range(start, start + BATCH)) for start in range(0, size, BATCH)]

    def set_epoch(self, epoch: int) -> None:
        """Every epoch is the same."""

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.batches)


def make_task(settings: dict, trainable: bool) -> CTCTask:
    """wav2vec 2.0 base with random weights, a weighted sum of its layers and a linear layer, for CTC."""
    torch.manual_seed(0)
    encoder = build_encoder("character", [string.ascii_uppercase])
    upstream = Wav2Vec2Base(checkpoint="random")
    featurizer = Featurizer(upstream)
    head = FrameLinear(featurizer.output_size, len(encoder))
    task = CTCTask(UpstreamDownstreamModel(upstream, featurizer, head, upstream_trainable=trainable), encoder).to(
        DEVICE
    )
    if settings.get("compile"):
        task.model.compile(backend=settings["compile"], dynamic=True)
    return task


def bare(task: CTCTask, settings: dict, *, workers: int, blocks: int, steps: int) -> Iterator[float]:
    """A loop as one writes it by hand."""
    optimizer = torch.optim.Adam([p for p in task.parameters() if p.requires_grad], lr=1e-5, fused=True)
    data = Noise()
    loader = DataLoader(
        data, batch_sampler=InOrder(len(data)), collate_fn=collate, num_workers=workers, pin_memory=True
    )

    def batches() -> Iterator[dict]:
        while True:
            yield from loader

    task.train()
    stream = batches()
    for _ in range(blocks):
        began = time.perf_counter()
        for _ in range(steps):
            task.model.set_step(0)
            optimizer.zero_grad()
            with autocast(DEVICE, settings.get("precision", "fp32")):
                loss = task("train", **to_device(next(stream), DEVICE)).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(task.parameters(), 1.0)
            optimizer.step()
        loss.item()
        yield steps / (time.perf_counter() - began)


def toolkit(
    task: CTCTask, settings: dict, *, workers: int, blocks: int, steps: int, folder: Path, log_step: int
) -> Iterator[float]:
    """The toolkit's loop."""
    data = Noise()
    forever = {"total_steps": 10**9, "eval_step": 10**9, "save_step": 10**9, "log_step": log_step}
    train = vars(Train()) | forever | settings

    def stream(epoch: int, position: int, make_dataloader: object) -> object:
        loading = LoaderSettings(num_workers=workers, make_dataloader=make_dataloader, pin_memory=True)
        batches = InOrder(len(data))
        return train_stream(data, batches, collate, seed=0, epoch=epoch, position=position, settings=loading)

    def optimizers(task: CTCTask) -> list[OptimScheduler]:
        parameters = [p for p in task.parameters() if p.requires_grad]
        return [OptimScheduler(torch.optim.Adam(parameters, lr=1e-5, fused=True), max_norm=1.0)]

    loop = Timed(task, optimizers, train, folder / "train", stream, dict, lambda folder: None, DEVICE)
    yield from loop.blocks(blocks, steps)


@contextlib.contextmanager
def busy(share: list[float]) -> Iterator[None]:
    """Measure the share of a ``with`` block in which a kernel runs."""
    from torch.profiler import ProfilerActivity, profile

    began = time.perf_counter()
    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        began = time.perf_counter()
        yield
        torch.cuda.synchronize()
        seconds = time.perf_counter() - began
    kernels = sorted(
        (event.time_range.start, event.time_range.end)
        for event in profiler.events()
        if event.device_type == torch.autograd.DeviceType.CUDA
    )
    total, end = 0.0, float("-inf")
    for first, last in kernels:
        total += max(0.0, last - max(first, end))
        end = max(end, last)
    share.append(total / 1e6 / seconds)


def against_bare_loop(options: argparse.Namespace) -> None:
    """Compare the two loops in each precision."""
    trainable = options.work == "finetune"
    for name in options.only or SETTINGS:
        settings = SETTINGS[name]
        with tempfile.TemporaryDirectory() as folder, numerics(False, settings.get("tf32", False)):
            size = {"workers": options.workers, "blocks": options.blocks + 1, "steps": options.steps}
            runs = {
                "bare": bare(make_task(settings, trainable), settings, **size),
                "toolkit": toolkit(
                    make_task(settings, trainable), settings, **size, folder=Path(folder), log_step=options.log_step
                ),
            }
            speeds: dict[str, list[float]] = {key: [] for key in runs}
            for _ in range(options.blocks):
                for key, run in runs.items():
                    speeds[key].append(next(run))
            share: list[float] = []
            with busy(share):
                next(runs["toolkit"])
            medians = {key: statistics.median(values[1:]) for key, values in speeds.items()}
            ratios = [t / b for t, b in zip(speeds["toolkit"][1:], speeds["bare"][1:])]
            print(
                json.dumps(
                    {
                        "work": options.work,
                        "precision": name,
                        **{key: round(value, 2) for key, value in medians.items()},
                        "ratio": round(statistics.median(ratios), 3),
                        "busy": round(share[0], 3),
                        "peak_gb": round(torch.cuda.max_memory_allocated() / 1e9, 2),
                        "gpu": torch.cuda.get_device_name(),
                    }
                ),
                flush=True,
            )
        torch.cuda.reset_peak_memory_stats()


def peak(settings: dict) -> float:
    """Floating-point operations a second of a large product of matrices."""
    dtype = torch.bfloat16 if settings.get("precision") == "bf16" else torch.float32
    one, other = torch.randn(2, 8192, 8192, device=DEVICE, dtype=dtype).unbind()
    return 2 * 8192**3 / seconds_of(lambda: one @ other, 20)


def seconds_of(work: Callable[[], object], times: int) -> float:
    """Seconds that some work takes, in the second of two rounds of so many times."""
    for _ in range(2):
        torch.cuda.synchronize()
        began = time.perf_counter()
        for _ in range(times):
            work()
        torch.cuda.synchronize()
        seconds = time.perf_counter() - began
    return seconds / times


def frozen(options: argparse.Namespace) -> None:
    """Hours of audio that a frozen upstream reads in an hour, all layers computed."""
    wav = torch.randn(BATCH, SECONDS * RATE, device=DEVICE)
    lengths = torch.full((BATCH,), SECONDS * RATE, device=DEVICE)
    for upstream_class in (HubertBase, WavLMLarge):
        upstream = upstream_class(checkpoint="random").to(DEVICE).eval()
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            upstream(wav, lengths)
        for name in options.only or SETTINGS:
            settings = SETTINGS[name]
            torch._dynamo.reset()
            upstream = upstream_class(checkpoint="random").to(DEVICE).eval()
            if settings.get("compile"):
                upstream.compile(backend=settings["compile"], dynamic=True)

            def read(upstream: torch.nn.Module = upstream, precision: str = settings.get("precision", "fp32")) -> None:
                with autocast(DEVICE, precision):
                    upstream(wav, lengths)

            with numerics(False, settings.get("tf32", False)), torch.no_grad():
                seconds, highest = seconds_of(read, options.steps), peak(settings)
            figures = {
                "work": "frozen",
                "upstream": upstream_class.name,
                "precision": name,
                "hours_per_hour": round(BATCH * SECONDS / seconds),
                "tflops": round(counter.get_total_flops() / seconds / 1e12, 1),
                "share_of_peak": round(counter.get_total_flops() / seconds / highest, 3),
                "gpu": torch.cuda.get_device_name(),
            }
            print(json.dumps(figures), flush=True)


def main() -> None:
    """Run one of the works."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", choices=("finetune", "probe", "frozen"))
    parser.add_argument("--steps", type=int, default=30, help="steps of a block")
    parser.add_argument("--blocks", type=int, default=5, help="blocks of each loop; the first is a warm-up")
    parser.add_argument("--workers", type=int, default=6)
    parser.add_argument("--log-step", type=int, default=50, help="the toolkit's train.log_step")
    parser.add_argument("--only", nargs="*", choices=list(SETTINGS), help="these precisions; all of them if left out")
    options = parser.parse_args()
    frozen(options) if options.work == "frozen" else against_bare_loop(options)


if __name__ == "__main__":
    main()
