"""``pack``: stage 0 is run if it must be, its audio is packed, and mistakes are messages."""

from __future__ import annotations

import csv
import threading

import pytest

from dataset.metadata import read_csv
from problems.asr import ASR
from problems.engine.cli.main import execute
from problems.engine.runtime.folder_lock import folder_lock
from problems.sf import SF
from tests.conftest import write_table
from tests.parts.commands import command


def test_a_corpus_is_packed_and_used_by_the_printed_command(tiny, tmp_path, capfd):
    assert execute(ASR(), ["pack", *tiny, "--shard_mb", "0.1"]) == 0
    err = capfd.readouterr().err
    assert "34 utterances in 7 shards (0 complete before)" in err
    (line,) = (line.split() for line in err.splitlines() if "--prepare_data.corpus packed" in line)
    options = [f"--cache_dir={tmp_path / 'cache'}", "--stop=1", "--num_workers=0"]
    done = command(*line[3:-1], str(tmp_path / "second"), *options)
    assert done.returncode == 0, done.stderr
    for name in ("train", "valid", "test"):
        one, other = (read_csv(tmp_path / run / "data" / f"{name}.csv", ()) for run in ("run", "second"))
        assert one.drop(columns="wav_path").equals(other.drop(columns="wav_path"))
        assert not set(one["wav_path"]) & set(other["wav_path"])


def test_the_recorded_config_is_enough_and_stage_0_is_not_run_again(tiny, tmp_path, capfd):
    target = [f"--target_dir={tmp_path / 'run'}"]
    assert execute(ASR(), ["run", *tiny, "--stop=0"]) == 0
    config = (tmp_path / "run" / "config.yaml").read_bytes()
    for complete in (0, 3):
        capfd.readouterr()
        assert execute(ASR(), ["pack", *target, "--out", str(tmp_path / "out")]) == 0
        err = capfd.readouterr().err
        assert f"3 shards ({complete} complete before)" in err and "stage 0" not in err
    assert (tmp_path / "run" / "config.yaml").read_bytes() == config
    with folder_lock(tmp_path / "run"):  # a training is under way there
        assert execute(ASR(), ["pack", *target, "--out", str(tmp_path / "out")]) == 0


def test_what_cannot_be_read_is_named_and_gives_1(tiny, tones, tmp_path, capfd):
    with open(tones / "train.csv", newline="", encoding="utf-8") as file:
        rows = [dict(row) for row in csv.DictReader(file)]
    for row in rows:
        path = tmp_path / f"{row['id']}.mp3"  # damage that the header does not show
        path.write_bytes(_half_of_an_mp3(tmp_path))
        row["wav_path"] = str(path)
    table = write_table(tmp_path / "train.csv", rows)
    assert execute(ASR(), ["pack", *tiny, f"--prepare_data.train={table}"]) == 1
    err = capfd.readouterr().err
    assert "error: 22 utterances cannot be read:" in err and "... and 2 more, all listed in" in err
    assert f"train {rows[0]['id']}: {tmp_path}" in err and "Traceback" not in err
    listing = (tmp_path / "run" / "shards" / "unusable.txt").read_text()
    assert all(row["id"] in listing for row in rows)
    capfd.readouterr()
    words = ["run", "--prepare_data.corpus=packed", f"--prepare_data.dataset_root={tmp_path / 'run' / 'shards'}"]
    assert execute(ASR(), [*words, f"--target_dir={tmp_path / 'second'}"]) == 1
    assert "packing was not finished" in capfd.readouterr().err


def _half_of_an_mp3(folder) -> bytes:
    import soundfile

    from tests.parts.audio_files import NOISE

    soundfile.write(folder / "whole.mp3", NOISE, 16000)
    content = (folder / "whole.mp3").read_bytes()
    return content[: len(content) // 2]


@pytest.mark.parametrize("size", ["0", "-1", "big", "nan", "inf"])
def test_a_wrong_size_is_refused_before_anything_is_done(tiny, tmp_path, capfd, size):
    assert execute(ASR(), ["pack", *tiny, f"--shard_mb={size}"]) == 2
    assert f"shard_mb is '{size}': expected the size" in capfd.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("url", ["shards", "file:///tmp/shards"])
def test_a_folder_is_no_url(tiny, tmp_path, capfd, url):
    assert execute(ASR(), ["pack", *tiny, f"--shards={url}"]) == 2
    assert f"shards is '{url}': expected a URL" in capfd.readouterr().err
    assert not (tmp_path / "run").exists()


def test_shards_at_a_url_are_trained_on_with_the_command_that_is_shown(tiny, tmp_path, capfd):
    pytest.importorskip("fsspec")
    url = f"memory://{tmp_path.name}"
    assert execute(ASR(), ["pack", *tiny, f"--shards={url}"]) == 0
    shown = (
        f"--prepare_data.corpus packed --prepare_data.dataset_root {tmp_path}/run/shards --prepare_data.shards {url}"
    )
    assert shown in capfd.readouterr().err
    own = [word for word in tiny if not word.startswith(("--prepare_data", "--target_dir"))]
    assert execute(ASR(), ["run", *own, *shown.split(), f"--target_dir={tmp_path / 'packed'}", "--stop=2"]) == 0


def test_two_at_once_and_files_of_others_are_refused(tiny, tones, tmp_path, capfd):
    with folder_lock(tmp_path / "out"):
        codes = []
        words = ["pack", *tiny, f"--out={tmp_path / 'out'}"]
        thread = threading.Thread(target=lambda: codes.append(command(*words).returncode))
        thread.start()
        thread.join()
        assert codes == [2]
    capfd.readouterr()
    write_table(tmp_path / "out" / "test.csv", [{"id": "mine"}])
    assert execute(ASR(), words) == 1
    err = capfd.readouterr().err
    assert "holds test.csv, which an earlier packing did not write" in err and "Traceback" not in err


def test_marked_transcripts_are_not_marked_twice(tmp_path, tiny, tones):
    for name in ("train", "valid", "test"):
        with open(tones / f"{name}.csv", newline="", encoding="utf-8") as file:
            rows = [dict(row) for row in csv.DictReader(file)]
        rows = [{**row, "slots": f'[["last", "{row["transcription"].split()[-1]}"]]'} for row in rows]
        write_table(tmp_path / f"{name}.csv", rows)
    tables = [f"--prepare_data.{name}={tmp_path / name}.csv" for name in ("train", "valid", "test")]
    assert execute(SF(), ["pack", *tiny, *tables]) == 0
    words = ["--prepare_data.corpus=packed", f"--prepare_data.dataset_root={tmp_path / 'run' / 'shards'}"]
    cache = [f"--cache_dir={tmp_path / 'cache'}", f"--target_dir={tmp_path / 'second'}"]
    assert execute(SF(), ["run", *words, *cache, "--stop=1", "--num_workers=0"]) == 0
    one, other = (read_csv(tmp_path / run / "data" / "test.csv", ()) for run in ("run", "second"))
    assert "⟦last" in one["transcription"][0] and "⟦" not in one["text"][0]
    assert one.drop(columns="wav_path").equals(other.drop(columns="wav_path"))
