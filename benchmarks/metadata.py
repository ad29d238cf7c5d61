"""Metadata of millions of utterances: compile, open, start an epoch, resume in its middle, and memory.

    python benchmarks/metadata.py [ROWS]

Prints one JSON line. The rows are synthetic; no audio is read. Memory is that which a process does not share, above the
same process with ten rows.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import re
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from dataset.samplers.bucket import BucketBatchSampler
from dataset.samplers.epochs import epoch_batches
from dataset.utterances import Utterances

BLOCK = 100_000


def write(path: Path, rows: int) -> None:
    generator = np.random.default_rng(0)
    with open(path, "w", encoding="utf-8") as file:
        file.write("id,wav_path,seconds,transcription,speaker\n")
        for start in range(0, rows, BLOCK):
            seconds = generator.gamma(4, 3, min(BLOCK, rows - start))
            file.writelines(
                f"speaker{i % 9973}-{i:09d},audio/{i % 9973}/{i:09d}.flac,{s:.6g},words of sentence {i},{i % 9973}\n"
                for i, s in enumerate(seconds, start)
            )


def private_mb() -> float:
    """Memory that this process shares with no other and with no file."""
    text = Path("/proc/self/smaps_rollup").read_text()
    return sum(int(n) for n in re.findall(r"Anonymous:\s+(\d+)", text)) / 1024


def open_and_read(path: str, pipe: object) -> None:
    """In a process of its own: open, start an epoch, resume in the middle of one, and read some rows."""
    began = time.monotonic()
    data = Utterances(path)
    opened = time.monotonic()
    sampler = BucketBatchSampler(data, 16, None)
    epoch_batches(sampler, 0, 0)[0]
    started = time.monotonic()
    middle = epoch_batches(sampler, 0, 3)
    indices = middle[len(middle) // 2]
    resumed = time.monotonic()
    rows = [data.without_audio(i)["id"] for batch in middle[:100] for i in batch] + indices
    mb = private_mb()
    child, end = multiprocessing.get_context("fork").Pipe()
    worker = multiprocessing.get_context("fork").Process(target=_as_worker, args=(data, middle[0], end))
    worker.start()
    worker_mb = child.recv()
    worker.join()
    times = {"open_sec": opened - began, "start_epoch_sec": started - opened, "resume_sec": resumed - started}
    pipe.send(times | {"rank_mb": mb, "worker_mb": worker_mb, "read": len(rows)})


def _as_worker(data: Utterances, indices: list[int], pipe: object) -> None:
    """As a worker of the loader: memory that reading adds to what was inherited and is not shared."""
    before = _private_clean_and_dirty()
    for index in indices * 100:
        data.without_audio(index)
    pipe.send(_private_clean_and_dirty() - before)


def _private_clean_and_dirty() -> float:
    text = Path("/proc/self/smaps_rollup").read_text()
    return sum(int(n) for n in re.findall(r"Private_Dirty:\s+(\d+)", text)) / 1024


def measured(path: Path) -> dict[str, float]:
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe()
    process = context.Process(target=open_and_read, args=(str(path), sender))
    process.start()
    sender.close()  # so that the end of the process ends the wait
    result = receiver.recv()
    process.join()
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="?", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as folder:
        few, many = Path(folder) / "few.csv", Path(folder) / "many.csv"
        write(few, 10), write(many, rows)
        time.sleep(2.1)  # so that the files count as settled
        began = time.monotonic()
        Utterances(many)
        compiled = time.monotonic() - began
        base, result = measured(few), measured(many)
        size = many.stat().st_size / 1e6, many.with_suffix(".arrow").stat().st_size / 1e6
    mb = {key: round(result.pop(key) - base[key], 1) for key in ("rank_mb", "worker_mb")}
    times = {key: round(value, 3) for key, value in result.items() if key.endswith("_sec")}
    print(
        json.dumps(
            {"rows": rows, "csv_mb": round(size[0]), "table_mb": round(size[1]), "compile_sec": round(compiled, 2)}
            | times
            | mb
        )
    )


if __name__ == "__main__":
    main()
