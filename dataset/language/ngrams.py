"""N-gram language models: learnt from texts by interpolated Kneser-Ney, read and written as ARPA files.

A small model of the training transcripts needs no toolkit, and no compiled package; a large one is made elsewhere and
read here. Kneser and Ney, "Improved backing-off for m-gram language modeling", ICASSP 1995; interpolated, with one
discount per order, as in Chen and Goodman, "An empirical study of smoothing techniques", CSL 1999.
"""

from __future__ import annotations

import math
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from dataset.storage.files import write_text

BEGIN, END, UNKNOWN = "<s>", "</s>", "<unk>"
Ngram = tuple[str, ...]
Model = dict[Ngram, tuple[float, float]]
"""The log10 probability of each n-gram's last word after the others, and the log10 weight of backing off from it."""


class NgramError(ValueError):
    """A language model cannot be learnt or read; the message says why, and names file and line."""


def learn(texts: Iterable[str], order: int = 3) -> Model:
    """A model of the words of some texts, each a sentence.

    Args:
        order: the longest n-gram, at least 1.

    Raises:
        NgramError: there is no word, or the order is no whole number from 1.
    """
    if isinstance(order, bool) or not isinstance(order, int) or order < 1:
        raise NgramError(f"order is {order!r}: expected a whole number from 1")
    sentences = [[BEGIN, *text.split(), END] for text in texts if text.split()]
    if not sentences:
        raise NgramError("a language model cannot be learnt: there is no word in any text")
    counts = _adjusted_counts(sentences, order)
    vocabulary = sorted({ngram[0] for ngram in counts[0]} | {END})
    model: Model = {(BEGIN,): (-99.0, 0.0)}
    size = len(vocabulary) + 1  # with the unknown word
    probabilities: dict[Ngram, float] = {}
    for length, own in enumerate(counts, start=1):
        discount = _discount(own)
        totals: Counter[Ngram] = Counter()
        kinds: Counter[Ngram] = Counter()
        for ngram, count in own.items():
            totals[ngram[:-1]] += count
            kinds[ngram[:-1]] += 1
        weights = {history: discount * kinds[history] / totals[history] for history in totals}
        for ngram, count in sorted(own.items()):
            lower = 1 / size if length == 1 else probabilities[ngram[1:]]
            probabilities[ngram] = (count - discount) / totals[ngram[:-1]] + weights[ngram[:-1]] * lower
            model[ngram] = (math.log10(probabilities[ngram]), 0.0)
        if length == 1:
            model[(UNKNOWN,)] = (math.log10(weights[()] / size), 0.0)
        else:
            for history, weight in weights.items():
                model[history] = (model[history][0], math.log10(weight))
    return model


def _adjusted_counts(sentences: Sequence[Sequence[str]], order: int) -> list[Counter[Ngram]]:
    """The counts of n-grams of each length.

    Of the longest, and of those that begin a sentence: how often they occur; of others, after how many different words.
    """
    occurrences: list[Counter[Ngram]] = [Counter() for _ in range(order)]
    for words in sentences:
        for length in range(1, order + 1):
            occurrences[length - 1].update(tuple(words[i : i + length]) for i in range(len(words) - length + 1))
    del occurrences[0][(BEGIN,)]
    counts = []
    for length in range(1, order + 1):
        if length == order:
            counts.append(occurrences[length - 1])
            continue
        before: dict[Ngram, int] = defaultdict(int)
        for longer in occurrences[length]:
            before[longer[1:]] += 1
        own = Counter({ngram: before[ngram] for ngram in occurrences[length - 1] if ngram[0] != BEGIN})
        own.update({ngram: count for ngram, count in occurrences[length - 1].items() if ngram[0] == BEGIN})
        counts.append(+own)
    return counts


def _discount(counts: Counter[Ngram]) -> float:
    """The discount of each count: n1 / (n1 + 2 n2), of the n-grams that were counted once and twice."""
    once, twice = (sum(1 for count in counts.values() if count == number) for number in (1, 2))
    return once / (once + 2 * twice) if once and twice else 0.5


def write_arpa(model: Model, path: str | os.PathLike[str]) -> None:
    """Write a model as an ARPA file."""
    order = max(map(len, model))
    by_length = [sorted(ngram for ngram in model if len(ngram) == length) for length in range(1, order + 1)]
    lines = ["\\data\\", *(f"ngram {n}={len(own)}" for n, own in enumerate(by_length, start=1))]
    for length, own in enumerate(by_length, start=1):
        lines += ["", f"\\{length}-grams:"]
        for ngram in own:
            probability, backoff = model[ngram]
            weight = f"\t{backoff:.7g}" if length < order and backoff else ""
            lines.append(f"{probability:.7g}\t{' '.join(ngram)}{weight}")
    write_text(Path(path), "\n".join([*lines, "", "\\end\\", ""]))


def read_arpa(path: str | os.PathLike[str]) -> Model:
    """Read an ARPA file.

    Raises:
        NgramError: it does not exist, or is no ARPA file; the message names the line.
    """
    model: Model = {}
    length, ended = 0, False
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise NgramError(f"{path}: the language model cannot be read ({error.strerror}); check the path") from error
    except UnicodeDecodeError as error:
        raise NgramError(f"{path} is no ARPA file in UTF-8 ({error})") from error
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if text.startswith("\\") and text.endswith("-grams:"):
            length = _whole(text[1:].removesuffix("-grams:"), path, number)
        elif text == "\\end\\":
            ended = True
            break
        elif text and length:
            ngram, entry = _entry(text.split(), length, path, number)
            model[ngram] = entry
    if not ended or not model:
        raise NgramError(f"{path} is no whole ARPA file: it has {'no n-grams' if not model else 'no end'}")
    return model


def _entry(
    parts: list[str], length: int, path: str | os.PathLike[str], number: int
) -> tuple[Ngram, tuple[float, float]]:
    """The n-gram of a line, with its probability and its weight."""
    try:
        if len(parts) not in (length + 1, length + 2):
            raise ValueError
        weight = float(parts[-1]) if len(parts) == length + 2 else 0.0
        return tuple(parts[1 : length + 1]), (float(parts[0]), weight)
    except ValueError:
        text = " ".join(parts)
        raise NgramError(
            f"{path}, line {number}: expected a probability, {length} words and perhaps a weight, got {text!r}"
        ) from None


def _whole(text: str, path: str | os.PathLike[str], number: int) -> int:
    if not text.isdigit():
        raise NgramError(f"{path}, line {number}: expected the length of n-grams, got {text!r}")
    return int(text)
