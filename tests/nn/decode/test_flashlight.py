"""CTC's beam search against another one: flashlight's, in C++, over the outputs of a trained model.

flashlight keeps prefixes that end in the blank and in a token apart, so that its beam is wider here. It takes a space
in the first frame for one that it imagines before the text: the outputs begin with a frame that is blank. With a
lexicon, its words end with the space that follows them, and further spaces change nothing: the outputs end with a frame
that is a space, and our texts of the same words are added up.
"""

from __future__ import annotations

import itertools
import math

import pytest
import torch

import problems
from dataset.audio import read
from dataset.language.ngrams import learn
from nn.decode.beam import ctc_beam_search
from nn.decode.lexicon import Lexicon
from nn.decode.ngram import END, NgramModel
from nn.decode.words import Scoring, Words
from problems.asr import ASR
from problems.engine.cli.main import execute
from tests.conftest import tiny_options, write_tones

flashlight = pytest.importorskip("flashlight.lib.text.decoder", reason="flashlight-text is not installed (extra dev)")

UTTERANCES, BEAM, THEIR_BEAM = 100, 300, 1500
WEIGHT, WORD_SCORE = 0.8, 0.4
NOT_LIMITED = 1e9


@pytest.fixture(scope="module")
def outputs(tones, tmp_path_factory):
    """Log probabilities (T, V) of a trained recogniser for 100 utterances that it does not know, its symbols, texts."""
    folder = tmp_path_factory.mktemp("flashlight")
    steps = "--train={total_steps: 400, eval_step: 400, save_step: 400, log_step: 400, use_scheduler: false}"
    settings = ["--build_model.specaug=null", "--build_downstream.conf={hidden_size: [24], dropout: 0}", steps]
    assert execute(ASR(), ["run", *tiny_options(tones, folder), *settings, "--stop=2"]) == 0
    own = problems.load(str(folder / "run"), device="cpu")
    rows = write_tones(folder / "more", UTTERANCES, seed=7)
    texts = [row["transcription"] for row in rows]
    log_probs = []
    with torch.inference_mode():
        for row in rows:
            wav = torch.as_tensor(read(row["wav_path"]))
            logits, _ = own.model(wav=wav[None], wav_len=torch.tensor([len(wav)]))
            blank = torch.where(torch.arange(logits.shape[2]) == 0, 0.0, -1e3)
            log_probs.append(torch.cat([blank[None], logits[0].log_softmax(-1)]))
    return log_probs, list(own.task.encoder.symbols), texts


def decoded(decoder, log_probs):
    log_probs = log_probs.contiguous()
    return decoder.decode(log_probs.data_ptr(), *log_probs.shape)


def test_without_a_language_model(outputs):
    log_probs, symbols, texts = outputs
    options = flashlight.LexiconFreeDecoderOptions(
        beam_size=THEIR_BEAM,
        beam_size_token=len(symbols),
        beam_threshold=NOT_LIMITED,
        lm_weight=0.0,
        sil_score=0.0,
        log_add=True,
        criterion_type=flashlight.CriterionType.CTC,
    )
    space, model = symbols.index(" "), flashlight.ZeroLM()
    decoder = flashlight.LexiconFreeDecoder(options, model, space, 0, [])
    scores, right = [], 0
    for own, text in zip(log_probs, texts):
        theirs = decoded(decoder, own)[0]
        ours = ctc_beam_search(own[None], torch.tensor([len(own)]), BEAM)[0][0]
        path = [token for token, _ in itertools.groupby(theirs.tokens[1:-1])]  # without its own begin and end
        assert [token for token in path if token != 0] == ours.tokens
        assert ours.score == pytest.approx(theirs.score, abs=1e-4)
        scores.append(ours.score)
        right += "".join(symbols[token] for token in ours.tokens) == text
    assert len(scores) == UTTERANCES and 20 < right and min(scores) < -1, "neither a matter of course nor of chance"


class Trigrams(flashlight.LM):
    """Our n-gram model for flashlight's search. A state is a history of words, and none equals another."""

    def __init__(self, model: NgramModel):
        super().__init__()
        self.model = model
        self.states: dict = {}

    def start(self, start_with_nothing):
        state = flashlight.LMState()
        self.states[state] = torch.tensor([self.model.start]), 0.0
        return state

    def score(self, state, number):
        after = state.child(number)
        if after not in self.states:
            value, own = self.model.score(self.states[state][0], torch.tensor([number]))
            self.states[after] = own, float(value)
        return after, self.states[after][1]

    def finish(self, state):
        return self.score(state, self.model.words[END])


def test_with_a_trigram_model_and_its_words(outputs):
    log_probs, symbols, texts = outputs
    model = NgramModel(learn(texts[::2], 3))
    space = symbols.index(" ")
    words = {word: number for word, number in model.words.items() if not word.startswith("<")}
    trie = flashlight.Trie(len(symbols), space)
    for word, number in words.items():
        trie.insert([*(symbols.index(letter) for letter in word), space], number, 0.0)
    options = flashlight.LexiconDecoderOptions(
        beam_size=THEIR_BEAM,
        beam_size_token=len(symbols),
        beam_threshold=NOT_LIMITED,
        lm_weight=WEIGHT,
        word_score=WORD_SCORE,
        unk_score=-math.inf,
        sil_score=0.0,
        log_add=True,
        criterion_type=flashlight.CriterionType.CTC,
    )
    trigrams = Trigrams(model)
    decoder = flashlight.LexiconDecoder(options, trie, trigrams, space, 0, -1, [], False)
    is_space = torch.arange(len(symbols)) == space
    scoring = Scoring(
        Words(is_space, torch.zeros_like(is_space)),
        Lexicon(words, [None, None, *("" if symbol == " " else symbol for symbol in symbols[2:])], model.unknown),
        model,
        weight=WEIGHT,
        word_score=WORD_SCORE,
        closed=True,
    )
    by_number, right = {number: word for word, number in words.items()}, 0
    for own, text in zip(log_probs, texts):
        own = torch.cat([own, torch.where(is_space, 0.0, -1e3)[None]])
        theirs = decoded(decoder, own)[0]
        ours: dict[tuple[str, ...], list[float]] = {}
        for one in ctc_beam_search(own[None], torch.tensor([len(own)]), BEAM, scoring)[0]:
            ours.setdefault(tuple("".join(symbols[t] for t in one.tokens).split()), []).append(one.score)
        totals = {text: torch.tensor(scores, dtype=torch.float64).logsumexp(0).item() for text, scores in ours.items()}
        best = max(totals, key=totals.__getitem__)
        assert best == tuple(by_number[number] for number in theirs.words if number in by_number)
        assert totals[best] == pytest.approx(theirs.score, abs=1e-4)
        right += best == tuple(text.split())
    assert right > 20
