"""Words and phones with their times, from the events of eSpeak NG.

The events have exceptions. Common pairs ("on the", "out of") are pronounced as one word and have one word event. After
some pairs ("to be") the next event has a wrong character index. A numeral has several events. A word event may fall
into the last phone of the word before, so phones are assigned to words by the order of events, not by time. Before a
word-initial stop, the word event marks the start of the closure and the phone event its end.
"""

from __future__ import annotations

import re

Segment = tuple[int, int, str]  # start and end in samples, and the label

_STOPS = frozenset("pbtdkgɡqcɟʈɖ")


def spoken_words(text: str) -> list[tuple[int, str]]:
    """The character index and text of every run of letters, digits and inner apostrophes or hyphens."""
    return [(m.start(), m[0]) for m in re.finditer(r"\w+(?:['’\-]\w+)*", text)]


def align(
    text: str,
    word_events: list[tuple[int, int, int]],
    phone_events: list[tuple[str, int]],
    total: int,
) -> tuple[list[Segment], list[Segment]]:
    """Turn events into segments.

    Args:
        text: the text of the utterance.
        word_events: (character index, start sample, number of phone events before it), in order of time.
        phone_events: (name, start sample), in order of time; an empty name is a pause.
        total: samples of the utterance.

    Returns:
        Words in the order of ``text``, one segment each, and phones; pauses are the gaps between segments.

    Raises:
        ValueError: there are fewer phones than words, so that no alignment exists.
    """
    ends = [start for _, start in phone_events[1:]] + [total]
    spans = [[start, end, name] for (name, start), end in zip(phone_events, ends)]
    words = spoken_words(text)
    shares: list[tuple[list[str], list[list]]] = []
    groups = _groups(words, word_events)
    for (first, start, begin), (last, _, stop) in zip(groups, groups[1:] + [(len(words), total, len(spans))]):
        members = [word for _, word in words[first:last]]
        sounds = [span for span in spans[begin:stop] if span[2] and span[0] < span[1]]
        if len(sounds) < len(members):
            raise ValueError(f"the words {' '.join(members)!r} in {text!r} have too few sounds to be aligned")
        if sounds[0][2].lstrip("ˈˌ")[:1] in _STOPS:
            _give_closure(spans, sounds[0], start)
        shares.append((members, sounds))
    if not shares:
        raise ValueError(f"there are no words in {text!r}")
    aligned = [segment for members, sounds in shares for segment in _share(members, sounds)]
    return aligned, [(start, end, name) for start, end, name in spans if name and start < end]


def _groups(words: list[tuple[int, str]], events: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """First word, start sample and first phone of each run of words that has one word event."""
    at = [max((i for i, (start, _) in enumerate(words) if start <= event[0]), default=0) for event in events]
    groups: list[tuple[int, int, int]] = []
    for k, (index, (_, sample, phone)) in enumerate(zip(at, events)):
        if not groups:
            index = 0
        elif index <= groups[-1][0]:
            following = at[k + 1] if k + 1 < len(at) else len(words)
            index = groups[-1][0] + 1
            if index >= following:
                continue  # a further piece of one word (a numeral)
        groups.append((index, sample, phone))
    return groups


def _give_closure(spans: list[list], stop: list, start: int) -> None:
    """Let a stop begin with its closure at ``start``, and end the previous phone there."""
    position = spans.index(stop)
    before = spans[position - 1] if position else None
    if start < stop[0] and (before is None or before[0] < start):
        stop[0] = start
        if before is not None:
            before[1] = min(before[1], start)


def _share(members: list[str], spans: list[list]) -> list[Segment]:
    """Divide phones among words pronounced as one, by their letters; each word gets at least one phone."""
    letters = sum(len(word) for word in members)
    cuts, letters_before = [0], 0
    for index, word in enumerate(members[:-1]):
        letters_before += len(word)
        cut = round(len(spans) * letters_before / letters)
        cuts.append(min(max(cut, cuts[-1] + 1), len(spans) - (len(members) - 1 - index)))
    cuts.append(len(spans))
    return [(spans[a][0], spans[b - 1][1], word) for a, b, word in zip(cuts, cuts[1:], members)]
