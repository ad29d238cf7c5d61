"""Results as files: exported from a run, imported from others, checked by key, and shown on one page."""

from __future__ import annotations

import json
import re

import pytest

from problems.__main__ import main
from problems.benchmark.results.schema import check
from problems.benchmark.tasks import PUBLISHED
from tests.conftest import tiny_options

NAMES = {"pr": "PR_per", "ks": "KS_acc", "ic": "IC_acc", "sid": "SID_acc", "er": "ER_acc", "asr": "ASR_wer"}
NAMES |= {"qbe": "QbE_mtwv", "sf": "SF_f1", "sf_cer": "SF_cer", "asv": "SV_eer", "sd": "SD_der"}


@pytest.fixture(scope="module")
def finished(tones, tmp_path_factory):
    """A benchmark of one problem for one encoder with a class of its own."""
    folder = tmp_path_factory.mktemp("superb")
    left_out = ("--target_dir", "--cache_dir", "--build_upstream")
    own = [option for option in tiny_options(tones, folder) if not option.startswith(left_out)]
    encoder = "--upstream=tiny={name: 'tests.parts.tiny_encoder:TinyEncoder', conf: {seed: 3}}"
    folders = [f"--target_dir={folder / 'all'}", f"--cache_dir={folder / 'cache'}"]
    words = ["--config=toy", "--problems=asr", "--learning_rates=0.01", encoder, *folders]
    assert main(["superb", *words, *(f"--asr.{option.removeprefix('--')}" for option in own)]) == 0
    return folder / "all"


def row_of(label: str = "a", **changes) -> dict:
    """A file of results with one result."""
    result = {"problem": "ks", "metric": "accuracy", "value": 0.9, "interval": [0.8, 0.95], "test_set": "test"}
    result |= {"test_ids_sha256": "0" * 64, "learning_rate": 0.01, "settings": {}}
    upstream = {"label": label, "name": "fbank", "conf": {}, "revision": None, "url": None}
    row = {"format": "soundstage-results-1", "protocol": "toy", "source": "soundstage", "upstream": upstream}
    return row | {"versions": {}, "results": [result]} | changes


def test_a_run_becomes_a_file_that_is_valid_and_says_what_it_is(finished, tmp_path, capsys):
    assert main(["results", "export", str(finished), "--out", str(tmp_path)]) == 2
    assert "--upstream_revision tiny=REVISION" in capsys.readouterr().err and not list(tmp_path.iterdir())
    assert main(["results", "export", str(finished), "--upstream_revision", "tiny=abc1234", "-o", str(tmp_path)]) == 0
    (path,) = tmp_path.iterdir()
    row = json.loads(path.read_text("utf-8"))
    assert path.name == "tiny-toy.json" and path.stat().st_size < 10000
    assert row["upstream"] == {
        **{"label": "tiny", "name": "tests.parts.tiny_encoder:TinyEncoder", "conf": {"seed": 3}},
        **{"revision": "abc1234", "url": None},
    }
    source = json.loads((finished / "results.json").read_text("utf-8"))["rows"][0]
    (result,) = row["results"]
    assert result["value"] == source["metrics"]["wer"]["value"] and result["interval"]
    assert result["test_ids_sha256"] == source["test_ids_sha256"] and row["versions"]["torch"]
    assert result["settings"]["build_optimizer"]["conf"]["lr"] == result["learning_rate"] == 0.01
    assert "/" not in json.dumps(result["settings"])  # no path of this machine
    assert main(["results", "validate", str(path)]) == 0
    assert f"{path}: tiny, 1 result" in capsys.readouterr().out


def test_superbs_leaderboard_is_imported_with_the_scores_of_the_publications(tmp_path, capsys):
    columns = [f"{name}_public" for name in NAMES.values()]
    lines = [",".join(["submitName", "modelURL", *columns])]
    lines += [",".join([name, "-", *(str(row[key]) for key in NAMES)]) for name, row in PUBLISHED.items()]
    (tmp_path / "board.csv").write_text("\n".join([*lines, f"gap,https://x.org{',-' * 10},3.2"]) + "\n", "utf-8")
    assert main(["results", "import", "s3prl", str(tmp_path / "board.csv"), "--out", str(tmp_path / "rows")]) == 0
    assert main(["results", "board", str(tmp_path / "rows"), "-o", str(tmp_path / "index.html")]) == 0
    page = (tmp_path / "index.html").read_text("utf-8")
    for name in PUBLISHED:  # as the table of superb shows the published rows
        own = re.search(rf"<tr><td[^>]*>{re.escape(name)} \(superb leaderboard\)</td>(.*?)</tr>", page)[1]
        published = re.search(rf"<tr><td[^>]*>{re.escape(name)} \(published\)</td>(.*?)</tr>", page)[1]
        assert own == published
    assert "data-sortable" in page and "https://x.org" in page
    assert re.search(r"gap \(superb leaderboard\)</td>(<td[^>]*></td>){10}<td[^>]*>3.20</td><td[^>]*></td>", page)
    assert "8 encoders" in capsys.readouterr().out


def test_our_own_table_is_imported_with_its_intervals(finished, tmp_path):
    assert main(["results", "import", "csv", str(finished / "table.csv"), f"--out={tmp_path}"]) == 0
    row = json.loads((tmp_path / "tiny.json").read_text("utf-8"))
    source = json.loads((finished / "results.json").read_text("utf-8"))["rows"][0]["metrics"]["wer"]
    (result,) = row["results"]
    assert (result["value"], result["interval"]) == (source["value"], source["interval"])
    assert result["learning_rate"] == 0.01 and row["source"] == "table.csv"


