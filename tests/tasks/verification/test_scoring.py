"""Trial scores equal loops over trials, and the learnt parts come back from their state."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tasks.verification import scoring
from tasks.verification.scoring import Scorer
from tasks.verification.trials import Trials

DRAW = np.random.default_rng(0)


def table(rows: list[tuple]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["id1", "id2", "label"])


IDS = [f"utt {i}" for i in range(8)]
X = DRAW.standard_normal((8, 4)).astype(np.float32)
COHORT, COHORT_SPEAKERS = DRAW.standard_normal((60, 4)) + 0.5, [f"s{i % 12}" for i in range(60)]
TRIALS = Trials.of(
    table([("utt 0", "utt 1", "1"), ("utt 2 ; utt 3", "utt 1", "0"), ("utt 2", "utt 4", "0"), ("utt 0", "utt 0", "1")])
)


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


# ---- cosine, enrolment, centring ----


def test_cosine_scores_equal_a_loop_in_blocks_of_any_size(monkeypatch):
    means = {name: X[[IDS.index(i) for i in name.split(" ; ")]] for name in TRIALS.enrolments}
    unit = {name: (x / np.linalg.norm(x, axis=1, keepdims=True)).mean(0) for name, x in means.items()}
    expected = [
        cosine(unit[TRIALS.enrolments[e]], X[IDS.index(TRIALS.tests[t])]) for e, t in zip(TRIALS.enrol, TRIALS.test)
    ]
    for block in (1, 3, 4096):
        monkeypatch.setattr(scoring, "BLOCK", block)
        np.testing.assert_allclose(Scorer().score(IDS, X, TRIALS), expected, rtol=1e-5)
    assert expected[3] == pytest.approx(1)


def test_no_trials_have_no_scores():
    assert len(Scorer().score(IDS, X, TRIALS.among([]))) == 0


def test_an_enrolment_may_average_scores_instead():
    scores = Scorer(enrolment="score").score(IDS, X, TRIALS)
    np.testing.assert_allclose(scores[1], (cosine(X[2], X[1]) + cosine(X[3], X[1])) / 2, rtol=1e-5)
    np.testing.assert_allclose(scores[[0, 2, 3]], Scorer().score(IDS, X, TRIALS)[[0, 2, 3]], rtol=1e-5)


def test_the_mean_of_the_training_speakers_is_taken_away():
    scorer = Scorer(centre=True)
    scorer.learn(COHORT, COHORT_SPEAKERS)
    scores = scorer.score(IDS, X, TRIALS)
    assert scores[0] == pytest.approx(cosine(X[0] - COHORT.mean(0), X[1] - COHORT.mean(0)), rel=1e-5)


def test_an_embedding_of_zeros_scores_nothing():
    assert (Scorer().score(IDS, np.zeros_like(X), TRIALS) == 0).all()


# ---- score normalisation ----


@pytest.mark.parametrize("settings", [{}, {"centre": True}, {"backend": "plda"}, {"enrolment": "score"}])
@pytest.mark.parametrize("cells", [1, 2**24])
def test_as_norm_equals_a_loop(monkeypatch, settings, cells):
    monkeypatch.setattr(scoring, "CELLS", cells)
    plain, scorer = Scorer(**settings), Scorer(as_norm=5, **settings)
    for learner in (plain, scorer):
        learner.learn(COHORT, COHORT_SPEAKERS)
    prepared = plain.prepared(COHORT)
    speakers = sorted(set(COHORT_SPEAKERS))
    cohort = np.stack([prepared[[s == name for s in COHORT_SPEAKERS]].mean(0) for name in speakers])
    cohort /= np.linalg.norm(cohort, axis=1, keepdims=True)

    def score(a: np.ndarray, b: np.ndarray) -> float:  # of prepared embeddings
        return float(plain.sides(a[None])[0][0] @ plain.sides(b[None])[1][0])

    def normalised(a: np.ndarray, b: np.ndarray) -> float:
        total = 0.0
        for side in (a, b):
            best = sorted((score(side, other) for other in cohort), reverse=True)[:5]
            total += (score(a, b) - np.mean(best)) / np.std(best)
        return total / 2

    vectors = plain.prepared(X)
    for trial, score_of_trial in enumerate(scorer.score(IDS, X, TRIALS)):
        members = TRIALS.enrolments[TRIALS.enrol[trial]].split(" ; ")
        enrolled = [vectors[IDS.index(m)] for m in members]
        test = vectors[IDS.index(TRIALS.tests[TRIALS.test[trial]])]
        if settings.get("enrolment") == "score":
            expected = np.mean([normalised(vector, test) for vector in enrolled])
        else:
            mean = np.mean(enrolled, axis=0)
            expected = normalised(mean / np.linalg.norm(mean), test)
        assert score_of_trial == pytest.approx(expected, rel=2e-3, abs=2e-3)


# ---- discriminant analysis ----


def test_lda_turns_away_what_varies_within_speakers():
    draw = np.random.default_rng(3)
    speakers = np.arange(200) % 20
    voices = draw.standard_normal((20, 2))
    x = np.hstack([voices[speakers], 20 * draw.standard_normal((200, 3))])  # the voice, and louder noise
    pairs = [(str(i), str(j), str(int(i % 20 == j % 20))) for i in range(40) for j in range(i)]
    ids, trials = [str(i) for i in range(200)], Trials.of(table(pairs))
    scores = {}
    for lda in (None, 2):
        scorer = Scorer(lda=lda)
        if lda:
            scorer.learn(x, [f"s{n}" for n in speakers])
        values = scorer.score(ids, x, trials)
        scores[lda] = values[trials.targets].mean() - values[~trials.targets].mean()
    assert scores[2] > 0.8 and scores[None] < 0.1


# ---- what is learnt ----


@pytest.mark.parametrize("settings", [{"centre": True}, {"lda": 3}, {"backend": "plda", "lda": 2}, {"as_norm": 4}])
def test_what_is_learnt_comes_back_from_its_state(settings):
    scorer, other = Scorer(**settings), Scorer(**settings)
    assert scorer.needs_cohort
    with pytest.raises(ValueError, match="nothing was learnt"):
        scorer.score(IDS, X, TRIALS)
    scorer.learn(COHORT, COHORT_SPEAKERS)
    other.restore(scorer.state())
    np.testing.assert_array_equal(scorer.score(IDS, X, TRIALS), other.score(IDS, X, TRIALS))


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"backend": "svm"}, "backend is 'svm'.*cosine, plda"),
        ({"enrolment": "max"}, "enrolment 'max'.*embedding, score"),
        ({"as_norm": 1}, "as_norm 1: expected .* 2 speakers"),
        ({"lda": 0}, "lda is 0"),
    ],
)
def test_unknown_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Scorer(**settings)


@pytest.mark.parametrize(
    "settings, speakers, message",
    [
        ({"lda": 4}, 3, "lda is 4: expected at most 2 with 3 training speakers and 4 dimensions"),
        ({"as_norm": 6}, 5, "as_norm is 6: there are 5 training speakers in the cohort"),
        (
            {"backend": "plda"},
            60,
            "60 utterances of 60 speakers: expected at least two speakers, one of them with several",
        ),
    ],
)
def test_too_small_a_cohort_is_refused(settings, speakers, message):
    with pytest.raises(ValueError, match=message):
        Scorer(**settings).learn(COHORT, [str(i % speakers) for i in range(60)])
