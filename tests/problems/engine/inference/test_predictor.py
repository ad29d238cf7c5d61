"""Predictions for any kind of input: in order, whatever the batches, and with the memory of a few of them."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile
import torch

from dataset.audio import AudioError, read
from problems.engine.inference.predictor import Failure
from problems.engine.inference.timed_formats import recording_id
from problems.engine.runtime.errors import ConfigError
from tasks.base import Task
from tasks.results import Embedding, Label, Segment, Transcript, Verification
from tests.parts.predictors import predictor


class Voices(Task):
    def infer(self, wav, wav_len):
        return [Embedding(own) for own in self.model(wav, wav_len).tolist()]

    def verify(self, enrolled, test):
        score = -abs(enrolled[0].vector[1] - test.vector[1])
        return Verification(score, None, score > -0.05)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("with a space äö")
    rng = np.random.default_rng(0)
    for number in range(12):
        sound = rng.standard_normal(int(16000 * rng.uniform(0.05, 2))) * rng.uniform(0.01, 0.3)
        soundfile.write(folder / f"{number:02}.flac", sound, 16000)
    return folder


def test_every_kind_of_input_gives_the_result_of_its_samples(files, tmp_path):
    model, path = predictor(), files / "03.flac"
    wav = read(path)
    expected = model.predict(wav).probabilities
    stereo = tmp_path / "stereo.wav"
    soundfile.write(stereo, np.stack([wav, wav], 1), 16000, subtype="FLOAT")
    whole = torch.round(wav * 32768).to(torch.int16)
    for one in (path, str(path), open(path, "rb"), io.BytesIO(path.read_bytes()), wav.numpy(), (wav, 16000), stereo,
                whole, (whole.numpy(), 16000), torch.stack([wav, wav])):  # fmt: skip
        assert model.predict(one).probabilities == expected
    at_8k = model.predict((wav[::2], 8000))
    assert at_8k.seconds == pytest.approx(len(wav) / 16000, abs=1e-3)


def test_folders_csvs_lists_and_generators_come_in_their_order(files):
    model, paths = predictor(), sorted(files.glob("*.flac"))
    expected = [model.predict(path).probabilities for path in paths]
    (files / "some.csv").write_text("id,wav_path\n" + "".join(f"{p.stem},{p.name}\n" for p in paths), "utf-8")
    for many in (files, str(files), files / "some.csv", paths, (path for path in paths), [paths[:5], *paths[5:]]):
        assert [own.probabilities for own in model.predict(many)] == expected
    (files / "parts.csv").write_text("wav_path,start_sec,end_sec\n00.flac,0.01,0.03\n00.flac,,\n", "utf-8")
    part, whole = model.predict(files / "parts.csv")
    assert part.seconds == pytest.approx(0.02) and whole.probabilities == expected[0]
    assert part.source.endswith("00.flac[0.01-0.03]")


@pytest.mark.parametrize("batch_seconds", [0, 0.5, 3, 1000])
@pytest.mark.parametrize("num_workers", [0, 1, 5])
def test_results_do_not_depend_on_batches_and_threads(files, batch_seconds, num_workers):
    model, paths = predictor(), sorted(files.glob("*.flac"))
    singles = [model.predict(path) for path in paths]
    model.model.batches.clear()
    assert list(model.predict(paths, batch_seconds=batch_seconds, num_workers=num_workers)) == singles
    padded = [size * length / 16000 for size, length in model.model.batches]
    assert all(seconds <= batch_seconds for seconds, (size, _) in zip(padded, model.model.batches) if size > 1)
    assert len(model.model.batches) == 12 if batch_seconds == 0 else len(model.model.batches) <= 12
    assert batch_seconds < 1000 or len(model.model.batches) == 1


def test_many_are_read_as_their_results_are_asked_for(files):
    paths, taken = sorted(files.glob("*.flac")), []

    def endless():
        while True:
            taken.append(1)
            yield paths[len(taken) % 12]

    results = predictor().predict(endless(), num_workers=2)
    for _ in range(3):
        next(results)
    assert len(taken) < 12
    results.close()


def test_a_bad_file_among_many_is_raised_or_returned_at_its_place(files, tmp_path):
    good, bad = files / "00.flac", tmp_path / "bad.wav"
    bad.write_text("no audio")
    model = predictor()
    results = list(model.predict([good, bad, tmp_path / "none.wav", good], errors="return"))
    assert [type(own) for own in results] == [Label, Failure, Failure, Label]
    assert results[1].source == str(bad) and isinstance(results[1].error, AudioError)
    with pytest.raises(AudioError, match="bad.wav"):
        list(model.predict([good, bad]))
    with pytest.raises(AudioError, match="none.wav"):
        model.predict(tmp_path / "none.wav")


@pytest.mark.parametrize("wrong", [7, None, [7], object()])
def test_what_is_no_recording_is_refused(wrong):
    with pytest.raises(ConfigError, match="expected a path, an open file"):
        list(predictor().predict(wrong))


@pytest.mark.parametrize("samples", [np.zeros(0), np.zeros((2, 3, 4)), np.array([0.0, np.nan]), np.array(1.0)])
def test_samples_that_are_none_are_refused(samples):
    with pytest.raises(AudioError, match="samples"):
        predictor().predict(samples)


def test_a_folder_without_audio_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="has no audio files"):
        list(predictor().predict(tmp_path))


@pytest.mark.parametrize("rate, suffix", [(16000, "wav"), (44100, "flac"), (8000, "wav")])
def test_a_long_file_is_computed_in_windows_whose_mean_is_its_result(tmp_path, rate, suffix):
    rng, path = np.random.default_rng(1), tmp_path / f"long.{suffix}"
    soundfile.write(path, rng.standard_normal(int(150.3 * rate)) * 0.1, rate)
    model = predictor(long_audio="windows")
    result = model.predict(path)
    sizes = [length for _, length in model.model.batches]
    assert len(sizes) == 3 and max(sizes) - min(sizes) <= 1 and sum(sizes) == len(read(path))
    wav, start, parts = read(path), 0, []
    for size in sizes:
        parts.append(model.predict(wav[start : start + size]).probabilities)
        start += size
    for name, value in result.probabilities.items():
        weighted = sum(own[name] * size for own, size in zip(parts, sizes)) / sum(sizes)
        assert value == pytest.approx(weighted, abs=1e-6)
    assert result.seconds == pytest.approx(150.3, abs=1e-3)


def test_a_recording_of_two_minutes_is_whole():
    model = predictor(long_audio="windows")
    model.predict(torch.zeros(120 * 16000) + 0.1)
    assert [length for _, length in model.model.batches] == [120 * 16000]


def test_recordings_are_compared_with_an_enrolment(files):
    model, paths = predictor(Voices), sorted(files.glob("*.flac"))
    own = model.verify(paths[0], paths[0])
    assert (own.score, own.same, own.source) == (0, True, str(paths[0]))
    assert [type(r) for r in model.verify([paths[0], paths[1]], paths)] == [Verification] * 12
    with pytest.raises(ConfigError, match="does not compare"):
        predictor().verify(paths[0], paths[1])


def test_a_task_of_ones_own_may_return_anything(files):
    class Plain(Task):
        def infer(self, wav, wav_len):
            return [f"{length} samples" for length in wav_len.tolist()]

    result = predictor(Plain).predict(files / "00.flac")
    assert str(result) == f"{len(read(files / '00.flac'))} samples"
    assert result.to_dict()["value"] == str(result)


def test_times_of_parts_are_those_of_their_file(files):
    class Words(Task):
        def infer(self, wav, wav_len):
            return [Transcript("w", [Segment(0.0, 0.01, "w")]) for _ in wav]

    (files / "two.csv").write_text("wav_path,start_sec,end_sec\n00.flac,0,0.02\n00.flac,0.02,0.04\n", "utf-8")
    results = list(predictor(Words).predict(files / "two.csv"))
    assert [own.words[0].start for own in results] == [0.0, 0.02]
    assert {recording_id(own) for own in results} == {"00"}
