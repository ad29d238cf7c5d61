"""Texts to IPA by eSpeak NG, in any of its languages: words in their context, numbers as they are read aloud.

A phone is what eSpeak NG gives as one, such as a diphthong or an affricate. Characters of foreign scripts are named.
"""

from __future__ import annotations

import ctypes
import json
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from dataset.espeak.apart import locate, run_apart
from dataset.wording import nearest

MISSING = 'eSpeak NG is in the package espeakng-loader (GPL-3): pip install "soundstage[toy]"'
NO_DICTIONARY = (
    "eSpeak NG gave no phones of {language}: it was built without the dictionary of this language; choose another one,"
    " or give a lexicon that is a file"
)
STRESS_MARKS = str.maketrans("", "", "ˈˌ")
LINKS = str.maketrans("_-", "  ")
"""Between phones, and after one that is linked to the next word, as in the French ``m_a-``."""
LANGUAGE_SWITCH = re.compile(r"\([a-z-]+\)")
"""The mark of a word in another language, as in ``(en)_dʒ_iː_n_z_(de)``."""

_UTF8, _IPA, _SEPARATED = 1, 2, ord("_") << 8


class EspeakError(ValueError):
    """eSpeak NG is not installed, lacks a language, or cannot read a text."""


def library_of(language: str) -> dict[str, str]:
    """The file of the ``library`` and the folder of its ``data``, which have a language.

    Raises:
        EspeakError: it is not installed, or has no such language.
    """
    library = locate()
    if library is None:
        raise EspeakError(MISSING)
    files = (Path(library["data"]) / "lang").rglob("*")
    languages = sorted(path.name.lower() for path in files if path.is_file())
    if language.lower() not in languages:
        raise EspeakError(
            f"eSpeak NG has no language {language!r}{nearest(language.lower(), languages)}: expected one of"
            f" {', '.join(languages)}"
        )
    return library


def to_ipa(texts: Sequence[str], language: str = "en-us", stress: bool = False) -> list[str]:
    """The phones of each text, separated by spaces.

    Args:
        language: as eSpeak NG calls it.
        stress: keep the marks ˈ and ˌ before stressed phones.

    Raises:
        EspeakError: eSpeak NG is not installed, has no such language or no dictionary of it, or fails.
    """
    request = {**library_of(language), "language": language, "texts": list(texts)}
    with tempfile.TemporaryDirectory(prefix="espeak ") as folder:
        source, target = Path(folder, "request.json"), Path(folder, "phones.json")
        source.write_text(json.dumps(request), encoding="utf-8")
        reason = run_apart(__name__, str(source), str(target))
        if reason is not None and "Can't read dictionary" in reason:  # it may crash, or give no phones
            raise EspeakError(NO_DICTIONARY.format(language=language))
        if reason is not None:
            raise EspeakError(f"eSpeak NG gave no phones of {language}: its process {reason}")
        written = json.loads(target.read_text(encoding="utf-8"))
    phones = [_phones(own if stress else own.translate(STRESS_MARKS)) for own in written]
    if not any(phones) and any(map(str.isalnum, "".join(texts))):
        raise EspeakError(NO_DICTIONARY.format(language=language))
    return phones


def _phones(written: str) -> str:
    """Phones separated by spaces, of eSpeak NG's words with ``_`` between their phones."""
    return " ".join(LANGUAGE_SWITCH.sub("_", written).translate(LINKS).split())


def main(request_file: str, target: str) -> int:
    """Run the process: write the phones of the texts of a request, and return the exit code."""
    request = json.loads(Path(request_file).read_text(encoding="utf-8"))
    from dataset.espeak.library import Espeak

    library = Espeak(request["library"], request["data"]).library
    if library.espeak_SetVoiceByName(request["language"].encode()) != 0:
        raise RuntimeError(f"eSpeak NG has no voice {request['language']!r}")
    library.espeak_TextToPhonemes.restype = ctypes.c_char_p
    phones = [_clauses(library, text) for text in request["texts"]]
    Path(target).write_text(json.dumps(phones), encoding="utf-8")
    return 0


def _clauses(library: ctypes.CDLL, text: str) -> str:
    """The phones of a text, clause by clause."""
    buffer = ctypes.create_string_buffer(text.replace("\0", " ").encode())
    rest = ctypes.c_void_p(ctypes.addressof(buffer))
    clauses = []
    while rest.value:
        clauses.append(library.espeak_TextToPhonemes(ctypes.byref(rest), _UTF8, _SEPARATED | _IPA).decode())
    return " ".join(clauses)
