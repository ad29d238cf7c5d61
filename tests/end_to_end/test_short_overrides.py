"""Overrides that take fewer arguments than the contract, from training to prediction."""

from __future__ import annotations

import problems
from problems.asr import ASR
from problems.engine.cli.main import execute


class Short(ASR):
    def save_predictions(self, task, records, dump_dir):
        super().save_predictions(task, "test", records, dump_dir)

    def load_model(self, model_ckpt_dir):
        return super().load_model(model_ckpt_dir)

    def load_task(self, task_ckpt_dir, model):
        return super().load_task(task_ckpt_dir, model)

    def load_model_and_task(self, ckpts_dir):
        return super().load_model_and_task(ckpts_dir)

    def predict_wav(self, task, wav):
        return super().predict_wav(task, wav, "cpu")


class ShortFiles(Short):
    def predict_files(self, task, paths):
        yield from super().predict_files(task, paths, "cpu")


def test_overrides_of_loading_saving_and_predicting_are_called_with_what_they_take(tiny, tones, tmp_path):
    assert execute(Short(), ["run", *tiny, "--stop=3"]) == 0
    audio = str(next(tones.rglob("*.wav")))
    for problem in (Short, ShortFiles):
        predictor = problems.load(str(tmp_path / "run"), problem=problem)
        assert [text for _, text in predictor.predict_files([audio])] == [predictor.predict(audio)]
