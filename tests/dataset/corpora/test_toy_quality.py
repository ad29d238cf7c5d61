"""Toy qualities: the noise has the ratio that the metadata say, the value follows from it, and the bytes are fixed."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from dataset.corpora.toy_quality import NOISES, RATIOS, ToyQuality, quality
from tests.parts.corpora import are_disjoint, needs_espeak, rows_by_split, values

SMALL = {"num_train": 42, "num_valid": 4, "num_test": 4}


def test_quality_rises_with_the_ratio_from_one_to_five():
    qualities = [quality(snr) for snr in np.linspace(-60, 80, 50)]
    assert qualities == sorted(qualities) and 1 < qualities[0] < 1.01 and 4.99 < qualities[-1] < 5
    assert quality(12) == 3


def test_the_plan_is_the_one_that_results_were_measured_on():
    """Another plan is another corpus: then the results in README and docs must be measured again."""
    text = repr([(split, p.sentence, p.columns) for split, own in ToyQuality().plan().items() for p in own])
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == "cca37ee536130b5a"


def test_systems_are_in_every_split_equally_often_and_voices_in_one():
    plan = ToyQuality().plan()
    for lines in plan.values():
        count = Counter(p.columns["system"] for p in lines)
        assert len(count) == len(NOISES) * len(RATIOS) and max(count.values()) - min(count.values()) <= 1
    assert are_disjoint({split: {p.sentence.voice for p in lines} for split, lines in plan.items()})
    assert ToyQuality(num_train=20).plan()["test"] == plan["test"] != ToyQuality(seed=1).plan()["test"]


@pytest.fixture(scope="module")
def splits(tmp_path_factory):
    return ToyQuality(**SMALL).load(tmp_path_factory.mktemp("cache ü"))


@needs_espeak
def test_the_noise_has_its_ratio_and_its_colour(splits):
    for row in splits.train:
        noisy, rate = soundfile.read(row["wav_path"])
        clean, _ = soundfile.read(next(Path(row["wav_path"]).parents[2].glob(f"toy/*/**/{row['id']}.wav")))
        assert rate == 16000 and len(noisy) == len(clean) and float(row["seconds"]) == len(noisy) / rate
        gain = 1.0 if np.abs(noisy).max() < 0.98 else (noisy @ clean) / (clean @ clean)  # louder ones are scaled down
        noise = noisy / gain - clean
        ratio = 10 * np.log10((clean**2).mean() / (noise**2).mean())
        assert ratio == pytest.approx(float(row["snr"]), abs=0.3)
        assert float(row["value"]) == pytest.approx(quality(float(row["snr"])), abs=0.01)
        if row["noise"] != "white" and ratio < 20:
            power = np.abs(np.fft.rfft(noise)) ** 2
            seconds = len(noise) / rate
            low, high = (power[int(a * seconds) : int(b * seconds)].mean() for a, b in ((200, 400), (3200, 6400)))
            octaves = 4
            slope = 10 * np.log10(low / high) / octaves
            assert slope == pytest.approx(3.01 * NOISES[row["noise"]], abs=1.0), row


@needs_espeak
def test_each_voice_is_in_one_split_and_every_row_has_its_columns(splits):
    rows = rows_by_split(splits)
    assert are_disjoint(values(rows, "speaker"))
    for row in (row for own in rows.values() for row in own):
        assert {"id", "wav_path", "seconds", "value", "system", "snr", "noise", "speaker"} <= row.keys()
        assert all(isinstance(value, str) for value in row.values())


@needs_espeak
def test_two_caches_get_the_same_bytes_in_folders_that_are_named(splits, tmp_path):
    corpus = ToyQuality(**SMALL)
    again = corpus.load(tmp_path)
    for a, b in zip(splits.train, again.train):
        assert Path(a["wav_path"]).read_bytes() == Path(b["wav_path"]).read_bytes()
        assert {**a, "wav_path": ""} == {**b, "wav_path": ""}
    assert Path(again.train[0]["wav_path"]).parent in corpus.made_audio(tmp_path)
    assert all(folder.is_dir() for folder in corpus.made_audio(tmp_path))
