"""Pronunciations: words to phones by a lexicon file, such as CMUdict or LibriSpeech's."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

MOST_LISTED = 20


class LexiconError(ValueError):
    """A lexicon cannot be read, or lacks words; the message names the file and lists them."""


def read_lexicon(path: str | os.PathLike[str], stress: bool = False) -> dict[str, str]:
    """The first pronunciation of each word, in lower case.

    A line is a word and its phones, separated by white space. Lines that begin with ";;;" are comments; the later
    pronunciations of CMUdict, as of ``read(2)``, are left out.

    Args:
        stress: keep the digits of stressed vowels, as in ``AH0``.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise LexiconError(f"{path}: the lexicon cannot be read ({error.strerror}); check the path") from error
    lexicon: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        word, *phones = line.split("#")[0].split() or [""]
        if not word or word.startswith(";;;") or re.search(r"\(\d+\)$", word):
            continue
        if not phones:
            raise LexiconError(f"{path}, line {number}: {word!r} has no phones")
        kept = phones if stress else [re.sub(r"\d$", "", phone) for phone in phones]
        lexicon.setdefault(word.lower(), " ".join(kept))
    if not lexicon:
        raise LexiconError(f"{path} holds no word; expected lines such as: hello HH AH0 L OW1")
    return lexicon


def to_phones(texts: Iterable[str], lexicon: dict[str, str], path: str | os.PathLike[str]) -> list[str]:
    """The phones of each text.

    Raises:
        LexiconError: words are not in the lexicon; the message lists the most frequent of them.
    """
    texts = list(texts)
    unknown = Counter(word for text in texts for word in text.lower().split() if word not in lexicon)
    if unknown:
        listed = ", ".join(f"{word} ({count})" for word, count in unknown.most_common(MOST_LISTED))
        more = f", and {len(unknown) - MOST_LISTED} more" if len(unknown) > MOST_LISTED else ""
        raise LexiconError(
            f"{path} lacks {len(unknown)} words of the transcripts: {listed}{more}; add them, each with its phones"
        )
    return [" ".join(lexicon[word] for word in text.lower().split()) for text in texts]
