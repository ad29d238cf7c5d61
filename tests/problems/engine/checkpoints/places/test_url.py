"""A model at a URL is downloaded once, whole or not at all, and is what its manifest says."""

from __future__ import annotations

import json
import multiprocessing
import shutil

import pytest

import problems
from dataset.places import remote
from problems.asr import ASR
from problems.engine.checkpoints.places import url as places_url
from problems.engine.cli.main import execute
from problems.engine.runtime.errors import CheckpointError
from tests.conftest import tiny_options
from tests.parts.http_server import serving

pytest.importorskip("aiohttp", reason="pip install 'soundstage[remote]'")


@pytest.fixture(scope="module")
def exported(tones, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    assert execute(ASR(), ["run", *tiny_options(tones, folder), "--stop=2"]) == 0
    assert execute(ASR(), ["export", "--ckpt", str(folder / "run"), str(folder / "my_model")]) == 0
    return folder / "my_model"


@pytest.fixture
def server(exported, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(remote, "WAITS_SEC", (0.01,) * 4)
    shutil.copytree(exported, tmp_path / "web" / "my_model")
    with serving(tmp_path / "web") as server:
        yield server


def test_a_model_at_a_url_predicts_as_here_and_is_downloaded_once(exported, server, tones, capsys):
    wav, address = next(tones.rglob("*.wav")), f"{server.url}/my_model/"
    server.failures += ["503", "cut"]
    expected = problems.load(exported, device="cpu").predict(wav)
    assert problems.load(address, device="cpu").predict(wav) == expected
    asked = len(server.requests)
    assert execute(ASR(), ["predict", "--ckpt", address.rstrip("/"), str(wav)]) == 0
    assert capsys.readouterr().out == f"{wav}\t{expected}\n" and len(server.requests) == asked
    assert problems.load(f"file://{exported}", device="cpu").predict(wav) == expected


def test_a_model_at_a_url_is_tested_as_the_one_here(exported, server, tones, tmp_path, capsys):
    address, words = f"{server.url}/my_model", ["--data", str(tones / "test.csv"), "--num_workers=0"]
    assert execute(ASR(), ["test", "--ckpt", address, *words]) == 2
    assert f"{address} is not in the target folder of a training: --out DIR" in capsys.readouterr().err
    for name, place in (("there", address), ("here", str(exported))):
        assert execute(ASR(), ["test", "--ckpt", place, *words, f"--out={tmp_path / name}"]) == 0
    there, here = (json.loads(next((tmp_path / n).rglob("result.json")).read_text()) for n in ("there", "here"))
    assert there["metrics"] == here["metrics"] and there["utterances"] > 0


def test_any_file_system_of_fsspec_is_one(exported, tmp_path, monkeypatch):
    import fsspec

    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    memory = fsspec.filesystem("memory")
    memory.put(str(exported), "/models/mine", recursive=True)
    assert problems.load("memory://models/mine").card["problem"] == "ASR"


def test_a_model_that_is_not_what_its_manifest_says_is_refused_and_not_kept(server, tmp_path):
    weights = tmp_path / "web/my_model/model/weights.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + b"?")
    with pytest.raises(CheckpointError, match="my_model is damaged: model/weights.safetensors differs"):
        problems.load(f"{server.url}/my_model")
    weights.write_bytes(content[:-9])
    with pytest.raises(CheckpointError, match="cannot be downloaded.*weights.safetensors"):
        problems.load(f"{server.url}/my_model")
    weights.write_bytes(content)
    assert problems.load(f"{server.url}/my_model").card["problem"] == "ASR"


def test_what_is_no_model_is_refused_by_its_url(server, tmp_path):
    with pytest.raises(CheckpointError, match=r"elsewhere/manifest\.json.*no such file; check the URL"):
        problems.load(f"{server.url}/elsewhere")
    for content in ("[]", "{}", "no JSON", '{"files": {"a": 1}}'):
        (tmp_path / "web/my_model/manifest.json").write_text(content)
        with pytest.raises(
            CheckpointError, match="is not the manifest of a model: expected a folder that export wrote"
        ):
            problems.load(f"{server.url}/my_model")


@pytest.mark.parametrize("name", ["../../evil", "/tmp/evil", "a/../../evil", "..\\evil", "C:/evil", ""])
def test_a_manifest_cannot_write_outside_its_folder(server, tmp_path, name):
    (tmp_path / "web/my_model/manifest.json").write_text(json.dumps({"files": {name: {"bytes": 1, "sha256": ""}}}))
    with pytest.raises(CheckpointError, match="not a name inside the folder: do not trust it"):
        problems.load(f"{server.url}/my_model")
    assert not list(tmp_path.rglob("*evil*"))


def _loaded(address: str) -> str:
    return problems.load(address).card["problem"]


def test_several_processes_share_one_download(server):
    with multiprocessing.get_context("fork").Pool(3) as pool:
        assert pool.map(_loaded, [f"{server.url}/my_model"] * 3) == ["ASR"] * 3
    weights = [path for path in places_url.cache_folder({"cache_dir": None}).rglob("weights.safetensors")]
    assert len(weights) == 1
