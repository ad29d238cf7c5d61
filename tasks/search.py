"""Query by example: find the documents in which a spoken query is said, by dynamic time warping of hidden states.

Nothing is trained. The unit of an evaluation is a query, which is compared with all documents of its set.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nn.dtw import DISTANCES, distances, subsequence_dtw
from nn.mask import frame_mask
from tasks.base import Mode, Records, StepOutput, Task
from tasks.metrics import term_detection
from tasks.metrics.kinds import Count, Number
from tasks.metrics.term_detection import Costs
from tasks.results import Hit, Hits

SAMPLE_RATE = 16000
CELLS = 2**26  # distances at a time
SHORTEST = 5  # frames of a query; a shorter one finds nothing


class SearchTask(Task):
    """Scores documents for queries.

    Args:
        model: has an ``upstream``, whose states are compared.
        documents: paths by id, of each collection.
        read: from a path to a waveform (T,) at 16 kHz.
        layer: of the upstream; -1: the last.
        distance: of two frames: cosine, cosine_exp, cosine_log or euclidean.
        normalize: mean 0 and deviation 1 of each feature over an utterance.
        scale: distances of a query and a document lie between 0 and 1.
        decision: deviations above the mean score of a query at which a document counts as found.
        costs: of errors.
        hits: documents that a prediction names.
    """

    metrics = {
        "mtwv": Number(better="higher", label="MTWV"),
        "atwv": Number(better="higher", label="ATWV"),
        "cnxe": Number(better="lower", label="min Cnxe"),
        "queries": Count(),
        "documents": Count(),
        "trials": Count(),
    }
    predicts = "label"

    def __init__(
        self,
        model: nn.Module,
        documents: Mapping[str, Mapping[str, str]],
        read: Callable[[str], Tensor],
        *,
        layer: int = -1,
        distance: str = "cosine",
        normalize: bool = True,
        scale: bool = False,
        decision: float = 2.0,
        costs: Costs | None = None,
        hits: int = 5,
    ):
        super().__init__(model)
        if distance not in DISTANCES:
            raise ValueError(f"distance is {distance!r}: expected one of {', '.join(DISTANCES)}")
        layers = model.upstream.num_layers
        if not -layers <= layer < layers:
            raise ValueError(f"layer is {layer}: the upstream has the layers 0 to {layers - 1}")
        self.paths, self.read, self.layer = documents, read, layer
        self.distance, self.normalize, self.scale = distance, normalize, scale
        self.decision, self.costs, self.hits = decision, costs or Costs(), hits
        self._documents: dict[str, list[Tensor]] = {}

    # ---- states ----

    def _states(self, wav: Tensor, wav_len: Tensor) -> list[Tensor]:
        """The frames of each utterance: (T', D) each, at least one."""
        with torch.no_grad():
            states, lens = self.model.upstream(wav, wav_len)
        x, lengths = states[self.layer].float(), lens[self.layer]
        return [self._normalized(own[: max(1, n)]) for own, n in zip(x, lengths.tolist())]

    def _normalized(self, x: Tensor) -> Tensor:
        if not self.normalize:
            return x
        return (x - x.mean(0)) / x.std(0, unbiased=False).clamp_min(1e-5)

    def documents(self, collection: str, device: torch.device) -> list[Tensor]:
        """The frames of every document of a collection, computed once."""
        if collection not in self._documents:
            self._documents[collection] = frames = []
            for path in self.paths[collection].values():
                wav = self.read(path).to(device)
                frames += self._states(wav[None], torch.tensor([len(wav)], device=device))
        return self._documents[collection]

    # ---- search ----

    def search(self, queries: Sequence[Tensor], collection: str) -> tuple[np.ndarray, np.ndarray]:
        """Scores (Q, B), larger for likelier, and the place of each hit in seconds (Q, B, 2).

        Args:
            queries: (N, D) each.
        """
        documents = self.documents(collection, queries[0].device)
        query_len = torch.tensor([len(query) for query in queries], device=queries[0].device)
        padded = nn.utils.rnn.pad_sequence(list(queries), batch_first=True)
        order = sorted(range(len(documents)), key=lambda number: len(documents[number]))
        scores = np.zeros((len(queries), len(documents)))
        places = np.zeros((len(queries), len(documents), 2))
        frame_sec = self.model.upstream.downsample_rates[self.layer] / SAMPLE_RATE
        start = 0
        while start < len(order):
            stop = start + 1
            while (
                stop < len(order)
                and padded.shape[1] * len(documents[order[stop]]) * len(queries) * (stop + 1 - start) <= CELLS
            ):
                stop += 1
            group = order[start:stop]
            lengths = torch.tensor([len(documents[number]) for number in group], device=padded.device)
            batch = nn.utils.rnn.pad_sequence([documents[number] for number in group], batch_first=True)
            cost = self._scaled(distances(padded, batch, self.distance), query_len, lengths)
            mean, first, last = subsequence_dtw(cost, query_len, lengths)
            scores[:, group] = -mean.cpu().numpy()
            places[:, group, 0] = first.cpu().numpy() * frame_sec
            places[:, group, 1] = (last.cpu().numpy() + 1) * frame_sec
            start = stop
        scores[(query_len < SHORTEST).cpu().numpy()] = 0.0
        return scores, places

    def _scaled(self, cost: Tensor, query_len: Tensor, document_len: Tensor) -> Tensor:
        """Distances between 0 and 1 for each query and document, if that is asked for."""
        if not self.scale:
            return cost
        frames = frame_mask(query_len, cost.shape[2])[:, None, :, None]
        inside = frames & frame_mask(document_len, cost.shape[3])[None, :, None, :]
        least = cost.masked_fill(~inside, torch.inf).amin((2, 3), keepdim=True)
        greatest = cost.masked_fill(~inside, -torch.inf).amax((2, 3), keepdim=True)
        spread = greatest - least
        # of equal distances, as in silence, none is a match
        return torch.where(spread > 1e-9, (cost - least) / spread.clamp_min(1e-9), torch.ones_like(cost))

    # ---- the task ----

    def forward(
        self,
        mode: str,
        *,
        id: list[str],
        matches: list[str],
        collection: list[str],
        wav: Tensor,
        wav_len: Tensor,
        **batch: Any,
    ) -> StepOutput:
        """The scores of all documents for the queries of a batch.

        matches: JSON lists of ids of documents; collection: that of the documents, the same for all queries.
        """
        self.check_mode(mode)
        if mode == Mode.TRAIN:
            raise ValueError("this task has nothing to train: set train.total_steps to 0")
        name = collection[0]
        scores, places = self.search(self._states(wav, wav_len), name)
        records = {
            "id": list(id),
            "collection": list(collection),
            "reference": list(matches),
            "hypothesis": [self._found(own, name) for own in scores],
            "scores": [json.dumps([round(float(value), 6) for value in own]) for own in scores],
            "places": [json.dumps(own.round(3).tolist()) for own in places],
            "loss": [0.0] * len(id),
        }
        return StepOutput(wav.new_zeros(()), float(len(id)), records)

    def _found(self, scores: np.ndarray, collection: str) -> str:
        normalised = term_detection.normalised_scores(scores[None])[0]
        return json.dumps([id for id, value in zip(self.paths[collection], normalised) if value > self.decision])

    def measure(self, mode: str, records: Records) -> dict[str, float]:
        """MTWV, ATWV and Cnxe over the queries that have a document, and one that lacks them."""
        scores, targets, _ = self._trials(records)
        if not len(scores):
            raise ValueError("no query has both a document that matches and one that does not")
        return {
            "mtwv": term_detection.most(scores, targets, self.costs)[0],
            "atwv": term_detection.at(scores, targets, self.costs, np.nextafter(self.decision, np.inf)),
            "cnxe": term_detection.least_cross_entropy(scores, targets, self.costs),
            "queries": len(scores),
            "documents": scores.shape[1],
            "trials": scores.size,
        }

    def resampled(
        self, mode: str, records: Records, weights: np.ndarray, test_weights: np.ndarray | None = None
    ) -> dict[str, np.ndarray]:
        """MTWV and ATWV over draws of queries; for MTWV the threshold is sought anew in each, among the greatest
        thousand, and a few hundred of the others."""
        scores, targets, chosen = self._trials(records)
        ranked = np.unique(scores)
        few = ranked[np.linspace(0, len(ranked) - 1, min(500, len(ranked))).astype(int)]
        thresholds = np.unique(
            [*few, *ranked[-1000:], np.inf]
        )  # the best one is among the greatest, as alarms cost most
        curves = term_detection.value_curve(scores, targets, self.costs, thresholds)
        own = weights[:, chosen]
        with np.errstate(invalid="ignore"):
            own = own / own.sum(axis=1, keepdims=True)
        at = np.array([np.nextafter(self.decision, np.inf)])
        actual = term_detection.value_curve(scores, targets, self.costs, at)[:, 0]
        return {"mtwv": (own @ curves).max(axis=1), "atwv": own @ actual}

    def _trials(self, records: Records) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Normalised scores and targets, (Q, B) each, and the numbers of their queries."""
        scores = np.array([json.loads(own) for own in records["scores"]]).reshape(len(records["id"]), -1)
        matches = [set(json.loads(own)) for own in records["reference"]]
        paths = self.paths[records["collection"][0]]
        targets = np.array([[id in own for id in paths] for own in matches], bool).reshape(scores.shape)
        chosen = np.flatnonzero(targets.any(axis=1) & ~targets.all(axis=1))
        return term_detection.normalised_scores(scores[chosen]), targets[chosen], chosen

    def infer(self, wav: Tensor, wav_len: Tensor) -> list[Hits]:
        """The likeliest documents of each query, with times and scores."""
        collection = next(reversed(self.paths))  # that of the test, if there is one
        scores, places = self.search(self._states(wav, wav_len), collection)
        normalised, ids = term_detection.normalised_scores(scores), list(self.paths[collection])
        results = []
        for own, place in zip(normalised, places):
            best = np.argsort(-own, kind="stable")[: self.hits]
            results.append(Hits([Hit(ids[n], *map(float, place[n]), float(own[n])) for n in best]))
        return results
