"""Exported folders predict as their checkpoint does, alone and anywhere; programs of other runtimes do too."""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file

import problems
from dataset.audio import read
from problems.asr import ASR
from problems.classification import Classification
from problems.engine.cli.main import execute
from problems.engine.inference import onnx
from problems.engine.runtime.errors import CheckpointError, ConfigError
from tests.conftest import tiny_options


class Tones(Classification):
    """Two kinds of sound, in folders of their own."""


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sounds")
    rng = np.random.default_rng(0)
    for label, pitch in (("low", 200), ("high", 2000)):
        (folder / label).mkdir()
        for number in range(12):
            time = np.arange(int(16000 * rng.uniform(0.2, 0.9))) / 16000
            sound = 0.3 * np.sin(2 * np.pi * pitch * time) + 0.02 * rng.standard_normal(len(time))
            soundfile.write(folder / label / f"{number}.wav", sound, 16000)
    return folder


@pytest.fixture(scope="module")
def classifier(sounds, tmp_path_factory):
    target = tmp_path_factory.mktemp("classifier")
    options = [f"--target_dir={target / 'run'}", f"--cache_dir={target / 'cache'}", "--num_workers=0",
               f"--prepare_data.dataset_root={sounds}", "--prepare_data.corpus=folders",
               "--prepare_data.valid_fraction=0.2", "--prepare_data.test_fraction=0.2",
               "--build_downstream.name=tdnn", "--train={total_steps: 30, eval_step: 30, save_step: 30}"]  # fmt: skip
    assert execute(Tones(), ["run", *options]) == 0
    return target / "run"


def test_an_exported_folder_alone_predicts_the_same_and_tells_what_it_is(classifier, sounds, tmp_path, capsys):
    out, leftover = tmp_path / "my model", tmp_path / ".my model.1.tmp"
    leftover.mkdir()  # of an export that was killed
    assert execute(Tones(), ["export", "--ckpt", str(classifier), "--license=cc-by-4.0", str(out)]) == 0
    assert "README.md" in capsys.readouterr().out and not leftover.exists()
    moved = shutil.move(out, tmp_path / "elsewhere")
    files = sorted(sounds.rglob("*.wav"))
    own, exported = (problems.load(str(folder), problem=Tones, device="cpu") for folder in (classifier, moved))
    assert list(exported.predict(files)) == list(own.predict(files))
    card = exported.card
    assert card["results"] == own.card["results"]
    assert len(card["results"]["test"]["metrics"]["accuracy"]["interval"]) == 2
    assert card["parameters"]["head"] == sum(p.numel() for p in own.model.downstream.parameters()) + sum(
        p.numel() for p in own.model.featurizer.parameters()
    )
    readme = (tmp_path / "elsewhere" / "README.md").read_text("utf-8")
    assert "license: cc-by-4.0" in readme and "| test | accuracy |" in readme
    everything = b"".join(path.read_bytes() for path in (tmp_path / "elsewhere").rglob("*") if path.is_file())
    assert str(tmp_path.parent).encode() not in everything, "a path of this machine"
    assert not list((tmp_path / "elsewhere").rglob("training.pt"))
    modes = {path.stat().st_mode for path in (tmp_path / "elsewhere").rglob("*") if path.is_file()}
    assert len(modes) == 1, "others can read all files or none"


def test_the_readmes_snippet_works(classifier, sounds, tmp_path, monkeypatch):
    import soundstage

    out = tmp_path / "FOLDER"
    assert execute(Tones(), ["export", "--ckpt", str(classifier), str(out)]) == 0
    snippet = (out / "README.md").read_text("utf-8").split("```python\n")[1].split("```")[0]
    shutil.copy(next(sounds.rglob("*.wav")), tmp_path / "some.wav")
    monkeypatch.chdir(tmp_path)
    exec(compile(snippet, "README.md", "exec"), {})
    assert soundstage.load("FOLDER").predict("some.wav").label in ("low", "high")


@pytest.mark.parametrize("kind", ["onnx", "torch_export"])
def test_a_program_gives_the_models_scores_for_any_batch_and_length(classifier, sounds, tmp_path, kind, capsys):
    if kind == "onnx":
        pytest.importorskip("onnxscript", reason="needs onnxscript")
        pytest.importorskip("onnxruntime", reason="needs onnxruntime")
    out = tmp_path / "out"
    assert execute(Tones(), ["export", "--ckpt", str(classifier), f"--{kind}", str(sounds), str(out)]) == 0
    assert "24 recordings" in capsys.readouterr().out
    path = out / ("model.onnx" if kind == "onnx" else "model.pt2")
    program = onnx.load_onnx(path) if kind == "onnx" else onnx.load_program(path)
    model = problems.load(str(out), problem=Tones, device="cpu").model
    for sizes in ([3000], [400, 16000], [50000, 48000, 1234, 16000, 800]):
        wav_len = torch.tensor(sizes)
        wav = torch.randn(len(sizes), max(sizes)) * 0.1
        with torch.inference_mode():
            expected, scores = model(wav=wav, wav_len=wav_len)[0], program(wav, wav_len)[0]
        assert torch.allclose(scores, expected, atol=1e-4)
    assert problems.load(str(out), problem=Tones).predict(next(sounds.rglob("*.wav"))).label in ("low", "high")


