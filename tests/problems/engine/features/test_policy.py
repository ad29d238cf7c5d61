"""The decision whether and where features are cached."""

from __future__ import annotations

import logging

import pytest

from problems.engine.features.policy import decide

GB = 1e9


@pytest.mark.parametrize(
    "mode, size, seconds, disk, ram, place",
    [
        ("auto", 1 * GB, 100, 50 * GB, 8 * GB, "disk"),
        ("auto", 30 * GB, 3000, 50 * GB, 80 * GB, "ram"),  # more than half of the disk
        ("auto", 30 * GB, 3000, 50 * GB, 8 * GB, "off"),
        ("auto", 1 * GB, 5, 50 * GB, 8 * GB, "off"),  # at 0.2 GB/s, reading takes as long
        ("disk", 1 * GB, 5, 50 * GB, 8 * GB, "disk"),
        ("disk", 30 * GB, 3000, 50 * GB, 8 * GB, "disk"),
        ("disk", 60 * GB, 3000, 50 * GB, 80 * GB, "off"),
        ("ram", 6 * GB, 3000, 50 * GB, 8 * GB, "ram"),
        ("ram", 9 * GB, 3000, 50 * GB, 8 * GB, "off"),
    ],
)
def test_the_place_follows_from_size_time_and_room(mode, size, seconds, disk, ram, place):
    decision = decide(mode, size, seconds, {"disk": disk, "ram": ram})
    assert decision.place == place
    assert bool(decision.reason) == (place == "off")
    if place == "off" and seconds > 5:
        assert f"{size / GB:.1f} GB" in decision.reason
        assert f"{disk / GB:.1f} GB on disk" in decision.reason or mode == "ram"
        assert f"{ram / GB:.1f} GB in RAM" in decision.reason or mode == "disk"
        assert (decision.level == logging.INFO) == (mode == "auto")
