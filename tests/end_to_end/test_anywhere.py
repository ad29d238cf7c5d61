"""A checkpoint's folder, copied alone to an empty place, takes audio of any kind; so does one of a user's own class."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from problems.asv import ASV
from problems.engine.checkpoints.find import find
from problems.engine.cli.main import execute
from problems.ks import KS
from problems.sd import SD
from tests.conftest import ROOT, write_table
from tests.parts.causal import trained
from tests.parts.pitches import PITCHES, write_tones
from tests.problems import test_asv, test_sd

OWN = '''"""A problem of a user's own, with a head of its own, in a module of its own."""

import torch

from problems.classification import Classification


class Head(torch.nn.Module):
    def __init__(self, input_size: int, output_size: int):
        super().__init__()
        self.linear = torch.nn.Linear(input_size, output_size)

    def forward(self, x, x_len):
        return self.linear(x.mean(dim=1)), torch.ones_like(x_len)


class Pitches(Classification):
    summary = "tells pitches"

    def build_downstream(
        self, build_downstream, downstream_input_size, downstream_output_size, downstream_input_stride
    ):
        return Head(downstream_input_size, downstream_output_size)


if __name__ == "__main__":
    from my_pitches import Pitches

    Pitches().main()
'''
USE = """
import json, sys
from pathlib import Path
import soundfile
import soundstage

place = Path(sys.argv[1])
files = sorted(path for path in place.iterdir() if path.is_file())
results = {}
for folder in sorted(path for path in place.iterdir() if path.is_dir()):
    problem = None
    if folder.name == "own":
        sys.path.insert(0, sys.argv[2])
        from my_pitches import Pitches as problem
    model = soundstage.load(folder, problem=problem)
    own = {path.name: model.predict(path).to_dict() for path in files}
    own["array"] = model.predict(soundfile.read(place / "16k.wav", dtype="float32")[0]).to_dict()
    results[folder.name] = own
print(json.dumps(results))
"""
RATES = {"wav": (8000, 44100, 96000), "flac": (8000, 44100, 96000), "mp3": (8000, 44100)}  # of mp3, 48 kHz is the most


def python(*words, cwd: Path, path: str = str(ROOT)) -> subprocess.CompletedProcess:
    """A process of its own, far from the repository."""
    environment = {**os.environ, "PYTHONPATH": path}
    return subprocess.run([sys.executable, *map(str, words)], capture_output=True, text=True, cwd=cwd, env=environment)


@pytest.fixture(scope="module")
def user(tmp_path_factory) -> Path:
    """A user's folder, with the class, its data and its training."""
    folder = tmp_path_factory.mktemp("a user's folder ü")
    (folder / "my_pitches.py").write_text(OWN)
    for seed, (name, count) in enumerate((("train", 18), ("valid", 6), ("test", 6))):
        write_table(folder / f"{name}.csv", write_tones(folder / name, count, PITCHES, seed))
    done = python("my_pitches.py", "run", *pitches(folder), cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


def pitches(folder: Path) -> list[str]:
    """Options of a short training on tones."""
    return [
        f"--target_dir={folder / 'run'}",
        f"--cache_dir={folder / 'cache'}",
        "--num_workers=0",
        "--prepare_data.corpus=csv",
        *(f"--prepare_data.{name}={folder / name}.csv" for name in ("train", "valid", "test")),
        "--train={total_steps: 20, eval_step: 20, save_step: 20}",
        "--stop=2",
    ]


@pytest.fixture(scope="module")
def place(tones, user, tmp_path_factory) -> Path:
    """A place with the checkpoints alone; all that they were made of is gone."""
    place, origin = tmp_path_factory.mktemp("elsewhere ö"), tmp_path_factory.mktemp("made")
    runs = {"asr": trained(tones, origin / "asr"), "own": user / "run"}
    shutil.copytree(user, origin / "ks", ignore=shutil.ignore_patterns("run", "cache", "*.py"))
    for path in (origin / "ks").glob("*.csv"):
        path.write_text(path.read_text().replace(str(user), str(origin / "ks")))
    assert execute(KS(), ["run", *pitches(origin / "ks")]) == 0
    assert execute(ASV(), test_asv.command(origin / "asv", "--stop=2")) == 0
    for seed, name in enumerate(("train", "valid", "test")):
        write_table(origin / "sd" / f"{name}.csv", test_sd.write_recordings(origin / "sd" / name, 6, seed))
    windows = ["--build_dataset.window=3", "--build_downstream.conf.hidden_size=[8]"]
    options = [own.replace("corpus=csv", "corpus=csv_turns") for own in pitches(origin / "sd")]
    assert execute(SD(), ["run", *options, *windows]) == 0
    runs |= {name: origin / name / "run" for name in ("ks", "asv", "sd")}
    for name, run in runs.items():
        shutil.copytree(find(run), place / name)
    shutil.rmtree(origin)
    shutil.move(user / "run", user / "moved")  # its own code stays, as it is imported
    return place


@pytest.fixture(scope="module")
def results(place, tones, user) -> dict[str, dict[str, dict]]:
    """By checkpoint and file, the results of a process that has the checkpoints and the files alone."""
    waves = [soundfile.read(path)[0] for path in sorted((tones / "test").glob("*.wav"))]
    wave = np.concatenate(waves)
    soundfile.write(place / "16k.wav", wave, 16000)
    for kind, rates in RATES.items():
        for rate in rates:
            times = np.arange(int(len(wave) * rate / 16000)) * 16000 / rate
            samples = np.interp(times, np.arange(len(wave)), wave)
            soundfile.write(place / f"{rate} {kind}.{kind}", np.stack([samples, 0.5 * samples], axis=1), rate)
    done = python("-c", USE, place, user, cwd=place)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", ["asr", "ks", "asv", "sd", "own"])
def test_files_of_any_kind_have_a_result_of_their_length(results, name):
    own = results[name]
    assert len(own) == 10 and own["array"]["source"] == "array"
    seconds = own["16k.wav"]["seconds"]
    for key, result in own.items():
        slack = 0.2 if key.endswith("mp3") else 0.001  # an encoder fills its blocks
        assert abs(result["seconds"] - seconds) < slack, key
    assert {**own["16k.wav"], "source": None} == {**own["array"], "source": None}


def test_what_is_recognised_is_the_same_at_any_rate(results):
    kept = [key for key in results["own"] if key.endswith(("wav", "flac")) and not key.startswith("8000")]
    for name in ("ks", "own"):
        assert len({results[name][key]["label"] for key in kept}) == 1
    assert all(len(results["asr"][key]["words"]) and len(results["asr"][key]["text"]) > 6 for key in kept)
    vectors = np.array([results["asv"][key]["vector"] for key in kept])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    assert (vectors @ vectors.T).min() > 0.9 and any(results["sd"][key]["turns"] for key in kept)


def test_a_class_that_is_not_there_is_named_with_its_file_and_what_to_do(place, results, user):
    load = "import sys, soundstage; soundstage.load(sys.argv[1])"
    done = python("-c", load, place / "own", cwd=place)
    assert "your own class Pitches" in done.stderr and "my_pitches.py" in done.stderr
    assert "problems.load(..., problem=Pitches)" in done.stderr.splitlines()[-1]
    done = python("-m", "problems.ks", "predict", "--ckpt", place / "own", place / "16k.wav", cwd=place)
    assert (done.returncode, done.stdout) == (1, "") and "Traceback" not in done.stderr
    assert "Pitches" in done.stderr and "my_pitches.py" in done.stderr
    done = python(user / "my_pitches.py", "predict", "--ckpt", place / "own", place / "16k.wav", cwd=place)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{place / '16k.wav'}\t{results['own']['16k.wav']['label']}\n"


def test_a_part_whose_module_is_not_there_is_named_with_what_to_do(place, results, user, tmp_path):
    folder = shutil.copytree(place / "ks", tmp_path / "ks")
    arguments = folder / "model" / "arguments.json"
    content = json.loads(arguments.read_text())
    content["values"]["build_downstream"] = {"name": "my_pitches:Head", "conf": {}}
    arguments.write_text(json.dumps(content))
    (folder / "manifest.json").write_text('{"files": {}}')
    words = ["-m", "problems.ks", "predict", "--ckpt", folder, place / "16k.wav"]
    done = python(*words, cwd=place)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "error: my_pitches:Head: no module 'my_pitches' on the Python path: run from the folder that has my_pitches.py,"
        " or add that folder to PYTHONPATH\n"
    )
    done = python(*words, cwd=place, path=f"{ROOT}:{user}")
    assert "no module" not in done.stderr
