"""A VoxCeleb1 without audio for the tests: 20 speakers, the list of the splits, and a list of trials."""

from __future__ import annotations

from pathlib import Path

from tests.parts.corpora import touch


def make_voxceleb1(root: Path) -> Path:
    """20 speakers with two videos of two utterances; the last four are the test speakers, in their own archive."""
    lines = []
    for number in range(20):
        for video in ("1zcIwhmdeo4", "_-xYz"):
            for n in (1, 2):
                name = f"id{10001 + number}/{video}/{n:05}.wav"
                touch(root / ("dev" if number < 16 else "test") / "wav" / name)
                lines.append(f"{(1 if n == 1 else 2) if video[0] == '1' else 3} {name}")
    (root / "iden_split.txt").write_text("\n".join(lines))
    trials = [
        "1 id10017/1zcIwhmdeo4/00001.wav id10017/_-xYz/00002.wav",
        "0 id10017/1zcIwhmdeo4/00001.wav id10020/_-xYz/00001.wav",
    ]
    (root / "veri_test.txt").write_text("\n".join(trials) + "\n\n")
    return root