def test_a_program_that_differs_is_refused_and_leaves_nothing(classifier, sounds, tmp_path, monkeypatch, capsys):
    wrong = lambda wav, wav_len: (torch.zeros(len(wav), 2), torch.ones_like(wav_len))  # noqa: E731
    monkeypatch.setattr(onnx, "load_program", lambda path: wrong)
    command = ["export", "--ckpt", str(classifier), "--torch_export", str(sounds), str(tmp_path / "out")]
    assert execute(Tones(), command) == 2
    assert "differs from the model by 1, more than 0.01" in capsys.readouterr().err
    assert not (tmp_path / "out").exists() and not list(tmp_path.iterdir())


def test_a_recurrent_model_becomes_a_program_of_any_length(tones, tiny, tmp_path, capsys):
    onnxruntime = pytest.importorskip("onnxruntime", reason="pip install 'soundstage[onnx]'")
    assert execute(ASR(), ["run", *tiny, "--stop=2"]) == 0
    capsys.readouterr()
    programs = [f"--onnx={tones}", f"--torch_export={tones}"]
    assert execute(ASR(), ["export", "--ckpt", str(tmp_path / "run"), *programs, str(tmp_path / "out")]) == 0
    said = capsys.readouterr()
    assert said.out.count("34 recordings") == 2 and not said.err
    path, model = tmp_path / "out" / "model.onnx", problems.load(str(tmp_path / "out"), device="cpu").model
    session = onnxruntime.InferenceSession(path)
    axes = [own.shape for own in (*session.get_inputs(), *session.get_outputs())]
    assert axes == [
        ["batch", "samples"],
        ["batch"],
        ["batch", "frames", model.downstream.output.out_features],
        ["batch"],
    ]
    programs = onnx.load_onnx(path), onnx.load_program(tmp_path / "out" / "model.pt2")
    for program, sizes in itertools.product(programs, ([5000], [900, 48000, 16000], [160_000])):
        wav, wav_len = torch.randn(len(sizes), max(sizes)) * 0.1, torch.tensor(sizes)
        with torch.inference_mode():
            expected, lengths = model(wav=wav, wav_len=wav_len)
            scores, program_lengths = program(wav, wav_len)
        assert program_lengths.tolist() == lengths.tolist()
        for own, theirs, length in zip(expected, scores, lengths.tolist()):
            assert torch.allclose(own[:length], theirs[:length], atol=1e-4)


