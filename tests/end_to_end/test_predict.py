"""A trained checkpoint on new audio: from anywhere, of any kind of file, and stdout holds predictions only."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading

import numpy as np
import pytest
import soundfile
import torch

import problems
from dataset.audio import read
from dataset.long_audio.chunking import at_pauses
from problems.asr import ASR
from problems.engine.cli.main import execute
from problems.engine.runtime.errors import CheckpointError
from tests.conftest import ROOT, write_table, write_tones


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A target folder whose recogniser knows the tones, and all that it was made of, in a folder of its own."""
    folder = tmp_path_factory.mktemp("trained")
    for seed, (name, count) in enumerate((("train", 22), ("valid", 5), ("test", 7))):
        write_table(folder / f"{name}.csv", write_tones(folder / name, count, seed))
    options = [
        f"--target_dir={folder / 'run'}",
        f"--cache_dir={folder / 'cache'}",
        "--num_workers=0",
        "--prepare_data.corpus=csv",
        *(f"--prepare_data.{name}={folder / name}.csv" for name in ("train", "valid", "test")),
        "--build_upstream.conf.num_mel_bins=20",
        "--build_downstream.conf.hidden_size=[24]",
        "--build_downstream.conf.stack=2",
        "--build_model.specaug=null",
        "--build_batch_sampler.train.batch_size=4",
        "--build_optimizer.conf.lr=0.01",
        "--train={total_steps: 180, eval_step: 90, save_step: 90, use_scheduler: false}",
    ]
    assert execute(ASR(), ["run", *options]) == 0
    return folder


@pytest.fixture
def predict(trained, capfd):
    """The command line's predictions: exit code, lines of stdout split at tabs, stderr."""

    def run(*paths, ckpt=None) -> tuple[int, list[list[str]], str]:
        capfd.readouterr()
        code = execute(ASR(), ["predict", "--ckpt", str(ckpt or trained / "run"), *map(str, paths)])
        out, err = capfd.readouterr()
        return code, [line.split("\t") for line in out.splitlines()], err

    return run


