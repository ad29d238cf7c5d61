"""For the tests of features: a small upstream with weights, its data, and what a cache holds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import soundfile
import torch
from safetensors import safe_open

from dataset.utterances import Utterances
from nn.featurizer import Featurizer
from nn.mask import zero_padding
from nn.model import UpstreamDownstreamModel
from problems.engine.features.policy import Settings
from tasks.base import StepOutput, Task
from tests.conftest import write_table

SHIFT = 320


class Convolution(torch.nn.Module):
    """Three layers of 6 features from frames of 320 samples. An utterance has the same states alone and in a batch."""

    num_layers, hidden_sizes, downsample_rates = 3, [6] * 3, [SHIFT] * 3

    def __init__(self, seed: int = 0, gain: float = 1.0):
        super().__init__()
        torch.manual_seed(seed)
        self.gain = gain
        self.conv = torch.nn.Conv1d(1, 6, SHIFT, SHIFT)
        self.deeper = torch.nn.ModuleList(torch.nn.Linear(6, 6) for _ in range(2))
        self.calls = []

    def output_lengths(self, wav_len):
        return [torch.div(wav_len, SHIFT, rounding_mode="floor")] * 3

    def forward(self, wav, wav_len):
        self.calls.append(len(wav))
        lengths = self.output_lengths(wav_len)
        x = torch.nn.functional.pad(wav, (0, max(0, SHIFT - wav.shape[1])))
        states = [self.gain * self.conv(x[:, None]).transpose(1, 2)]
        for layer in self.deeper:
            states.append(torch.tanh(layer(states[-1])))
        return [zero_padding(s, lengths[0]) for s in states], lengths


class Classify(Task):
    """Cross-entropy over three classes."""

    takes_features = True

    def forward(self, mode, id, label, **batch):
        batch = {k: v for k, v in batch.items() if k in ("wav", "wav_len", "hidden_states", "hidden_lens")}
        logits, _ = self.model(**batch)
        loss = torch.nn.functional.cross_entropy(logits, label)
        return StepOutput(loss, float(len(label)), {"id": id, "hit": (logits.argmax(-1) == label).tolist()})

    def reduction(self, mode, records):
        return {"acc": sum(records["hit"]) / len(records["hit"])}


def task_of(head, upstream=None, **featurizer) -> Classify:
    upstream = upstream or Convolution()
    torch.manual_seed(1)
    return Classify(UpstreamDownstreamModel(upstream, Featurizer(upstream, **featurizer), head))


def utterances(folder: Path, count: int = 9, seed: int = 0, **options) -> Utterances:
    """Noise of 0 to 8 frames in files whose names have spaces and umlauts; the last two are segments of one file."""
    folder.mkdir(parents=True, exist_ok=True)
    random, rows = np.random.default_rng(seed), []
    for number in range(count):
        path = folder / f"Ä {number}.wav"
        samples = 100 if number == 0 else SHIFT * (1 + number % 8) + 7
        soundfile.write(path, 0.1 * random.standard_normal(samples), 16000)
        rows.append({"id": f"u{number}", "wav_path": str(path), "seconds": samples / 16000, "label": number % 3})
    whole = rows[7]
    ends = ({"start_sec": "", "end_sec": 0.06}, {"start_sec": 0.06, "end_sec": ""})
    rows = [{"start_sec": "", "end_sec": "", **r} for r in rows]
    rows += [{**whole, **end, "id": f"piece{n}", "seconds": 0.06 + n * 0.04} for n, end in enumerate(ends)]
    return Utterances(write_table(folder / "data.csv", rows), lambda row: {"label": int(row["label"])}, **options)


def settings(root: Path, mode: str = "disk", dtype: str = "fp16", limit: int = 10**9) -> Settings:
    return Settings(mode, dtype, limit, root)


def states_alone(task, dataset, index):
    """The states of one utterance, from the upstream itself."""
    item = dataset[index]
    with torch.no_grad():
        states, lengths = task.model.upstream(item["wav"][None], torch.tensor([item["wav_len"]]))
    return [s[0, : int(n)] for s, n in zip(states, lengths)]


def assert_close(states, expected, dtype=torch.float16) -> None:
    """Assert that states equal others up to the rounding of their type."""
    assert len(states) == len(expected)
    for a, b in zip(states, expected):
        assert a.dtype == dtype and a.shape == b.shape
        rounding = 1e-3 if dtype == torch.float16 else 1e-5
        torch.testing.assert_close(a.float(), b, rtol=rounding, atol=rounding * 1e-1)


def stored_keys(root: Path) -> list[str]:
    """The keys of all shards below a folder, sorted, read from the files themselves."""
    keys = []
    for path in root.rglob("*.safetensors"):
        with safe_open(path, "pt") as file:
            keys += json.loads(file.metadata()["crc32"])
    return sorted(keys)
