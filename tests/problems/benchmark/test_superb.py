"""Every problem for every encoder: one table, whatever fails, and the same one after a kill."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from problems.__main__ import main
from problems.benchmark import plan
from problems.benchmark.cells import Cell, Encoder
from problems.benchmark.superb import QUICK, _words
from problems.benchmark.table import Table
from problems.benchmark.tasks import PUBLISHED, REFERENCE, TASKS
from tests.conftest import ROOT, tiny_options
from tests.parts.tiny_encoder import TinyEncoder

MFCC = "--upstream=cepstra={name: mfcc, conf: {num_mel_bins: 20}}"


def words(tones: Path, folder: Path, *more: str) -> list[str]:
    """A benchmark of asr on the tones, for two encoders and two learning rates."""
    left_out = ("--target_dir", "--cache_dir", "--build_upstream")
    own = [option for option in tiny_options(tones, folder) if not option.startswith(left_out)]
    folders = [f"--target_dir={folder / 'all'}", f"--cache_dir={folder / 'cache'}"]
    longer = ["--asr.train.total_steps=12", "--asr.train.eval_step=6"]
    common = ["--config=toy", "--problems=asr", "--learning_rates=[0.01, 0.0001]", "--upstream=fbank", MFCC, *folders]
    return ["superb", *common, *(f"--asr.{option.removeprefix('--')}" for option in own), *longer, *more]


@pytest.fixture(scope="module")
def finished(tones, tmp_path_factory):
    folder = tmp_path_factory.mktemp("superb")
    assert main(words(tones, folder)) == 0
    return folder / "all"


def test_the_learning_rate_is_chosen_on_validation_and_only_the_best_is_tested(finished):
    rows = json.loads((finished / "results.json").read_text())["rows"]
    assert [row["upstream"] for row in rows] == ["fbank", "cepstra"]
    for row in rows:
        searched = {float(rate): value for rate, value in row["searched"].items()}
        assert set(searched) == {0.01, 0.0001} and row["learning_rate"] == min(searched, key=searched.get)
        folder = finished / row["folder"]
        assert folder.name == f"lr_{row['learning_rate']:g}" and (folder / "report" / "report.html").exists()
        others = [path for path in folder.parent.iterdir() if path != folder]
        assert len(others) == 1 and not (others[0] / "evaluate").exists()
        report = json.loads((folder / "report" / "results.json").read_text())
        (tests,) = report["checkpoints"].values()
        assert row["metrics"]["wer"]["value"] == tests["test"]["wer"] and len(row["metrics"]["wer"]["interval"]) == 2
    assert rows[0]["test_ids_sha256"] == rows[1]["test_ids_sha256"] is not None
    assert rows[1]["upstream_settings"] == {"name": "mfcc", "conf": {"num_mel_bins": 20}}


def test_the_table_has_every_form(finished):
    rows = list(csv.DictReader((finished / "table.csv").open()))
    assert [(row["upstream"], row["problem"], row["metric"]) for row in rows] == [
        ("fbank", "asr", "wer"),
        ("cepstra", "asr", "wer"),
    ]
    latex, page = (finished / "table.tex").read_text(), (finished / "superb.html").read_text("utf-8")
    assert latex.count(r"\\") == 3 and r"\textbf" in latex
    assert "cepstra - fbank" in page and "Paired tests" in page and "Learning rates, on validation" in page


def test_a_second_call_trains_nothing_and_leaves_the_same_table(finished, tones, capfd):
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("train/**/*") if path.is_file()}
    results = (finished / "results.json").read_bytes()
    leftover = finished / ".results.json.1.tmp"
    leftover.write_text("half")
    assert main(words(tones, finished.parent)) == 0
    assert not leftover.exists()
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("train/**/*") if path.is_file()} == before
    assert (finished / "results.json").read_bytes() == results
    assert re.search(r"fbank +\d+\.\d\d +\d+", capfd.readouterr().out)


@pytest.mark.parametrize("after", [0.5, 4.0])
def test_a_benchmark_that_was_killed_ends_in_the_same_table(finished, tones, tmp_path, after):
    command = [sys.executable, "-m", "problems", *words(tones, tmp_path)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, cwd=ROOT, start_new_session=True, **quiet)
    while not (tmp_path / "all" / "logs").exists():
        time.sleep(0.05)
    time.sleep(after)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert main(words(tones, tmp_path)) == 0
    assert (tmp_path / "all" / "results.json").read_bytes() == (finished / "results.json").read_bytes()


def test_what_fails_is_named_and_costs_the_others_nothing(tones, tmp_path, capfd):
    more = ["--upstream=broken={name: mfcc, conf: {num_mel_bins: -1}}", "--learning_rates=0.01"]
    assert main(words(tones, tmp_path, *more)) == 1
    out, err = capfd.readouterr()
    assert re.search(r"broken / asr lr 0.01: FAILED \(2\): error: .*num_mel_bins", err)
    assert "without a result: broken / asr" in err
    assert "fbank" in out and "cepstra" in out and "broken" not in out


@pytest.mark.parametrize(
    "more, reason",
    [
        ([], "superb needs encoders"),
        (["--upstream=fbank", "--upstream=fbank"], "two encoders have the same label: fbank, fbank"),
        (["--upstream=fbank", "--problems=asr,kss"], "unknown problem 'kss' (did you mean 'ks'?)"),
        (["--upstream=fbank", "--learning_rates=[0.1, x]"], "expected different positive numbers"),
        (["--upstream=fbank", "--learning_rates=[]"], "expected different positive numbers"),
        (["--upstream=fbank", "--problems=ks,ks"], "one of them is there twice"),
        (["--upstream=fbank", "--parallel=0"], "--parallel is '0': expected a number from 1"),
        (["--upstream=fbank", "--baseline=fbnk"], "did you mean 'fbank'"),
        (["--upstream=fbnk"], "unknown name 'fbnk'"),
        (["--upstream=a={name: fbank, conf: 3}"], "expected NAME, or LABEL="),
        (["--upstream=a={nam: fbank}"], "expected NAME, or LABEL="),
        (["--upstream=../a={name: fbank}"], "a label names a folder"),
        (["--upstream=a/b={name: fbank}"], "a label names a folder"),
        (["--upstream=logs={name: fbank}"], "a label names a folder"),
        (["--upstream=fbank", "--config=toy", "--quick"], "toy is short already"),
        (["--upstream=fbank", "--config=default"], "one config: superb or toy"),
    ],
)
def test_a_wrong_command_is_refused(more, reason, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["superb", *more]) == 2
    assert reason in capsys.readouterr().err and not list(tmp_path.iterdir())


def rows_of(values: dict[str, dict[str, float]]) -> list[dict]:
    """Rows of ``results.json`` with these metrics, by encoder and column as published."""
    keys = {"sf_cer": ("sf", "slot_value_cer")}
    rows: dict[tuple[str, str], dict] = {}
    for encoder, row in values.items():
        for key, value in row.items():
            problem, metric = keys.get(key, (key, TASKS[key if key in TASKS else "sf"].columns[0][0]))
            scale = next(own for name, _, own in TASKS[problem].columns if name == metric)
            cell = rows.setdefault((encoder, problem), {"upstream": encoder, "problem": problem, "metrics": {}})
            cell["metrics"][metric] = {"value": value / scale, "interval": None}
    return list(rows.values())


def test_the_references_score_0_and_1000_and_hubert_lies_between():
    table = Table(rows_of(PUBLISHED), list(TASKS.values()), with_published=True)
    scores = {name: table.score(table.values(name)) for name in PUBLISHED}
    assert scores[REFERENCE[0]] == pytest.approx(0, abs=1e-9) and scores[REFERENCE[1]] == pytest.approx(1000)
    assert 0 < scores["wav2vec 2.0 Base"] < scores["HuBERT Base"] < scores["WavLM Base"] < 1000
    by_hand = []
    for key, sign in (("pr", -1), ("ks", 1)):
        low, own, high = (PUBLISHED[name][key] for name in (REFERENCE[0], "HuBERT Base", REFERENCE[1]))
        by_hand.append(sign * (own - low) / (sign * (high - low)))
    two = Table(rows_of(PUBLISHED), [TASKS["pr"], TASKS["ks"]], with_published=True)
    assert two.score(two.values("HuBERT Base")) == pytest.approx(1000 * sum(by_hand) / 2)


def test_a_row_with_a_gap_has_no_score():
    tasks = [TASKS["pr"], TASKS["ks"]]
    table = Table(rows_of({"one": {"pr": 5.0}, "other": {"ks": 90.0}}), tasks, with_published=False)
    assert table.score(table.values("one")) is None
    assert [line[-1] for line in table.lines()] == ["", ""]


def test_one_encoder_without_published_rows_has_no_score():
    table = Table(rows_of({"one": {"ks": 90.0}}), [TASKS["ks"]], with_published=False)
    assert list(table.lines()) == [["one", "90.00", ""]]


def test_superbs_grid_is_the_default_and_of_equal_rates_the_greater_is_chosen(tmp_path):
    cell = Cell(Encoder("x", "fbank"), TASKS["ks"], tmp_path, (), TASKS["ks"].learning_rates)
    assert len(cell.trials()) == 7 and "--build_optimizer.conf.lr=1e-06" in cell.trials()[-1].words
    for rate, value in ((1.0, 0.2), (0.1, 0.9), (0.01, 0.9)):
        train = cell.run_folder(rate) / "train"
        train.mkdir(parents=True)
        (train / "best.json").write_text('{"accuracy max": ["step_00000001"]}')
        (train / "metrics.jsonl").write_text(json.dumps({"split": "valid", "accuracy": value, "step": 1}) + '\n{"spl')
        (train.parent / "stages.json").write_text('{"stages": {"2": {"status": "done"}}}')
    with pytest.raises(FileNotFoundError, match="these have not: x .* ks lr 0.001, .*1e-06"):
        cell.chosen_rate()
    for rate in (1e-3, 1e-4, 1e-5):
        cell.run_folder(rate).mkdir()
        (cell.run_folder(rate) / "diverged").touch()
    with pytest.raises(FileNotFoundError, match="1e-06"):
        cell.chosen_rate()
    cell.run_folder(1e-6).mkdir()
    (cell.run_folder(1e-6) / "diverged").touch()
    assert cell.chosen_rate() == 0.1


def test_quick_takes_fixed_parts_of_every_problem_and_its_settings_are_valid(tmp_path):
    assert QUICK.keys() == TASKS.keys()
    for name in TASKS:
        cell = Cell(Encoder("fbank", "fbank"), TASKS[name], tmp_path, _words(name, "quick", [("num_workers", "0")]))
        config, whole = plan._config_of(cell), plan._config_of(replace(cell, words=("--config=superb",)))
        part, steps = QUICK[name]
        assert config["prepare_data"].get("train_fraction") == part and config["num_workers"] == 0
        if steps:
            assert config["train"]["total_steps"] == steps < 0.1 * whole["train"]["total_steps"]
            assert config["train"]["eval_step"] == "auto"


def test_quick_has_a_folder_and_a_protocol_of_its_own(tones, tmp_path, capfd):
    left_out = [word for word in words(tones, tmp_path) if not word.startswith(("--config", "--upstream=cep"))]
    head = ["--asr.build_encoder={name: character}", "--asr.build_featurizer={normalize: false}", "--quick"]
    assert main([*left_out, *head, "--learning_rates=0.01", "--asr.prepare_data.train_fraction=0.5"]) == 0
    table = json.loads((tmp_path / "all" / "results.json").read_text())
    assert table["config"] == "quick" and "published" not in capfd.readouterr().out
    data = tmp_path / "all" / table["rows"][0]["folder"] / "data" / "train.csv"
    assert len(list(csv.DictReader(data.open()))) == 11


def test_the_plan_names_data_times_and_disk(capsys):
    tiny = "--upstream=tiny={name: 'tests.parts.tiny_encoder:TinyEncoder'}"
    assert main(["superb", tiny, "--problems=ks,asr", "--plan"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"tiny: 3 states of 16, \d+ times real time here, \d+ kB", out)
    assert re.search(r"tiny +asr +111 +\S+ +200,000 +3 ", out) and re.search(r"tiny +ks +18 +\S+ +200,000 +7 ", out)
    assert "Speech Commands v0.01" in out and "GB are free" in out
    assert main(["superb", tiny, "--problems=ks,asr", "--plan", "--quick"]) == 0
    assert re.search(r"tiny +asr +11 +\S+ +4,000 +3 ", capsys.readouterr().out)  # of 111 hours


@pytest.mark.parametrize("words, hours", [([], 300), (["--halving"], 175)])
def test_the_plan_counts_the_steps_that_a_search_takes(words, hours, capsys, monkeypatch):
    monkeypatch.setattr(plan, "head_step", lambda *_: 3600 / 2000)
    tiny = "--upstream=tiny={name: 'tests.parts.tiny_encoder:TinyEncoder'}"
    assert main(["superb", tiny, "--problems=asr", "--plan", *words]) == 0
    assert re.search(rf"tiny +asr .* {hours} h 00 min", capsys.readouterr().out)


@pytest.mark.parametrize("cache, gigabytes, hours", [("disk", "4.8", "111 h"), ("off", "-", "11288 h")])
def test_the_plan_counts_features_once_if_they_are_kept_and_in_every_epoch_if_not(
    cache, gigabytes, hours, capsys, monkeypatch
):
    """200,000 steps of 16 utterances of 12.7 s, with an encoder that is as fast as speech."""
    monkeypatch.setattr(plan, "head_step", lambda *_: 0.0)
    monkeypatch.setattr(plan, "speed_of", lambda _: plan.Speed(1.0, 12000.0, 3, 16, True))
    assert main(["superb", "--upstream=fbank", "--problems=asr", "--plan", f"--features.cache={cache}"]) == 0
    assert re.search(rf"fbank +asr +111 +{gigabytes} .* {hours} \d\d min +0.0 s", capsys.readouterr().out)


def test_the_plan_measures_an_encoder_as_features_are_computed(monkeypatch):
    seen = set()

    class Tiny(TinyEncoder):
        def forward(self, wav, wav_len):
            seen.add((torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32, torch.is_grad_enabled()))
            return super().forward(wav, wav_len)

    monkeypatch.setattr("tests.parts.tiny_encoder.TinyEncoder", Tiny)
    speed = plan.speed_of(Encoder("tiny", "tests.parts.tiny_encoder:TinyEncoder"))
    assert seen == {(False, False, False)} and (speed.layers, speed.size, speed.has_weights) == (3, 16, True)
    assert speed.bytes_per_second == 3 * 16 * 50 * 2


def test_the_plan_measures_heads_as_they_are_trained(tmp_path, monkeypatch):
    """In the precision of the config."""
    words = _words("ks", "superb", [("train.precision", "bf16")])
    cell = Cell(Encoder("fbank", "fbank"), TASKS["ks"], tmp_path, words)
    seen = []
    original = torch.nn.functional.linear

    def linear(x, *rest):
        seen.append(original(x, *rest).dtype)
        return original(x, *rest)

    monkeypatch.setattr(torch.nn.functional, "linear", linear)
    shape = plan.Speed(1.0, 1.0, 3, 16, True)
    plan.head_step("ks", plan._config_of(cell), shape, plan.DATA["ks"])
    assert set(seen) == {torch.bfloat16}
