"""The built-in datasets and samplers offer what the protocols state."""

from __future__ import annotations

import torch

from dataset.metadata import write_csv
from dataset.protocols import HasEpochs, HasIds, HasSeconds, HasSources, LimitsWorkers, offers
from dataset.samplers.bucket import BucketBatchSampler
from dataset.samplers.speakers import SpeakerBatchSampler
from dataset.utterances import Utterances
from tasks.contracts import LayeredUpstream
from tests.parts.samplers import Lengths


def test_utterances_offer_ids_lengths_and_sources(tmp_path):
    write_csv(tmp_path / "a.csv", [{"id": "u", "wav_path": "u.wav", "seconds": "1"}])
    utterances = Utterances(tmp_path / "a.csv")
    assert all(offers(utterances, protocol) for protocol in (HasIds, HasSeconds, HasSources))
    assert not offers(utterances, LimitsWorkers)
    assert not any(offers([], protocol) for protocol in (HasIds, HasSeconds, HasSources))


def test_batch_samplers_have_epochs():
    assert offers(BucketBatchSampler(Lengths([1.0]), 1, None), HasEpochs)
    assert offers(SpeakerBatchSampler(Lengths([1.0] * 4, spk=["a", "a", "b", "b"]), 4, None), HasEpochs)


def test_submodules_and_what_a_wrapper_passes_on_are_found():
    """As isinstance did up to Python 3.11."""

    class Layered(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = torch.nn.ModuleList()

        def layer_of(self, name):
            return 0

    class Wrapper:
        def __init__(self, inner):
            self.inner = inner

        def __getattr__(self, name):
            return getattr(self.inner, name)

    assert offers(Layered(), LayeredUpstream) and offers(Wrapper(Layered()), LayeredUpstream)
    assert not offers(torch.nn.Linear(1, 1), LayeredUpstream)
