"""A model whose scores are its input, labels for it, and batches of random scores."""

from __future__ import annotations

import torch
from torch import nn

COLOURS = ["blue", "green", "red", "yellow"]
SIZES = ["big", "small"]


class Labels:
    """A label encoder."""

    def __init__(self, labels: list[str]):
        self.labels = labels

    def encode(self, label: str) -> int:
        return self.labels.index(label)

    def decode(self, index: int) -> str:
        return self.labels[index]

    def __len__(self) -> int:
        return len(self.labels)


class Slots:
    """Two labels an utterance."""

    def __init__(self):
        self.slots, self.encoders = ("colour", "size"), (Labels(COLOURS), Labels(SIZES))

    def __len__(self) -> int:
        return sum(map(len, self.encoders))


class Echo(nn.Module):
    """Takes its scores from the first samples of each waveform."""

    def __init__(self, classes: int):
        super().__init__()
        self.classes, self.gain = classes, nn.Parameter(torch.ones(()))

    def forward(self, wav=None, wav_len=None, hidden_states=None, hidden_lens=None):
        x = wav if hidden_states is None else hidden_states
        return self.gain * x[:, : self.classes], torch.ones(len(x), dtype=torch.long)


def batch(label: list, classes: int, seed: int = 0) -> dict:
    wav = torch.randn(len(label), classes, generator=torch.Generator().manual_seed(seed))
    ids = [f"{seed}-{i}" for i in range(len(label))]
    return {"wav": wav, "wav_len": torch.full((len(label),), classes), "id": ids, "label": torch.tensor(label)}
