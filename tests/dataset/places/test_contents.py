"""Parts of files are read as files are, and never taken for what they are not."""

from __future__ import annotations

import os
import zlib
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from dataset import audio
from dataset.audio import AudioError
from dataset.durations import headers
from dataset.places import contents
from dataset.places.names import Part, part_of
from dataset.storage.file_digests import content_digests
from tests.parts.audio_files import NOISE, bad_files, patched, tone


def part(path, name="größe 1.tar", before=b"x" * 1000, after=b"y" * 1000, **header) -> str:
    """The place of a copy of a file inside another one."""
    content = path.read_bytes()
    shard = path.with_name(name)
    shard.write_bytes(before + content + after)
    return str(Part(str(shard), len(before), len(content), zlib.crc32(content), **header))


def test_a_file_whose_name_has_the_mark_can_be_read(write):
    assert len(audio.read(write("take #2.wav"))) == 8000


@pytest.mark.parametrize("most", [8 << 20, 100])
@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_a_part_gives_the_samples_of_the_file(write, monkeypatch, suffix, most):
    monkeypatch.setattr(contents, "WHOLE_BYTES", most)  # read at once, or through a window
    path = write(f"a.{suffix}", NOISE)
    place = part(path)
    assert audio.info(place) == audio.info(path)
    for times in [(None, None), (0.5, 1.25), (2.1, None)]:
        assert torch.equal(audio.read(place, *times), audio.read(path, *times))


@pytest.mark.parametrize("most", [8 << 20, 100])
def test_bad_audio_in_a_part_is_refused_as_in_a_file(write, tmp_path, monkeypatch, most):
    monkeypatch.setattr(contents, "WHOLE_BYTES", most)
    for path, message in bad_files(write, tmp_path).values():
        if path.is_file():
            with pytest.raises(AudioError, match=message if path.stat().st_size else "empty"):
                audio.read(part(path))
    assert len(audio.read(part(patched(write(), riff=0, data=0)))) == 8000  # a wav that was written to a pipe


def test_a_truncated_file_is_named_with_the_offset(write, tmp_path):
    place = part(write())
    shard = part_of(place)
    os.truncate(shard.file, shard.offset + shard.size - 1)
    message = rf"größe 1\.tar#offset=1000&size={shard.size}.*truncated: .* byte {shard.offset + shard.size}"
    with pytest.raises(AudioError, match=message):
        audio.read(place)
    with pytest.raises(AudioError, match="truncated"):
        contents.require_inside(shard)
    os.remove(shard.file)
    with pytest.raises(AudioError, match=r"#offset=1000.*no such file"):
        audio.read(place)


def test_other_bytes_than_the_checksum_says_are_refused(write):
    place = part(write())
    shard = part_of(place)
    with open(shard.file, "r+b") as file:
        file.seek(shard.offset + 5000)
        file.write(b"\1")
    with pytest.raises(AudioError, match=r"checksum.*pack again"):
        audio.read(place)


def test_a_large_part_of_a_truncated_file_is_refused_too(write, monkeypatch):
    monkeypatch.setattr(contents, "WHOLE_BYTES", 100)
    place = part(write(), after=b"")
    os.truncate(part_of(place).file, 3000)
    with pytest.raises(AudioError, match="truncated"):
        audio.info(place)


def test_many_threads_read_one_file(write):
    paths = [write(f"{i}.wav", tone(0.1 + 0.01 * i)) for i in range(20)]
    before, parts = b"", []
    for path in paths:
        parts.append(part(path, "all.tar", before))
        before += path.read_bytes()
    paths[0].with_name("all.tar").write_bytes(before)
    with ThreadPoolExecutor(8) as pool:
        lengths = list(pool.map(lambda place: len(audio.read(place)), parts * 5))
    assert lengths == [len(audio.read(path)) for path in paths] * 5


def test_the_length_that_a_place_tells_is_not_read_but_its_file_is_looked_at(write, tmp_path):
    place = part(write(), frames=123, rate=1000)
    assert headers([place], tmp_path / "cache")[0][place] == (0.123, 1000)
    os.truncate(part_of(place).file, 500)
    os.utime(part_of(place).file, (1, 1))
    assert "truncated" in str(headers([place], tmp_path / "cache")[1][place])


def test_features_of_a_part_are_those_of_the_file(write, tmp_path):
    """The cache of features asks for the digest of the content."""
    path = write()
    place = part(path)
    digests = content_digests([path, place], tmp_path / "cache")
    assert digests[str(path)] == digests[place]
    newer = part(write("a.wav", tone(hz=300)))
    assert content_digests([place, newer], tmp_path / "cache").keys() == {newer}, "what the checksum refuses has none"
    os.truncate(part_of(newer).file, 500)
    assert content_digests([newer], tmp_path / "cache") == {}
