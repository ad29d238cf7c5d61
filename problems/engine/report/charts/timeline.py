"""Timelines: who speaks, or what is heard, when in a recording, by the reference and by the hypothesis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from problems.engine.report.charts.axis import linear
from problems.engine.report.charts.figure import Figure, Row, element, joined
from problems.engine.report.charts.plot import RUNS

Turn = tuple[float, float, str]
LEFT, WIDTH, LANE = 110.0, 800, 20
KINDS = ("reference", "hypothesis")
MOST = 300
"""Turns that are drawn; of a longer recording, those at its beginning."""


def timeline_figure(title: str, reference: Sequence[Turn], hypothesis: Sequence[Turn]) -> Figure:
    """A lane for each speaker or event; one of the hypothesis has the colour of the one that it overlaps most.

    Args:
        reference, hypothesis: start and end in seconds, and the speaker or event.
    """
    starts, note = sorted(turn[0] for turn in (*reference, *hypothesis)), ""
    if len(starts) > MOST:
        reference, hypothesis = ([turn for turn in own if turn[0] < starts[MOST]] for own in (reference, hypothesis))
        note = f"the turns that begin in the first {starts[MOST]:.0f} s"
    ends = [turn[1] for turn in (*reference, *hypothesis)]
    x = linear([0.0, *ends], LEFT, WIDTH - 10.0)
    colours = [_colours(reference), {}]
    colours[1] = _matched(hypothesis, reference, colours[0])
    drawn, rows, top = [], [], 6
    for kind, turns, own in zip(KINDS, (reference, hypothesis), colours):
        drawn.append(element("text", kind, x=0, y=top + 12, class_="strong"))
        top += 18
        for speaker, colour in own.items():
            drawn.append(element("text", _cut(speaker), x=LEFT - 8, y=top + 14, class_="end"))
            drawn.append(element("path", class_="grid", d=f"M{LEFT:.0f} {top + LANE / 2:.1f}H{WIDTH - 10}"))
            for start, end, _ in (turn for turn in turns if turn[2] == speaker):
                place = {"x": x.place(start), "width": max(1.0, x.place(end) - x.place(start))}
                shape = {"class_": f"f{colour}", "data_row": len(rows), "rx": 2}
                drawn.append(element("rect", y=top + 3, height=LANE - 6, **place, **shape))
                middle = x.place((start + end) / 2)
                rows.append(Row([kind, speaker, f"{start:.2f}", f"{end:.2f}"], middle, [top + LANE / 2]))
            top += LANE
    for value, text in x.ticks:
        drawn.append(element("path", class_="axis", d=f"M{x.place(value):.1f} {top + 2}v4"))
        drawn.append(element("text", f"{text} s", x=x.place(value), y=top + 18, class_="middle"))
    drawn.append(element("path", class_="axis", d=f"M{LEFT:.0f} {top + 2}H{WIDTH - 10}"))
    return Figure(
        title=title,
        svg=joined(*drawn),
        header=["turns of", "speaker or event", "start (s)", "end (s)"],
        rows=rows,
        summary=f"{title}: {len(colours[0])} speakers or events in the reference with {len(reference)} turns,"
        f" {len(colours[1])} in the hypothesis with {len(hypothesis)}.",
        note=note,
        height=top + 24,
        width=WIDTH,
        by="xy",
        zero=LEFT,
        second=(x.end - x.start) / x.high,
    )


def _colours(turns: Sequence[Turn]) -> dict[str, int]:
    """A colour for each speaker, in the order of first appearance."""
    speakers = dict.fromkeys(speaker for *_, speaker in sorted(turns))
    return {speaker: RUNS[number % len(RUNS)] for number, speaker in enumerate(speakers)}


def _matched(turns: Sequence[Turn], others: Sequence[Turn], colours: Mapping[str, int]) -> dict[str, int]:
    """For each speaker the colour of the other who overlaps most, each taken once; others get the colours left over."""
    overlaps: dict[tuple[str, str], float] = {}
    for start, end, speaker in turns:
        for first, last, other in others:
            shared = min(end, last) - max(start, first)
            if shared > 0:
                overlaps[speaker, other] = overlaps.get((speaker, other), 0.0) + shared
    matches: dict[str, int] = {}
    taken: set[str] = set()
    for (speaker, other), _ in sorted(overlaps.items(), key=lambda item: (-item[1], item[0])):
        if speaker not in matches and other not in taken:
            matches[speaker] = colours[other]
            taken.add(other)
    left = [colour for colour in RUNS if colour not in {colours[other] for other in taken}] or list(RUNS)
    order = list(_colours(turns))
    extra = [speaker for speaker in order if speaker not in matches]
    matches |= {speaker: left[number % len(left)] for number, speaker in enumerate(extra)}
    return {speaker: matches[speaker] for speaker in order}


def _cut(name: str, longest: int = 15) -> str:
    return name if len(name) <= longest else f"{name[: longest - 1]}…"
