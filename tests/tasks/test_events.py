"""Sound event detection: targets, windows, events from outputs, and metrics in the declared units."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tasks.events import EventDetection, Scoring
from tests.parts.classifiers import Labels

FRAME = 1600  # samples: a tenth of a second


class Levels(nn.Module):
    """Logits of two labels: 8 times the first samples of each frame, minus 4."""

    downsample_rate = FRAME

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(8.0))
        self.lengths: list[int] = []

    def forward(self, wav=None, wav_len=None, hidden_states=None, hidden_lens=None):
        if hidden_states is not None:
            return self.gain * hidden_states - 4, hidden_lens
        self.lengths += wav_len.tolist()
        frames = F.pad(wav, (0, -wav.shape[1] % FRAME)).view(len(wav), -1, FRAME)[:, :, :2]
        return self.gain * frames - 4, (wav_len + FRAME - 1) // FRAME


def recording(active: list[str]) -> torch.Tensor:
    """A waveform for a string a label, with x for each frame in which it is heard."""
    wav = torch.zeros(len(active[0]), FRAME)
    for number, marks in enumerate(active):
        wav[:, number] = torch.tensor([float(mark == "x") for mark in marks])
    return wav.flatten()


def task(**settings) -> EventDetection:
    defaults = {"window": 2.0, "hop": 1.0, "median": 0.0, "min_duration": 0.0}
    return EventDetection(Levels(), Labels(["bell", "door ü"]), **defaults | settings).eval()


def test_events_are_where_outputs_are_above_the_threshold():
    wav = recording([".xx....x", "..xxxx.."])
    found = task().events(wav)
    assert found == [(0.1, 0.3, "bell"), (0.2, 0.6, "door ü"), (0.7, 0.8, "bell")]
    assert task(threshold=0.99).events(wav) == []
    assert task(min_duration=0.15).events(wav) == found[:2]
    assert task(min_gap=0.5).events(wav) == [(0.1, 0.8, "bell"), (0.2, 0.6, "door ü")]
    assert task(median=0.3).events(wav) == found[:2], "a single frame is no majority of three"
    (found,) = task().predict(wav[None], torch.tensor([len(wav)]))
    assert str(found) == "0.10-0.30 bell ; 0.20-0.60 door ü ; 0.70-0.80 bell"


def test_a_recording_gives_the_same_events_in_windows_of_any_length():
    marks = ["".join("x" if (i // 7) % 3 == k else "." for i in range(95)) for k in range(2)]
    wav = recording(marks)[:-700]  # the last frame is not whole
    whole = task(window=10.0, hop=10.0).events(wav)
    assert len(whole) > 5 and whole == task(window=2.0, hop=0.5).events(wav) == task(window=3.0, hop=3.0).events(wav)
    assert max(end for _, end, _ in task().events(torch.ones(16000 - 700))) == pytest.approx(
        (16000 - 700) / 16000, 1e-3
    )
    cut = task(window=2.0, hop=1.0)
    cut.events(wav)
    assert max(cut.model.lengths) == 32000


def test_the_loss_is_the_mean_over_true_frames_and_labels():
    states = torch.randn(2, 6, 2, generator=torch.Generator().manual_seed(0))
    events = [[[0.1, 0.3, "bell"], [0.24, 0.37, "door ü"], [0.0, 9.0, "never trained"]], []]
    batch = {"hidden_states": states, "hidden_lens": torch.tensor([6, 4]), "events": list(map(json.dumps, events))}
    own = task()
    out = own("train", id=["a", "b"], **batch)
    target = torch.zeros(2, 6, 2)
    target[0, 1:3, 0] = 1  # the middles of frames 1 and 2 are at 0.15 and 0.25
    target[0, 2:4, 1] = 1  # 0.25 and 0.35
    losses = F.binary_cross_entropy_with_logits(8 * states - 4, target, reduction="none").mean(dim=2)
    expected = (losses[0].mean() + losses[1, :4].mean()) / 2
    assert out.loss.item() == pytest.approx(expected.item(), rel=1e-5) and list(out.records) == ["id"]
    out.loss.backward()
    assert own.model.gain.grad.isfinite()


def test_recordings_are_scored_alone_and_together():
    wavs = [recording([".xx....x", "..xxxx.."]), recording(["....", "...."])]
    references = [[[0.15, 0.3, "bell"], [0.7, 0.8, "bell"], [2.0, 3.0, "door ü"]], []]
    own = task(scoring=Scoring(collar=0.1, offset_share=0.5))
    batch = {
        "wav": nn.utils.rnn.pad_sequence(wavs, batch_first=True),
        "wav_len": torch.tensor([len(wav) for wav in wavs]),
        "events": [json.dumps(events) for events in references],
    }
    with torch.no_grad():
        records = own("test", id=["a", "b"], **batch).records
    assert json.loads(records["hypothesis"][0]) == [list(event) for event in own.events(wavs[0])]
    assert records["onset_hits"] == [2, 0] and records["found"] == [3, 0] and records["references"] == [3, 0]
    metrics = own.reduction("test", records)
    assert metrics["onset_f1"] == pytest.approx(4 / 6) and metrics["events"] == 3 and metrics["recordings"] == 2
    assert metrics["segment_er"] == pytest.approx(2 / 2), "one label is inserted, and one of two is missed"
    assert set(metrics) == set(own.metrics)
    assert own.metrics["onset_f1"].heading("onset_f1") == "onset F1 (100 ms)"
    drawn = own.resampled("test", records, np.array([[1.0, 1.0], [2.0, 5.0]]))
    assert drawn["onset_f1"] == pytest.approx([4 / 6, 4 / 6])


@torch.no_grad()
def test_nothing_found_and_nothing_to_find_have_defined_values():
    own = task()
    silent = {"wav": torch.zeros(1, 16000), "wav_len": torch.tensor([16000])}
    metrics = own.reduction("valid", own("valid", id=["a"], events=['[[0, 1, "bell"]]'], **silent).records)
    assert (metrics["onset_f1"], metrics["onset_precision"], metrics["segment_er"]) == (0, 0, 1)
    metrics = own.reduction("valid", own("valid", id=["a"], events=["[]"], **silent).records)
    assert (metrics["onset_f1"], metrics["segment_er"]) == (0, 0)
    loud = {"wav": torch.ones(1, 16000), "wav_len": torch.tensor([16000])}
    assert own.reduction("valid", own("valid", id=["a"], events=["[]"], **loud).records)["segment_er"] == math.inf


def test_gaps_between_windows_and_a_model_of_other_labels_are_refused():
    with pytest.raises(ValueError, match="leaves gaps between windows"):
        task(hop=3.0)
    own = EventDetection(Levels(), Labels(["bell"])).eval()
    with pytest.raises(ValueError, match="2 scores a frame but the encoder has 1"):
        own("test", id=["a"], events=["[]"], wav=torch.zeros(1, 16000), wav_len=torch.tensor([16000]))
