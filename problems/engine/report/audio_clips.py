"""Audio inside the page: the recordings of utterances as small MP3s, in data URIs, up to a total size."""

from __future__ import annotations

import base64
import io
import logging
from dataclasses import dataclass
from pathlib import Path

from dataset import SAMPLE_RATE, SEPARATOR
from dataset.wording import count

log = logging.getLogger(__name__)

LIMIT_BYTES = 700_000
"""All MP3s of a page together; about three minutes of speech."""
BYTES_A_SECOND = 4000
"""Of libsndfile's MP3s at 16 kHz, in one channel."""
Place = tuple[str, float | None, float | None]
"""The path of an audio file, and the start and end in seconds of an utterance in it."""


@dataclass(frozen=True)
class Clip:
    """The audio of an utterance.

    key: the same for the same audio; uri: the audio, "" if it is left out; is_repeated: True if an earlier clip of
    the page has it.
    """

    path: str
    key: str = ""
    uri: str = ""
    is_repeated: bool = False


class Audio:
    """The audio of one test set.

    Args:
        csv: its metadata; without one that can be read, no audio is known.
        page: takes the clips of all test sets.
    """

    def __init__(self, csv: Path, page: Clips):
        self.page, self.places = page, _places(csv)

    def places_of(self, id: str) -> list[Place]:
        """The audio of an utterance, or of each utterance of an enrolment; none if it is not known."""
        parts = [id] if id in self.places else id.split(SEPARATOR)
        return [self.places[part] for part in parts if part in self.places]

    def times_of(self, id: str) -> dict[str, float | None]:
        """The start and end of a segment; nothing for a whole file."""
        _, *times = self.places.get(id, ("", None, None))
        return {} if times == [None, None] else dict(zip(("start_sec", "end_sec"), times))

    def clips(self, id: str) -> list[Clip]:
        """The clips of an utterance, or of each utterance of an enrolment."""
        return [self.page.clip(place) for place in self.places_of(id)]


def _places(csv: Path) -> dict[str, Place]:
    """The audio of each utterance of a test set, or of its trials, by id."""
    from dataset.metadata import MetadataError, read_csv
    from dataset.trial_tables import COLUMNS, read_trials

    try:
        table = read_csv(csv, ())
        if set(COLUMNS) <= set(table):
            return {id: (path, None, None) for id, path in read_trials(csv)[1].items()}
        if not {"id", "wav_path"} <= set(table):
            return {}
        none = [""] * len(table)
        times = [table[name] if name in table else none for name in ("start_sec", "end_sec")]
        rows = zip(table["id"], table["wav_path"], *times)
        return {id: (path, _seconds(start), _seconds(end)) for id, path, start, end in rows}
    except (MetadataError, ValueError) as error:
        log.warning("no audio in the report: %s", error)
        return {}


def _seconds(cell: str) -> float | None:
    return float(cell) if cell else None


class Clips:
    """The clips of one page.

    Args:
        limit_bytes: of all clips together; an utterance that is too long for what is left has none.
    """

    def __init__(self, limit_bytes: int = LIMIT_BYTES):
        self.left = limit_bytes
        self.limit = limit_bytes
        self.skipped = 0
        self.broken: list[str] = []
        self._known: dict[Place, str] = {}

    def clip(self, place: Place) -> Clip:
        """The clip of an utterance, if there is room for it and it can be read."""
        path = place[0]
        if place in self._known:
            return Clip(path, self._known[place], is_repeated=True)
        content = self._encoded(place)
        if not content:
            return Clip(path)
        self.left -= len(content)
        key = self._known[place] = f"clip-{len(self._known) + 1}"
        return Clip(path, key, "data:audio/mpeg;base64," + base64.b64encode(content).decode())

    def _encoded(self, place: Place) -> bytes:
        """The MP3 of an utterance at 16 kHz; empty if it cannot be read, or if there is no room for it."""
        import soundfile

        from dataset.audio import AudioError, info, read

        path, start, end = place
        try:
            seconds = (info(path).seconds if end is None else end) - (start or 0.0)
            if seconds * BYTES_A_SECOND > self.left:  # known before hours are decoded
                self.skipped += 1
                return b""
            samples = read(*place).numpy()
            file = io.BytesIO()
            soundfile.write(file, samples, SAMPLE_RATE, format="MP3")
        except AudioError as error:
            self.broken.append(str(error))
            return b""
        except (soundfile.LibsndfileError, ValueError) as error:
            self.broken.append(f"{path}: cannot be written as MP3 ({error}); libsndfile 1.1 or newer can")
            return b""
        return file.getvalue()

    @property
    def notes(self) -> list[str]:
        """The utterances that the page has no audio of, and why."""
        notes = []
        if self.skipped:
            who = count(self.skipped, "utterance")
            notes.append(f"The audio of {who} is left out: the page holds at most {self.limit / 1000:g} kB of audio.")
        if self.broken:
            who = count(len(self.broken), "utterance")
            notes.append(f"The audio of {who} cannot be shown, such as {self.broken[0]}.")
        return notes
