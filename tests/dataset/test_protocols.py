"""The built-in datasets and samplers offer what the protocols state."""

from __future__ import annotations

from dataset.metadata import write_csv
from dataset.protocols import HasEpochs, HasIds, HasSeconds, HasSources, LimitsWorkers
from dataset.samplers.bucket import BucketBatchSampler
from dataset.samplers.speakers import SpeakerBatchSampler
from dataset.utterances import Utterances
from tests.parts.samplers import Lengths


def test_utterances_offer_ids_lengths_and_sources(tmp_path):
    write_csv(tmp_path / "a.csv", [{"id": "u", "wav_path": "u.wav", "seconds": "1"}])
    utterances = Utterances(tmp_path / "a.csv")
    assert isinstance(utterances, HasIds) and isinstance(utterances, HasSeconds) and isinstance(utterances, HasSources)
    assert not isinstance(utterances, LimitsWorkers)
    assert not isinstance([], HasIds | HasSeconds | HasSources)


def test_batch_samplers_have_epochs():
    assert isinstance(BucketBatchSampler(Lengths([1.0]), 1, None), HasEpochs)
    assert isinstance(SpeakerBatchSampler(Lengths([1.0] * 4, spk=["a", "a", "b", "b"]), 4, None), HasEpochs)