def test_a_checkpoint_copied_alone_predicts_the_same_when_all_else_is_gone(trained, tmp_path):
    whole = shutil.copytree(trained, tmp_path / "whole")
    wav = tmp_path / "some.wav"
    shutil.copy(trained / "test" / "u000.wav", wav)
    expected = str(problems.load(str(whole / "run")).predict(wav))
    assert expected, "a recogniser that says nothing would prove nothing"
    best = problems.load(str(whole / "run")).folder
    alone = shutil.copytree(best, tmp_path / "elsewhere" / "my model")
    shutil.rmtree(whole)
    command = [sys.executable, "-m", "problems.asr", "predict", "--ckpt", str(alone), str(wav)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout == f"{wav}\t{expected}\n"


def test_load_takes_a_target_a_training_or_a_checkpoint_folder(trained):
    wav = read(trained / "test" / "u001.wav")
    train_dir = trained / "run" / "train"
    found = [problems.load(str(folder)) for folder in (trained / "run", train_dir, train_dir / "step_00000180")]
    assert found[0].folder == found[1].folder and found[0].folder.parent == train_dir
    assert len({str(model.predict(wav)) for model in found[:2]}) == 1
    assert isinstance(found[0].problem, ASR)


def test_predictions_are_those_of_the_evaluation(trained, predict):
    from dataset.metadata import read_csv

    (path,) = (trained / "run" / "evaluate").glob("*/test/predictions.csv")
    tested = dict(zip(read_csv(path, ("id",))["id"], read_csv(path, ("id",))["hypothesis"]))
    code, lines, _ = predict(*sorted((trained / "test").glob("*.wav")))
    assert code == 0 and len(lines) == 7
    for name, text in lines:
        number = name[-7:-4]
        assert text == " ".join(tested[f"test-{number}"].split())


def test_a_checkpoint_of_another_problem_is_refused_with_the_command_to_use(trained):
    with pytest.raises(CheckpointError, match="ASR .*, not by KS: use python -m problems.asr"):
        problems.load(str(trained / "run"), problem=problems.get("ks"))


def test_a_users_class_is_named_with_the_file_to_run(trained, tmp_path):
    class OwnASR(ASR):
        pass

    folder = shutil.copytree(problems.load(str(trained / "run")).folder, tmp_path / "own")
    for part in ("model", "task"):
        path = folder / part / "problem.json"
        path.write_text(path.read_text().replace('"ASR"', '"GoneASR"').replace("problems/asr.py", "home/gone.py"))
    (folder / "manifest.json").write_text('{"files": {}}')
    with pytest.raises(CheckpointError, match=r"GoneASR.*gone\.py.*problem=GoneASR"):
        problems.load(str(folder))
    with pytest.raises(CheckpointError, match="not by OwnASR"):
        problems.load(str(folder), problem=OwnASR)
    assert execute(ASR(), ["predict", "--ckpt", str(folder), "x.wav"]) == 1
    loaded = problems.load(str(trained / "run"), problem=OwnASR)  # a subclass may take up its parent's
    assert isinstance(loaded.problem, OwnASR)


@pytest.mark.parametrize("kind", ["flac", "ogg", "mp3", "wav"])
def test_files_of_any_rate_and_channel_count(trained, predict, tmp_path, kind):
    wave, rate = soundfile.read(trained / "test" / "u002.wav")
    expected = predict(trained / "test" / "u002.wav")[1][0][1]
    at_48k = torch.nn.functional.interpolate(torch.tensor(wave)[None, None], scale_factor=3, mode="linear")[0, 0]
    path = tmp_path / f"stereo.{kind}"
    if kind.upper() not in soundfile.available_formats() and kind != "mp3":
        pytest.skip(f"this libsndfile writes no {kind}")
    try:
        soundfile.write(path, np.stack([at_48k.numpy()] * 2, axis=1), 48000)
    except (soundfile.LibsndfileError, ValueError) as error:
        pytest.skip(f"this libsndfile writes no {kind}: {error}")
    code, [[_, text]], err = predict(path)
    assert (code, err) == (0, "") and text.split(), "tones are far from any codec's limits"
    if kind in ("flac", "wav"):
        assert text == expected
    low = tmp_path / f"low.{kind}"
    soundfile.write(low, np.stack([wave[::2]] * 2, axis=1), 8000)
    assert predict(low)[0] == 0


def test_a_long_file_is_taken_in_windows_and_every_one_of_them_is_there(trained, predict, tmp_path):
    word = read(trained / "test" / "u000.wav").numpy()
    noise = 0.01 * np.random.default_rng(0).standard_normal(16000).astype(np.float32)
    long = tmp_path / "long.wav"
    soundfile.write(long, np.tile(np.concatenate([word, noise]), 63), 16000, subtype="FLOAT")
    wav = read(long)
    assert len(wav) > 100 * 16000
    model = problems.load(str(trained / "run"))
    pieces = list(at_pauses(wav))
    texts = [str(model.predict(piece)) for piece in pieces]
    assert len(texts) >= 4 and all(texts)
    assert predict(long)[:2] == (0, [[str(long), " ".join(texts)]])
    starts = [word.start for word in model.predict(long).words]
    assert starts == sorted(starts) and starts[-1] > len(wav) / 16000 - 2, "times are those of the whole recording"


def test_a_bad_file_is_named_and_the_others_go_on(trained, predict, tmp_path):
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("no audio")
    good = trained / "test" / "u000.wav"
    code, lines, err = predict(tmp_path / "empty.wav", good, tmp_path / "none.wav", tmp_path / "text.wav", good)
    assert code == 1 and [line[0] for line in lines] == [str(good)] * 2
    assert all(f"{name}.wav" in err for name in ("empty", "none", "text")) and "Traceback" not in err


def test_the_shortest_audio_has_a_prediction(predict, tmp_path):
    soundfile.write(tmp_path / "short.wav", np.zeros(10), 16000)
    assert predict(tmp_path / "short.wav")[:2] == (0, [[str(tmp_path / "short.wav"), ""]])


def test_stdout_holds_predictions_only_and_text_has_single_spaces(trained, predict):
    code, lines, err = predict(*(trained / "test" / f"u00{n}.wav" for n in range(7)))
    assert (code, err) == (0, "") and all(len(line) == 2 for line in lines)
    assert all(text == " ".join(text.split()) for _, text in lines)


@pytest.mark.parametrize("ckpt", ["nowhere", "."])
def test_a_folder_without_a_checkpoint_says_what_was_expected(predict, tmp_path, monkeypatch, ckpt):
    monkeypatch.chdir(tmp_path)
    code, lines, err = predict("x.wav", ckpt=ckpt)
    assert (code, lines) == (1, []) and "step_" in err and "Traceback" not in err


def test_a_damaged_checkpoint_is_refused(trained, predict, tmp_path):
    folder = shutil.copytree(problems.load(str(trained / "run")).folder, tmp_path / "damaged")
    weights = folder / "model" / "weights.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    code, lines, err = predict("x.wav", ckpt=folder)
    assert (code, lines) == (1, []) and "weights.safetensors differs" in err


def test_a_model_can_be_used_from_several_threads(trained):
    model, wav = problems.load(str(trained / "run")), read(trained / "test" / "u003.wav")
    texts: list[str] = []
    threads = [threading.Thread(target=lambda: texts.append(str(model.predict(wav)))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(texts) == 4 and len(set(texts)) == 1
