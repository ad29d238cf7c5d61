"""A search of learning rates in one pass over the data, beside one training and beside one training after another.

    python benchmarks/one_pass.py ks|asr CORPUS_FOLDER [--steps N] [--batch_size N] [--cache off|disk] [--alone N]

``CORPUS_FOLDER`` has a ``metadata.csv`` and its audio. The upstream is wav2vec 2.0 base with random weights, frozen;
the head is SUPERB's, smaller for asr. Prints one JSON line: wall and processor seconds of stage 2 for one learning
rate, for five in one pass, and for five one after another, their ratios, and whether the weights of each pair of
trainings are equal in bytes. With ``--alone N``, only N are trained one by one, and five are taken to last as long as
their mean.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as the command line sets it

import problems
from problems.benchmark.runs.one_pass import run_in_one_pass

RATES = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
COLUMNS = {"ks": "{wav_path: path, label: text}", "asr": "{wav_path: path, transcription: text}"}
HEADS = {
    "ks": ("mean_pool_linear", "{hidden_size: 256}"),
    "asr": ("rnn", "{hidden_size: [256, 256], dropout: [0.2, 0.2]}"),
}


def words_of(options: argparse.Namespace, root: Path, folder: str, rate: float, stop: int) -> list[str]:
    """A training of ``--steps`` steps, without validation."""
    head, conf = HEADS[options.problem]
    return [
        f"--target_dir={root / folder / f'{rate:g}'}",
        f"--cache_dir={root / 'cache'}",
        "--prepare_data.corpus=csv",
        f"--prepare_data.train={options.corpus / 'metadata.csv'}",
        f"--prepare_data.columns={COLUMNS[options.problem]}",
        "--prepare_data.test_fraction=0.1",
        f"--build_downstream.name={head}",
        f"--build_downstream.conf={conf}",
        "--build_upstream.name=wav2vec2_base",
        "--build_upstream.conf={checkpoint: random}",
        f"--features.cache={options.cache}",
        "--build_dataset.speeds=[1.0]",  # so that features can be kept
        f"--build_batch_sampler.train={{name: random, batch_size: {options.batch_size}}}",
        f"--build_optimizer.conf.lr={rate}",
        f"--train.total_steps={options.steps}",
        f"--train.save_step={options.steps}",
        "--train.valid_metric=null",
        "--num_workers=0",
        f"--stop={stop}",
    ]


@contextlib.contextmanager
def timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    """Write the wall and processor seconds of a ``with`` block."""
    wall, processor = time.monotonic(), time.process_time()
    yield
    seconds[name], seconds[f"{name}_cpu"] = time.monotonic() - wall, time.process_time() - processor


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("problem", choices=HEADS)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch_size", type=int, default=8)
    parser.add_argument(
        "--alone",
        type=int,
        default=len(RATES),
        choices=range(1, len(RATES) + 1),
        metavar="N",
        help="rates that are also trained one by one, for the times and to compare the weights",
    )
    parser.add_argument("--cache", choices=("off", "disk"), default="off")
    options = parser.parse_args()
    seconds: dict[str, float] = {}
    problem = problems.get(options.problem)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)

        def run(name: str, rates: tuple[float, ...], stop: int = 2) -> None:
            ends = run_in_one_pass(problem, [words_of(options, root, name, rate, stop) for rate in rates])
            errors = [end.message for end in ends if end.code]
            if errors:
                raise SystemExit(errors[0])

        for name in ("together", "alone"):
            for rate in RATES:
                run(name, (rate,), stop=1)
        if options.cache == "disk":
            run("warm-up", RATES[:1])  # fills the cache
        with timed(seconds, "five_in_one_pass"):
            run("together", RATES)
        for number, rate in enumerate(RATES[: options.alone]):
            with timed(seconds, f"alone_{number}"):
                run("alone", (rate,))
        last = f"train/step_{options.steps:08}/model/weights.safetensors"
        weights = {
            name: [(root / name / f"{r:g}" / last).read_bytes() for r in RATES[: options.alone]]
            for name in ("together", "alone")
        }
    ones = [seconds[f"alone_{number}_cpu"] for number in range(options.alone)]
    walls = [seconds[f"alone_{number}"] for number in range(options.alone)]
    one, five = min(ones), len(RATES) * sum(ones) / len(ones)
    figures = {
        "problem": options.problem,
        "corpus": options.corpus.name,
        "cache": options.cache,
        "steps": options.steps,
        "batch_size": options.batch_size,
        "one_s": round(min(walls), 2),
        "five_in_one_pass_s": round(seconds["five_in_one_pass"], 2),
        "five_one_by_one_s": round(len(RATES) * sum(walls) / len(walls), 2),
        "ratio_to_one": round(seconds["five_in_one_pass"] / min(walls), 3),
        "cpu_ratio_to_one": round(seconds["five_in_one_pass_cpu"] / one, 3),
        "cpu_ratio_to_five": round(seconds["five_in_one_pass_cpu"] / five, 3),
        "weights_equal": weights["together"] == weights["alone"],
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
