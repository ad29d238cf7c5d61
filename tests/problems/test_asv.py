"""Speaker verification end to end: speakers that training never heard, trials, and what is left of them."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

import problems
from dataset.metadata import read_csv
from problems.asv import ASV
from problems.engine.cli.arguments import resolve_config
from problems.engine.cli.main import execute
from tasks.metrics.verification import TrialScores


def command(folder: Path, *options: str) -> list[str]:
    """A whole run in a few seconds."""
    return [
        "run",
        f"--target_dir={folder / 'run'}",
        f"--cache_dir={folder / 'cache'}",
        "--num_workers=0",
        "--prepare_data.corpus=tests.parts.voices:Voices",
        "--build_dataset.max_seconds=0.4",
        "--build_upstream.conf={num_mel_bins: 20, cmvn: none}",  # a pitch is what stays the same
        "--build_downstream={name: xvector, conf: {hidden_size: 16, tdnn_size: 16, aggregation_size: 16}}",
        "--build_model.embedding_size=12",
        "--build_task.loss=aamsoftmax",
        "--build_batch_sampler.train.batch_size=8",
        "--build_optimizer.conf.lr=0.01",
        "--train={total_steps: 100, eval_step: 50, save_step: 50, use_scheduler: false}",
        *options,
    ]


SCORED = "--build_task.scoring={centre: true, as_norm: 3}"


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A folder whose ``run`` was trained and tested with everything that is learnt of the cohort."""
    folder = tmp_path_factory.mktemp("asv")
    assert execute(ASV(), command(folder, SCORED, "--build_dataset.cohort_per_speaker=3")) == 0
    return folder


def results(folder: Path) -> dict[str, Path]:
    return {path.name: path for path in (folder / "run" / "evaluate").glob("*/*") if path.is_dir()}


