"""Process start to the first training step: ``python -m problems.ks`` against a bare PyTorch script, in turn.

    python benchmarks/startup.py DATA/fsdd

Both train the same head on filter banks of spoken digits whose metadata stand ready (stages 0 and 1 are done). The bare
script reads the metadata with pandas, the audio with soundfile, and has no checkpoints, checks or history. Prints one
JSON line: seconds from the start of the process to the end of its first optimizer step (medians) and their ratio.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TOOLKIT = """
import os, sys, time
from problems.engine.loops.base import Callback
from problems.ks import KS

class First(Callback):
    def on_fit_batch_end(self, loop, batch, output):
        step = loop.optimizers[0].optimizer.step
        def timed():
            step()
            print("first step", time.time(), flush=True)
            os._exit(0)
        loop.optimizers[0].optimizer.step = timed

class Keywords(KS):
    callbacks = [First()]

Keywords().main(sys.argv[1:])
"""

BARE = """
import os, sys, time
import pandas, soundfile, torch, torchaudio
from torch.utils.data import DataLoader, Dataset

table = pandas.read_csv(sys.argv[1], dtype=str, keep_default_na=False)
labels = {label: number for number, label in enumerate(sorted(set(table["label"])))}

class Digits(Dataset):
    def __init__(self):
        self.paths, self.labels = table["wav_path"].tolist(), [labels[label] for label in table["label"]]
    def __len__(self):
        return len(self.paths)
    def __getitem__(self, index):
        wave, rate = soundfile.read(self.paths[index], dtype="float32")
        return torchaudio.functional.resample(torch.from_numpy(wave), rate, 16000), self.labels[index]

def collate(items):
    waves, numbers = zip(*items)
    lengths = torch.tensor([len(wave) for wave in waves])
    return torch.nn.utils.rnn.pad_sequence(waves, batch_first=True), lengths, torch.tensor(numbers)

from nn.downstream.tdnn import TDNN
from nn.featurizer import Featurizer
from nn.model import UpstreamDownstreamModel
from nn.upstream.signal.kaldi import Fbank

torch.manual_seed(0)
upstream = Fbank(num_mel_bins=40)
featurizer = Featurizer(upstream)
model = UpstreamDownstreamModel(upstream, featurizer, TDNN(featurizer.output_size, len(labels)))
optimizer = torch.optim.Adam(model.parameters(), lr=0.002)
loader = DataLoader(Digits(), batch_size=32, shuffle=True, collate_fn=collate, num_workers=int(sys.argv[2]))
for waves, lengths, targets in loader:
    logits, _ = model(wav=waves, wav_len=lengths)
    torch.nn.functional.cross_entropy(logits.squeeze(1), targets).backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    print("first step", time.time(), flush=True)
    os._exit(0)
"""


def seconds_to_first_step(command: list[str]) -> float:
    """Seconds from the start of a process to the line that it prints after its first step."""
    began = time.time()
    output = subprocess.run(command, capture_output=True, text=True)
    line = next((line for line in output.stdout.splitlines() if line.startswith("first step")), None)
    if line is None:
        raise RuntimeError(f"{command[:3]} took no step:\n{output.stderr[-2000:]}")
    return float(line.split()[-1]) - began


def main() -> None:
    """Prepare the data once, then start both scripts in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", help="a folder with FSDD's recordings")
    parser.add_argument("--runs", type=int, default=9, help="starts of each; the first is a warm-up")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    os.environ["PYTHONPATH"] = str(Path(__file__).resolve().parents[1])
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "toolkit.py").write_text(TOOLKIT)
        (folder / "bare.py").write_text(BARE)
        toolkit = [
            sys.executable,
            str(folder / "toolkit.py"),
            "run",
            f"--target_dir={folder / 'run'}",
            f"--cache_dir={folder / 'cache'}",
            "--prepare_data.corpus=fsdd",
            f"--prepare_data.dataset_root={options.root}",
            f"--num_workers={options.workers}",
            "--features.cache=off",  # the bare script computes none ahead
        ]
        subprocess.run([*toolkit, "--stop=1"], check=True, capture_output=True)
        bare = [sys.executable, str(folder / "bare.py"), str(folder / "run/data/train.csv"), str(options.workers)]
        seconds: dict[str, list[float]] = {"bare": [], "toolkit": []}
        for _ in range(options.runs):
            for name, command in (("bare", bare), ("toolkit", toolkit)):
                shutil.rmtree(folder / "run/train", ignore_errors=True)
                seconds[name].append(seconds_to_first_step(command))
        medians = {name: round(statistics.median(values[1:]), 2) for name, values in seconds.items()}
        ratio = statistics.median(t / b for t, b in zip(seconds["toolkit"][1:], seconds["bare"][1:]))
        print(json.dumps({"work": "start to first step", **medians, "ratio": round(ratio, 2)}))


if __name__ == "__main__":
    main()
