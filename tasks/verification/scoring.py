"""Score trials from embeddings: cosine or PLDA, with centring, LDA and score normalisation.

Notation: U utterances, D dimensions, N trials, M enrolments, S training speakers (the cohort).

Every back end turns an embedding into two vectors. A score is the dot product of the first vector of the enrolment and
the second vector of the test. Trials are therefore scored in blocks of gathered rows, at the speed of memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tasks.verification.plda import PLDA
from tasks.verification.trials import Trials

BACKENDS = ("cosine", "plda")
ENROLMENTS = ("embedding", "score")
BLOCK = 4096  # trials at a time: the gathered rows fit into the cache of a core
CELLS = 2**24  # scores against the cohort at a time


class Scorer:
    """Scores trials.

    The steps in order: subtract the mean of the cohort (``centre``), linear discriminant analysis (``lda``), length
    normalisation, the back end, adaptive score normalisation (``as_norm``).

    Args:
        centre: subtract the mean embedding of the training speakers.
        lda: dimensions that linear discriminant analysis (scikit-learn's) of the training speakers keeps; None: off.
        backend: cosine, or plda (:mod:`tasks.verification.plda`).
        as_norm: number of training speakers, the nearest to each side, that normalise the score; None: off.
        enrolment: "embedding" or "score", which is averaged over the utterances of an enrolment.
    """

    def __init__(
        self,
        centre: bool = False,
        lda: int | None = None,
        backend: str = "cosine",
        as_norm: int | None = None,
        enrolment: str = "embedding",
    ):
        if backend not in BACKENDS or enrolment not in ENROLMENTS:
            raise ValueError(
                f"backend is {backend!r}, enrolment {enrolment!r}: expected one of {', '.join(BACKENDS)}, and one of"
                f" {', '.join(ENROLMENTS)}"
            )
        if (lda is not None and lda < 1) or (as_norm is not None and as_norm < 2):
            raise ValueError(f"lda is {lda}, as_norm {as_norm}: expected at least 1 dimension and 2 speakers, or null")
        self.centre, self.lda, self.backend, self.as_norm, self.enrolment = centre, lda, backend, as_norm, enrolment
        self.learnt: dict[str, np.ndarray] = {}

    @property
    def needs_cohort(self) -> bool:
        """True if a step is learnt from embeddings of training speakers."""
        return self.centre or self.lda is not None or self.backend == "plda" or self.as_norm is not None

    # ---- learning ----

    def check_cohort(self, speakers: int) -> None:
        """Raise ValueError if the cohort has fewer speakers than ``as_norm``."""
        if self.as_norm is not None and self.as_norm > speakers:
            raise ValueError(
                f"as_norm is {self.as_norm}: there are {speakers} training speakers in the cohort; set as_norm to"
                " at most that"
            )

    def learn(self, x: np.ndarray, speakers: Sequence[str]) -> None:
        """Learn from embeddings (U, D) of training speakers with the names ``speakers`` (U,).

        Raises:
            ValueError: there are too few speakers or utterances for a step.
        """
        names, numbers = np.unique(np.asarray(speakers), return_inverse=True)
        self.check_cohort(len(names))
        self.learnt = {}
        x = np.asarray(x, dtype=np.float64)
        if self.centre:
            self.learnt["mean"] = x.mean(axis=0)
        if self.lda is not None:
            self.learnt |= self._learn_lda(x, numbers)
        x = self.prepared(x)
        if self.backend == "plda":
            self.learnt |= {f"plda_{k}": v for k, v in vars(PLDA.fit(x, numbers)).items()}
        if self.as_norm is not None:
            self.learnt["cohort"] = _unit(np.stack([x[numbers == n].mean(axis=0) for n in range(len(names))]))

    def _learn_lda(self, x: np.ndarray, numbers: np.ndarray) -> dict[str, np.ndarray]:
        from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

        limit = min(x.shape[1], numbers.max())
        if self.lda > limit:
            raise ValueError(
                f"lda is {self.lda}: expected at most {limit} with {numbers.max() + 1} training speakers and"
                f" {x.shape[1]} dimensions"
            )
        analysis = LinearDiscriminantAnalysis(n_components=self.lda).fit(x, numbers)
        return {"mean": analysis.xbar_, "lda": analysis.scalings_[:, : self.lda]}

    def state(self) -> dict[str, np.ndarray]:
        """The learnt arrays by name."""
        return dict(self.learnt)

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Restore what :meth:`state` returned."""
        self.learnt = {name: np.asarray(value, dtype=np.float64) for name, value in state.items()}

    # ---- scoring ----

    def prepared(self, x: np.ndarray) -> np.ndarray:
        """Embeddings (U, D) after centring, projection and length normalisation: (U, D')."""
        x = np.asarray(x, dtype=np.float64)
        if "mean" in self.learnt:
            x = x - self.learnt["mean"]
        if "lda" in self.learnt:
            x = x @ self.learnt["lda"]
        return _unit(x)

    def sides(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The float32 vectors of prepared embeddings (U, D') as enrolments, and as tests."""
        if self.backend == "cosine":
            x = x.astype(np.float32)
            return x, x
        plda = PLDA(*(self.learnt[f"plda_{name}"] for name in ("mean", "projection", "between")))
        enrol_vectors, test_vectors = plda.sides(x)
        return enrol_vectors.astype(np.float32), test_vectors.astype(np.float32)

    def score(self, ids: Sequence[str], x: np.ndarray, trials: Trials) -> np.ndarray:
        """The score of each trial, float32 (N,).

        Args:
            ids: the ids of U utterances, among them all of ``trials``.
            x: their embeddings, float (U, D).
        """
        if not len(trials):
            return np.empty(0, dtype=np.float32)
        if self.needs_cohort and not self.learnt:
            raise ValueError("nothing was learnt from training speakers yet: validate before scoring")
        row_of = {id: row for row, id in enumerate(ids)}
        prepared = self.prepared(x)
        members = [[row_of[id] for id in enrolment] for enrolment in trials.members()]
        tests = prepared[[row_of[id] for id in trials.tests]]
        if self.enrolment == "embedding" or all(len(rows) == 1 for rows in members):
            means = np.stack([prepared[rows].mean(axis=0) for rows in members])
            return self._scores(_unit(means), tests, trials.enrol, trials.test)
        return self._mean_scores(prepared, tests, members, trials)

    def _mean_scores(
        self, prepared: np.ndarray, tests: np.ndarray, members: list[list[int]], trials: Trials
    ) -> np.ndarray:
        """The mean score of the utterances of each enrolment against the test."""
        total = np.zeros(len(trials), dtype=np.float32)
        sizes = np.array([len(rows) for rows in members])[trials.enrol]
        for turn in range(sizes.max()):
            chosen = np.flatnonzero(sizes > turn)
            enrolled = prepared[[rows[min(turn, len(rows) - 1)] for rows in members]]
            total[chosen] += self._scores(enrolled, tests, trials.enrol[chosen], trials.test[chosen])
        return total / sizes

    def _scores(self, enrolled: np.ndarray, tests: np.ndarray, enrol: np.ndarray, test: np.ndarray) -> np.ndarray:
        enrol_vectors, test_vectors = self.sides(enrolled)[0], self.sides(tests)[1]
        scores = paired_products(enrol_vectors, test_vectors, enrol, test)
        if self.as_norm is None:
            return scores
        cohort_enrolled, cohort_tested = self.sides(self.learnt["cohort"])
        normalised = np.zeros_like(scores)
        # the statistics of the enrolments against the cohort as tests, and the other way round
        for vectors, cohort, index in ((enrol_vectors, cohort_tested, enrol), (test_vectors, cohort_enrolled, test)):
            mean, deviation = nearest_statistics(vectors, cohort, self.as_norm)
            normalised += (scores - mean[index]) / deviation[index]
        return normalised / 2


def paired_products(
    enrol_vectors: np.ndarray, test_vectors: np.ndarray, enrol: np.ndarray, test: np.ndarray
) -> np.ndarray:
    """The dot product of the two vectors of each trial: (M, D), (U, D), int (N,), int (N,) -> float32 (N,)."""
    products = np.empty(len(enrol), dtype=np.float32)
    for start in range(0, len(enrol), BLOCK):
        part = slice(start, start + BLOCK)
        np.einsum("nd,nd->n", enrol_vectors[enrol[part]], test_vectors[test[part]], out=products[part])
    return products


def nearest_statistics(vectors: np.ndarray, cohort: np.ndarray, nearest: int) -> tuple[np.ndarray, np.ndarray]:
    """The mean and standard deviation (U,) of the highest ``nearest`` scores of vectors (U, D) against a cohort (S, D).

    Matejka et al., "Analysis of score normalization in multilingual speaker recognition", Interspeech 2017 (AS-norm1).

    nearest: at most S.
    """
    mean, deviation = np.empty(len(vectors), np.float32), np.empty(len(vectors), np.float32)
    block = max(1, CELLS // len(cohort))
    for start in range(0, len(vectors), block):
        part = slice(start, start + block)
        scores = np.partition(vectors[part] @ cohort.T, len(cohort) - nearest, axis=1)[:, -nearest:]
        mean[part], deviation[part] = scores.mean(axis=1), scores.std(axis=1)
    return mean, np.maximum(deviation, 1e-6)


def _unit(x: np.ndarray) -> np.ndarray:
    """Rows of length one; a row of zeros stays."""
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