def predictions(folder: Path) -> list[dict[str, str]]:
    with open(folder / "predictions.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_stage_0_writes_trials_whose_audio_is_checked(trained):
    data = trained / "run" / "data"
    assert sorted(p.name for p in data.glob("*.csv")) == ["pairs.csv", "train.csv", "two.csv", "valid.csv"]
    assert list(read_csv(data / "pairs.csv", ()).columns) == ["id1", "id2", "wav_path1", "wav_path2", "label"]
    two = read_csv(data / "two.csv", ())
    assert all(" ; " in id for id in two["id1"])
    assert all(Path(path).is_file() for cell in two["wav_path1"] for path in cell.split(" ; "))


def test_a_result_is_that_of_its_scores_and_better_than_chance_on_unheard_speakers(trained):
    found = results(trained)
    assert set(found) == {"pairs", "two"}
    for folder in found.values():
        metrics = json.loads((folder / "result.json").read_text())["metrics"]
        rows = predictions(folder)
        scores = np.array([row["score"] for row in rows], dtype=np.float32)
        targets = np.array([row["label"] == "1" for row in rows])
        assert metrics["trials"] == len(rows) and metrics["eer"] == pytest.approx(TrialScores(scores, targets).eer)
        assert metrics["eer"] < 0.35 and 0 <= metrics["miss"] <= 1
        ratios = np.array([float(row["llr"]) for row in rows])
        assert metrics["cllr"] == pytest.approx(TrialScores(ratios, targets).cllr(), rel=1e-4)
        lines = [line.split("\t") for line in (folder / "scores.txt").read_text().splitlines()]
        assert lines == [[row["id1"], row["id2"], row["score"]] for row in rows]
        points = json.loads((folder / "det.json").read_text())
        assert {"threshold", "miss", "false_alarm"} == points[0].keys()


def test_embeddings_are_left_once_an_utterance_and_readable_without_pickle(trained):
    for folder in results(trained).values():
        with np.load(folder / "embeddings.npz", allow_pickle=False) as saved:
            assert len(set(saved["ids"].tolist())) == len(saved["ids"]) == 12
            assert saved["embeddings"].shape == (12, 12) and saved["embeddings"].dtype == np.float32


def test_a_run_is_done_and_fresh_and_one_result_can_be_made_again_alone(trained, capfd):
    assert execute(ASV(), command(trained, SCORED, "--build_dataset.cohort_per_speaker=3")) == 0
    assert "every stage is done and fresh" in capfd.readouterr().err
    folder = results(trained)["two"]
    before = (folder / "scores.txt").read_bytes()
    (folder / "predictions.csv").unlink()
    assert execute(ASV(), command(trained, SCORED, "--build_dataset.cohort_per_speaker=3")) == 0
    assert (folder / "scores.txt").read_bytes() == before
    assert "pairs: done already" in capfd.readouterr().err


def test_predict_compares_each_file_with_the_enrolled_one(trained, capfd):
    audio = sorted((trained / "cache" / "voices" / "test").glob("*.wav"))[:3]
    capfd.readouterr()
    assert execute(ASV(), ["predict", "--ckpt", str(trained / "run"), "--enrol", *map(str, audio)]) == 0
    lines = [line.split("\t") for line in capfd.readouterr().out.splitlines()]
    assert [line[0] for line in lines] == [str(path) for path in audio[1:]]
    scored = {(row["id1"], row["id2"]): float(row["score"]) for row in predictions(results(trained)["pairs"])}
    threshold = problems.load(str(trained / "run")).task.threshold
    for path, (_, score, verdict) in zip(audio[1:], lines):
        ids = [f"test {p.stem.replace(' ', '-')}" for p in (audio[0], path)]
        assert float(score) == pytest.approx(scored[tuple(ids)], abs=1e-3)
        assert verdict == ("same" if float(score) >= threshold else "different")


def test_predict_of_one_file_is_its_embedding(trained, capfd):
    (folder, *_) = results(trained).values()
    audio = sorted((trained / "cache" / "voices" / "test").glob("*.wav"))[0]
    capfd.readouterr()
    assert execute(ASV(), ["predict", "--ckpt", str(trained / "run"), str(audio)]) == 0
    _, text = capfd.readouterr().out.split("\t")
    with np.load(folder / "embeddings.npz") as saved:
        place = saved["ids"].tolist().index(f"test {audio.stem.replace(' ', '-')}")
        np.testing.assert_allclose(json.loads(text), saved["embeddings"][place], rtol=1e-3, atol=1e-4)
    assert execute(ASV(), ["predict", "--ckpt", str(trained / "run"), str(audio), str(audio) + ".no"]) == 1
    assert "error:" in capfd.readouterr().err


def test_a_scoring_without_a_cohort_is_refused_before_training(tmp_path, capfd):
    assert execute(ASV(), command(tmp_path, SCORED)) == 2
    assert "set build_dataset.cohort_per_speaker" in capfd.readouterr().err
    assert not list((tmp_path / "run" / "train").glob("step_*"))


def test_a_csv_of_utterances_is_refused_with_the_name_of_the_corpus_that_draws_trials(tmp_path, capfd):
    options = ("--prepare_data.corpus=csv", f"--prepare_data.train={tmp_path / 'train.csv'}")
    assert execute(ASV(), command(tmp_path, *options)) == 2
    assert "set csv_trials" in capfd.readouterr().err
    assert not (tmp_path / "run/data").exists()


def test_with_a_speaker_encoder_the_default_preset_begins_at_its_cosine(tmp_path):
    options = [option for option in command(tmp_path) if not option.startswith(("--build_upstream", "--build_downst"))]
    upstream = "--build_upstream={name: ge2e, conf: {checkpoint: random}}"
    length = "--train={total_steps: 1, eval_step: 1, save_step: 1, use_scheduler: false}"
    still = ("--build_optimizer.conf.lr=0.0", "--evaluate.baselines=true", "--features.dtype=fp32")
    assert execute(ASV(), [*options, upstream, length, *still]) == 0
    baselines = json.loads((tmp_path / "run/evaluate/baselines.json").read_text())["test_sets"]
    for name, folder in results(tmp_path).items():
        metrics = json.loads((folder / "result.json").read_text())["metrics"]
        assert metrics["eer"] == pytest.approx(baselines[name]["cosine of the upstream"]["eer"], abs=1e-3)
        with np.load(folder / "embeddings.npz") as file:
            assert file["embeddings"].shape[1] == 256


def test_ge2e_trains_on_batches_of_several_utterances_of_each_speaker(tmp_path):
    options = ("--build_task.loss=ge2e", "--build_batch_sampler.train={name: speakers, batch_size: 6}")
    assert execute(ASV(), command(tmp_path, *options, "--train.total_steps=8", "--stop=2")) == 0
    (best,) = json.loads((tmp_path / "run" / "train" / "best.json").read_text()).values()
    assert best


@pytest.mark.parametrize(
    "options, message",
    [
        (
            ["--build_batch_sampler.train={name: speakers, batch_size: 16, conf: {per_speaker: 3}}"],
            "build_batch_sampler.train: invalid settings of SpeakerBatchSampler: per_speaker is 3",
        ),
        (
            ["--build_batch_sampler.train={name: speakers, max_seconds: 9}"],
            "speakers needs batch_size and excludes max_seconds",
        ),
        (["--build_task.margin_schedule=[5, 2]"], "build_task: margin_schedule is"),
        (["--build_task.conf.margin=3"], "build_task: invalid settings of AAMSoftmax: margin is 3"),
        (["--build_task.scoring.backend=svm"], "build_task.scoring.backend"),
    ],
)
def test_settings_that_do_not_fit_are_named(tmp_path, capfd, options, message):
    assert execute(ASV(), command(tmp_path, *options)) == 2
    assert message in capfd.readouterr().err


def test_trials_of_bad_audio_are_refused_or_left_out(tmp_path, capfd):
    broken = "--prepare_data.broken=true"
    assert execute(ASV(), command(tmp_path, broken, "--stop=0")) == 1
    err = capfd.readouterr().err
    assert "1 utterance cannot be used" in err or "2 utterances cannot be used" in err
    assert "290 0.wav" in err
    assert execute(ASV(), command(tmp_path, broken, "--stop=0", "--prepare_data.skip_bad=true")) == 0
    for name in ("pairs", "two"):
        table = read_csv(tmp_path / "run" / "data" / f"{name}.csv", ())
        assert len(table) and not any("test 290-0" in id for column in ("id1", "id2") for id in table[column])


def test_superb_is_the_recipe_that_was_published():
    found = resolve_config(ASV(), ["superb"], [("prepare_data.dataset_root", "/vox")])
    assert found["build_task"]["loss"] == "amsoftmax"
    assert found["build_task"]["conf"] == {"margin": 0.4, "scale": 30.0, "subcentres": 1}
    assert found["build_task"]["margin_schedule"] == [0, 0] and not found["build_task"]["scoring"]["centre"]
    assert found["build_dataset"] == {
        "speeds": [1.0],
        "band_limits": None,
        "augment": None,
        "max_seconds": 8.0,
        "cohort_per_speaker": 0,
    }
    assert [found["build_batch_sampler"][mode]["batch_size"] for mode in ("train", "valid", "test")] == [10, 1, 1]
    assert found["build_optimizer"]["name"] == "AdamW" and found["build_optimizer"]["conf"]["lr"] == 1e-4
    train = found["train"]
    assert [train[key] for key in ("total_steps", "log_step", "save_step")] == [200000, 500, 10000]
    assert [train[key] for key in ("gradient_clipping", "gradient_accumulate", "keep_num_ckpts")] == [1000.0, 5, None]
    assert not found["train"]["use_scheduler"]

    assert found["build_upstream"]["name"] == "hubert_base"

    banks = ("build_upstream", "{name: fbank, conf: {num_mel_bins: 80, deltas: 2}}")
    found = resolve_config(ASV(), ["superb"], [("prepare_data.dataset_root", "/vox"), banks])
    sections = ("build_model", "build_upstream", "build_featurizer", "build_downstream")
    model = ASV().build_model(**{name: found[name] for name in sections}, model_output_size=1211)
    assert model.embedding_size == 512
    # 80 filters with two deltas into s3prl's SuperbXvector; the featurizer of one layer has one weight at most
    assert sum(p.numel() for p in model.downstream.parameters()) == 240 * 512 + 512 + 5716444
    task = ASV().build_task(found["build_task"], model, range(1211))
    assert task.loss.weight.shape == (1211, 512)


def test_an_override_of_build_task_is_called_with_the_trials_that_it_takes(tmp_path):
    class OwnTask(ASV):
        def build_task(self, build_task, model, encoder, test_trials=None):
            return super().build_task(build_task, model, encoder, test_trials=test_trials)

        def evaluate(self, evaluate, mode, *args):
            return super().evaluate(evaluate, mode, *args) if mode == "test" else {"eer": 0.5}

    assert execute(OwnTask(), command(tmp_path, "--train.total_steps=2", "--train.eval_step=2")) == 0
    assert set(results(tmp_path)) == {"pairs", "two"}


def test_a_model_without_embedding_size_is_refused_before_any_work(tmp_path, capfd):
    class Bare(ASV):
        def build_model(self, *args, **kwargs):
            model = super().build_model(*args, **kwargs)
            del model.embedding_size
            return model

    assert execute(Bare(), command(tmp_path)) == 2
    error = capfd.readouterr().err
    assert "Bare.build_model" in error and "'embedding_size'" in error and not (tmp_path / "run" / "data").exists()


def test_trials_may_be_tuples_as_s3prl_documents_them(trained):
    best = problems.load(str(trained / "run")).folder
    (rows,) = [predictions(folder) for name, folder in results(trained).items() if name == "pairs"]
    tuples = [(int(row["label"]), row["id1"], row["id2"]) for row in rows]
    _, task = ASV().load_model_and_task(str(best), {"test_trials": tuples})
    trials = task.trials["test"]
    assert len(trials) == len(rows) and trials.targets.tolist() == [bool(label) for label, *_ in tuples]
    with pytest.raises(ValueError, match=r"trial 1 is \(1, 'a'\)"):
        ASV().load_model_and_task(str(best), {"test_trials": [(1, "a")]})


def test_asv_trains_without_validation_trials(tmp_path):
    """The validation set may be a header alone if nothing is validated."""

    class Unvalidated(ASV):
        def prepare_data(self, prepare_data, target_dir, cache_dir, get_path_only=False):
            paths = super().prepare_data(prepare_data, target_dir, cache_dir, get_path_only)
            if not get_path_only:
                header = Path(paths[1]).read_text(encoding="utf-8").splitlines()[0]
                Path(paths[1]).write_text(header + "\n", encoding="utf-8")
            return paths

    options = ["--train.valid_metric=null", "--train.total_steps=2", "--train.save_step=2"]
    assert execute(Unvalidated(), command(tmp_path, *options)) == 0
    assert set(results(tmp_path)) == {"pairs", "two"}


def test_an_override_of_prepare_data_may_take_fewer_arguments_with_a_cohort_too(tmp_path):
    class Short(ASV):
        def prepare_data(self, prepare_data, target_dir, get_path_only=False):
            return super().prepare_data(prepare_data, target_dir, str(tmp_path / "cache"), get_path_only)

    options = ["--build_dataset.cohort_per_speaker=2", "--train={total_steps: 2, eval_step: 2}", "--stop=2"]
    assert execute(Short(), command(tmp_path, *options)) == 0
