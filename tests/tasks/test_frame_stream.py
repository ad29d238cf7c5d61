"""Events and turns of a recording in chunks are those of the whole recording in one window."""

from __future__ import annotations

import pytest
import torch

from dataset.encoders.speakers import SpeakerEncoder
from nn.downstream.rnn import RNNEncoder
from nn.featurizer import Featurizer
from nn.model import UpstreamDownstreamModel
from nn.streaming import CannotStream
from nn.upstream.signal.kaldi import Fbank
from tasks.diarization.embeddings import Clustering
from tasks.diarization.trained import TrainedDiarization
from tasks.events import EventDetection
from tests.parts.classifiers import Labels

ONE_WINDOW = {"window": 100.0, "hop": 100.0}


def model(outputs: int, **conf) -> UpstreamDownstreamModel:
    """A model whose outputs cross zero now and then."""
    torch.manual_seed(3)
    upstream = Fbank(20, cmvn="sliding")
    featurizer = Featurizer(upstream)
    head = RNNEncoder(featurizer.output_size, outputs, hidden_size=[12], stack=2, **{"bidirectional": False} | conf)
    torch.nn.init.normal_(head.output.weight, std=2.0)
    return UpstreamDownstreamModel(upstream, featurizer, head).eval()


def bursts(samples: int) -> torch.Tensor:
    """Noise whose level changes every 0.3 s."""
    generator = torch.Generator().manual_seed(samples)
    levels = torch.rand(samples // 4800 + 1, generator=generator).repeat_interleave(4800)[:samples]
    return torch.randn(samples, generator=generator) * levels


TASKS = {
    "events": lambda: EventDetection(model(2), Labels(["bell", "door"]), **ONE_WINDOW, median=0.1, min_gap=0.05),
    "speakers": lambda: TrainedDiarization(model(2), SpeakerEncoder("speakers", 2, 2), **ONE_WINDOW, min_silence=0.1),
    "powerset": lambda: TrainedDiarization(model(4), SpeakerEncoder("powerset", 2, 2), **ONE_WINDOW, median=7),
}


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("size", [777, 16000])
def test_chunks_give_the_result_of_one_window(name, size):
    task, stream_results = TASKS[name]().eval(), []
    for samples in (80000, 300, 0):
        wav, stream = bursts(samples)[None], None
        stream = task.stream()
        with torch.inference_mode():
            partial = [stream(own, False) for own in wav.split(size, dim=1)]
            final = stream(wav[:, :0], True)
            (expected,) = task.predict(wav, torch.tensor([samples])) if samples else [final]
        assert final == expected
        stream_results.append(final)
    segments = [own for tier in stream_results[0].tiers().values() for own in tier]
    assert len(segments) > 3 and not stream_results[2].tiers(), "the first recording has some, an empty one has none"
    assert partial and len(partial[0].tiers()) == 0


def test_what_ended_long_ago_stays_as_it_is():
    task, wav = TASKS["events"]().eval(), bursts(80000)[None]
    stream, settled = task.stream(), set()
    with torch.inference_mode():
        results = [stream(own, False) for own in wav.split(1600, dim=1)]
    final = set(results[-1].events)
    for place, result in enumerate(results[:-1], start=1):
        settled |= {own for own in result.events if own.end < place * 0.1 - 0.3}
    assert len(settled) > 2 and settled <= final


def test_clusters_of_voices_and_a_look_ahead_are_refused():
    clustered = TrainedDiarization(
        model(2), SpeakerEncoder("speakers", 2, 2), clustering=Clustering(), embedder=Fbank(20)
    )
    with pytest.raises(CannotStream, match="build_task.cluster is true"):
        clustered.stream()
    with pytest.raises(CannotStream, match="bidirectional is true"):
        EventDetection(model(2, bidirectional=True), Labels(["bell", "door"])).stream()
