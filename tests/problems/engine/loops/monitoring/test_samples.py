"""The same few utterances are shown at each validation: in the log, in TensorBoard and in the report."""

from __future__ import annotations

import json

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from problems.asr import ASR
from problems.engine.cli.main import execute
from problems.engine.report.figures.posteriors import read_posteriors
from problems.engine.report.history import read_samples


def test_samples_are_fixed_and_shown_everywhere_also_after_a_resume(tiny, tmp_path, capfd):
    assert execute(ASR(), ["run", *tiny, "--train.samples=2"]) == 0
    run = tmp_path / "run"
    out, err = capfd.readouterr()
    rows = read_samples(run / "train")
    assert [row["step"] for row in rows] == [4, 8]
    ids = [[own["id"] for own in row["samples"]] for row in rows]
    assert ids == [["valid-000", "valid-001"]] * 2
    text = rows[1]["samples"][0]
    assert err.count("valid-000  reference: ") == 2 and f"reference: {text['reference']}  hypothesis" in err
    page = (run / "report" / "report.html").read_text()
    assert "Samples while training" in page and text["reference"] in page
    assert execute(ASR(), ["run", *tiny, "--train.samples=2", "--train.total_steps=12"]) == 0
    assert [row["step"] for row in read_samples(run / "train")] == [4, 8, 12]
    board = EventAccumulator(str(run / "train" / "tb"))
    board.Reload()
    events = board.Tensors("samples/valid-000/text_summary")
    assert [event.step for event in events] == [4, 8, 12]
    assert text["reference"] in events[1].tensor_proto.string_val[0].decode()
    pictured = [row["step"] for row in read_samples(run / "train") if read_posteriors(row["samples"][0]["posteriors"])]
    assert pictured and [event.step for event in board.Images("posteriors/valid-000")] == pictured
    assert "Posteriors at the last validation" in (run / "report" / "report.html").read_text()
    tables = [path.read_text().splitlines()[0] for path in (run / "evaluate").rglob("predictions.csv")]
    assert tables and not any("posteriors" in header for header in tables)


def test_none_are_shown_if_none_are_asked_for(tiny, tmp_path, capfd):
    assert execute(ASR(), ["run", *tiny, "--train.samples=0"]) == 0
    assert "hypothesis:" not in capfd.readouterr().err and not (tmp_path / "run" / "train" / "samples.jsonl").exists()
    assert "Samples while training" not in (tmp_path / "run" / "report" / "report.html").read_text()


def test_damaged_lines_are_left_out(tmp_path):
    good = json.dumps({"step": 3, "samples": [{"id": "ä", "reference": "a", "hypothesis": ""}]})
    lines = [good, "{", '{"step": 4}', '{"step": 5, "samples": [{"id": 1, "reference": "", "hypothesis": ""}]}']
    (tmp_path / "samples.jsonl").write_text("\n".join(lines))
    assert read_samples(tmp_path) == [json.loads(good)]
