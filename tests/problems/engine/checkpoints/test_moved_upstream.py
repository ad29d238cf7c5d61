"""The key of an upstream's settings that a new path replaces; whole runs do so in tests/end_to_end."""

from __future__ import annotations

import pytest

from problems.engine.checkpoints.moved_upstream import missing_paths, redirected
from problems.engine.runtime.errors import CheckpointError


@pytest.mark.parametrize(
    ("conf", "key"),
    [
        ({"weights": "/gone/file.pth", "seed": 1}, "weights"),
        ({"checkpoint": "here.pth", "seed": 1}, "checkpoint"),
        ({"model": "facebook/hubert-base-ls960", "revision": None}, "model"),
        ({"checkpoint": None, "seed": 1}, "checkpoint"),
    ],
)
def test_the_path_takes_the_place_of_the_one_that_is_gone(tmp_path, conf, key):
    section = {"name": "mine", "conf": conf}
    assert redirected(section, tmp_path) == {"name": "mine", "conf": conf | {key: str(tmp_path)}}
    assert section["conf"] is conf and str(tmp_path) not in conf.values()


def test_a_path_that_exists_is_not_missing(tmp_path):
    assert missing_paths({"conf": {"a": str(tmp_path), "b": "/gone/file", "c": "word", "d": 3}}) == ["b"]


def test_a_new_path_must_exist(tmp_path):
    with pytest.raises(CheckpointError, match="there is no file or folder"):
        redirected({"name": "mine", "conf": {}}, tmp_path / "gone")


@pytest.mark.parametrize("section", [{"name": "mine"}, {"name": "fbank", "conf": {"num_mel_bins": 80}}])
def test_an_upstream_that_takes_no_path_cannot_be_replaced(tmp_path, section):
    assert missing_paths(section) == []
    with pytest.raises(CheckpointError, match="none of the keys checkpoint, model"):
        redirected(section, tmp_path)
