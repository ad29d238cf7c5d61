"""A recording in chunks gives the words of the whole; partial results grow, and only their last word changes."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
import torch

import problems
from dataset.audio import AudioError, resampler
from problems.asr import ASR
from problems.engine.cli.main import execute
from problems.engine.runtime.errors import ConfigError
from tests.parts.causal import trained


@pytest.fixture(scope="module")
def target(tones, tmp_path_factory):
    return trained(tones, tmp_path_factory.mktemp("causal"))


@pytest.fixture(scope="module")
def waves(tones):
    return [soundfile.read(path, dtype="float32")[0] for path in sorted((tones / "test").glob("*.wav"))]


def streamed(stream, wave, size: int) -> tuple[list, object]:
    partial = [stream.push(wave[place : place + size]) for place in range(0, len(wave), size)]
    return partial, stream.finish()


def rounded(result) -> dict:
    """A result whose confidences are the same up to rounding."""
    words = [own.to_dict() | {"confidence": round(own.confidence, 2)} for own in result.words]
    return {**result.to_dict(), "source": None, "words": words, "nbest": [text for text, _ in result.nbest]}


@pytest.mark.parametrize("task", [{}, {"decode": {"name": "beam", "nbest": 3}}], ids=["greedy", "beam"])
@pytest.mark.parametrize("size", [1600, 4001, 100_000])
def test_the_final_result_is_that_of_the_whole_recording(target, waves, task, size):
    model = problems.load(str(target), device="cpu", task=task)
    stream, texts = model.stream(), set()
    for wave in waves:  # one after the other in one stream
        partial, final = streamed(stream, wave, size)
        assert rounded(final) == rounded(model.predict(wave))
        texts.add(final.text)
        for earlier, later in zip(partial, partial[1:]):
            settled = earlier.words[:-1]
            assert later.words[: len(settled)] == settled
        assert partial[0].seconds == round(min(size, len(wave)) / 16000, 3)
    assert len(texts) > 3, "the model has learnt something"


def test_words_come_while_the_recording_lasts(target, waves):
    wave = np.concatenate(waves)
    stream = problems.load(str(target), device="cpu").stream()
    texts = [stream.push(own).text for own in np.array_split(wave, 20)]
    assert texts[4] and texts[-1].startswith(texts[4]) and len(texts[-1]) > len(texts[4])


def test_chunks_at_other_rates_and_of_other_types_are_converted(target, waves):
    model, wave = problems.load(str(target), device="cpu"), waves[0]
    at_8k = torch.from_numpy(wave[::2].copy())
    expected = model.predict(resampler(8000)(at_8k))
    _, final = streamed(model.stream(8000), at_8k, 700)
    assert rounded(final) == rounded(expected) and final.seconds == round(len(at_8k) / 8000, 3)
    stereo = np.stack([wave, wave], 1)
    sixteen_bits = (stereo * 32768).round().astype(np.int16)
    assert streamed(model.stream(), sixteen_bits, 1600)[1].text == model.predict(wave).text


def test_an_empty_recording_has_no_words_and_bad_samples_are_refused(target):
    model = problems.load(str(target), device="cpu")
    stream = model.stream()
    assert stream.finish().text == "" and stream.push(np.zeros(0)).text == ""
    assert stream.push(np.zeros(10)).words == [] and stream.finish().seconds == 0.001
    with pytest.raises(AudioError, match="NaN"):
        stream.push(np.full(5, np.nan))
    with pytest.raises(ConfigError, match="rate is 0: expected 1000 to 768000 Hz"):
        model.stream(rate=0)


def test_a_model_that_needs_the_whole_recording_says_why(tones, tiny, tmp_path):
    assert execute(ASR(), ["run", *tiny, "--stop=2"]) == 0
    model = problems.load(str(tmp_path / "run"))
    with pytest.raises(ConfigError, match="cmvn is utterance.*bidirectional is true.*predict takes whole recordings"):
        model.stream()


def test_a_problem_without_a_stream_says_so():
    from tests.parts.predictors import predictor

    with pytest.raises(ConfigError, match="Labels takes a recording as a whole"):
        predictor().stream()
