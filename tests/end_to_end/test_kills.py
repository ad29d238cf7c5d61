"""Runs that are interrupted anywhere end as one that was not; a difference that is planted would be noticed."""

from __future__ import annotations

import dataclasses
import random
import signal

import pytest

from tests.parts.faults.comparison import differences, digests
from tests.parts.faults.controls import CONTROLS, KILLED_AT, KillAfter, Plant
from tests.parts.faults.interruption import disk, interrupt, undisturbed
from tests.parts.faults.process import erase, prepare, wait
from tests.parts.faults.runs import OF_OTHERS, RUNS, SEVERAL


def end_of_interrupted(name: str, folder, fault: str, most: int) -> list[str]:
    """The files in which a run that was interrupted up to ``most`` times differs from one that was not."""
    run, place = prepare(name, folder / "data"), folder / "run"
    whole = undisturbed(run, place)
    assert interrupt(run, place, whole, fault, rng=random.Random(f"{name} {fault}"), most=most)
    run.finish(place)
    return differences(whole.digests, digests(place))


def test_four_kills_change_nothing(tmp_path):
    assert end_of_interrupted("asr, augmented", tmp_path, "kill", 4) == []


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", RUNS)
def test_ten_kills_change_nothing(name, tmp_path):
    assert end_of_interrupted(name, tmp_path, "kill", 10) == []


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("fault", ["terminate", "interrupt", "stop", "slow disk"])
def test_other_faults_change_nothing(fault, tmp_path):
    assert end_of_interrupted("asr, augmented", tmp_path, fault, 6) == []


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_disk_that_is_full_again_and_again_changes_nothing(tmp_path):
    try:
        with disk(tmp_path / "disk", 1 << 20):
            pass
    except PermissionError as error:
        pytest.skip(f"a small disk cannot be mounted: {error}")
    assert end_of_interrupted("asr, cached features", tmp_path, "full disk", 6) == []


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", [*SEVERAL, *OF_OTHERS])
def test_a_process_that_is_killed_costs_the_others_nothing(name, tmp_path):
    assert end_of_interrupted(name, tmp_path, "one process", 3) == []


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_planted_difference_is_noticed(tmp_path):
    run, place = prepare("asr, augmented", tmp_path / "data"), tmp_path / "run"
    whole = undisturbed(run, place)
    for name in ("nothing", *CONTROLS):
        erase(place)
        assert wait(run.start(place, KillAfter(KILLED_AT)), place) == [-signal.SIGKILL]
        dataclasses.replace(run, alter=Plant(name)).finish(place)
        assert bool(differences(whole.digests, digests(place))) == (name != "nothing"), name
