"""Audio at URLs: read as files are, again after an error that may pass, and never taken for what it is not."""

from __future__ import annotations

import sys
import zlib

import pytest
import torch

from dataset import audio
from dataset.audio import AudioError
from dataset.durations import durations
from dataset.metadata import write_csv
from dataset.places import remote
from dataset.places.names import Part
from dataset.storage.file_digests import content_digests
from dataset.utterances import Utterances
from tests.parts.audio_files import NOISE, tone
from tests.parts.http_server import serving

fsspec = pytest.importorskip("fsspec")


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(remote, "WAITS_SEC", (0.01, 0.01))
    remote._ahead.url = ""
    remote.size.cache_clear()


@pytest.fixture
def server(tmp_path):
    pytest.importorskip("aiohttp")
    with serving(tmp_path) as server:
        yield server


def pack(paths, shard) -> list[Part]:
    """The places of the content of files, one after the other in one file."""
    parts, content = [], b"head"
    for path in paths:
        own = path.read_bytes()
        parts.append(Part(shard.name, len(content), len(own), zlib.crc32(own)))
        content += own + b"a label"
    shard.write_bytes(content)
    return parts


def at(url: str, part: Part) -> str:
    return str(part._replace(file=f"{url}/{part.file}"))


def test_memory_and_file_urls(write):
    path = write("a.flac", NOISE)
    fsspec.filesystem("memory").pipe_file("/corpus/a.tar", b"before" + path.read_bytes())
    place = str(Part("memory://corpus/a.tar", 6, path.stat().st_size, zlib.crc32(path.read_bytes())))
    for url in (place, f"file://{path}"):
        wav = audio.read(Utterances(write_table(path.with_name("a.csv"), [url])).table.row(0)["wav_path"])
        assert torch.equal(wav, audio.read(path))


def write_table(path, places):
    write_csv(path, [{"id": f"u{i}", "wav_path": place, "seconds": "1"} for i, place in enumerate(places)])
    return path


@pytest.mark.parametrize("failures", [["503", "503"], ["cut", "short"], ["short", "cut"], ["flip", "503"]])
def test_a_server_that_fails_twice_then_works(write, server, failures):
    path = write("a.flac", NOISE)
    (part,) = pack([path], path.with_name("a.tar"))
    server.failures = [*failures]
    assert torch.equal(audio.read(at(server.url, part)), audio.read(path))
    assert len(server.requests) == 3


@pytest.mark.parametrize("failure", ["503", "cut", "short", "flip"])
def test_one_that_goes_on_failing_is_named_with_the_attempts(write, server, failure):
    path = write()
    (part,) = pack([path], path.with_name("a.tar"))
    server.failures = [failure] * 9
    with pytest.raises(AudioError, match=rf"{server.url}/a\.tar \(bytes 4 to .*last of 3 attempts"):
        audio.read(at(server.url, part))
    assert len(server.requests) == 3


def test_an_utterance_that_cannot_be_read_is_named(write, server, tmp_path):
    path = write()
    (part,) = pack([path], path.with_name("a.tar"))
    data = Utterances(write_table(tmp_path / "a.csv", [at(server.url, part)]))
    server.failures = ["403"]
    with pytest.raises(AudioError, match=rf"a\.csv, id 'u0': {server.url}/a\.tar .*403"):
        data[0]
    assert len(server.requests) == 1, "it is not allowed, and will not be"


def test_what_will_never_work_is_not_tried_again(write, server, tmp_path):
    path = write()
    (part,) = pack([path], path.with_name("a.tar"))
    for place, message in [
        (f"{server.url}/none.tar#offset=0&size=3", "no such file; check the URL"),
        (f"{server.url}/none.wav", "no such file; check the URL"),
        ("nothing://a.wav", "nothing"),
        (f"zip://a.wav::{server.url}/a.zip", "chained"),
    ]:
        server.requests.clear()
        with pytest.raises(AudioError, match=message):
            audio.read(place)
        assert sum(method == "GET" for method, _ in server.requests) <= 1
    server.sends_parts = False
    with pytest.raises(AudioError, match="cannot send a part of a file"):
        audio.read(at(server.url, part))


def test_a_truncated_shard_is_told_from_a_whole_one(write, server):
    path = write()
    (part,) = pack([path], path.with_name("a.tar"))
    path.with_name("a.tar").write_bytes(path.with_name("a.tar").read_bytes()[:5000])
    with pytest.raises(AudioError, match=r"got 4996 of 16044 bytes: the file is truncated"):
        audio.read(at(server.url, part))
    seconds, errors = durations([at(server.url, part._replace(frames=8000, rate=16000))], path.with_name("cache"))
    assert not seconds and "truncated" in str(errors)


def test_reads_in_the_order_of_a_shard_need_few_requests(write, server):
    paths = [write(f"{i:02}.wav", tone(0.1 + 0.01 * i)) for i in range(40)]
    parts = pack(paths, paths[0].with_name("a.tar"))
    for path, part in zip(paths, parts):
        assert torch.equal(audio.read(at(server.url, part)), audio.read(path))
    assert len(server.requests) == 2, "the first alone; then it is known that reads follow each other"
    server.requests.clear()
    remote._ahead.url = ""
    for i in (20, 3, 31, 11):
        audio.read(at(server.url, parts[i]))
    sizes = [int(end) - int(start) + 1 for _, wanted in server.requests for start, end in [wanted[6:].split("-")]]
    assert sizes == [parts[i].size for i in (20, 3, 31, 11)], "nothing more is fetched in another order"


def test_a_whole_file_is_read_by_its_parts(write, server, tmp_path):
    path = write("long.flac", NOISE.repeat(40) / 2)
    url = f"{server.url}/long.flac"
    assert torch.equal(audio.read(url, 1.0, 2.5), audio.read(path, 1.0, 2.5))
    assert torch.equal(audio.read(url), audio.read(path))
    assert audio.info(url) == audio.info(path)
    assert content_digests([url, path], tmp_path)[url] == content_digests([path], tmp_path)[str(path)]
    for before in ([], [""]):  # in the header, and while libsndfile decodes
        server.failures = [*before, *["cut"] * 9]
        remote._ahead.url = ""
        with pytest.raises(AudioError, match="last of 3 attempts"):
            audio.read(url)


def test_what_a_url_holds_is_not_remembered_unless_its_checksum_is_known(write, server, tmp_path):
    path = write("a.wav")
    (part,) = pack([path], path.with_name("a.tar"))
    url, place = f"{server.url}/a.wav", at(server.url, part)
    before = content_digests([url, place], tmp_path / "cache")
    write("a.wav", tone(hz=300))
    remote._ahead.url = ""
    server.requests.clear()
    after = content_digests([url, place], tmp_path / "cache")
    assert after[url] != before[url] and after[place] == before[place]
    assert len(server.requests) == 1, "the part is known"


def test_workers_read_after_their_parent_has(write, server, tmp_path):
    """A connection of the parent cannot be used in a forked worker."""
    paths = [write(f"{i}.wav", tone(0.1 * (i + 1))) for i in range(6)]
    parts = pack(paths, paths[0].with_name("a.tar"))
    data = Utterances(write_table(tmp_path / "a.csv", [at(server.url, part) for part in parts]))
    here = [data[i]["wav"] for i in range(6)]
    loader = torch.utils.data.DataLoader(data, batch_size=None, num_workers=2, timeout=60)
    assert all(torch.equal(item["wav"], wav) for item, wav in zip(loader, here))


def test_without_the_library_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(AudioError, match=r"soundstage\[remote\]"):
        audio.read("https://host.invalid/a.tar#offset=0&size=10")
