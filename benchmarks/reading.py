"""Reading audio: utterances a second from single files and from shards, warm and cold, with 0, 1 and 2 workers.

    python benchmarks/reading.py DATA/librispeech_small [--copies 3] [--rounds 3]

Every reader gives the same utterances as float32 at 16 kHz, mono, in batches of 16: soundfile in a bare loop, this
project from files and from shards (in a random order, which shards allow), and webdataset and lhotse from shards in
their order, if they are installed. The readers alternate in rounds; the medians are printed, a JSON line for each
reader. Cold means that the system was told to forget the files (``posix_fadvise``); its disk may still know them.
``cpu_ms`` is the processor time of an utterance without workers, which other work on the machine changes little.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import soundfile
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset

from dataset import SAMPLE_RATE, audio
from dataset.durations import durations
from dataset.metadata import write_csv
from dataset.packing.pack import pack
from dataset.utterances import Utterances

BATCH, SHARDS, WORKERS = 16, 8, (0, 1, 2)


def converted(samples: np.ndarray, rate: int) -> torch.Tensor:
    """Float32 (T,) at 16 kHz from samples (T, channels)."""
    wav = torch.from_numpy(samples.mean(axis=1) if samples.shape[1] > 1 else samples[:, 0])
    return wav if rate == SAMPLE_RATE else audio.resampler(rate)(wav)


class Bare(Dataset):
    """Files read by soundfile, and nothing else."""

    def __init__(self, paths: list[str]):
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> torch.Tensor:
        return converted(*soundfile.read(self.paths[index], dtype="float32", always_2d=True))


class Ours(Dataset):
    """The waveforms of a metadata CSV."""

    def __init__(self, path: Path):
        self.utterances = Utterances(path)

    def __len__(self) -> int:
        return len(self.utterances)

    def __getitem__(self, index: int) -> torch.Tensor:
        return self.utterances[index]["wav"]


class Cuts(IterableDataset):
    """Shards that lhotse wrote."""

    def __init__(self, folder: Path):
        self.folder = folder

    def __iter__(self) -> Iterable[torch.Tensor]:
        from lhotse import CutSet

        for cut in CutSet.from_shar(in_dir=self.folder, split_for_dataloading=True):
            yield converted(cut.load_audio().T, cut.sampling_rate)


def from_sample(sample: dict[str, bytes]) -> torch.Tensor:
    """The waveform of a sample of webdataset."""
    content = next(value for key, value in sample.items() if key in ("flac", "wav", "mp3", "ogg"))
    return converted(*soundfile.read(io.BytesIO(content), dtype="float32", always_2d=True))


def webdataset_of(folder: Path) -> IterableDataset:
    import webdataset

    shards = sorted(map(str, folder.glob("*.tar")))
    return webdataset.WebDataset(shards, shardshuffle=False).map(from_sample)


def write_cuts(paths: list[str], folder: Path) -> Path:
    from lhotse import CutSet, MonoCut, Recording

    recordings = (Recording.from_file(path, recording_id=str(i)) for i, path in enumerate(paths))
    cuts = CutSet.from_cuts(MonoCut(r.id, 0, r.duration, 0, recording=r) for r in recordings)
    folder.mkdir()
    cuts.to_shar(folder, fields={"recording": "flac"}, shard_size=-(-len(paths) // SHARDS))
    return folder


def prepare(data: Path, copies: int, folder: Path) -> tuple[list[str], Path]:
    """Copies of the data's files, and a metadata CSV of them."""
    with open(data / "metadata.csv", newline="", encoding="utf-8") as file:
        names = sorted({row["path"] for row in csv.DictReader(file)})
    paths = []
    for copy in range(copies):
        for number, name in enumerate(names):
            paths.append(str(folder / f"files/{copy}/{number % 100}/{number}{Path(name).suffix}"))
            os.makedirs(os.path.dirname(paths[-1]), exist_ok=True)
            shutil.copyfile(data / name, paths[-1])
    seconds, _ = durations(paths, folder / "cache")
    rows = [{"id": f"u{i}", "wav_path": path, "seconds": seconds[path]} for i, path in enumerate(paths)]
    write_csv(folder / "train.csv", rows)
    os.sync()
    return paths, folder / "train.csv"


