"""Lines of partial results; whole streams are in ``tests/end_to_end/test_predict_stream.py``."""

from __future__ import annotations

import io

from problems.engine.inference.live import LiveOutput
from tasks.results import Transcript


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def said(text: str) -> Transcript:
    return Transcript(text, [], [], source="a.wav", seconds=1.0)


def test_a_recording_that_breaks_off_leaves_nothing_on_a_terminal_and_the_next_begins_anew():
    terminal, file = Terminal(), io.StringIO()
    for stream in (terminal, file):
        output = LiveOutput(stream, "text")
        output.write(said("one"), is_final=False)
        output.abandon()
        output.write(said("one"), is_final=False)
    assert terminal.getvalue() == "\r\x1b[Kone\r\x1b[K\r\x1b[Kone"
    assert file.getvalue() == "a.wav\tpartial\tone\n" * 2
