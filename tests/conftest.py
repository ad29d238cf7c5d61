"""A tiny corpus of tones, so that whole runs take seconds, and the environment put back after each test."""

from __future__ import annotations

import csv
import logging
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import soundfile

ROOT = Path(__file__).resolve().parents[1]
WORDS = ("ba", "de", "go", "ku")

os.environ.setdefault("OMP_NUM_THREADS", "1")  # tests share their cores
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background ignores it, and tests send it
# on a machine with a GPU too, as several processes cannot share one: CUDA_VISIBLE_DEVICES=0 shows it to the tests
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")


def pytest_xdist_auto_num_workers(config) -> int:
    """The workers of ``-n auto``: three on two cores, because many tests wait for other processes."""
    return min(16, max(2, (os.cpu_count() or 1) * 3 // 2))


def data_folder() -> Path:
    """The real speech beside the repository, where it is there."""
    return Path(os.environ.get("SOUNDSTAGE_DATA", ROOT.parent / "shared" / "data"))


def write_tones(folder: Path, count: int, seed: int = 0) -> list[dict[str, str]]:
    """Utterances whose words are tones of different pitch: something a small model can learn."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    rows = []
    for number in range(count):
        words = [WORDS[i] for i in random.integers(0, len(WORDS), random.integers(1, 4))]
        time = np.arange(2400) / 16000
        tones = [0.3 * np.sin(2 * np.pi * 300 * (2 + WORDS.index(w)) * time) for w in words]
        wave = np.concatenate([np.concatenate([t, np.zeros(800)]) for t in tones])
        path = folder / f"u{number:03}.wav"
        soundfile.write(path, wave + 0.01 * random.standard_normal(len(wave)), 16000)
        rows.append({"id": f"{folder.name}-{number:03}", "wav_path": str(path), "transcription": " ".join(words)})
    return rows


def write_table(path: Path, rows: list[dict[str, str]]) -> Path:
    """Rows as a CSV."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture(scope="session")
def tones(tmp_path_factory) -> Path:
    """A folder with ``train.csv`` (22 utterances), ``valid.csv`` (5) and ``test.csv`` (7) of tones."""
    folder = tmp_path_factory.mktemp("tones")
    for seed, (name, count) in enumerate((("train", 22), ("valid", 5), ("test", 7))):
        write_table(folder / f"{name}.csv", write_tones(folder / name, count, seed))
    return folder


def tiny_options(data: Path, folder: Path) -> list[str]:
    """A command line's options for a whole run in about two seconds, in ``folder/run``; ``data`` has the CSVs."""
    return [
        f"--target_dir={folder / 'run'}",
        f"--cache_dir={folder / 'cache'}",
        "--num_workers=0",
        "--prepare_data.corpus=csv",
        *(f"--prepare_data.{name}={data / name}.csv" for name in ("train", "valid", "test")),
        "--build_upstream.conf.num_mel_bins=20",
        "--build_downstream.conf.hidden_size=[12]",
        "--build_downstream.conf.dropout=0.2",
        "--build_downstream.conf.stack=2",
        "--build_model.specaug={time_warp: 0, freq_mask_width: [0, 3], time_mask_width: [0, 5]}",
        "--build_batch_sampler.train.batch_size=4",
        "--build_optimizer.conf.lr=0.01",
        "--train.total_steps=8",
        "--train.eval_step=4",
        "--train.save_step=4",
        "--train.log_step=2",
        "--train.use_scheduler=false",
        "--evaluate.baselines=false",
    ]


@pytest.fixture
def tiny(tones, tmp_path) -> list[str]:
    """Options for a whole run in about two seconds, in ``tmp_path/run``."""
    return tiny_options(tones, tmp_path)


@pytest.fixture(autouse=True)
def _put_back():
    """Signal handlers, log handlers and the environment as they were before the test."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    root, environment = logging.getLogger(), dict(os.environ)
    log_handlers, level = list(root.handlers), root.level
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)
    root.handlers[:] = log_handlers
    root.setLevel(level)
    os.environ.clear()
    os.environ.update(environment)
