"""The plan: every row is in one shard, in order, under a name that no other has and that is safe in a tar."""

from __future__ import annotations

import os
import re

import pytest

from dataset.metadata import write_csv
from dataset.packing.plan import key_of, rows_of, shards_of
from tests.parts.audio_files import tone

IDS = [
    "a",
    "a.b",
    "a%2Eb",
    "a/b",
    "/a",
    "//a",
    "a//b",
    "a/",
    "../a",
    "..",
    "/",
    "a\\b",
    "a:b",
    "größe 音 '\"",
    "a\nb",
    "%",
    "",
]


def test_ids_become_names_that_differ_and_stay_in_their_folder():
    keys = [key_of(id) for id in IDS]
    assert len({*keys}) == len(keys)
    for key in keys:
        assert not re.search(r"^/|//|/$|\.|[\x00-\x1f]", key)
    assert key_of("train-clean/1272-128104_0000 größe") == "train-clean/1272-128104_0000 größe"


@pytest.fixture
def csv(write, tmp_path):
    rows = [{"id": f"u{i}", "wav_path": str(write(f"{i}.wav", tone(0.05 * (i + 1)))), "seconds": 1} for i in range(12)]
    long = {"wav_path": str(write("long.flac", tone(3)))}
    rows += [{"id": f"s{i}", **long, "seconds": 0.5, "start_sec": i / 2, "end_sec": i / 2 + 0.5} for i in range(6)]
    write_csv(tmp_path / "train.csv", rows)
    return tmp_path / "train.csv"


@pytest.mark.parametrize("most", [1, 5000, 20_000, 10**9])
def test_shards_are_consecutive_rows_of_about_a_size(csv, most):
    (rows,) = rows_of([csv])
    shards, sizes = shards_of(rows, most), rows.sizes()
    assert [u.key for shard in shards for u in shard] == [*(f"u{i}" for i in range(12)), *(f"s{i}" for i in range(6))]
    for shard, following in zip(shards, [*shards[1:], None]):
        assert sizes[shard.begin : shard.end].sum() <= most or shard.end == shard.begin + 1
        assert following is None or sizes[shard.begin : following.begin + 1].sum() > most
    assert [shard.name for shard in shards] == [f"train-{i:06d}.tar" for i in range(len(shards))]
    assert sizes[0] == os.stat(csv.parent / "0.wav").st_size and sizes[-1] == 16000
    (again,) = rows_of([csv])
    assert [(s.name, s.begin, s.end, s.digest()) for s in shards_of(again, most)] == [
        (s.name, s.begin, s.end, s.digest()) for s in shards
    ]


def test_what_changes_a_shard_changes_its_digest(csv, write):
    def digests():
        return [shard.digest() for shard in shards_of(rows_of([csv])[0], 20_000)]

    before = digests()
    write("3.wav", tone(0.2, hz=300))
    os.utime(csv.parent / "3.wav", (1, 1))
    changed = digests()
    assert [a != b for a, b in zip(before, changed)].count(True) == 1
    csv.write_text(csv.read_text().replace("u0,", "v0,"))
    assert digests()[0] != changed[0] and digests()[1:] == changed[1:]


def test_lists_of_trials_share_their_utterances(write, tmp_path):
    paths = [str(write(f"{i}.wav")) for i in range(5)]
    side = {"id1": "a ; b", "wav_path1": f"{paths[0]} ; {paths[1]}"}
    write_csv(tmp_path / "one.csv", [{**side, "id2": "c", "wav_path2": paths[2], "label": 1}])
    write_csv(tmp_path / "two.csv", [{**side, "id2": "d", "wav_path2": "3.wav", "label": 0}])
    one, two = rows_of([tmp_path / "one.csv", tmp_path / "two.csv"])
    assert [u.place for u in (one[i] for i in range(len(one)))] == paths[:3]
    assert [u.place for u in (two[i] for i in range(len(two)))] == [paths[3]]
