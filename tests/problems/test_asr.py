"""Speech recognition end to end: it learns, and what it learns is a function of its settings alone."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from safetensors.torch import load_file

from problems.asr import ASR
from problems.engine.cli.main import execute
from tests.conftest import WORDS


@pytest.fixture
def run(tiny, tmp_path):
    """A whole run with further options; gives its target folder."""

    def start(name: str, *options: str) -> Path:
        given = [o for o in tiny if not o.startswith("--target_dir")]
        assert execute(ASR(), ["run", *given, f"--target_dir={tmp_path / name}", *options]) == 0
        return tmp_path / name

    return start


def weights(target: Path, step: int = 8) -> bytes:
    return (target / "train" / f"step_{step:08}" / "model" / "weights.safetensors").read_bytes()


def result(target: Path) -> dict:
    (path,) = (target / "evaluate").glob("*/test/result.json")
    return json.loads(path.read_text())["metrics"]


def predictions(target: Path) -> list[dict[str, str]]:
    (path,) = (target / "evaluate").glob("*/test/predictions.csv")
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_it_learns_to_recognise_utterances_that_it_never_saw(run, tones):
    target = run(
        "learned",
        "--build_downstream.conf.hidden_size=[24]",
        "--build_downstream.conf.dropout=0",
        "--build_model.specaug=null",
        "--train.total_steps=150",
        "--train.eval_step=50",
        "--train.save_step=50",
    )
    metrics = result(target)
    assert metrics["wer"] < 0.2 and metrics["cer"] < 0.1
    rows = predictions(target)
    with open(tones / "test.csv", newline="") as file:
        assert [row["id"] for row in rows] == [row["id"] for row in csv.DictReader(file)]
    wrong = sum(int(row["word_errors"]) for row in rows)
    words = sum(len(row["reference"].split()) for row in rows)
    assert metrics["wer"] == pytest.approx(wrong / words), "the rate is over all words, not a mean of means"
    report = json.loads((target / "report" / "results.json").read_text())
    assert str(metrics["wer"])[:8] in json.dumps(report)
    assert (target / "report" / "report.html").stat().st_size > 1000


def test_the_same_seed_gives_the_same_weights_bit_for_bit_whatever_reads_the_audio_and_another_seed_does_not(run):
    one = weights(run("one", "--stop=2"))
    assert weights(run("again", "--stop=2")) == one
    assert weights(run("workers", "--stop=2", "--num_workers=2")) == one
    assert weights(run("other", "--stop=2", "--train.seed=1")) != one


def test_how_often_it_looks_does_not_change_what_is_learnt(run):
    """Validation, logging and saving leave every random number where it was."""
    one = weights(run("one", "--stop=2"))
    assert weights(run("often", "--stop=2", "--train.eval_step=1", "--train.save_step=3", "--train.log_step=1")) == one


def test_predictions_are_logged_on_demand_and_this_may_change_under_a_training(run):
    target = run("logged", "--stop=2", "--build_task.log_predictions=2", "--train.samples=0")
    count = (target / "run.log").read_text().count("  hypothesis: ")
    assert count == 2 * 3, "two at each validation, and at the first look before the training"
    run("logged", "--stop=2", "--build_task.log_predictions=0", "--train.samples=0", "--train.total_steps=12")
    assert (target / "run.log").read_text().count("  hypothesis: ") == count


@pytest.mark.parametrize(
    ("encoder", "symbols"),
    [("word", set(WORDS)), ("character", set("badegoku ")), ("phoneme", set(WORDS))],
)
def test_every_encoder_runs_through_all_stages(run, encoder, symbols):
    target = run(encoder, f"--build_encoder.name={encoder}")
    saved = json.loads((target / "encoder" / "encoder.json").read_text())
    assert set(saved["symbols"][2:]) == symbols
    head = load_file(target / "train" / "step_00000008" / "model" / "weights.safetensors")
    assert len(symbols) + 2 in {tensor.shape[0] for tensor in head.values()}
    assert 0 <= result(target)["wer"]
    assert len(predictions(target)) == 7


def test_a_transcript_is_text_whatever_it_spells(run, tones, tmp_path):
    table = (tones / "train.csv").read_text().replace("ba", "null").replace("de", "NA").replace("go", "0012")
    (tmp_path / "train.csv").write_text(table)
    target = run("words", f"--prepare_data.train={tmp_path / 'train.csv'}", "--build_encoder.name=word", "--stop=1")
    assert {"null", "NA", "0012"} <= set(json.loads((target / "encoder" / "encoder.json").read_text())["symbols"])


def test_names_with_spaces_and_other_letters_work(run, tones, tmp_path):
    folder = tmp_path / "größe и звук"
    folder.mkdir()
    (folder / "mein test.csv").write_text((tones / "test.csv").read_text())
    target = run("ziel ordner é", f"--prepare_data.test={{größe: {folder / 'mein test.csv'}}}")
    assert list((target / "evaluate").glob("*/größe/result.json"))