def test_an_import_keeps_its_protocol_and_does_not_replace_results_of_another_source(finished, tmp_path, capsys):
    words = ["results", "import", "csv", str(finished / "table.csv"), "--protocol=toy", f"--out={tmp_path}"]
    assert main(words) == 0 == main(words)
    path = tmp_path / "tiny-toy.json"
    row = json.loads(path.read_text("utf-8"))
    assert row["protocol"] == "toy"
    text = json.dumps(row | {"source": "soundstage"})
    path.write_text(text, "utf-8")
    assert main(words) == 2
    assert "of the source soundstage, and this is of table.csv" in capsys.readouterr().err and path.read_text() == text


def test_rows_on_other_test_lists_are_marked(tmp_path):
    other = row_of("b")
    other["results"][0] |= {"test_ids_sha256": "f" * 64}
    for name, row in (("a", row_of()), ("b", other)):
        (tmp_path / f"{name}.json").write_text(json.dumps(row))
    assert main(["results", "board", str(tmp_path), f"--out={tmp_path / 'x.html'}"]) == 0
    assert "NOT the same test utterances in every row: toy ks" in (tmp_path / "x.html").read_text("utf-8")


@pytest.mark.parametrize(
    "change, reason",
    [
        (lambda row: row.pop("source"), "x.json: source is missing"),
        (lambda row: row.update(sauce=1), "unknown key sauce (did you mean 'source'?)"),
        (lambda row: row.update(format="2"), 'format is "2": expected soundstage-results-1'),
        (lambda row: row.update(results=[]), "results is []: expected a list of at least one"),
        (lambda row: row.update(results=[3]), "results[0]: expected keys and values, got 3"),
        (lambda row: row["upstream"].update(label=" "), 'upstream.label is " ": expected text'),
        (lambda row: row["results"][0].update(problem="kss"), 'results[0].problem is "kss": expected a problem (did'),
        (lambda row: row["results"][0].update(value=float("nan")), "results[0].value is NaN: expected a finite"),
        (lambda row: row["results"][0].update(value=True), "results[0].value is true: expected a finite"),
        (lambda row: row["results"][0].update(interval=[2, 1]), "results[0].interval is [2, 1]: expected [low, high]"),
        (lambda row: row["results"][0].update(test_ids_sha256="abc"), "expected 64 hexadecimal digits"),
        (lambda row: row["results"].append(row["results"][0]), "results[1]: ks accuracy test is in results[0] already"),
    ],
)
def test_what_is_wrong_is_named_by_file_and_key(change, reason):
    row = row_of()
    assert check(row, "x.json") == []
    change(row)
    (error,) = check(row, "x.json")
    assert reason in error and error.startswith("x.json: ")


def test_every_wrong_file_is_named_and_the_board_refuses_them(tmp_path, capsys):
    (tmp_path / "good é.json").write_text(json.dumps(row_of()))
    (tmp_path / "bad.json").write_text("{")
    (tmp_path / "worse.json").write_text("[]")
    paths = [str(path) for path in sorted(tmp_path.iterdir())]
    assert main(["results", "validate", *paths]) == 1
    out, err = capsys.readouterr()
    assert "good é.json: a, 1 result" in out and "bad.json is not JSON" in err and "worse.json: expected keys" in err
    assert main(["results", "board", str(tmp_path), f"--out={tmp_path / 'x.html'}"]) == 2
    assert not (tmp_path / "x.html").exists() and "bad.json is not JSON" in capsys.readouterr().err
    for name in ("bad", "worse"):
        (tmp_path / f"{name}.json").write_text(json.dumps(row_of()))
    assert main(["results", "board", str(tmp_path)]) == 2
    assert "both hold a: remove one" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words, reason",
    [
        ([], "expected one of"),
        (["exprt"], "(did you mean 'export'?)"),
        (["export"], "needs one folder"),
        (["export", "EMPTY"], "has no results of superb"),
        (["validate"], "needs files"),
        (["validate", "--x=1"], "unknown option"),
        (["board", "EMPTY"], "has no .json"),
        (["import", "csv"], "needs a kind and a file"),
        (["import", "tsv", "EMPTY/x.csv"], "needs a kind and a file"),
        (["import", "csv", "EMPTY/none.csv"], "none.csv"),
        (["import", "s3prl", "EMPTY/x.csv"], "no column 'submitName'"),
        (["import", "csv", "EMPTY/x.csv"], "x.csv, row 2: value is 'many': expected a number"),
        (["import", "csv", "EMPTY/y.csv"], "y.csv, row 2: accuracy is 95: expected a fraction"),
    ],
)
def test_a_wrong_command_is_refused(words, reason, tmp_path, capsys):
    folder = tmp_path / "e"
    folder.mkdir()
    if any(word.endswith("x.csv") for word in words):
        (folder / "x.csv").write_text("upstream,problem,metric,value\na,ks,accuracy,many\n")
    if any(word.endswith("y.csv") for word in words):
        (folder / "y.csv").write_text("upstream,problem,metric,value\na,ks,accuracy,95\n")
    assert main(["results", *(word.replace("EMPTY", str(folder)) for word in words)]) == 2
    assert reason in capsys.readouterr().err
