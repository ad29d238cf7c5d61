"""Times in labels move as the audio does: a sound that is labelled is found where its label says."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from dataset.augmentations import AUGMENTATIONS
from dataset.augmentations.chain import Chain, Sometimes
from dataset.augmentations.crop import RandomCrop
from dataset.augmentations.speed import SpeedPerturb
from dataset.augmentations.tempo import Tempo
from dataset.augmentations.time_shift import TimeShift
from dataset.augmentations.timing import Timing, augmented, moved_cell, moves_time
from dataset.augmentations.volume import Volume
from dataset.utterances import Utterances
from problems.engine.config.registry import load_class
from tests.conftest import write_table

RATE = 16000
SPANS = [[0.3, 0.5, "a"], [1.1, 1.6, "b"], [1.9, 2.3, "ü"]]
MOVING = {
    "slower": lambda: SpeedPerturb([0.8]),
    "faster": lambda: SpeedPerturb([1.1]),
    "any speed": lambda: SpeedPerturb([0.9, 1.0, 1.1]),
    "tempo": lambda: Tempo([0.8, 1.25]),
    "shift": lambda: TimeShift([-0.4, 0.4]),
    "later": lambda: TimeShift([0.4, 0.4]),
    "crop": lambda: RandomCrop(1.5),
    "no crop": lambda: RandomCrop(9.0),
    "sometimes": lambda: Sometimes(TimeShift([0.2, 0.3]), 0.5),
    "there and back": lambda: Chain([TimeShift([0.4, 0.4]), TimeShift([-0.4, -0.4])]),
    "all": lambda: Chain([SpeedPerturb([0.9, 1.1]), Volume(), Tempo(), Sometimes(TimeShift(), 0.8), RandomCrop(1.2)]),
}


def sounds() -> torch.Tensor:
    """2.5 s of silence, with a tone in each of the spans."""
    time = torch.arange(round(2.5 * RATE)) / RATE
    wav = torch.zeros_like(time)
    for number, (start, end, _) in enumerate(SPANS):
        own = (time >= start) & (time < end)
        wav[own] = 0.5 * torch.sin(2 * torch.pi * (500 + 300 * number) * time[own])
    return wav


def heard(wav: torch.Tensor) -> np.ndarray:
    """True in each 10 ms in which there is sound."""
    frames = wav[: len(wav) // 160 * 160].reshape(-1, 160)
    return (frames.square().mean(dim=1).sqrt() > 0.03).numpy()


def labelled(spans: list, frames: int) -> np.ndarray:
    times = (np.arange(frames) + 0.5) / 100
    return np.any([(times >= start) & (times < end) for start, end, _ in spans] or [np.zeros(frames, bool)], axis=0)


@pytest.mark.parametrize("name", MOVING)
@pytest.mark.parametrize("seed", range(4))
def test_sounds_are_where_their_labels_say(name, seed):
    augment = MOVING[name]()
    torch.manual_seed(seed)
    wav, timings = augmented(augment, sounds())
    torch.manual_seed(seed)
    assert torch.equal(augment(sounds()), wav), "the same draws as without labels"
    spans = json.loads(moved_cell(json.dumps(SPANS), timings))
    truth = heard(wav)
    wrong = truth != labelled(spans, len(truth))
    assert wrong.sum() <= 4 * len(spans) + 2, "only at the edges, which windows of the tempo blur"
    assert all(0 <= start < end <= len(wav) / RATE + 1e-9 for start, end, _ in spans)


def test_every_built_in_augmentation_that_moves_sounds_is_known():
    """Those that are not leave each sound in its 10 ms."""
    wav = sounds()
    for name in (name for name in AUGMENTATIONS if name not in ("noise", "babble", "reverb")):
        augment = load_class(AUGMENTATIONS[name])()
        if moves_time(augment):
            continue
        for seed in range(3):
            torch.manual_seed(seed)
            lost = heard(wav) != heard(augment(wav))
            assert name.startswith("drop") or lost.sum() <= 6, name
    assert {n for n, c in AUGMENTATIONS.items() if hasattr(load_class(c), "timed")} == {"tempo", "time_shift"}


def test_what_moves_out_of_the_audio_is_lost_and_what_is_cut_ends_at_its_edge():
    timing = Timing(2.0, -1.0, 3.0)
    assert timing.moved([[0.0, 0.4, "lost"], [0.2, 1.0, "cut"], [1.5, 9.0, "cut"], [2.0, 3.0, "lost"]]) == [
        [0.0, 1.0, "cut"],
        [2.0, 3.0, "cut"],
    ]
    assert moved_cell("", [timing]) == "[]"


class Halved:
    """A user's augmentation that changes the length and does not say how."""

    def __call__(self, wav):
        return wav[::2]


def test_an_augmentation_that_hides_how_it_moves_time_is_refused_by_name():
    with pytest.raises(ValueError, match="Halved changed 100 samples to 50, .* method timed"):
        augmented(Chain([Volume(), Halved()]), torch.zeros(100))


def test_the_cells_of_a_dataset_move_and_its_features_are_not_kept(write, tmp_path):
    path = write("a.wav", sounds().numpy())
    row = {"id": "a", "wav_path": str(path), "seconds": "2.5", "events": json.dumps(SPANS)}
    csv = write_table(tmp_path / "a.csv", [row])
    item = {"augment": SpeedPerturb([2.0]), "labels": lambda row: {"events": row["events"]}}
    timed = Utterances(csv, timed=["events"], **item)
    start, end, label = json.loads(timed[0]["events"])[0]
    assert (start, end, label) == (pytest.approx(0.15), pytest.approx(0.25), "a")
    assert timed.num_variants is None and Utterances(csv, **item).num_variants == 1
    assert json.loads(Utterances(csv, **item)[0]["events"]) == SPANS
