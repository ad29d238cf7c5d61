"""Speech recognition with CTC: ``python -m problems.asr run``."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataset.setting import setting
from problems.base import Problem, Section
from problems.engine.runtime.errors import ConfigError


@dataclass
class Decode:
    """Decoding in tests and predictions. Validations during training are greedy."""

    name: str = setting("greedy", "the best path, or a beam search over words", choices=("greedy", "beam"))
    beam: int = setting(16, "hypotheses that are kept after each frame", min=1)
    lm: str | None = setting(
        None, "language model over words: an ARPA file; train: learn one of the training transcripts; null: none"
    )
    lm_order: int = setting(3, "longest n-gram of lm train", min=1, max=6)
    lm_weight: float = setting(0.5, "weight of the language model", min=0)
    word_score: float = setting(0.0, "added for each word, against too few of them")
    lexicon: bool = setting(False, "allow the words of the language model alone")
    hot_words: list[str] = setting([], "words to prefer, such as names")
    hot_word_score: float = setting(2.0, "added for each of them")
    nbest: int = setting(1, "texts to keep for each utterance", min=1)


@dataclass
class BuildTask:
    """CTC training and decoding."""

    decode: Decode = setting(Decode(), "decoding in tests and predictions", test_time=True, resume="free")
    log_predictions: int = setting(
        0, "references and hypotheses to log after each validation and test", min=0, resume="free"
    )


class ASR(Problem):
    """Transcribes speech to characters, words, phones or word pieces by CTC; measures WER and CER."""

    summary = "speech recognition: audio to text, by CTC"
    sections: dict[str, type] = Problem.sections | {"build_task": BuildTask}
    columns = ("transcription",)
    long_audio = "pauses"

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

    def task_arguments(
        self,
        build_dataset: Section,
        mode: str,
        data_csv: str,
        train_csv: str,
        build_task: Section | None = None,
    ) -> dict[str, Any]:
        """The language model of the training transcripts, if the decoder asks for it."""
        decode = dataclasses.asdict(Decode()) | dict((build_task or {}).get("decode") or {})
        if decode.get("name") != "beam" or decode.get("lm") != "train":
            return {}
        import pandas

        from dataset.language import ngrams
        from dataset.table import open_table

        texts = list(open_table(train_csv, ("transcription",)).strings("transcription"))
        model = ngrams.learn(texts, decode["lm_order"])
        rows = [(" ".join(ngram), repr(p), repr(backoff)) for ngram, (p, backoff) in model.items()]
        return {"language_model": pandas.DataFrame(rows, columns=["ngram", "log10", "backoff"], dtype=object)}

    def task_sources(self, build_task: Section) -> list[str]:
        """The file of the language model, if there is one."""
        source = (build_task.get("decode") or {}).get("lm")
        return [] if source in (None, "train") else [source]

    def build_task(self, build_task: Section, model: Any, encoder: Any, language_model: Any = None) -> Any:
        """CTC.

        Args:
            language_model: a table with the columns ``ngram, log10, backoff``; None: that of ``decode.lm``, if it is a
                file.
        """
        from dataset.language import ngrams
        from tasks.ctc import CTCTask

        decode = dict(build_task.get("decode") or {})
        source = decode.pop("lm", None)
        decode.pop("lm_order", None)
        model_of_words = None
        try:
            if decode.get("name") == "beam" and source == "train":
                if language_model is None:
                    raise ConfigError(
                        "build_task.decode.lm is train, but build_task got no language_model: a build_task of your own"
                        " must take language_model=None and pass it on"
                    )
                columns = (language_model[name] for name in ("ngram", "log10", "backoff"))
                model_of_words = {tuple(n.split(" ")): (float(p), float(b)) for n, p, b in zip(*columns)}
            elif decode.get("name") == "beam" and source is not None:
                model_of_words = ngrams.read_arpa(source)
            return CTCTask(model, encoder, **{**build_task, "decode": decode}, ngrams=model_of_words)
        except ValueError as error:
            raise error if isinstance(error, ConfigError) else ConfigError(f"build_task: {error}") from error

    def baselines(
        self, train_csv: str, test_csvs: list[str], cache_dir: str, num_workers: int
    ) -> dict[str, dict[str, dict[str, float]]]:
        """The most frequent word."""
        from problems.methods import baselines

        return baselines.of_texts(train_csv, test_csvs)


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