def test_a_language_model_is_carried_in_the_folder_and_no_path_of_this_machine_is(tones, tmp_path, capsys):
    arpa = tmp_path / "secret home" / "lm.arpa"
    arpa.parent.mkdir()
    words = ("ba", "de", "gi", "ko")
    lines = [f"{-0.1 if word == 'gi' else -2.6}\t{word}\t0" for word in ("<unk>", "<s>", "</s>", *words)]
    arpa.write_text("\\data\\\nngram 1=7\n\n\\1-grams:\n" + "\n".join(lines) + "\n\n\\end\\\n")
    options = [
        *tiny_options(tones, tmp_path),
        f"--build_task.decode={{name: beam, lm: '{arpa}', lm_weight: 3}}",
        "--stop=2",
    ]
    assert execute(ASR(), ["run", *options]) == 0
    wav = next(tones.rglob("*.wav"))
    expected = str(problems.load(str(tmp_path / "run")).predict(wav))
    assert execute(ASR(), ["export", "--ckpt", str(tmp_path / "run"), str(tmp_path / "out")]) == 0
    everything = b"".join(path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert b"secret home" not in everything
    moved = shutil.move(arpa, tmp_path / "other.arpa")
    out = shutil.move(tmp_path / "out", tmp_path / "moved")
    assert str(problems.load(str(out)).predict(wav)) == expected
    assert str(problems.load(str(out), task={"decode.hot_word_score": 1.0}).predict(wav)) == expected
    assert str(problems.load(str(out), task={"decode.lm": None}).predict(wav)) != expected, "it was used"
    assert execute(ASR(), ["export", "--ckpt", str(out), str(tmp_path / "again")]) == 0
    tested = tmp_path / "tested"
    assert execute(ASR(), ["test", "--ckpt", str(out), "--data", str(tones / "test.csv"), f"--out={tested}"]) == 0
    assert len(list(tested.glob("evaluate/*/test/result.json"))) == 1
    shutil.rmtree(out)
    assert str(problems.load(str(tmp_path / "again")).predict(wav)) == expected
    (tmp_path / "again" / "files" / "lm.arpa").write_text(Path(moved).read_text().replace("gi", "ba"))
    with pytest.raises(CheckpointError, match="damaged: files/lm.arpa differs"):
        problems.load(str(tmp_path / "again"))
    capsys.readouterr()
    assert execute(ASR(), ["export", "--ckpt", str(tmp_path / "run"), str(tmp_path / "third")]) != 0
    assert "lm.arpa" in capsys.readouterr().err and not (tmp_path / "third").exists()


def test_the_weights_of_the_last_checkpoints_are_averaged(tones, tiny, tmp_path, capsys):
    options = ["--train.total_steps=12", "--train.keep_num_ckpts=3", "--stop=2"]
    assert execute(ASR(), ["run", *tiny, *options]) == 0
    export, out = ["export", "--ckpt", str(tmp_path / "run")], tmp_path / "out"
    assert execute(ASR(), [*export, "--average=2", str(out)]) == 0
    assert "the average of step_00000012, step_00000008 is now" in capsys.readouterr().out
    names = ("step_00000012", "step_00000008")
    first, second = (load_file(tmp_path / "run/train" / own / "model/weights.safetensors") for own in names)
    for name, value in load_file(out / "model" / "weights.safetensors").items():
        assert torch.allclose(value, (first[name] + second[name]) / 2, atol=1e-7), name
    card = problems.load(out).card
    assert card["average_of"] == list(names) and card["results"] == {} and card["corpus"] == "csv"
    assert execute(ASR(), [*export, "--average=4", str(tmp_path / "more")]) == 2
    assert "has 3 checkpoints: average fewer" in capsys.readouterr().err
    assert execute(ASR(), [*export, "--average=1", str(tmp_path / "more")]) == 2
    assert not (tmp_path / "more").exists()


def test_the_licence_of_an_exported_folder_can_be_changed(classifier, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    assert execute(Tones(), ["export", "--ckpt", str(classifier), "--license=mit", str(first)]) == 0
    assert execute(Tones(), ["export", "--ckpt", str(first), "--license=cc0-1.0", str(second)]) == 0
    assert "license: cc0-1.0" in (second / "README.md").read_text()


def test_a_folder_that_is_not_empty_is_refused(classifier, tmp_path, capsys):
    (tmp_path / "mine.txt").touch()
    assert execute(Tones(), ["export", "--ckpt", str(classifier), str(tmp_path)]) == 2
    assert "is not empty" in capsys.readouterr().err and (tmp_path / "mine.txt").exists()


@pytest.mark.parametrize("family", ["ge2e", "hf"])
def test_a_frozen_upstream_is_included_on_request(tones, tmp_path, family):
    model = tmp_path / "upstream" / "model"
    if family == "hf":
        hugging_face = pytest.importorskip("tests.parts.hugging_face", reason="pip install 'soundstage[hf]'")
        hugging_face.saved(model, "Hubert", hugging_face.SHAPE | hugging_face.CONVOLUTIONS, True)
        upstream = {"name": "hf", "conf": {"model": str(model)}}
    else:
        upstream = {"name": "ge2e", "conf": {"checkpoint": "random", "seed": 7}}
    options = [*tiny_options(tones, tmp_path), f"--build_upstream={json.dumps(upstream)}", "--build_model.specaug=null"]
    assert execute(ASR(), ["run", *options, "--stop=2"]) == 0
    wav = read(next(tones.rglob("*.wav")))
    expected = problems.load(str(tmp_path / "run"), device="cpu").features(wav)
    out = tmp_path / "out"
    assert execute(ASR(), ["export", "--ckpt", str(tmp_path / "run"), "--include_upstream", str(out)]) == 0
    without = tmp_path / "without"
    assert execute(ASR(), ["export", "--ckpt", str(tmp_path / "run"), str(without)]) == 0
    shutil.rmtree(tmp_path / "upstream", ignore_errors=True)
    again = shutil.move(out, tmp_path / "elsewhere")
    for own, other in zip(expected, problems.load(str(again), device="cpu").features(wav)):
        assert torch.equal(own, other)
    assert problems.load(str(again)).card["upstream_included"]
    if family == "hf":
        with pytest.raises((CheckpointError, ConfigError)):
            problems.load(str(without))
