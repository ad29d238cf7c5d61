"""Target folders with results and a training, and a reader of their pages."""

from __future__ import annotations

import csv
import json
from html.parser import HTMLParser
from pathlib import Path

SCRIPT = "<script>alert(1)</script>"
DECLARATIONS = {
    "wer": {"kind": "rate", "better": "lower", "label": "WER"},
    "cer": {"kind": "rate", "better": "lower", "label": "CER"},
    "loss": {"kind": "number", "better": "lower"},
    "words": {"kind": "count"},
}


class Page(HTMLParser):
    """Tags, attributes, text with the tag before each, and the ``<data>`` values of a page."""

    def __init__(self, path: Path):
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text: list[str] = []
        self.parents: list[str] = []
        self.values: list[float] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes
        if tag == "data" and dict(attributes)["value"]:
            self.values.append(float(dict(attributes)["value"]))

    def handle_data(self, data):
        self.text.append(data)
        self.parents.append(self.tags[-1] if self.tags else "")


def write_result(
    target: Path, checkpoint: str, test_set: str, metrics: dict, rows=(), predicts: str = "text", columns=()
) -> Path:
    """The result of a checkpoint on a test set, with predictions."""
    folder = target / "evaluate" / checkpoint / test_set
    folder.mkdir(parents=True)
    declarations = {name: DECLARATIONS[name] for name in metrics if name in DECLARATIONS}
    content = {"metrics": metrics, "declarations": declarations, "predicts": predicts, "seconds": 63.0}
    (folder / "result.json").write_text(json.dumps(content), encoding="utf-8")
    with open(folder / "predictions.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("id", "reference", "hypothesis", *columns), *rows])
    return folder


def write_training(target: Path) -> None:
    """A history of 100 steps with two validations, and its best checkpoints."""
    (target / "train").mkdir(parents=True)
    rows = [{"step": s, "split": "train", "loss": 30 / s, "lr": 1e-3} for s in range(10, 110, 10)]
    for step, wer in ((50, 0.25), (100, 0.125)):
        rows.append({"step": step, "split": "valid", "loss": 1.5, "wer": wer, "cer": wer / 2, "words": 40.0})
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (target / "train" / "metrics.jsonl").write_text(lines)
    (target / "train" / "declarations.json").write_text(json.dumps(DECLARATIONS))
    rules = {"wer min": ["step_100", "step_50"], "loss min": ["step_50"]}
    (target / "train" / "best.json").write_text(json.dumps(rules))


def write_run(target: Path) -> Path:
    """A whole run: two checkpoints, two test sets, hostile text wherever a user's text can be."""
    write_training(target)
    rows = [("u1", "a b c", "a x c d"), ("u2", f"{SCRIPT} b", "b"), ("u3", "same", "same")]
    write_result(target, "step_50", "clean", {"wer": 0.22222222, "cer": 0.1, "loss": 0.75, "words": 1234})
    write_result(target, "step_100", "clean", {"wer": 0.08333333, "cer": 0.04, "loss": 0.5, "words": 1234}, rows)
    write_result(target, "step_100", SCRIPT.replace("/", "|"), {"wer": None, "cer": 1.25, "words": 7}, rows)
    stages = {"0": {"name": "prepare data", "status": "done", "seconds": 3.2}, "4": {"name": "report"}}
    (target / "stages.json").write_text(json.dumps({"stages": stages}))
    (target / "env.json").write_text(json.dumps({"host": SCRIPT, "cores": 2}))
    (target / "config.yaml").write_text(f"# {SCRIPT}\ntrain:\n  seed: 7\n")
    return target
