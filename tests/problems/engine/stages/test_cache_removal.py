"""--remove_all_cache deletes what the run would read: made audio, lengths, digests and features of its audio."""

from __future__ import annotations

import dataclasses
import re
import shutil
import sqlite3
from pathlib import Path

from dataset.corpora import Splits
from dataset.corpora.csv import Csv
from dataset.setting import setting
from problems.asr import ASR
from problems.engine.cli.main import execute
from tests.conftest import tiny_options, write_table, write_tones
from tests.parts.features import stored_keys
from tests.parts.frozen_asr import FrozenASR


@dataclasses.dataclass
class Made(Csv):
    """Copies the audio of a CSV into the cache, as a synthesised corpus."""

    name: str = setting("mine", "the folder of the audio")

    def made_audio(self, cache_dir: Path) -> list[Path]:
        return [Path(cache_dir) / "made" / self.name]

    def load(self, cache_dir: Path) -> Splits:
        splits, (folder,) = super().load(cache_dir), self.made_audio(cache_dir)
        folder.mkdir(parents=True, exist_ok=True)
        for row in (*splits.train, *splits.valid, *splits.test["test"]):
            row["wav_path"] = shutil.copy(row["wav_path"], folder / f"{row['id']}.wav")
        return splits


def rows_of(table: str, path: Path) -> set[str]:
    with sqlite3.connect(path) as db:
        return {row[0] for row in db.execute(f"SELECT path FROM {table}")}


def options_of(tones: Path, tmp_path: Path, *more: str) -> list[str]:
    dropped = ("--build_upstream", "--train.eval_step")
    options = [o for o in tiny_options(tones, tmp_path) if not o.startswith(dropped)]
    return [*options, "--features.cache=disk", "--train.total_steps=2", *more]


def test_features_lengths_and_digests_of_the_runs_audio_go_and_those_of_other_audio_stay(tones, tmp_path, capfd):
    for seed, (name, count) in enumerate((("train", 4), ("valid", 1), ("test", 2))):
        write_table(tmp_path / f"{name}.csv", write_tones(tmp_path / name, count, seed + 10))
    other = [f"--prepare_data.{name}={tmp_path / name}.csv" for name in ("train", "valid", "test")]
    options = options_of(tones, tmp_path)
    assert execute(FrozenASR(), ["run", *options, *other, f"--target_dir={tmp_path / 'other'}"]) == 0
    kept = stored_keys(tmp_path / "cache")
    digests = rows_of("content", tmp_path / "cache" / "features" / "content.sqlite")
    assert execute(FrozenASR(), ["run", *options]) == 0
    assert len(stored_keys(tmp_path / "cache")) > len(kept)
    capfd.readouterr()
    assert execute(FrozenASR(), ["run", *options, "--remove_all_cache", "--start=4"]) == 0
    lines = capfd.readouterr().err
    assert stored_keys(tmp_path / "cache") == kept and "34 lengths and 34 digests of 34 audio files" in lines
    assert len(re.findall(r"^  \S+\.safetensors$", lines, re.M)) >= 1
    assert len(rows_of("headers", tmp_path / "cache" / "headers.sqlite")) == 7
    assert rows_of("content", tmp_path / "cache" / "features" / "content.sqlite") == digests


def test_audio_that_the_corpus_made_goes_before_stage_0_and_after_it(tones, tmp_path, capfd):
    corpus = "--prepare_data.corpus=tests.problems.engine.stages.test_cache_removal:Made"
    options = [o for o in tiny_options(tones, tmp_path) if o != "--prepare_data.corpus=csv"] + [corpus]
    assert execute(ASR(), ["run", *options, "--stop=0", "--prepare_data.name=theirs"]) == 0
    assert execute(ASR(), ["run", *options, "--stop=0"]) == 0
    made, theirs = (tmp_path / "cache" / "made" / name for name in ("mine", "theirs"))
    (made / "leftover").write_text("x")
    assert execute(ASR(), ["run", *options, "--stop=0", "--remove_all_cache"]) == 0
    assert str(made) in capfd.readouterr().err and not (made / "leftover").exists() and theirs.is_dir()
    (made / "leftover").write_text("x")
    elsewhere = [*options, f"--target_dir={tmp_path / 'new'}", "--stop=0", "--remove_all_cache"]
    assert execute(ASR(), ["run", *elsewhere]) == 0
    assert not (made / "leftover").exists() and theirs.is_dir() and len(list(theirs.glob("*.wav"))) == 34


def test_lengths_go_before_stage_0_has_listed_the_audio(tiny, tmp_path, capfd):
    assert execute(ASR(), ["run", *tiny, "--stop=0"]) == 0
    shutil.rmtree(tmp_path / "run")
    capfd.readouterr()
    assert execute(ASR(), ["run", *tiny, "--stop=0", "--remove_all_cache"]) == 0
    assert "34 lengths and 0 digests of 34 audio files" in capfd.readouterr().err


def test_a_corpus_of_the_user_in_the_cache_stays(tones, tmp_path):
    corpus = tmp_path / "cache" / "my_corpus"
    for seed, (name, count) in enumerate((("train", 4), ("valid", 1), ("test", 2))):
        write_table(corpus / f"{name}.csv", write_tones(corpus / name, count, seed + 10))
    shutil.copytree(corpus, tmp_path / "cache" / ASR().families()[0])
    files = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    own = [f"--prepare_data.{name}={corpus / name}.csv" for name in ("train", "valid", "test")]
    options = [*tiny_options(tones, tmp_path), *own, "--stop=0"]
    assert execute(ASR(), ["run", *options]) == 0
    assert execute(ASR(), ["run", *options, "--remove_all_cache"]) == 0
    assert all(path.is_file() for path in files)


def test_a_run_that_is_refused_removes_nothing(tones, tmp_path):
    corpus = "--prepare_data.corpus=tests.problems.engine.stages.test_cache_removal:Made"
    options = [o for o in tiny_options(tones, tmp_path) if o != "--prepare_data.corpus=csv"] + [corpus]
    assert execute(ASR(), ["run", *options, "--stop=1"]) == 0
    files = sorted((tmp_path / "cache" / "made").rglob("*"))
    for refused in ("--build_optimizer.name=none", "--start=3", "--start=1"):
        assert execute(ASR(), ["run", *options, "--remove_all_cache", refused]) == 2
        assert sorted((tmp_path / "cache" / "made").rglob("*")) == files
