"""Guess the phones of English words that a lexicon lacks, by the recurrent network of the package g2p_en.

Only the weights of the package are read (Park and Kim, github.com/Kyubyong/g2p): importing it would download data of
nltk. The network is a GRU that reads the letters, and one that writes phones of CMUdict, with stress.
"""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import numpy as np

MISSING = 'the phones of unknown words are guessed by the package g2p_en: pip install "soundstage[g2p]"'

LETTERS = {letter: number for number, letter in enumerate("abcdefghijklmnopqrstuvwxyz", start=3)}
END_OF_WORD = 2
START, STOP = 2, 3
MOST_PHONES = 20

VOWELS = ("AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW")
CONSONANTS = "B CH D DH F G HH JH K L M N NG P R S SH T TH V W Y Z ZH".split()
PHONES = ["", "", "", "", *sorted([*(f"{vowel}{stress}" for vowel in VOWELS for stress in "012"), *CONSONANTS, "UW"])]
"""The phones by their numbers; the first four are the padding, the unknown, the start and the stop."""


class Guesser:
    """Guesses the phones of single words.

    Raises:
        ImportError: g2p_en is not installed.
    """

    def __init__(self) -> None:
        spec = importlib.util.find_spec("g2p_en")
        if spec is None or spec.origin is None:
            raise ImportError(MISSING)
        with np.load(Path(spec.origin).parent / "checkpoint20.npz", allow_pickle=False) as file:
            self.weights = {name: file[name] for name in file.files}

    @staticmethod
    def can_read(word: str) -> bool:
        """True for words of English letters and apostrophes."""
        return re.fullmatch(r"['’]*[a-z][a-z'’]*", word.lower()) is not None

    def __call__(self, word: str) -> str:
        """The phones of a word, with stress, separated by spaces; apostrophes are left out.

        Raises:
            ValueError: the word has other characters than English letters and apostrophes.
        """
        if not self.can_read(word):
            raise ValueError(f"{word!r} is no English word: expected the letters a to z")
        state = np.zeros((1, self.weights["enc_w_hh"].shape[1]), np.float32)
        for number in [*(LETTERS[letter] for letter in re.sub("['’]", "", word.lower())), END_OF_WORD]:
            state = self._step("enc", number, state)
        phones, last = [], START
        for _ in range(MOST_PHONES):
            state = self._step("dec", last, state)
            last = int((state @ self.weights["fc_w"].T + self.weights["fc_b"]).argmax())
            if last == STOP:
                break
            phones.append(PHONES[last])
        return " ".join(phone for phone in phones if phone)

    def _step(self, side: str, number: int, state: np.ndarray) -> np.ndarray:
        """The state (1, H) of a GRU after a letter or a phone."""
        w = self.weights
        x = w[f"{side}_emb"][number] @ w[f"{side}_w_ih"].T + w[f"{side}_b_ih"]
        h = state @ w[f"{side}_w_hh"].T + w[f"{side}_b_hh"]
        size = state.shape[1]
        gates = 1 / (1 + np.exp(-(x[: 2 * size] + h[:, : 2 * size])))
        reset, update = gates[:, :size], gates[:, size:]
        return (1 - update) * np.tanh(x[2 * size :] + reset * h[:, 2 * size :]) + update * state
