"""``manifest``: the sets of a target folder in another toolkit's format, with which a run gives the same results."""

from __future__ import annotations

import json

from dataset.metadata import read_csv
from problems.asr import ASR
from problems.asv import ASV
from problems.engine.cli.main import execute


def own(tiny: list[str], *more: str) -> list[str]:
    """The options of a run without those of its data."""
    return [option for option in tiny if not option.startswith(("--prepare_data", "--target_dir"))] + list(more)


def result(folder) -> dict:
    (path,) = (folder / "evaluate").glob("*/test/result.json")
    return json.loads(path.read_text())["metrics"]


def test_a_training_from_a_kaldi_folder_is_that_from_the_csvs(tiny, tmp_path, capfd):
    assert execute(ASR(), ["run", *tiny]) == 0
    target = ["--target_dir", str(tmp_path / "run")]
    capfd.readouterr()
    assert execute(ASR(), ["manifest", "--to", "kaldi", "--out", str(tmp_path / "kaldi"), *target]) == 0
    assert capfd.readouterr().out.split() == [
        *("train", "22", "utterances", "valid", "5", "utterances", "test", "7", "utterances"),
        str(tmp_path / "kaldi"),
    ]
    data = [f"--prepare_data.{name}={tmp_path}/kaldi/{name}" for name in ("train", "valid", "test")]
    again = own(tiny, "--prepare_data.corpus=kaldi", *data, f"--target_dir={tmp_path}/again")
    assert execute(ASR(), ["run", *again]) == 0
    assert result(tmp_path / "again") == result(tmp_path / "run")
    assert "wer" in result(tmp_path / "run")


def test_nemo_and_lhotse_give_the_same_csvs(tiny, tmp_path):
    assert execute(ASR(), ["run", *tiny, "--stop=0"]) == 0
    before = read_csv(tmp_path / "run/data/train.csv", ()).sort_values("id")
    for form, name in (("nemo", "{}.jsonl"), ("lhotse", "supervisions_{}.jsonl.gz")):
        out = tmp_path / form
        assert execute(ASR(), ["manifest", f"--to={form}", f"--out={out}", f"--target_dir={tmp_path}/run"]) == 0
        data = [f"--prepare_data.{set}={out / name.format(set)}" for set in ("train", "valid", "test")]
        options = own(tiny, f"--prepare_data.corpus={form}", *data, f"--target_dir={tmp_path}/{form}-run", "--stop=0")
        assert execute(ASR(), ["run", *options]) == 0
        after = read_csv(tmp_path / f"{form}-run/data/train.csv", ()).sort_values("id")
        assert after[list(before)].values.tolist() == before.values.tolist()


def test_mistakes_are_messages_and_nothing_is_left(tiny, tmp_path, capfd):
    out, target = str(tmp_path / "out"), f"--target_dir={tmp_path}/run"

    def error(*words: str) -> tuple[int, str]:
        code = execute(ASR(), ["manifest", *words])
        return code, capfd.readouterr().err

    assert error("--out", out, target) == (
        2,
        "error: --to is missing; expected manifest --to FORMAT --out DIR, with one of kaldi, nemo, lhotse\n",
    )
    assert "did you mean 'kaldi'" in error("--to", "kaldy", "--out", out)[1]
    code, message = error("--to", "nemo", "--out", out, target)
    assert code == 2 and "has no data/train.csv; write it first, with run --stop 0" in message
    assert execute(ASR(), ["run", *tiny, "--stop=0"]) == 0
    csv = tmp_path / "run/data/valid.csv"
    lines = csv.read_text().splitlines()
    csv.write_text("\n".join([lines[0], lines[1].replace("valid-000", "valid 000")]) + "\n")
    capfd.readouterr()
    code, message = error("--to", "kaldi", "--out", out, target)
    assert code == 1 and "'valid 000' is no word" in message
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "run"]
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine").write_text("")
    assert "is not empty" in error("--to", "nemo", "--out", out, target)[1]


def test_lists_of_trials_are_left_out_and_said(tmp_path, capfd):
    data = tmp_path / "run/data"
    data.mkdir(parents=True)
    (data / "train.csv").write_text("id,wav_path,seconds,spk\na,a.wav,1,s\nb,b.wav,1,t\n")
    trials = "id1,id2,wav_path1,wav_path2,label\na,b,a.wav,b.wav,0\n"
    for name in ("valid", "test"):
        (data / f"{name}.csv").write_text(trials)
    out = ["--to=kaldi", f"--out={tmp_path}/out", f"--target_dir={tmp_path}/run"]
    assert execute(ASV(), ["manifest", *out, "--prepare_data.corpus=csv_trials", "--prepare_data.train=x.csv"]) == 0
    assert capfd.readouterr().out.count("a list of trials: not written") == 2
    assert (tmp_path / "out/train/utt2spk").read_text() == "a s\nb t\n"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["train"]
