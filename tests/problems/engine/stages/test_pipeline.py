"""Stages run or are refused, with a reason, and an earlier training is kept."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
from pathlib import Path

import pytest

from problems.asr import ASR
from problems.engine.cli.main import execute
from problems.engine.runtime.errors import ConfigError
from problems.engine.stages.freshness import fingerprint
from tests.conftest import tiny_options, write_table

STAGES = {0: "prepare data", 1: "build encoder", 2: "train", 3: "evaluate checkpoints", 4: "report"}


class Run:
    """A tiny run of a copy of the tones, once done."""

    def __init__(self, options: list[str], root: Path, capsys: pytest.CaptureFixture):
        self.options, self.root, self.capsys = options, root, capsys

    def __call__(self, *words: str, code: int = 0, problem: ASR | None = None) -> str:
        """Run, check the exit code, and give what was said."""
        self.capsys.readouterr()
        assert execute(problem or ASR(), ["run", *self.options, *words]) == code
        captured = self.capsys.readouterr()
        assert "Traceback" not in captured.err
        return captured.out + captured.err

    def ran(self, *words: str, problem: ASR | None = None) -> list[int]:
        """The numbers of the stages that ran."""
        text = self(*words, problem=problem)
        return [n for n, name in STAGES.items() if f"== stage {n}: {name}" in text]

    def status(self, *words: str) -> str:
        assert execute(ASR(), ["status", *words]) == 0
        return self.capsys.readouterr().out

    def steps(self) -> list[str]:
        return sorted(p.name for p in (self.root / "train").glob("step_*"))


def options_in(folder: Path) -> list[str]:
    """Options of a run in ``folder/run`` on CSVs inside it, named relative to it: a copy of it is as fresh."""
    names = ("train", "valid", "test")
    data = {f"--prepare_data.{name}=": f"--prepare_data.{name}=in/{name}.csv" for name in names}
    return [data.get(f"{word.partition('=')[0]}=", word) for word in tiny_options(folder, folder)]


def new_folder(tones: Path, folder: Path) -> Path:
    (folder / "in").mkdir(parents=True)
    for name in ("train", "valid", "test"):
        shutil.copy(tones / f"{name}.csv", folder / "in" / f"{name}.csv")
    return folder


@pytest.fixture
def empty(tones, tmp_path, capsys, monkeypatch):
    """Nothing has run; the CSVs are this test's own."""
    monkeypatch.chdir(new_folder(tones, tmp_path / "run"))
    return Run(options_in(tmp_path), tmp_path / "run", capsys)


