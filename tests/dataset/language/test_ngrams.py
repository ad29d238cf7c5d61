"""N-gram models: probabilities sum to one, follow Kneser and Ney, and survive an ARPA file."""

from __future__ import annotations

import math
import random

import pytest

from dataset.language.ngrams import BEGIN, END, UNKNOWN, NgramError, learn, read_arpa, write_arpa

WORDS = ["open", "the", "door", "window", "close", "a", "please"]


def texts(count=60, seed=0):
    draw = random.Random(seed)
    return [" ".join(draw.choices(WORDS, weights=range(1, 8), k=draw.randint(1, 6))) for _ in range(count)]


def probability(model, history, word):
    """The probability of a word after a history, by backing off as ARPA models do."""
    ngram = (*history, word)
    if ngram in model:
        return 10 ** model[ngram][0]
    if not history:
        return 10 ** model[(UNKNOWN,)][0]
    backoff = model.get(tuple(history), (0.0, 0.0))[1]
    return 10**backoff * probability(model, history[1:], word)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_the_words_after_any_history_have_a_probability_of_one_together(order):
    model = learn(texts(), order)
    histories = {ngram[:-1] for ngram in model} | {(BEGIN, "door"), ("never", "seen")}
    for history in histories:
        history = history[-(order - 1) :] if order > 1 else ()
        total = sum(probability(model, history, word) for word in (*WORDS, END, UNKNOWN))
        assert total == pytest.approx(1, abs=1e-6), history
    assert max(map(len, model)) == order and all(probability(model, (), word) > 0 for word in (*WORDS, "unseen"))


def test_kneser_and_ney_count_after_how_many_words_one_comes():
    """By hand: "francisco" is frequent, but only after "san"."""
    model = learn(["san francisco"] * 5 + ["san jose", "the door", "a door", "my door"], 2)
    single = {word: 10 ** model[(word,)][0] for word in ("francisco", "door")}
    assert single["door"] > single["francisco"]
    # bigrams: "<s> san" 6, "san francisco" 5, "francisco </s>" 5, "door </s>" 3, all others once: 8; none twice
    discount = 0.5
    after_san = (5 - discount) / 6 + discount * 2 / 6 * single["francisco"]
    assert 10 ** model[("san", "francisco")][0] == pytest.approx(after_san)


def test_a_better_model_of_the_text_has_a_lower_perplexity():
    rule = [f"open the {x} please" for x in ("door", "window") * 20]
    held_out = "open the door please".split()

    def log_probability(order):
        model, words = learn(rule, order), [BEGIN, *held_out, END]
        return sum(
            math.log(probability(model, tuple(words[max(0, i - order + 1) : i]), words[i]))
            for i in range(1, len(words))
        )

    assert log_probability(1) < log_probability(2) <= log_probability(3) + 0.1


def test_an_arpa_file_gives_the_model_back(tmp_path):
    model, path = learn([*texts(), "ünïcode 音声"], 3), tmp_path / "a b.arpa"
    write_arpa(model, path)
    read = read_arpa(path)
    assert read.keys() == model.keys()
    for ngram, (p, backoff) in model.items():
        assert read[ngram] == pytest.approx((p, backoff if len(ngram) < 3 else 0.0), rel=1e-5)
    assert path.read_text(encoding="utf-8").startswith("\\data\\\nngram 1=")


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "no n-grams"),
        ("\\data\\\n\n\\1-grams:\n-1 a\n", "no end"),
        (
            "\\1-grams:\n-1 a b c\n\\end\\\n",
            "line 2: expected a probability, 1 words and perhaps a weight, got '-1 a b c'",
        ),
        ("\\1-grams:\nx a\n\\end\\\n", "line 2: expected a probability"),
        ("\\one-grams:\n-1 a\n", "line 1: expected the length of n-grams, got 'one'"),
    ],
)
def test_a_file_that_is_none_is_named_with_its_line(tmp_path, text, message):
    path = tmp_path / "x.arpa"
    path.write_text(text)
    with pytest.raises(NgramError, match=message):
        read_arpa(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(NgramError, match="no ARPA file in UTF-8"):
        read_arpa(path)
    with pytest.raises(NgramError, match="cannot be read"):
        read_arpa(tmp_path / "none.arpa")


def test_what_cannot_be_learnt_from_is_refused():
    with pytest.raises(NgramError, match="no word in any text"):
        learn(["", " "])
    with pytest.raises(NgramError, match="order is 0"):
        learn(["a"], 0)
    assert learn(["one"], 3)  # a single word
