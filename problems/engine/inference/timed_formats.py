"""Files of times: CTM, RTTM, TextGrid, SRT and WebVTT."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from dataset.diarization.turns import Turn, rttm_lines
from tasks.results import Result, Segment

CAPTION_CHARS, CAPTION_SEC, PAUSE_SEC = 42, 6.0, 0.8
"""A caption ends before it becomes longer than these, and at a pause."""


def file_of(source: str) -> str:
    """The path of a recording; of a part, that of its file."""
    return re.sub(r"\[[\d.]+-[\d.]*\]$", "", source)


def id_of(path: str) -> str:
    """The name of a file without folder and suffix, and without spaces."""
    name = path.replace("\\", "/").rpartition("/")[2]
    return re.sub(r"\s", "_", name.rpartition(".")[0] or name)


def recording_id(result: Result) -> str:
    """The name of the recording in formats that hold several."""
    return id_of(file_of(str(result.source)))


def ctm(result: Result) -> str:
    """NIST's time-marked conversations: recording, channel, start, length, word, confidence.

    Of words and their phones, the phones.
    """
    tiers = result.tiers()
    if "phones" in tiers:
        tiers = {"phones": tiers["phones"]}
    segments = sorted((own for tier in tiers.values() for own in tier), key=lambda own: (own.start, own.end))
    lines = []
    for own in segments:
        word = re.sub(r"\s", "_", own.text)
        confidence = "" if own.confidence is None else f" {own.confidence:.4f}"
        lines.append(f"{recording_id(result)} 1 {own.start:.3f} {own.end - own.start:.3f} {word}{confidence}\n")
    return "".join(lines)


def rttm(result: Result) -> str:
    """NIST's rich transcription time marks; the name of a tier is that of the speaker."""
    turns = [Turn(own.start, own.end, speaker) for speaker, tier in result.tiers().items() for own in tier]
    return rttm_lines(recording_id(result), sorted(turns))


# ---- captions ----


def captions(result: Result) -> list[Segment]:
    """Words joined to captions, without their phones; what is not words as it is, in order of time."""
    tiers = result.tiers()
    words = tiers.pop("words", [])
    if words:
        tiers.pop("phones", None)
    groups: list[list[Segment]] = []
    for word in words:
        if groups and _fits(groups[-1], word):
            groups[-1].append(word)
        else:
            groups.append([word])
    joined = [Segment(own[0].start, own[-1].end, " ".join(word.text for word in own)) for own in groups]
    others = [own for tier in tiers.values() for own in tier]
    return sorted(joined + others, key=lambda own: (own.start, own.end))


def _fits(caption: Sequence[Segment], word: Segment) -> bool:
    chars = sum(len(own.text) + 1 for own in caption) + len(word.text)
    is_short = chars <= CAPTION_CHARS and word.end - caption[0].start <= CAPTION_SEC
    return is_short and word.start - caption[-1].end < PAUSE_SEC


def _clock(seconds: float, comma: str) -> str:
    whole, milliseconds = divmod(round(seconds * 1000), 1000)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}{comma}{milliseconds:03}"


def srt(result: Result) -> str:
    """SubRip's subtitles."""
    rows = enumerate(captions(result), start=1)
    return "".join(f"{n}\n{_clock(own.start, ',')} --> {_clock(own.end, ',')}\n{own.text}\n\n" for n, own in rows)


def vtt(result: Result) -> str:
    """The W3C's Web Video Text Tracks."""
    escapes = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
    rows = (
        f"{_clock(own.start, '.')} --> {_clock(own.end, '.')}\n{own.text.translate(escapes)}\n\n"
        for own in captions(result)
    )
    return "WEBVTT\n\n" + "".join(rows)


# ---- Praat ----


def textgrid(result: Result) -> str:
    """Praat's TextGrid, in its long form; what overlaps in a tier is cut at the next interval's start."""
    tiers, end = result.tiers(), max([result.seconds or 0.0, *_ends(result)])
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0", f"xmax = {end:.3f}"]
    lines += ["tiers? <exists>", f"size = {len(tiers)}", "item []:"]
    for number, (name, segments) in enumerate(tiers.items(), start=1):
        intervals = list(_intervals(segments, end))
        lines += [f"    item [{number}]:", '        class = "IntervalTier"', f'        name = "{_quoted(name)}"']
        lines += ["        xmin = 0", f"        xmax = {end:.3f}", f"        intervals: size = {len(intervals)}"]
        for place, own in enumerate(intervals, start=1):
            lines += [
                f"        intervals [{place}]:",
                f"            xmin = {own.start:.3f}",
                f"            xmax = {own.end:.3f}",
            ]
            lines += [f'            text = "{_quoted(own.text)}"']
    return "\n".join(lines) + "\n"


def _ends(result: Result) -> Iterator[float]:
    return (own.end for tier in result.tiers().values() for own in tier)


def _quoted(text: str) -> str:
    return text.replace('"', '""')


def _intervals(segments: Sequence[Segment], end: float) -> Iterator[Segment]:
    """Segments without gaps and overlaps from 0 to ``end``."""
    position, ordered = 0.0, sorted(segments, key=lambda own: own.start)
    for own, following in zip(ordered, [*(later.start for later in ordered[1:]), end]):
        start, stop = max(own.start, position), min(own.end, following)
        if stop <= start:
            continue
        if start > position:
            yield Segment(position, start, "")
        yield Segment(start, stop, own.text)
        position = stop
    if position < end or not ordered:
        yield Segment(position, end, "")
