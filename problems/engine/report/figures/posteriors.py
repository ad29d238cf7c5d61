"""Pictures of posteriors: which symbols a model finds likely in the frames of an utterance."""

from __future__ import annotations

import json
from typing import NamedTuple

import numpy as np

from problems.engine.report.charts.axis import linear
from problems.engine.report.charts.figure import Figure, Row, element, joined

LEFT, WIDTH, LANE = 110.0, 800, 16
VISIBLE, LIKELY = 0.05, 0.1
ROW_PIXELS, FRAME_PIXELS = 8, 4


class Posteriors(NamedTuple):
    """Probabilities (S, T) of S symbols in T frames of some seconds."""

    symbols: list[str]
    probs: np.ndarray
    frame_sec: float | None


def read_posteriors(text: str) -> Posteriors | None:
    """The posteriors that ``tasks.posteriors`` has written; None if they are damaged or show nothing."""
    try:
        content = json.loads(text)
        symbols, frame_sec = list(map(str, content["symbols"])), content["frame_sec"]
        probs = np.array([[int(level, 36) / 35 for level in row] for row in content["levels"]])
    except (ValueError, KeyError, TypeError):
        return None
    is_whole = probs.ndim == 2 and len(probs) == len(symbols) and probs.size > 0
    return Posteriors(symbols, probs, frame_sec) if is_whole else None


def pixels(posteriors: Posteriors) -> np.ndarray:
    """A grey picture, uint8 (height, width): a row for each symbol, the darker the likelier."""
    grey = (255 * (1 - posteriors.probs)).astype(np.uint8)
    return grey.repeat(ROW_PIXELS, axis=0).repeat(FRAME_PIXELS, axis=1)


def posteriors_figure(title: str, posteriors: Posteriors) -> Figure:
    """A lane for each symbol, the stronger the likelier; the table has the times at which it is likely."""
    symbols, probs, frame_sec = posteriors
    unit, seconds = ("frame", 1.0) if frame_sec is None else ("s", frame_sec)
    x = linear([0.0, probs.shape[1] * seconds], LEFT, WIDTH - 10.0)
    drawn, rows = [], []
    for lane, (symbol, own) in enumerate(zip(symbols, probs)):
        top = lane * LANE
        drawn.append(element("text", symbol if symbol.strip() else "␣", x=LEFT - 8, y=top + 12, class_="end"))
        drawn.append(element("path", class_="grid", d=f"M{LEFT:.0f} {top + LANE / 2:.1f}H{WIDTH - 10}"))
        for first, last in _runs(own >= VISIBLE):
            highest = float(own[first:last].max())
            for frame in range(first, last):
                start, end = x.place(frame * seconds), x.place((frame + 1) * seconds)
                cell = {"x": start, "width": end - start, "fill_opacity": f"{own[frame]:.2f}"}
                drawn.append(element("rect", class_="f0", y=top + 1, height=LANE - 2, **cell))
            if highest >= LIKELY:
                times = [f"{place * seconds:.2f}" if frame_sec else str(place) for place in (first, last)]
                middle = x.place((first + last) / 2 * seconds)
                rows.append(Row([symbol, *times, f"{highest:.0%}"], middle, [top + LANE / 2]))
    bottom = len(symbols) * LANE + 2
    for value, text in x.ticks:
        drawn.append(element("path", class_="axis", d=f"M{x.place(value):.1f} {bottom}v4"))
        drawn.append(element("text", f"{text} {unit}", x=x.place(value), y=bottom + 18, class_="middle"))
    return Figure(
        title=title,
        svg=joined(*drawn),
        header=["symbol", f"from ({unit})", f"to ({unit})", "highest probability"],
        rows=sorted(rows, key=lambda row: row.x),
        summary=f"{title}: the probabilities of {len(symbols)} symbols in {probs.shape[1]} frames.",
        height=bottom + 24,
        width=WIDTH,
        by="xy",
    )


def _runs(is_in: np.ndarray) -> list[tuple[int, int]]:
    """The first place of each run of true values, and the place after its last."""
    changes = np.flatnonzero(np.diff(np.concatenate([[False], is_in, [False]]).astype(np.int8)))
    return list(zip(changes[::2].tolist(), changes[1::2].tolist()))
