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


def test_overrides_of_loading_and_saving_are_called_with_what_they_take(tiny, tones, tmp_path):
    assert execute(Short(), ["run", *tiny, "--stop=3"]) == 0
    audio = str(next(tones.rglob("*.wav")))
    predictor = problems.load(str(tmp_path / "run"), problem=Short)
    assert list(predictor.predict([audio])) == [predictor.predict(audio)]
