"""Diarization errors equal those of pyannote.metrics and of NIST's md-eval, on real and on random turns."""

from __future__ import annotations

import math
import random
import re
import shutil
import subprocess
import warnings

import pytest

from dataset.diarization.turns import Turn, read_rttm, rttm_lines
from tasks.metrics.diarization import score
from tests.conftest import data_folder

SETTINGS = [(0.0, False), (0.25, False), (0.1, True)]


def random_turns(rng: random.Random, speakers: int) -> list[Turn]:
    """Turns over about a minute; those of one speaker do not touch."""
    turns = []
    for number in range(speakers):
        time = rng.uniform(0, 5)
        while time < 60:
            end = time + rng.uniform(0.2, 6)
            turns.append(Turn(round(time, 3), round(end, 3), f"s{number}"))
            time = end + rng.uniform(0.1, 10)
    return sorted(turns)


def disturbed(rng: random.Random, turns: list[Turn]) -> list[Turn]:
    """A system's turns: moved, dropped, given to others."""
    moved = []
    for start, end, speaker in turns:
        if rng.random() < 0.85:
            start = max(0.0, start + rng.uniform(-0.4, 0.4))
            name = speaker if rng.random() < 0.8 else f"s{rng.randrange(6)}"
            moved.append(Turn(round(start, 3), round(max(start + 0.1, end + rng.uniform(-0.4, 0.4)), 3), f"x{name}"))
    return sorted(moved)


def cases() -> list[tuple[list[Turn], list[Turn]]]:
    rng = random.Random(0)
    pairs = []
    for number in range(200):
        reference = random_turns(rng, 1 + number % 4)
        pairs.append((reference, disturbed(rng, reference)))
    for folder in ("ami_excerpts_rttm", "libri2mix_rttm/rttm"):
        for path in sorted((data_folder() / folder).glob("*.rttm")):
            pairs += [(turns, disturbed(rng, turns)) for turns in read_rttm(path).values()]
    return pairs


def annotation(turns):
    from pyannote.core import Annotation, Segment

    turn_set = Annotation()
    for number, (start, end, speaker) in enumerate(turns):
        turn_set[Segment(start, end), number] = speaker
    return turn_set.support()


@pytest.mark.parametrize(("collar", "skip_overlap"), SETTINGS)
def test_errors_are_those_of_pyannote(collar, skip_overlap):
    diarization = pytest.importorskip("pyannote.metrics.diarization")
    core = pytest.importorskip("pyannote.core")
    settings = {"collar": 2 * collar, "skip_overlap": skip_overlap}
    der, jer = diarization.DiarizationErrorRate(**settings), diarization.JaccardErrorRate(**settings)
    for reference, hypothesis in cases():
        end = max(turn.end for turn in (*reference, *hypothesis))
        uem = core.Timeline([core.Segment(0, end)])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = der(annotation(reference), annotation(hypothesis), uem=uem, detailed=True)
            speakers = jer(annotation(reference), annotation(hypothesis), uem=uem, detailed=True)
        ours = score(reference, hypothesis, [(0, end)], collar=collar, skip_overlap=skip_overlap)
        assert ours.speech == pytest.approx(theirs["total"], abs=1e-6)
        assert ours.missed == pytest.approx(theirs["missed detection"], abs=1e-6)
        assert ours.false_alarm == pytest.approx(theirs["false alarm"], abs=1e-6)
        assert ours.confusion == pytest.approx(theirs["confusion"], abs=1e-6)
        assert ours.speakers == speakers["speaker count"]
        assert ours.jaccard_errors == pytest.approx(speakers["speaker error"], abs=1e-6)


MD_EVAL = next(filter(None, map(shutil.which, ("md-eval.pl", "md-eval-22.pl", "/usr/lib/sctk/bin/md-eval.pl"))), None)
"""NIST's script, as in Debian's package sctk; that which meeteval and dscore run."""


@pytest.mark.skipif(MD_EVAL is None, reason="needs md-eval.pl (version 22): apt install sctk, or put it on the PATH")
@pytest.mark.parametrize(("collar", "skip_overlap"), SETTINGS)
def test_errors_are_those_of_md_eval(tmp_path, collar, skip_overlap):
    """md-eval prints hundredths of a percent and of a second."""
    reference, hypothesis, uem, ours = [], [], [], {}
    for number, (own, system) in enumerate(cases()):
        name, end = f"r{number}", math.ceil(max(turn.end for turn in (*own, *system)))
        reference.append(rttm_lines(name, own))
        hypothesis.append(rttm_lines(name, system))
        uem.append(f"{name} 1 0 {end}\n")
        ours[name] = score(own, system, [(0, end)], collar=collar, skip_overlap=skip_overlap, mapping="all")
    for name, lines in (("reference", reference), ("hypothesis", hypothesis), ("uem", uem)):
        (tmp_path / name).write_text("".join(lines))
    files = ["-r", tmp_path / "reference", "-s", tmp_path / "hypothesis", "-u", tmp_path / "uem"]
    command = [MD_EVAL, "-af", "-c", str(collar), *(["-1"] if skip_overlap else []), *files]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    theirs = {}
    for block in printed.split("*** Performance analysis for Speaker Diarization for ")[1:]:
        times = [float(re.search(rf"{part} TIME = *([\d.]+) secs", block)[1]) for part in PARTS]
        percent = float(re.search(r"DIARIZATION ERROR = ([\d.]+) percent", block)[1])
        theirs[block.split()[0].removeprefix("f=")] = [percent, *times]
    for name, own in ours.items():
        expected = [100 * own.errors / own.speech, own.speech, own.missed, own.false_alarm, own.confusion]
        assert theirs[name] == pytest.approx(expected, abs=0.0051), name


PARTS = ("SCORED SPEAKER", "MISSED SPEAKER", "FALARM SPEAKER", "SPEAKER ERROR")


def test_a_worked_example():
    """Ten seconds of a, five of b inside; the system misses the last second of a and calls half of b a."""
    reference = [(0, 10, "a"), (4, 9, "b")]
    hypothesis = [(0, 9, "1"), (4, 6.5, "2"), (6.5, 9, "3"), (12, 13, "2")]
    errors = score(reference, hypothesis)
    assert (errors.speech, errors.missed, errors.false_alarm, errors.confusion) == (15, 1, 1, 2.5)
    assert errors.jaccard_errors == pytest.approx((1 - 9 / 10) + (1 - 2.5 / 6))
    assert (errors.speakers, errors.found_speakers) == (2, 3)


def test_nobody_speaks_or_nobody_is_found():
    assert score([], [(0, 1, "x")]).false_alarm == 1
    silent = score([(0, 2, "a")], [])
    assert (silent.missed, silent.jaccard_errors, silent.found_speakers) == (2, 1, 0)
    assert score([], []).errors == 0


def test_only_what_is_scored_counts():
    errors = score([(0, 10, "a")], [(5, 20, "x")], [(4, 8), (15, 16)])
    assert (errors.speech, errors.missed, errors.false_alarm) == (4, 1, 1)
