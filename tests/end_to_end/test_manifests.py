"""Runs on data that another toolkit listed."""

from __future__ import annotations

import csv
import io
import json
import os
import tarfile
from pathlib import Path

import numpy as np
import soundfile

from dataset.metadata import read_csv
from problems.asr import ASR
from problems.engine.cli.main import execute
from tests.conftest import ROOT
from tests.parts.commands import command


def rows_of(tones: Path, name: str) -> list[dict[str, str]]:
    with open(tones / f"{name}.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def own(tiny: list[str]) -> list[str]:
    """The options of a run without those of its data."""
    return [option for option in tiny if not option.startswith("--prepare_data")]


def test_a_training_from_segments_of_kaldi_folders_is_that_from_the_files(tiny, tones, tmp_path):
    """Utterances are segments of one long file; all is at a relative path with a space."""
    for name in ("train", "valid", "test"):
        folder, waves, at = tmp_path / "my data" / name, [], 0.0
        folder.mkdir(parents=True)
        segments, text = [], []
        for row in rows_of(tones, name):
            wave, rate = soundfile.read(row["wav_path"])
            segments.append(f"{row['id']} long {at:.4f} {at + len(wave) / rate:.4f}\n")
            text.append(f"{row['id']} {row['transcription']}\n")
            waves.append(wave)
            at += len(wave) / rate
        soundfile.write(folder / "long.wav", np.concatenate(waves), 16000)
        (folder / "wav.scp").write_text(f"long my data/{name}/long.wav\n")
        (folder / "segments").write_text("".join(segments))
        (folder / "text").write_text("".join(text))
    data = [f"--prepare_data.{name}=my data/{name}" for name in ("train", "valid", "test")]
    words = ["run", *own(tiny), "--prepare_data.corpus=kaldi", *data]
    done = command(*words, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stderr
    assert execute(ASR(), ["run", *tiny, f"--target_dir={tmp_path}/reference"]) == 0
    results = []
    for run in ("run", "reference"):
        (path,) = (tmp_path / run / "evaluate").glob("*/test/result.json")
        results.append(json.loads(path.read_text())["metrics"])
    assert results[0] == results[1] and results[0]["utterances"] == 7


def test_unpacked_audio_that_is_lost_is_unpacked_again_and_removed_on_request(tiny, tones, tmp_path, capfd):
    for name in ("train", "valid", "test"):
        with tarfile.open(tmp_path / f"{name}.tar", "w") as tar:
            for row in rows_of(tones, name):
                texts = {"wav": Path(row["wav_path"]).read_bytes(), "txt": row["transcription"].encode()}
                for kind, content in texts.items():
                    member = tarfile.TarInfo(f"{row['id']}.{kind}")
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))
    data = [f"--prepare_data.{name}={tmp_path}/{name}.tar" for name in ("train", "valid", "test")]
    words = ["run", *own(tiny), "--prepare_data.corpus=webdataset", *data, "--stop=0"]
    assert execute(ASR(), words) == 0
    paths = read_csv(tmp_path / "run/data/test.csv", ())["wav_path"].tolist()
    unpacked = tmp_path / "cache/unpacked"
    assert all(unpacked in Path(path).parents for path in paths)
    os.remove(paths[0])
    capfd.readouterr()
    assert execute(ASR(), words) == 0
    assert "is damaged; it is unpacked again" in capfd.readouterr().err and Path(paths[0]).exists()
    assert execute(ASR(), words) == 0
    assert "done and fresh" in capfd.readouterr().err
    assert execute(ASR(), [*words, "--remove_all_cache"]) == 0
    said = capfd.readouterr().err
    assert "removing from the cache" in said and str(Path(paths[0]).parent) in said
