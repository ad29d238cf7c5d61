"""The decoder of CTC tasks: language models, lexicons, hot words, times and confidences of words."""

from __future__ import annotations

import json

import pytest
import torch

from dataset.encoders import build_encoder
from dataset.language.ngrams import learn
from tasks.ctc import CTCTask
from tasks.decoding import CTCDecoder
from tests.tasks.test_ctc import Frames

TEXTS = ["the cat sat", "the cat ran", "a dog sat", "the dog ran"]
ENCODER = build_encoder("character", TEXTS)
NGRAMS = learn(TEXTS, 3)


def outputs(text, rival=None, odds=0.0, frames_each=2):
    """Logits whose best path is ``text``; where ``rival`` has another letter, that one is better by ``odds``."""
    rows = []
    for place, letter in enumerate(text):
        row = torch.full((len(ENCODER),), -6.0)
        row[ENCODER.encode(letter)[0] if letter != " " else ENCODER.symbols.index(" ")] = 4.0
        if rival is not None and rival[place] != letter:
            row[ENCODER.symbols.index(rival[place])] = 4.0 + odds
        blank = torch.full((len(ENCODER),), -6.0)
        blank[0] = 4.0
        rows += [row] * (frames_each - 1) + [blank]
    return torch.stack(rows)[None]


def decode(logits, **settings):
    decoder = CTCDecoder(ENCODER, "beam", **settings)
    return decoder(logits, torch.tensor([logits.shape[1]]))[0]


def test_the_language_model_decides_what_the_model_leaves_open():
    logits = outputs("the cat sat", rival="the cat san", odds=0.5)
    assert CTCDecoder(ENCODER)(logits, torch.tensor([logits.shape[1]]))[0].text == "the cat san"
    assert decode(logits).text == "the cat san"
    assert decode(logits, ngrams=NGRAMS, lm_weight=0.5).text == "the cat sat"
    assert decode(logits, ngrams=NGRAMS, lm_weight=0.0).text == "the cat san"


def test_a_lexicon_allows_its_words_alone():
    logits = outputs("the cot sat")
    assert decode(logits, ngrams=NGRAMS, lm_weight=0.1).text == "the cot sat"
    words = {word for text in TEXTS for word in text.split()}
    assert set(decode(logits, ngrams=NGRAMS, lm_weight=0.1, lexicon=True, beam=64).text.split()) <= words
    with pytest.raises(ValueError, match="there are none: set decode.lm"):
        CTCDecoder(ENCODER, "beam", lexicon=True)


def test_hot_words_are_preferred_with_and_without_a_language_model():
    logits = outputs("the cat ran", rival="the cat nan", odds=0.5)
    for more in ({}, {"ngrams": NGRAMS, "lm_weight": 0.01}):
        assert decode(logits, **more).text == "the cat nan"
        assert decode(logits, hot_words=["ran"], hot_word_score=3.0, **more).text == "the cat ran"
    assert decode(logits, hot_words=["RAN"], hot_word_score=3.0).text == "the cat nan", "the case of the encoder counts"


def test_a_hot_word_that_the_language_model_lacks_helps_no_other_word():
    settings = {"ngrams": NGRAMS, "lm_weight": 0.01, "hot_word_score": 2.0}
    logits = outputs("the cat rod", rival="the cat nod", odds=0.5)  # neither is known
    assert decode(logits, **settings).text == "the cat nod"
    assert decode(logits, hot_words=["rod"], **settings).text == "the cat rod"
    assert decode(logits, hot_words=["cod"], **settings).text == "the cat nod"


def test_the_word_score_weighs_the_number_of_words():
    logits = outputs("the cat")
    space = ENCODER.symbols.index(" ")
    logits[0, 3 * 2 : 4 * 2] = -6.0
    logits[0, 3 * 2 : 4 * 2, [0, space]] = torch.tensor([4.2, 4.0])
    assert decode(logits, word_score=-2.0).text == "thecat"
    assert decode(logits, word_score=2.0).text == "the cat"


def test_words_have_the_frames_of_their_tokens_and_a_confidence():
    found = decode(outputs("the cat sat", rival="the cat san", odds=0.2), ngrams=NGRAMS)
    assert [word.text for word in found.words] == found.text.split()
    assert [(word.first, word.last) for word in found.words] == [(0, 4), (8, 12), (16, 20)]
    assert found.words[0].confidence > 0.95 > found.words[2].confidence > 0.3
    assert all(0 <= word.confidence <= 1 for word in found.words)


