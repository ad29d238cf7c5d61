"""Trivial models: their metrics have references, and a report says if a model does not beat them."""

from __future__ import annotations

import csv
import json

import jiwer
import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torchaudio.compliance import kaldi

from dataset.audio import AudioError
from dataset.utterances import Utterances
from nn.upstream.signal.kaldi import Fbank
from problems.asr import ASR
from problems.engine.cli.main import execute
from problems.methods import baselines
from tasks.metrics.verification import TrialScores
from tests.conftest import write_table
from tests.parts.features import Convolution, utterances
from tests.parts.pitches import PITCHES, write_tones


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """The CSVs of tones of three pitches, most of them low in training, and long enough for stage 0 to be left out."""
    folder = tmp_path_factory.mktemp("tones")
    for seed, (name, count) in enumerate((("train", 36), ("test", 12))):
        rows = write_tones(folder / name, count, PITCHES, seed)
        if name == "train":
            rows = [row for row in rows if row["label"] == "low" or int(row["id"].split("-")[1]) % 2]
        write_table(folder / f"{name}.csv", [row | {"seconds": "1"} for row in rows])
    return folder


def read(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_features_are_the_mean_and_deviation_of_kaldi_s_filter_banks(tables):
    utterances = Utterances(tables / "test.csv")
    pooled = baselines.pooled_filter_banks(utterances, [3, 0], num_workers=0)
    for row, index in zip(pooled, (3, 0)):
        wav = utterances[index]["wav"][None]
        frames = kaldi.fbank(wav, num_mel_bins=80, dither=0.0).numpy()
        np.testing.assert_allclose(row, np.concatenate([frames.mean(0), frames.std(0)]), rtol=0, atol=0.02)


def test_labels(tables):
    result = baselines.of_labels(
        str(tables / "train.csv"), [str(tables / "test.csv")], "label", has_slots=False, num_workers=0
    )["test"]
    rows = {name: read(tables / f"{name}.csv") for name in ("train", "test")}
    assert result["most frequent label"]["accuracy"] == pytest.approx(4 / 12)
    assert result["most frequent label"]["uar"] == pytest.approx(1 / 3)
    x = {
        name: baselines.pooled_filter_banks(Utterances(tables / f"{name}.csv"), range(len(rows[name])), 0)
        for name in rows
    }
    labels = {name: [row["label"] for row in rows[name]] for name in rows}
    scaler = StandardScaler().fit(x["train"])
    model = LogisticRegression(max_iter=200).fit(scaler.transform(x["train"]), labels["train"])
    expected = model.score(scaler.transform(x["test"]), labels["test"])
    assert result["logistic regression"]["accuracy"] == pytest.approx(expected)


def test_an_upstream_is_probed_by_the_means_of_its_states(tables):
    upstream = Convolution().eval()
    csvs = str(tables / "train.csv"), [str(tables / "test.csv")]
    result = baselines.of_labels(*csvs, "label", has_slots=False, num_workers=0, upstream=upstream)["test"]
    x, labels = {}, {}
    for name in ("train", "test"):
        own = Utterances(tables / f"{name}.csv")
        labels[name] = [row["label"] for row in read(tables / f"{name}.csv")]
        with torch.no_grad():
            alone = [
                upstream(item["wav"][None], torch.tensor([item["wav_len"]]))[0]
                for item in map(own.__getitem__, range(len(own)))
            ]
        x[name] = np.stack([torch.cat(states).mean(dim=(0, 1)).numpy() for states in alone])
    normed = {name: own / np.linalg.norm(own, axis=1, keepdims=True) for name, own in x.items()}
    nearest = np.argsort(-normed["test"] @ normed["train"].T, axis=1)[:, :10]
    votes = [[labels["train"][index] for index in row] for row in nearest]
    hypotheses = [max(sorted(set(own)), key=own.count) for own in votes]
    expected = np.mean([one == other for one, other in zip(hypotheses, labels["test"])])
    assert result["kNN on the upstream"]["accuracy"] == pytest.approx(expected)
    scaler = StandardScaler().fit(x["train"])
    model = LogisticRegression(max_iter=200).fit(scaler.transform(x["train"]), labels["train"])
    linear = model.score(scaler.transform(x["test"]), labels["test"])
    assert result["logistic regression on the upstream"]["accuracy"] == pytest.approx(linear)


def test_slots_count_together(tables):
    result = baselines.of_labels(
        str(tables / "train.csv"), [str(tables / "test.csv")], "labels", has_slots=True, num_workers=0
    )["test"]
    assert result["most frequent label"] == {"accuracy": pytest.approx(2 / 12)}
    assert 0 < result["logistic regression"]["accuracy"] <= 1


def test_texts_are_as_jiwer_counts_them(tmp_path):
    texts = {"train": ["a b", "b c", "b"], "test": ["b a", "c", "b b c d"]}
    for name, lines in texts.items():
        write_table(tmp_path / f"{name}.csv", [{"id": str(n), "transcription": t} for n, t in enumerate(lines)])
    result = baselines.of_texts(str(tmp_path / "train.csv"), [str(tmp_path / "test.csv")])
    words = texts["test"], ["b"] * 3
    expected = {"wer": pytest.approx(jiwer.wer(*words)), "cer": pytest.approx(jiwer.cer(*words))}
    assert result == {"test": {"most frequent word": expected}}


def test_a_run_is_compared_and_a_model_that_does_not_beat_a_trivial_one_is_warned_of(tiny, tmp_path, capsys):
    options = [*tiny, "--evaluate.baselines=true"]
    assert execute(ASR(), ["run", *options, "--train.total_steps=1"]) == 0
    printed = capsys.readouterr().out
    path = tmp_path / "run" / "evaluate" / "baselines.json"
    wer = json.loads(path.read_text())["test_sets"]["test"]["most frequent word"]["wer"]
    assert f"most frequent word  test       {100 * wer:.2f}%" in printed.replace("\u2502", " ")
    assert "WARNING: step_00000001 does not beat a trivial model on test: WER" in printed
    results = json.loads((tmp_path / "run" / "report" / "results.json").read_text())
    assert results["baselines"]["test"]["most frequent word"]["wer"] == wer
    page = (tmp_path / "run" / "report" / "report.html").read_text()
    assert "most frequent word" in page and "does not beat a trivial model" in page
    assert "try another front end" in printed and "The head loses" not in printed
    better = {"test_sets": {"test": {"cosine of the upstream": {"wer": 0.0}}}}
    path.write_text(json.dumps(json.loads(path.read_text()) | better))
    assert execute(ASR(), ["run", *options, "--train.total_steps=1", "--start=4"]) == 0
    printed = capsys.readouterr().out
    assert "The head loses what the upstream knows" in printed and "another front end" not in printed


def test_trivial_models_are_computed_once_for_the_same_csvs(tiny, tones, tmp_path, monkeypatch):
    plain, computed = baselines.of_texts, []
    monkeypatch.setattr(baselines, "of_texts", lambda *csvs: computed.append(csvs) or plain(*csvs))
    options = [option for option in tiny if not option.startswith(("--evaluate", "--prepare_data.test"))]
    options += ["--evaluate.baselines=true", "--train.total_steps=1"]
    other = write_table(tmp_path / "test.csv", read(tones / "test.csv")[:4])
    for test_csv, start, expected in ((tones / "test.csv", 0, 1), (tones / "test.csv", 3, 1), (other, 0, 2)):
        words = ["run", *options, f"--prepare_data.test={test_csv}", f"--start={start}"]
        assert execute(ASR(), words) == 0 and len(computed) == expected


def test_unreadable_audio_leaves_out_the_comparison_and_not_the_results(tiny, tmp_path, monkeypatch, capsys):
    def fail(*csvs):
        raise AudioError("x.wav is empty")

    monkeypatch.setattr(baselines, "of_texts", fail)
    assert execute(ASR(), ["run", *tiny, "--evaluate.baselines=true", "--train.total_steps=1"]) == 0
    assert "no comparison with trivial models: x.wav is empty" in capsys.readouterr().err
    assert list((tmp_path / "run").glob("evaluate/*/*/result.json"))


def test_the_states_of_an_upstream_are_averaged_over_each_utterance_alone(tmp_path):
    data, upstream = utterances(tmp_path), Convolution()
    means = baselines.mean_states(upstream, data, num_workers=0)
    for index, mean in enumerate(means):
        item = data[index]
        with torch.no_grad():
            states, lengths = upstream(item["wav"][None], torch.tensor([item["wav_len"]]))
        frames = states[-1][0, : int(lengths[-1])]
        np.testing.assert_allclose(mean, frames.sum(0) / max(1, len(frames)), rtol=1e-4, atol=1e-6)


def test_a_verifier_is_compared_with_the_cosine_of_its_upstream(tmp_path):
    data = utterances(tmp_path, seed=3)
    pairs = [(i, j) for i in range(1, 9) for j in range(i + 1, 9)]
    rows = [
        {
            "id1": data.ids[i],
            "id2": data.ids[j],
            "wav_path1": data.sources[i][0],
            "wav_path2": data.sources[j][0],
            "label": str(int((i + j) % 3 == 0)),
        }
        for i, j in pairs
    ]
    csv = str(write_table(tmp_path / "trials.csv", rows))
    upstream = Convolution()
    settings = {"cache_dir": str(tmp_path / "cache"), "num_workers": 0}
    models = baselines.of_trials(data.csv, [csv], **settings, upstream=upstream)["trials"]
    means = torch.tensor(baselines.mean_states(upstream, data, num_workers=0))
    scores = [float(torch.cosine_similarity(means[i], means[j], dim=0)) for i, j in pairs]
    expected = TrialScores(np.array(scores), np.array([row["label"] == "1" for row in rows])).eer
    assert models["cosine of the upstream"]["eer"] == pytest.approx(expected, abs=1e-6)
    plain = baselines.of_trials(data.csv, [csv], **settings, upstream=Fbank())["trials"]
    assert list(plain) == ["cosine of pooled filter banks"]
    assert plain["cosine of pooled filter banks"] == models["cosine of pooled filter banks"]
