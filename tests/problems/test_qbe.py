"""Query by example: two tones stand for a word, and documents are made of two words."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import soundfile

import problems
from problems.engine.cli.main import execute
from problems.qbe import QBE
from tests.conftest import write_table

WORDS = {name: (300 * 1.5**n, 300 * 1.5 ** ((n + 2) % 6)) for n, name in enumerate("abcdef")}


def say(word: str, rng) -> np.ndarray:
    """Two tones, whose lengths vary a little."""
    tones = [0.3 * np.sin(2 * np.pi * pitch * np.arange(rng.integers(2400, 3200)) / 16000) for pitch in WORDS[word]]
    return np.concatenate([*tones, np.zeros(800)])


def write_queries(folder) -> dict[str, dict[str, str]]:
    """Queries, documents and matches of two splits, in CSV files: their paths."""
    rng, settings = np.random.default_rng(0), {}
    for split in ("valid", "test"):
        queries, documents, matches = [], [], []
        for word in WORDS:
            path = folder / f"{split}-{word}.wav"
            wav = say(word, rng)
            soundfile.write(path, wav + 0.003 * rng.standard_normal(len(wav)), 16000)
            queries.append({"id": f"{split}-q-{word}", "wav_path": path.name})
        for number in range(16):
            words = rng.choice(list(WORDS), 2, replace=False)
            wav = np.concatenate([say(word, rng) for word in words])
            path = folder / f"{split}-d{number}.wav"
            soundfile.write(path, wav + 0.003 * rng.standard_normal(len(wav)), 16000)
            documents.append({"id": f"{split}-d{number}", "wav_path": path.name})
            matches += [{"query": f"{split}-q-{word}", "document": f"{split}-d{number}"} for word in words]
        tables = {"queries": queries, "documents": documents, "matches": matches}
        settings[split] = {
            name: str(write_table(folder / f"{split}-{name}.csv", rows)) for name, rows in tables.items()
        }
    return settings


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_queries(tmp_path_factory.mktemp("queries"))


@pytest.fixture
def run(corpus, tmp_path):
    def start(*options: str, code: int = 0):
        given = [f"--target_dir={tmp_path / 'run'}", f"--cache_dir={tmp_path / 'cache'}", "--num_workers=0"]
        data = [f"--prepare_data.{name}={json.dumps(own)}" for name, own in corpus.items()]
        assert execute(QBE(), ["run", *given, "--prepare_data.corpus=csv_queries", *data, *options]) == code
        return tmp_path / "run"

    return start


def result(target):
    (path,) = (target / "evaluate" / "step_00000000").rglob("test/**/result.json")
    return json.loads(path.read_text())


def test_words_are_found_where_they_are_said_without_training(run, corpus):
    target = run("--evaluate.settings=null")
    found = result(target)
    assert found["metrics"]["mtwv"] > 0.6 and found["metrics"]["trials"] == 6 * 16
    low, high = found["intervals"]["mtwv"]
    assert low <= found["metrics"]["mtwv"] <= high
    (path,) = (target / "evaluate").rglob("predictions.csv")
    predictions = pd.read_csv(path)
    for places in predictions["places"]:
        assert all(0 <= start < end < 2 for start, end in json.loads(places))
    query = pd.read_csv(target / "data" / "test.csv")["wav_path"][0]
    best = str(problems.load(str(target)).predict(query)).split(" ; ")[0].split()
    assert best[0].startswith("valid-d") and "-" in best[1]  # the documents that its checkpoint knows
    assert not list((target / "train" / "step_00000000").rglob("optimizer*"))


def test_the_distance_is_chosen_on_the_validation_set(run):
    target = run("--evaluate.settings={distance: [cosine, euclidean], normalize: [true, false]}")
    (path,) = (target / "evaluate").rglob("settings.json")
    choice = json.loads(path.read_text())
    values = {name: own["valid"]["mtwv"] for name, own in choice["settings"].items()}
    assert len(values) == 4 and values[choice["chosen"]] == max(values.values())


@pytest.mark.parametrize(
    ("options", "words", "code"),
    [
        (["--build_task.layer=3"], "layer is 3: the upstream has the layers 0 to 0", 2),
        (["--prepare_data.test={queries: x.csv}"], "expected {queries: CSV, documents: CSV, matches: CSV}", 1),
        (["--build_model.upstream_trainable=true"], "this problem trains nothing", 2),
    ],
)
def test_wrong_settings_are_refused(run, capfd, options, words, code):
    run(*options, code=code)
    assert words in capfd.readouterr().err


def test_a_match_of_nothing_is_named(run, corpus, tmp_path, capfd):
    table = pd.read_csv(corpus["test"]["matches"])
    table.loc[3, "document"] = "test-d99"
    table.to_csv(tmp_path / "wrong.csv", index=False)
    wrong = corpus["test"] | {"matches": str(tmp_path / "wrong.csv")}
    run(f"--prepare_data.test={json.dumps(wrong)}", code=1)
    assert "line 5: 'test-d99' is not in" in capfd.readouterr().err
