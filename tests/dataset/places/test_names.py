"""Names of places: parts of files and URLs are written, read and joined."""

from __future__ import annotations

import pytest

from dataset.places.names import Part, absolute, file_of, is_url, join, part_of


@pytest.mark.parametrize(
    "whole",
    [
        Part("a b#c.tar", 0, 0),
        Part("s3://bucket/t-000000.tar", 1536, 48210, 0x1A2B3C4D),
        Part("/x\n/t.tar", 5, 6, 7, 8, 16000),
        Part("a.tar", 5, 6, None, 8, 16000),
    ],
)
def test_a_part_is_read_as_it_is_written(whole):
    assert part_of(str(whole)) == whole
    assert file_of(str(whole)) == whole.file


@pytest.mark.parametrize(
    "name", ["a.wav", "a#1.wav", "a.tar#offset=3", "a.tar#offset=-1&size=3", "#offset=1&size=2", ""]
)
def test_any_other_name_is_a_whole_file(name):
    assert part_of(name) is None and file_of(name) == name


def test_urls_stay_and_paths_are_joined(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    url = "https://host/a/../b%20c.wav?x=1"
    assert join("/data", url) == absolute(url) == url and is_url(url)
    assert join("/data", "a.wav") == "/data/a.wav" and absolute("a/../b.wav") == str(tmp_path / "b.wav")
    assert absolute("file:///x/b%20c.wav", "/data") == "/x/b c.wav"
    assert not is_url("C:/x") and not is_url("a/b://c") and not is_url("://a")
