"""Prefix beam search: the sum over all paths on small cases, and the same bits whatever the batch."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from nn.decode.beam import ctc_beam_search, log_add
from nn.decode.greedy import ctc_greedy
from nn.decode.lexicon import Lexicon
from nn.decode.ngram import NgramModel
from nn.decode.words import Scoring, Words

SYMBOLS = [None, "a", "b", " "]
NGRAMS = {
    ("<s>",): (-99.0, -0.3),
    ("</s>",): (-0.9, 0.0),
    ("<unk>",): (-1.5, 0.0),
    ("a",): (-0.6, -0.2),
    ("ab",): (-0.8, -0.1),
    ("ba",): (-1.0, 0.0),
    ("<s>", "a"): (-0.2, 0.0),
    ("a", "ab"): (-0.3, 0.0),
    ("ab", "</s>"): (-0.1, 0.0),
}


def scoring(closed=False, bonus=None) -> Scoring:
    model = NgramModel(NGRAMS)
    words = {word: number for word, number in model.words.items() if not word.startswith("<")}
    lexicon = Lexicon(words, [None, "a", "b", ""], model.unknown)
    roles = Words(torch.tensor([False, False, False, True]), torch.zeros(4, dtype=torch.bool))
    return Scoring(roles, lexicon, model, weight=0.7, word_score=0.3, bonus=bonus, closed=closed)


def added(tokens, used: Scoring, closed=False, bonus=None) -> float:
    """The score of the language model, word by word."""
    model, total = used.model, 0.0
    state = torch.tensor([model.start])
    for word in "".join(SYMBOLS[token] for token in tokens).split():
        number = model.words.get(word, model.unknown)
        if closed and word not in model.words:
            return -math.inf
        score, state = model.score(state, torch.tensor([number]))
        total += 0.7 * float(score) + 0.3 + (float(bonus[number]) if bonus is not None else 0.0)
    score, _ = model.score(state, torch.tensor([model.words["</s>"]]))
    return total + 0.7 * float(score)


def all_prefixes(log_probs) -> dict[tuple[int, ...], float]:
    """The log probability of every token sequence, summed over its paths."""
    frames, vocabulary = log_probs.shape
    totals: dict[tuple[int, ...], list[float]] = {}
    for path in itertools.product(range(vocabulary), repeat=frames):
        tokens = tuple(token for token, _ in itertools.groupby(path) if token)
        totals.setdefault(tokens, []).append(sum(float(log_probs[t, token]) for t, token in enumerate(path)))
    return {tokens: float(torch.tensor(own, dtype=torch.float64).logsumexp(0)) for tokens, own in totals.items()}


def draw(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return (2 * torch.randn(*shape, generator=generator)).log_softmax(-1)


@pytest.mark.parametrize("frames", [1, 2, 5])
@pytest.mark.parametrize("case", ["plain", "words", "closed", "hot"])
def test_a_wide_beam_finds_the_sum_over_all_paths(frames, case):
    bonus = torch.zeros(len(NgramModel(NGRAMS).words), dtype=torch.float64)
    bonus[NgramModel(NGRAMS).words["ba"]] = 1.5
    used = None if case == "plain" else scoring(case == "closed", bonus if case == "hot" else None)
    for seed in range(6):
        log_probs = draw(frames, 4, seed=seed)
        expected = all_prefixes(log_probs.double())
        if used is not None:
            expected = {
                tokens: value + added(tokens, used, case == "closed", bonus if case == "hot" else None)
                for tokens, value in expected.items()
            }
        expected = {tokens: value for tokens, value in expected.items() if value > -math.inf}
        (found,) = ctc_beam_search(log_probs[None], torch.tensor([frames]), len(expected) + 200, used)
        assert {tuple(one.tokens): one.score for one in found} == pytest.approx(expected, abs=1e-6)
        assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)


def test_a_batch_is_the_same_to_the_bit_as_each_utterance_alone():
    lens = torch.tensor([9, 40, 0, 23, 1, 31])
    log_probs = draw(6, 40, 4)
    for used in (None, scoring()):
        together = ctc_beam_search(log_probs, lens, 7, used)
        for number, length in enumerate(lens.tolist()):
            (alone,) = ctc_beam_search(
                log_probs[number : number + 1, : max(1, length)], lens[number : number + 1], 7, used
            )
            assert together[number] == alone  # tokens, and the bits of every score


def test_a_peaked_output_is_decoded_as_by_the_best_path():
    log_probs = (20 * torch.nn.functional.one_hot(torch.randint(0, 4, (3, 30)), 4).float()).log_softmax(-1)
    lens = torch.tensor([30, 12, 25])
    assert [found[0].tokens for found in ctc_beam_search(log_probs, lens, 4)] == ctc_greedy(log_probs, lens)


def test_no_hypothesis_is_there_twice():
    for seed in range(20):
        for used in (None, scoring(), scoring(closed=True)):
            (found,) = ctc_beam_search(draw(1, 12, 4, seed=seed), torch.tensor([12]), 30, used)
            tokens = [tuple(one.tokens) for one in found]
            assert len(set(tokens)) == len(tokens) > 1


def test_a_wider_beam_finds_nothing_less_likely():
    log_probs = draw(1, 25, 4, seed=3)
    scores = [ctc_beam_search(log_probs, torch.tensor([25]), beam)[0][0].score for beam in (1, 4, 16, 64)]
    assert scores == sorted(scores)


def test_sums_of_probabilities_are_exact_enough():
    a = torch.linspace(-60, 3, 1001, dtype=torch.float64)
    b = a.flip(0) * 0.7
    assert (log_add(a, b) - torch.logaddexp(a, b)).abs().max() < 1e-7
    never = torch.tensor([-math.inf], dtype=torch.float64)
    assert log_add(never, never).item() == -math.inf and log_add(never, a[:1]).item() == a[0].item()


def test_no_utterance_and_no_frame():
    assert ctc_beam_search(torch.zeros(0, 3, 4), torch.zeros(0, dtype=torch.long), 4) == []
    (found,) = ctc_beam_search(draw(1, 1, 4), torch.tensor([0]), 4)
    assert [one.tokens for one in found] == [[]]


class TestNgramModel:
    def test_scores_back_off_to_shorter_histories(self):
        model, log10 = NgramModel(NGRAMS), math.log(10)

        def score(*words):
            state = torch.tensor([model.start])
            for word in words:
                value, state = model.score(state, torch.tensor([model.words.get(word, model.unknown)]))
            return float(value) / log10

        assert score("a") == pytest.approx(-0.2)
        assert score("ab") == pytest.approx(-0.3 - 0.8), "backs off from the beginning"
        assert score("a", "ab") == pytest.approx(-0.3)
        assert score("a", "ba") == pytest.approx(-0.2 - 1.0)
        assert score("ba", "other") == pytest.approx(-1.5)
        assert score("a", "ab", "</s>") == pytest.approx(-0.1)

    def test_many_are_scored_as_one_by_one(self):
        model = NgramModel(NGRAMS)
        states, words = torch.meshgrid(torch.arange(len(model.backoff)), torch.arange(len(model.words)), indexing="ij")
        together = model.score(states, words)
        for place in itertools.product(range(states.shape[0]), range(states.shape[1])):
            value, after = model.score(states[place][None], words[place][None])
            assert value[0] == together[0][place] and after[0] == together[1][place]

    def test_a_word_of_a_model_without_an_unknown_word_is_unlikely(self):
        model = NgramModel({("a",): (-0.1, 0.0), ("</s>",): (-0.7, 0.0)})
        value, state = model.score(torch.tensor([0]), torch.tensor([model.unknown]))
        assert value.item() == pytest.approx(math.log(1e-7)) and state.item() == 0
        longer = NgramModel(
            {("a",): (-0.1, -0.2), ("b",): (-0.3, 0.0), ("a", "b"): (-0.1, 0.0), ("a", "b", "a"): (-0.1, 0.0)}
        )
        for state in range(len(longer.backoff)):
            value, _ = longer.score(torch.tensor([state]), torch.tensor([longer.unknown]))
            assert math.log(1e-7) - 1 < value.item() <= math.log(1e-7) + 1e-9, "unknown once, whatever the history"


def test_a_lexicon_is_walked_by_pieces_of_any_length():
    lexicon = Lexicon({"one": 0, "on": 1, "two": 2}, [None, "o", "on", "ne", "e", "two", "t", "x"], 9)
    root = torch.tensor([0])
    on = lexicon.move(root, torch.tensor([2]))
    assert lexicon.word[on].item() == 1 and lexicon.is_word[on].item()
    by_letters = lexicon.move(lexicon.move(root, torch.tensor([1])), torch.tensor([3]))
    assert by_letters == lexicon.move(on, torch.tensor([4])) and lexicon.word[by_letters].item() == 0
    outside = lexicon.move(on, torch.tensor([7]))
    assert outside.item() == -1 and lexicon.move(outside, torch.tensor([1])).item() == -1
    assert lexicon.word[outside].item() == 9 and not lexicon.is_word[outside].item()
    assert lexicon.word[lexicon.move(root, torch.tensor([6]))].item() == 9, "the beginning of a word is none"