def test_the_confidence_is_the_mean_of_the_tokens_highest_probabilities():
    logits = outputs("the cat", rival="the cot", odds=0.4)
    found, best = (CTCDecoder(ENCODER, name)(logits, torch.tensor([logits.shape[1]]))[0] for name in ("beam", "greedy"))
    probabilities = logits[0].softmax(-1)
    assert len(found.words) == 2
    for own, (first, last) in zip(best.words, ((0, 4), (8, 12))):
        ids = ENCODER.encode(own.text)
        highest = [probabilities[first : last + 1, token].max().item() for token in ids]
        assert own.confidence == pytest.approx(sum(highest) / len(highest), abs=1e-6)
    assert [(w.text, w.first, w.last) for w in best.words] == [(w.text, w.first, w.last) for w in found.words]
    first, last = (own.confidence / one.confidence for one, own in zip(best.words, found.words))
    assert first == pytest.approx(1, abs=1e-3) and 0.5 < last < 0.95, "the search has kept texts with the rival"


def test_a_batch_is_decoded_as_its_utterances_alone():
    logits = torch.randn(5, 40, len(ENCODER), generator=torch.Generator().manual_seed(0))
    lengths = torch.tensor([40, 3, 17, 0, 25])
    decoder = CTCDecoder(ENCODER, "beam", ngrams=NGRAMS, nbest=3)
    together = decoder(logits, lengths)
    assert [decoder(logits[i : i + 1], lengths[i : i + 1])[0] for i in range(5)] == together
    assert len(together[0].nbest) == 3 and together[3].text == ""


def test_other_encoders_have_words_too():
    words = build_encoder("word", TEXTS)
    model = learn(TEXTS, 2)
    logits = torch.full((1, 6, len(words)), -6.0)
    for frame, word in enumerate(("the", None, "cat", None, "sat", None)):
        logits[0, frame, 0 if word is None else words.encode(word)[0]] = 4.0
    decoder = CTCDecoder(words, "beam", ngrams=model)
    (found,) = decoder(logits, torch.tensor([6]))
    assert found.text == "the cat sat" and [word.text for word in found.words] == ["the", "cat", "sat"]


def test_pieces_of_words():
    pytest.importorskip("sentencepiece")
    pieces = build_encoder("sentencepiece", TEXTS * 5, vocab_size=16)
    tokens = pieces.encode("the cat sat")
    logits = torch.full((1, 2 * len(tokens), len(pieces)), -6.0)
    for place, token in enumerate(tokens):
        logits[0, 2 * place, token] = 4.0
        logits[0, 2 * place + 1, 0] = 4.0
    decoder = CTCDecoder(pieces, "beam", ngrams=NGRAMS, lexicon=True)
    (found,) = decoder(logits, torch.tensor([2 * len(tokens)]))
    assert found.text == "the cat sat" and [word.text for word in found.words] == ["the", "cat", "sat"]


def test_an_encoder_without_symbols_is_refused_for_words():
    class Plain:
        def decode(self, ids):
            return ""

        def __len__(self):
            return 4

    with pytest.raises(ValueError, match="Plain has no attribute symbols"):
        CTCDecoder(Plain(), "beam", ngrams=NGRAMS)
    with pytest.raises(ValueError, match="expected one of greedy, beam"):
        CTCDecoder(Plain(), "best")


def test_a_task_is_greedy_in_validation_and_searches_in_a_test():
    task = CTCTask(Frames(len(ENCODER)), ENCODER, decode={"name": "beam", "nbest": 2}, ngrams=NGRAMS).eval()
    batch = {
        "id": ["a", "b"],
        "text": ["the cat", "a dog"],
        "tokens": torch.zeros(2, 3, dtype=torch.long),
        "tokens_len": torch.tensor([3, 3]),
        "wav": torch.randn(2, 30),
        "wav_len": torch.tensor([30, 12]),
    }
    valid, test = (task(mode, **batch).records for mode in ("valid", "test"))
    assert "nbest" not in valid and len(json.loads(test["nbest"][0])) == 2
    assert valid["hypothesis"] != test["hypothesis"]
    assert [word["word"] for word in json.loads(test["words"][0])] == test["hypothesis"][0].split()
    assert [str(own) for own in task.predict(batch["wav"], batch["wav_len"])] == test["hypothesis"]
    assert set(task.reduction("test", test)) == {*task.reduction("valid", valid), "word_ece"}
