"""Speech recognition with CTC: ``python -m problems.asr run``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataset.setting import setting
from problems.base import Problem, Section


@dataclass
class BuildTask:
    """CTC training and greedy decoding."""

    log_predictions: int = setting(
        0, "references and hypotheses to log after each validation and test", min=0, resume="free"
    )


class ASR(Problem):
    """Transcribes speech to characters, words, phones or word pieces by CTC; measures WER and CER."""

    summary = "speech recognition: audio to text, by CTC"
    sections: dict[str, type] = Problem.sections | {"build_task": BuildTask}
    columns = ("transcription",)

    def default_config(self) -> dict[str, Any]:
        """The defaults of every problem, validated by WER."""
        config = super().default_config()
        config["train"] |= {"valid_metric": "wer"}
        return config

    def build_encoder(
        self,
        build_encoder: Section,
        target_dir: str,
        cache_dir: str,
        train_csv: str,
        valid_csv: str,
        test_csvs: list[str],
        get_path_only: bool = False,
    ) -> str:
        """Learn a tokenizer from the training transcripts, and warn of symbols that only other sets have."""
        from dataset import encoders
        from dataset.encoders.coverage import warn_of_unknown
        from dataset.metadata import read_csv

        folder = Path(target_dir) / "encoder"
        if not get_path_only:
            texts = read_csv(train_csv, ("id", "transcription"))["transcription"]
            encoder = encoders.build_encoder(build_encoder["name"], texts, **build_encoder["conf"])
            encoder.save(folder)
            for csv in (valid_csv, *test_csvs):
                texts = read_csv(csv, ("id", "transcription"), may_be_empty=True)
                warn_of_unknown(encoder, texts, "transcription", csv)
        return str(folder)

    def build_dataset(
        self,
        build_dataset: Section,
        target_dir: str,
        cache_dir: str,
        mode: str,
        data_csv: str,
        encoder_path: str,
        frame_shift: int | None,
    ) -> Any:
        """Utterances with ``tokens`` int64 (S,) and ``text``."""
        from dataset.utterances import Utterances
        from problems.methods.augmentation import build_augmentation

        augment = build_augmentation(build_dataset) if mode == "train" else None
        return Utterances(data_csv, _Transcripts(self.load_encoder(encoder_path)), augment)

    def build_task(self, build_task: Section, model: Any, encoder: Any) -> Any:
        """CTC."""
        from tasks.ctc import CTCTask

        return CTCTask(model, encoder, **build_task)

    def baselines(
        self, train_csv: str, test_csvs: list[str], cache_dir: str, num_workers: int
    ) -> dict[str, dict[str, dict[str, float]]]:
        """The most frequent word."""
        from problems.methods import baselines

        return baselines.of_texts(train_csv, test_csvs)

    def predict_wav(self, task: Any, wav: Any, device: str) -> str:
        """The text of one waveform, words separated by one space. Long audio is cut at its quietest places."""
        from dataset.chunking import at_pauses

        texts = (super(ASR, self).predict_wav(task, piece, device) for piece in at_pauses(wav))
        return " ".join(word for text in texts for word in text.split())


class _Transcripts:
    """Reads tokens and text of a row of metadata. A class, because the loader's workers must be able to pickle it."""

    def __init__(self, encoder: Any):
        self.encoder = encoder

    def __call__(self, row: Mapping[str, str]) -> dict[str, Any]:
        import torch

        return {
            "tokens": torch.tensor(self.encoder.encode(row["transcription"]), dtype=torch.int64),
            "text": row["transcription"],
        }


if __name__ == "__main__":
    from problems.asr import ASR as problem  # under its own name, not as __main__

    problem().main()
