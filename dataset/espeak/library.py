"""eSpeak NG through ctypes: text in, samples and events out.

Follows ``speak_lib.h`` and ``espeak_ng.h`` of eSpeak NG 1.52. The library draws breath and noise from a generator that
it seeds with the clock, and keeps the phase of its waves between calls. So the generator is seeded before every
utterance; a fresh process that makes the same calls in the same order then gives the same bytes.
"""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass, field
from pathlib import Path

SAMPLE_RATE = 22050

_SYNCHRONOUS, _BUFFER_MS = 2, 1000
_PHONEME_EVENTS, _IPA_NAMES, _DONT_EXIT = 1, 2, 0x8000
_RATE, _PITCH, _RANGE = 1, 3, 4
_CHARACTERS, _UTF8 = 1, 1
_LIST_END, _WORD, _PHONEME = 0, 1, 7


class _Id(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_void_p), ("string", ctypes.c_ubyte * 8)]


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Id),
    ]


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int16), ctypes.c_int, ctypes.POINTER(_Event))


@dataclass
class Speech:
    """The output for one text.

    Args:
        pcm: int16 mono at 22050 Hz as bytes.
        words: (character index, start sample, number of phone events before it).
        phones: (IPA name, start sample); an empty name is a pause.
    """

    pcm: bytearray = field(default_factory=bytearray)
    words: list[tuple[int, int, int]] = field(default_factory=list)
    phones: list[tuple[str, int]] = field(default_factory=list)


class Espeak:
    """The synthesiser. A process has one at most.

    Args:
        library: the file of the shared library.
        data: its folder ``espeak-ng-data``; eSpeak NG accepts a path of about 230 characters at most.

    Raises:
        RuntimeError: the library refuses its data folder, a voice, or a text.
    """

    def __init__(self, library: str | Path, data: str | Path) -> None:
        self.variants = Path(data) / "voices" / "!v"
        self.library = ctypes.CDLL(os.fspath(library))
        self.speech = Speech()
        self.callback = _Callback(self._collect)  # kept alive: the library holds a bare pointer to it
        options = _PHONEME_EVENTS | _IPA_NAMES | _DONT_EXIT
        rate = self.library.espeak_Initialize(_SYNCHRONOUS, _BUFFER_MS, os.fsencode(data), options)
        if rate != SAMPLE_RATE:
            raise RuntimeError(f"eSpeak NG did not start from {data}: got {rate}, expected {SAMPLE_RATE} Hz")
        self.library.espeak_SetSynthCallback(self.callback)

    def say(self, text: str, voice: str, *, rate: int, pitch: int, pitch_range: int = 50) -> Speech:
        """Synthesise ``text``.

        Args:
            voice: ``language`` or ``language+variant``.
            rate: words a minute.
            pitch: 0-99.
            pitch_range: 0-99.
        """
        variant = voice.partition("+")[2]
        # the library silently takes the plain voice for a variant that it does not have
        if variant and not (self.variants / variant).is_file():
            raise RuntimeError(f"eSpeak NG has no voice variant {variant!r} (in {voice!r})")
        if self.library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise RuntimeError(f"eSpeak NG has no voice {voice!r}")
        self.library.espeak_SetParameter(_RATE, rate, 0)
        self.library.espeak_SetParameter(_PITCH, pitch, 0)
        self.library.espeak_SetParameter(_RANGE, pitch_range, 0)
        self.library.espeak_ng_SetRandSeed(ctypes.c_long(1))
        self.speech = Speech()
        data = text.encode()
        status = self.library.espeak_Synth(data, len(data) + 1, 0, _CHARACTERS, 0, _UTF8, None, None)
        if status != 0 or not self.speech.pcm:
            raise RuntimeError(f"eSpeak NG gave no audio for {text!r} in voice {voice!r} (status {status})")
        return self.speech

    def _collect(self, samples: ctypes._Pointer, count: int, events: ctypes._Pointer) -> int:
        if samples and count > 0:
            self.speech.pcm += ctypes.string_at(samples, 2 * count)
        index = 0
        while events[index].type != _LIST_END:
            event = events[index]
            if event.type == _WORD:
                self.speech.words.append((event.text_position - 1, event.sample, len(self.speech.phones)))
            elif event.type == _PHONEME:
                # a name has at most 8 bytes; a longer one is cut, perhaps inside a character
                name = bytes(event.id.string).split(b"\0")[0].decode(errors="ignore")
                # "(en)" marks a switch of language and is silent
                self.speech.phones.append(("" if name.startswith("(") else name, event.sample))
            index += 1
        return 0