def readers(data: Path, copies: int, folder: Path) -> dict[str, tuple[Dataset, Path]]:
    """The data of each reader, and the folder of its files."""
    paths, table = prepare(data, copies, folder)
    size = sum(map(os.path.getsize, paths))
    began = time.perf_counter()
    pack([table], folder / "shards", shard_bytes=size // SHARDS, num_workers=2)
    seconds = time.perf_counter() - began
    packed = {"packed_per_second": round(len(paths) / seconds)}
    print(json.dumps({"utterances": len(paths), "mb": round(size / 1e6), "cores": os.cpu_count(), **packed}))
    found = {
        "soundfile, files": (Bare(paths), folder / "files"),
        "soundstage, files": (Ours(table), folder / "files"),
        "soundstage, shards": (Ours(folder / "shards/train.csv"), folder / "shards"),
    }
    try:
        found["webdataset, shards"] = (webdataset_of(folder / "shards"), folder / "shards")
    except ImportError:
        print("webdataset is not installed: pip install webdataset", file=sys.stderr)
    try:
        found["lhotse, shards"] = (Cuts(write_cuts(paths, folder / "shar")), folder / "shar")
    except ImportError:
        print("lhotse is not installed: pip install lhotse", file=sys.stderr)
    os.sync()
    return found


def forget(folder: Path) -> None:
    """Tell the system to drop the files below a folder from memory."""
    for path in folder.rglob("*"):
        if path.is_file():
            with open(path, "rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def measure(dataset: Dataset, workers: int) -> tuple[float, float, int, int]:
    """One pass: utterances a second, the workers' start included; processor ms each; how many, and their samples."""
    order: dict[str, object] = {}
    if not isinstance(dataset, IterableDataset):
        order["sampler"] = np.random.default_rng(0).permutation(len(dataset)).tolist()
    loader = DataLoader(dataset, batch_size=BATCH, num_workers=workers, collate_fn=list, **order)
    began, processor = time.perf_counter(), time.process_time()
    utterances = samples = 0
    for batch in loader:
        utterances += len(batch)
        samples += sum(map(len, batch))
    seconds, processor = time.perf_counter() - began, time.process_time() - processor
    return utterances / seconds, 1000 * processor / utterances, utterances, samples


def main(arguments: argparse.Namespace, folder: Path) -> None:
    torch.set_num_threads(1)
    found = readers(arguments.data, arguments.copies, folder)
    speeds: dict[tuple[str, str, int], list[float]] = {}
    costs: dict[str, list[float]] = {}
    work: dict[str, list[int]] = {}
    prepare_cold: dict[str, Callable[[Path], object]] = {"warm": lambda folder: None, "cold": forget}
    for dataset, _ in found.values():
        measure(dataset, 0)  # what is loaded on first use
    for _ in range(arguments.rounds):
        for state, forgotten in prepare_cold.items():
            for workers in WORKERS:
                for name, (dataset, files) in found.items():
                    forgotten(files)
                    speed, cost, *work[name] = measure(dataset, workers)
                    speeds.setdefault((name, state, workers), []).append(speed)
                    if not workers and state == "warm":
                        costs.setdefault(name, []).append(cost)
    assert len({tuple(done) for done in work.values()}) == 1, f"not the same work: {work}"
    for name in found:
        line = {
            state: {workers: round(statistics.median(speeds[name, state, workers])) for workers in WORKERS}
            for state in prepare_cold
        }
        print(json.dumps({"reader": name, **line, "cpu_ms": round(statistics.median(costs[name]), 2)}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with metadata.csv, whose column path names audio files")
    parser.add_argument("--copies", type=int, default=3, help="times that each file is copied")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where to write; default: the system's temporary folder")
    with tempfile.TemporaryDirectory(dir=parser.parse_args().folder) as name:
        main(parser.parse_args(), Path(name))
