"""The section build_dataset decides which augmentations there are, in which order; mistakes name their entry."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
import torch

from dataset.augmentations.band_limit import BandLimit
from dataset.augmentations.chain import Sometimes
from dataset.augmentations.crop import RandomCrop
from dataset.augmentations.noise import Noise
from dataset.augmentations.speed import SpeedPerturb
from dataset.augmentations.volume import Volume
from problems.asr import ASR
from problems.engine.cli.main import execute
from problems.engine.runtime.errors import ConfigError
from problems.methods.augmentation import build_augmentation
from tests.parts.waves import tone

OFF = {"speeds": [1.0], "band_limits": None, "augment": None}


def test_nothing_is_built_of_what_is_off():
    assert build_augmentation(OFF) is None and build_augmentation(OFF | {"max_seconds": None, "augment": []}) is None


def test_the_order_is_speed_then_the_named_then_the_band_then_the_crop():
    named = [{"name": "volume"}, {"name": "volume", "prob": 0.5, "conf": {"gain_db": [0, 0]}}]
    settings = {"speeds": [0.5], "augment": named, "band_limits": [4000], "max_seconds": 1.5}
    chain = build_augmentation(settings)
    assert [type(step) for step in chain.steps] == [SpeedPerturb, Volume, Sometimes, BandLimit, RandomCrop]
    assert len(chain(tone(500))) == 24000
    assert build_augmentation(OFF | {"speeds": [0.9, 1.0]}).num_variants == 2


def test_an_entry_may_be_for_some_sets_only():
    chain = build_augmentation(OFF | {"augment": [{"name": "volume", "prob": 0.5, "sets": ["digits"]}]})
    assert chain.sets == {"digits"} and chain.of_set("home").steps == []
    assert [type(step) for step in chain.of_set("digits").steps] == [Sometimes]


def test_a_class_of_ones_own_is_named_by_its_module():
    entry = {"name": "dataset.augmentations.volume:Volume", "conf": {"gain_db": [-6, -6]}}
    wav = build_augmentation(OFF | {"augment": [entry]})(torch.ones(4))
    assert wav.tolist() == pytest.approx([10 ** (-6 / 20)] * 4)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"name": "nois"}, r"augment\[0\].name: unknown name 'nois' \(did you mean 'noise'\?\)"),
        ({"prob": 0.5}, r"augment\[0\] has no name"),
        ({"name": "noise", "snr": 5}, r"augment\[0\] has 'snr': expected {name: noise"),
        ({"name": "noise", "conf": {"snrs": [0, 5]}}, r"augment\[0\].*snrs"),
        ({"name": "noise"}, "source is not set"),
        ({"name": "noise", "conf": {"source": "nowhere"}}, "nowhere does not exist"),
        ({"name": "volume", "prob": 2}, "prob is 2; expected from 0 to 1"),
        ({"name": "volume", "sets": "digits"}, r"augment\[0\].sets is 'digits': expected a list of corpora"),
    ],
)
def test_mistakes_name_their_entry(entry, message):
    with pytest.raises(ConfigError, match=message):
        build_augmentation(OFF | {"augment": [entry]})


def test_a_training_with_noise_from_the_command_line(tiny, tmp_path, capfd):
    (tmp_path / "noise").mkdir()
    soundfile.write(tmp_path / "noise" / "n.wav", 0.1 * np.random.default_rng(0).standard_normal(8000), 16000)
    augment = f"[{{name: noise, prob: 0.5, conf: {{source: {tmp_path / 'noise'}, snr: [0, 10]}}}}]"
    assert execute(ASR(), ["run", *tiny, f"--build_dataset.augment={augment}", "--stop=2"]) == 0
    assert execute(ASR(), ["run", *tiny, "--build_dataset.augment=[{name: noise}]", "--fresh", "--stop=2"]) == 2
    assert "build_dataset.augment[0]: " in capfd.readouterr().err
    assert (
        type(
            build_augmentation(
                OFF | {"augment": [{"name": "noise", "conf": {"source": str(tmp_path / "noise")}}]}
            ).steps[0]
        )
        is Noise
    )