@pytest.fixture(scope="module")
def finished(tones, tmp_path_factory) -> Path:
    """A target folder in which all five stages are done, to be copied."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(new_folder(tones, folder / "run"))
        assert execute(ASR(), ["run", *options_in(folder)]) == 0
    return folder / "run"


@pytest.fixture
def run(finished, tmp_path, capsys, monkeypatch):
    """All five stages are done, in a copy of the finished folder."""
    shutil.copytree(finished, tmp_path / "run")
    monkeypatch.chdir(tmp_path / "run")
    return Run(options_in(tmp_path), tmp_path / "run", capsys)


def replace_word(table: Path, word: str, other: str) -> None:
    """Change a word of the transcripts; paths may hold it too."""
    with open(table, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    write_table(table, [row | {"transcription": row["transcription"].replace(word, other)} for row in rows])


def test_a_run_in_an_empty_folder_goes_through_all_stages(empty):
    assert empty.ran() == [0, 1, 2, 3, 4]
    assert empty.ran() == []


def test_all_done_says_so(run):
    assert "every stage is done and fresh" in run()
    for path in run.root.glob("in/*.csv"):
        os.utime(path, (1, 1))
    assert run.ran() == []


def test_stop_is_inclusive_and_the_next_run_goes_on(empty):
    assert empty.ran("--stop=1") == [0, 1]
    assert empty.ran("--stop=1") == []
    assert empty.ran() == [2, 3, 4]


def test_start_in_an_empty_folder(empty):
    text = empty("--start=2", code=2)
    assert "stage 2 needs stage 0 (prepare data)" in text and "has not run" in text
    assert "--start 0 --stop 4" in text and not (empty.root / "data").exists()


def test_start_after_stop(empty):
    assert "start 3 is after stop 2" in empty("--start=3", "--stop=2", code=2)


def test_start_runs_from_there(run):
    assert run.ran("--start=3") == [3, 4]
    assert run.ran("--start=3", "--stop=3") == [3]
    assert run.ran("--start=1", "--stop=1") == [1]


def test_a_changed_csv(run):
    replace_word(run.root / "in/test.csv", "ba", "de")
    assert "stale" in run.status(f"--target_dir={run.root}")
    text = run("--start=3", code=2)
    assert "stage 3 needs stage 0" in text and "test.csv changed" in text and "--start 0" in text
    assert run.ran() == [0, 1, 3, 4]  # the encoder comes out the same, and training reads no test set


def test_a_changed_training_csv_is_refused_under_a_training(run):
    replace_word(run.root / "in/train.csv", "ba", "de")
    before = run.steps()
    text = run(code=2)
    assert "train.csv changed" in text and "--fresh" in text and "--target_dir" in text
    assert run.steps() == before and "every stage" not in text
    assert json.loads((run.root / "stages.json").read_text())["stages"]["0"]["status"] == "done"


def test_a_deleted_output(run):
    (run.root / "data/valid.csv").unlink()
    assert "its output data/valid.csv is missing" in run.status(f"--target_dir={run.root}")
    assert run.ran()[:1] == [0]
    assert run.steps() == ["step_00000004", "step_00000008"]


def test_temporary_files_of_a_killed_run_are_removed_and_are_neither_inputs_nor_outputs(run):
    folders = [run.root / name for name in ("data", "encoder", "runs", "report", "train", "train/tb")]
    for folder in folders:
        folder.mkdir(exist_ok=True)
        (folder / ".labels.json.1.abcd.tmp").write_text("x")
    assert "stale" not in run.status(f"--target_dir={run.root}")
    assert run.ran("--start=1") == [1, 2, 3, 4]
    assert not list(run.root.rglob(".*.tmp")) and ".tmp" not in (run.root / "stages.json").read_text()


def test_a_changed_encoder_file(run):
    file = next(p for p in (run.root / "encoder").iterdir() if p.suffix == ".json")
    file.write_text(file.read_text() + " ")
    text = run("--start=2", code=2)
    assert f"encoder/{file.name} was changed" in text and "--start 1" in text
    assert 1 in run.ran()
    assert run.ran() == []


@pytest.mark.parametrize(
    "word, line",
    [
        ("build_optimizer.conf.lr=0.5", "build_optimizer.conf.lr: 0.01 -> 0.5"),
        ("train.seed=1", "train.seed: 0 -> 1"),
        ("build_downstream.conf.dropout=0", "build_downstream.conf.dropout: 0.2 -> 0.0"),
        ("build_encoder.name=word", 'build_encoder.name: "character" -> "word"'),
        ("build_batch_sampler.train.batch_size=2", "build_batch_sampler.train.batch_size: 4 -> 2"),
        ("prepare_data.where.train.id=train-000", "prepare_data.where"),
    ],
)
def test_other_settings_under_a_training_are_refused_before_any_work(run, word, line):
    before = {p: p.read_bytes() for p in run.root.rglob("*") if p.is_file() and p.name not in ("run.log", ".lock")}
    text = run(word, code=2)
    assert line in text and "--fresh" in text and "--target_dir" in text
    assert {
        p: p.read_bytes() for p in run.root.rglob("*") if p.is_file() and p.name not in ("run.log", ".lock")
    } == before


def test_free_settings_do_not_restart_a_training(run):
    words = ["train.log_step=1", "train.save_step=3", "train.keep_num_ckpts=5", "train.keep_best_ckpts=2"]
    assert run.ran(*words, "--num_workers=1", "--device=cpu") == []


def test_more_steps_extend_a_training(run):
    text = run("train.total_steps=12")
    assert "continues from step 8" in text and run.steps()[-1] == "step_00000012"
    assert "== stage 0" not in text and "== stage 4" in text


def test_fresh_moves_the_earlier_training_aside_and_keeps_it(run):
    old = {p.relative_to(run.root): p.read_bytes() for p in (run.root / "train").rglob("*") if p.is_file()}
    assert run.ran("--fresh", "--start=2", "train.seed=1") == [2, 3, 4]
    assert {p: (run.root / str(p).replace("train", "train.1", 1)).read_bytes() for p in old} == old
    assert (run.root / "evaluate.1").is_dir() and (run.root / "report.1/report.html").is_file()
    run("--fresh", "--start=2", "train.seed=2")
    assert (run.root / "train.1").is_dir() and (run.root / "train.2").is_dir()
    assert run.ran("train.seed=2") == []


def test_fresh_without_start_gets_past_other_settings(run):
    assert 2 in run.ran("--fresh", "train.seed=1")
    assert (run.root / "train.1").is_dir()


def test_auto_resume_off_is_fresh(run):
    assert 2 in run.ran("--start=2", "train.auto_resume=false")
    assert (run.root / "train.1").is_dir()


def test_status_uses_the_recorded_config(run):
    folder = f"--target_dir={run.root}"
    assert run.status(folder).count(" done") == 5
    assert "train.seed: 0 -> 1" in run.status(*run.options, "train.seed=1")


def test_chosen_checkpoints(run):
    text = run("--start=3", "--test_ckpt_steps=[4, 8]")
    assert (run.root / "evaluate/step_00000004/test/result.json").exists(), text
    assert (run.root / "evaluate/step_00000008/test/predictions.csv").exists()
    text = run("--start=3", "--test_ckpt_steps=[5]", code=1)
    assert "step_00000005" in text and "4, 8" in text


def test_an_average_is_written_when_it_is_asked_for_and_again_when_it_is_to_be_of_others(run):
    assert "train/average is not written yet" in run.status(*run.options, "--train.average=newest")
    assert 2 in run.ran("--train.average=newest")
    members = run.root / "train" / "average" / "average.json"
    assert json.loads(members.read_text())["of"] == ["step_00000008", "step_00000004"]
    assert run.ran("--train.average=newest") == []
    assert 2 in run.ran("--train.average=newest", "--train.keep_num_ckpts=1")
    assert json.loads(members.read_text())["of"] == ["step_00000008"]
    assert run.ran("--train.average=newest", "--train.keep_num_ckpts=1") == []


def test_a_stage_whose_inputs_cannot_be_used_is_recorded_as_failed(run):
    text = run("--start=3", "--test_ckpt_steps=[5]", code=1)
    assert "step_00000005 does not exist" in text
    entry = json.loads((run.root / "stages.json").read_text())["stages"]["3"]
    assert entry["status"] == "failed" and "step_00000005 does not exist" in entry["error"]


def test_a_checkpoint_of_another_folder(run, tmp_path):
    elsewhere = tmp_path / "copied" / "my step"
    shutil.copytree(run.root / "train/step_00000004", elsewhere)
    run("--start=3", f"--test_ckpt_dir={elsewhere}")
    assert [p for p in (run.root / "evaluate").glob("my step@*/test/result.json")]


def test_a_checkpoint_from_elsewhere_is_tested_without_an_encoder_or_a_training(run, tmp_path):
    checkpoint, other = run.root / "train/step_00000004", tmp_path / "other"
    assert execute(ASR(), ["run", *run.options, f"--target_dir={other}", f"--test_ckpt_dir={checkpoint}"]) == 0
    assert sorted(json.loads((other / "stages.json").read_text())["stages"]) == ["0", "3", "4"]
    assert not (other / "encoder").exists() and list(other.glob("evaluate/*/test/result.json"))


def test_run_is_the_same_from_code(empty, tmp_path):
    from problems.engine.cli.arguments import parse
    from problems.engine.config.layers import override_layer

    tree = override_layer(parse(empty.options).overrides).tree
    ASR().run(**tree, stop=1)
    assert (empty.root / "encoder").is_dir() and not (empty.root / "train").exists()
    assert empty.ran("--stop=1") == []


FETCHING = '''
import csv
import dataclasses
from pathlib import Path

from dataset.corpora import Corpus, Splits
from dataset.setting import setting


@dataclasses.dataclass
class Fetching(Corpus):
    """Copies its lists to where it reads them, as a download does."""

    origin: str = setting("", "where they come from")
    folder: str = setting("", "where they go")

    def sources(self):
        return [Path(self.folder) / f"{name}.csv" for name in ("train", "valid", "test")]

    def load(self, cache_dir):
        sets = []
        for path in self.sources():
            path.parent.mkdir(exist_ok=True)
            path.write_bytes((Path(self.origin) / path.name).read_bytes())
            sets.append(list(csv.DictReader(path.open())))
        return Splits(sets[0], sets[1], {"test": sets[2]})
'''


def test_several_processes_are_not_started_from_code(tmp_path):
    data = {"corpus": "csv", "train": "none.csv"}
    with pytest.raises(ConfigError, match=r"nproc is 2, but run\(\) starts no processes"):
        ASR().run(target_dir=str(tmp_path / "run"), cache_dir=str(tmp_path), prepare_data=data, stop=0, nproc=2)
    assert not (tmp_path / "run").exists()


def test_upstream_is_refused_by_a_run_that_begins_a_training(empty, tmp_path):
    text = empty(f"--upstream={tmp_path}", code=2)
    assert "this run begins a training" in text and not (empty.root / "data").exists()


class Lists(ASR):
    """Keeps its CSVs in a folder of its own."""

    def prepare_data(self, prepare_data, target_dir, cache_dir, get_path_only=False):
        return super().prepare_data(prepare_data, os.path.join(target_dir, "lists"), cache_dir, get_path_only)


def test_other_labels_are_refused_whatever_the_folder_of_the_csvs(empty):
    empty(problem=Lists())
    text = empty("build_encoder.name=word", code=2, problem=Lists())
    assert 'build_encoder.name: "character" -> "word"' in text and not (empty.root / ".rehearsal").exists()


def test_what_stage_0_fetched_itself_does_not_make_it_stale(empty, tones, tmp_path, monkeypatch):
    (tmp_path / "fetching.py").write_text(FETCHING)
    monkeypatch.syspath_prepend(tmp_path)
    empty.options = [o for o in empty.options if "prepare_data" not in o]
    empty.options += ["--prepare_data.corpus=fetching:Fetching", f"--prepare_data.origin={tones}"]
    empty.options += [f"--prepare_data.folder={tmp_path / 'fetched'}"]
    assert empty.ran("--stop=1") == [0, 1]
    assert empty.ran("--stop=1") == []
    (tmp_path / "fetched" / "valid.csv").write_text("id,wav_path,transcription\n")
    assert "valid.csv changed" in empty("--start=1", "--stop=1", code=2)


@pytest.mark.parametrize("state", ["empty", "run"])
def test_a_source_is_hashed_once_a_run(state, request, monkeypatch):
    target = request.getfixturevalue(state)
    hashed = []
    digest = fingerprint.sha256
    monkeypatch.setattr(fingerprint, "sha256", lambda path: hashed.append(Path(path).name) or digest(path))
    target("--stop=1")
    sources = [path for path in hashed if path == "train.csv"]
    # the source, and the CSV in data/ as an output of stage 0 and an input of stage 1
    assert len(sources) == (1 + 2 if state == "empty" else 1 + 1)


def test_a_training_without_a_checkpoint_yet_may_begin_with_other_settings(run):
    for folder in (run.root / "train").glob("step_*"):
        shutil.rmtree(folder)
    assert 2 in run.ran("--build_optimizer.conf.lr=0.003")


def test_parameters_that_no_optimizer_moves_are_counted_in_a_warning(empty):
    text = empty("--stop=2", "--build_optimizer.updated_modules=[downstream.output]")
    assert re.search(r"no optimizer moves [\d,]+ of the parameters that could be trained", text)
