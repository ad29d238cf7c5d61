from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import multivariate_normal

from tasks.verification import scoring
from tasks.verification.plda import PLDA
from tasks.verification.scoring import Scorer
from tasks.verification.trials import Trials

DRAW = np.random.default_rng(0)
B = np.array([[2.0, 0.5, 0.0], [0.5, 1.0, 0.3], [0.0, 0.3, 0.5]])
W = np.array([[0.5, 0.1, 0.0], [0.1, 0.8, -0.2], [0.0, -0.2, 0.4]])


def speech(speakers: int, utterances: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings of the two-covariance model with mean 1, and their speakers; numbers of utterances vary."""
    draw = np.random.default_rng(seed)
    counts = draw.integers(1, 2 * utterances, speakers)
    labels = np.repeat(np.arange(speakers), counts)
    y = draw.multivariate_normal(np.ones(3), B, speakers)
    return y[labels] + draw.multivariate_normal(np.zeros(3), W, len(labels)), labels


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


# ---- trials ----


def test_trials_are_indices_of_a_table_of_any_type():
    trials = TRIALS
    assert len(trials) == 4 and trials.targets.tolist() == [True, False, False, True]
    assert [trials.enrolments[i] for i in trials.enrol] == ["utt 0", "utt 2 ; utt 3", "utt 2", "utt 0"]
    assert [trials.tests[i] for i in trials.test] == ["utt 1", "utt 1", "utt 4", "utt 0"]
    assert trials.members() == [["utt 0"], ["utt 2", "utt 3"], ["utt 2"]]
    categorical = table([("a", "b", 1), ("c", "b", 0)]).astype({"id1": "category", "id2": "category"})
    assert Trials.of(categorical).enrolments == ["a", "c"]


def test_only_trials_whose_utterances_are_all_there_remain():
    assert TRIALS.among(IDS) is TRIALS
    some = TRIALS.among(["utt 0", "utt 1", "utt 2", "utt 4"])
    assert [some.enrolments[i] for i in some.enrol] == ["utt 0", "utt 2", "utt 0"]
    assert some.tests == ["utt 1", "utt 4", "utt 0"] and some.targets.tolist() == [True, False, True]
    assert len(TRIALS.among([])) == 0 and len(Scorer().score(IDS, X, TRIALS.among([]))) == 0


def test_a_label_that_is_none_and_a_list_without_trials_are_refused():
    with pytest.raises(ValueError, match=r"trial 2 \(b c\) has the label 'yes'.*expected 1"):
        Trials.of(table([("a", "b", "1"), ("b", "c", "yes")]))
    with pytest.raises(ValueError, match="the list of trials is empty"):
        Trials.of(table([]))


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


def test_an_enrolment_may_average_scores_instead():
    found = Scorer(enrolment="score").score(IDS, X, TRIALS)
    np.testing.assert_allclose(found[1], (cosine(X[2], X[1]) + cosine(X[3], X[1])) / 2, rtol=1e-5)
    np.testing.assert_allclose(found[[0, 2, 3]], Scorer().score(IDS, X, TRIALS)[[0, 2, 3]], rtol=1e-5)


def test_the_mean_of_the_training_speakers_is_taken_away():
    scorer = Scorer(centre=True)
    scorer.learn(COHORT, COHORT_SPEAKERS)
    found = scorer.score(IDS, X, TRIALS)
    assert found[0] == pytest.approx(cosine(X[0] - COHORT.mean(0), X[1] - COHORT.mean(0)), rel=1e-5)


def test_an_embedding_of_zeros_scores_nothing():
    found = Scorer().score(IDS, np.zeros_like(X), TRIALS)
    assert (found == 0).all()


# ---- score normalisation ----


@pytest.mark.parametrize("settings", [{}, {"centre": True}, {"backend": "plda"}, {"enrolment": "score"}])
@pytest.mark.parametrize("cells", [1, 2**24])
def test_as_norm_equals_a_loop(monkeypatch, settings, cells):
    monkeypatch.setattr(scoring, "CELLS", cells)
    plain, scorer = Scorer(**settings), Scorer(as_norm=5, **settings)
    for one in (plain, scorer):
        one.learn(COHORT, COHORT_SPEAKERS)
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
    for trial, found in enumerate(scorer.score(IDS, X, TRIALS)):
        members = TRIALS.enrolments[TRIALS.enrol[trial]].split(" ; ")
        own = [vectors[IDS.index(m)] for m in members]
        test = vectors[IDS.index(TRIALS.tests[TRIALS.test[trial]])]
        if settings.get("enrolment") == "score":
            expected = np.mean([normalised(one, test) for one in own])
        else:
            mean = np.mean(own, axis=0)
            expected = normalised(mean / np.linalg.norm(mean), test)
        assert found == pytest.approx(expected, rel=2e-3, abs=2e-3)


# ---- discriminant analysis ----


def test_lda_turns_away_what_varies_within_speakers():
    draw = np.random.default_rng(3)
    speakers = np.arange(200) % 20
    own = draw.standard_normal((20, 2))
    x = np.hstack([own[speakers], 20 * draw.standard_normal((200, 3))])  # the voice, and louder noise
    pairs = [(str(i), str(j), str(int(i % 20 == j % 20))) for i in range(40) for j in range(i)]
    ids, trials = [str(i) for i in range(200)], Trials.of(table(pairs))
    scores = {}
    for lda in (None, 2):
        scorer = Scorer(lda=lda)
        if lda:
            scorer.learn(x, [f"s{n}" for n in speakers])
        found = scorer.score(ids, x, trials)
        scores[lda] = found[trials.targets].mean() - found[~trials.targets].mean()
    assert scores[2] > 0.8 and scores[None] < 0.1


def test_plda_scores_are_the_likelihood_ratio_of_the_two_joint_gaussians():
    x, labels = speech(200, 4)
    model = PLDA.fit(x, labels, iterations=5)
    back = np.linalg.inv(model.projection)
    within, between = back.T @ back, back.T @ np.diag(model.between) @ back
    np.testing.assert_allclose(model.projection.T @ within @ model.projection, np.eye(3), atol=1e-9)
    total = within + between
    same = np.block([[total, between], [between, total]])
    left, right = model.sides(x[:20])
    for i, j in [(0, 1), (3, 3), (5, 19), (12, 2)]:
        pair = np.concatenate([x[i], x[j]])
        expected = multivariate_normal(np.tile(model.mean, 2), same).logpdf(pair)
        expected -= sum(multivariate_normal(model.mean, total).logpdf(x[k]) for k in (i, j))
        assert left[i] @ right[j] == pytest.approx(expected)


def test_plda_finds_the_covariances_that_made_the_embeddings():
    x, labels = speech(3000, 4)
    model = PLDA.fit(x, labels)
    back = np.linalg.inv(model.projection)
    np.testing.assert_allclose(back.T @ back, W, atol=0.05)
    np.testing.assert_allclose(back.T @ np.diag(model.between) @ back, B, atol=0.15)


def test_each_iteration_makes_the_embeddings_more_likely_and_the_likelihood_is_the_joint_gaussians():
    x, labels = speech(12, 2, seed=5)
    found = [PLDA.fit(x, labels, iterations=n) for n in range(6)]
    likely = [model.log_likelihood(x, labels) for model in found]
    assert all(b >= a - 1e-6 for a, b in zip(likely, likely[1:])) and likely[-1] > likely[0]
    model, total = found[3], 0.0
    back = np.linalg.inv(model.projection)
    within, between = back.T @ back, back.T @ np.diag(model.between) @ back
    for speaker in range(12):
        own = x[labels == speaker]
        joint = np.kron(np.eye(len(own)), within) + np.kron(np.ones((len(own), len(own))), between)
        total += multivariate_normal(np.tile(model.mean, len(own)), joint).logpdf(own.ravel())
        total += 1.5 * len(own) * np.log(2 * np.pi)  # the constant of the Gaussian
    assert likely[3] == pytest.approx(total)


def test_plda_of_fewer_utterances_than_dimensions_is_finite():
    draw = np.random.default_rng(1)
    x, labels = draw.standard_normal((6, 20)), np.array([0, 0, 1, 1, 2, 2])
    left, right = PLDA.fit(x, labels).sides(x)
    assert np.isfinite(left @ right.T).all()


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
        ({"lda": 4}, 3, "lda is 4: 3 training speakers and 4 dimensions leave at most 2"),
        ({"as_norm": 6}, 5, "as_norm is 6: there are 5 training speakers in the cohort"),
        ({"backend": "plda"}, 60, "60 utterances of 60 speakers: expected at least two speakers, some with several"),
    ],
)
def test_too_small_a_cohort_is_refused(settings, speakers, message):
    with pytest.raises(ValueError, match=message):
        Scorer(**settings).learn(COHORT, [str(i % speakers) for i in range(60)])
