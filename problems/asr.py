"""Speech recognition with CTC: ``python -m problems.asr run``."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataset.setting import setting
from problems.base import Problem, Section
from problems.engine.config import sections
from problems.engine.config.registry import build
from problems.engine.runtime.errors import ConfigError
from problems.engine.runtime.overrides import is_overridden


@dataclass
class Decode:
    """Decoding in tests and predictions. Validations during training are greedy."""

    name: str = setting(
        "greedy",
        "CTC's best path; a beam search over words; joint: a beam search by CTC and the attention decoder",
        choices=("greedy", "beam", "joint"),
    )
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
    ctc_weight: float = setting(0.4, "weight of CTC in a joint search; the rest is the decoder's", min=0, max=1)
    length_norm: float = setting(
        1.0, "scores of a joint search are divided by the number of tokens to this power; 0: not", min=0
    )


@dataclass
class BuildModel(sections.BuildModel):
    """Upstream, featurizer and head together, and an attention decoder."""

    attention: dict | None = setting(
        None, "transformer decoder that is trained beside CTC, e.g. {size: 144, layers: 2}; null: CTC alone"
    )


@dataclass
class BuildTask:
    """Training and decoding."""

    ctc_weight: float | None = setting(
        None, "weight of CTC's loss beside that of build_model.attention; null: 0.3", min=0, max=1
    )
    label_smoothing: float | None = setting(
        None, "probability that targets of build_model.attention give to all symbols; null: 0.1", min=0, max=0.99
    )
    decode: Decode = setting(Decode(), "decoding in tests and predictions", test_time=True, resume="free")
    log_predictions: int = setting(
        0, "references and hypotheses to log after each validation and test", min=0, resume="free"
    )


JOINT = ("ctc_weight", "label_smoothing")
"""The keys of ``build_task`` that are for an attention decoder alone."""


class ASR(Problem):
    """Transcribes speech to characters, words, phones or word pieces; measures WER and CER.

    By CTC, or by CTC and an attention decoder together.
    """

    summary = "speech recognition: audio to text, by CTC"
    sections: dict[str, type] = Problem.sections | {"build_model": BuildModel, "build_task": BuildTask}
    columns = ("transcription",)
    long_audio = "pauses"

    def default_config(self) -> dict[str, Any]:
        """The defaults of every problem, validated by WER."""
        config = super().default_config()
        config["train"] |= {"valid_metric": "wer"}
        return config

    def check_config(self, config: Section) -> None:
        """Refuse settings of an attention decoder without one, beside what every problem refuses."""
        super().check_config(config)
        if config["build_model"].get("attention") is None and not is_overridden(self, "build_model"):
            _require_no_attention(config["build_task"])

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
        if decode.get("name") == "greedy" or decode.get("lm") != "train":
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

    def build_model(
        self,
        build_model: Section,
        model_output_size: int,
        build_upstream: Section,
        build_featurizer: Section,
        build_downstream: Section,
    ) -> Any:
        """Upstream, featurizer and head; and an attention decoder, which reads further outputs of the head."""
        decoder, size = None, model_output_size
        if build_model.get("attention") is not None:
            conf, target = build_model["attention"], "nn.transformer_decoder:TransformerDecoder"
            decoder = build(target, conf, "build_model.attention", vocabulary=model_output_size)
            size += decoder.size
        model = super().build_model(
            build_model,
            size,
            build_upstream=build_upstream,
            build_featurizer=build_featurizer,
            build_downstream=build_downstream,
        )
        if decoder is not None:
            model.attention_decoder = decoder
        return model

    def build_task(self, build_task: Section, model: Any, encoder: Any, language_model: Any = None) -> Any:
        """CTC; or CTC and attention, if the model has an ``attention_decoder``.

        Args:
            language_model: a table with the columns ``ngram, log10, backoff``; None: that of ``decode.lm``, if it is a
                file.
        """
        from tasks.ctc import CTCTask
        from tasks.joint import JointTask

        decode = dict(build_task.get("decode") or {})
        joint = {key: build_task[key] for key in JOINT if build_task.get(key) is not None}
        settings = {key: value for key, value in build_task.items() if key not in JOINT} | {"decode": decode}
        try:
            settings["ngrams"] = _language_model(decode, language_model)
            if hasattr(model, "attention_decoder"):
                return JointTask(model, encoder, **settings, **joint)
            _require_no_attention(build_task)
            for key in ("ctc_weight", "length_norm"):
                decode.pop(key, None)
            return CTCTask(model, encoder, **settings)
        except ValueError as error:
            raise error if isinstance(error, ConfigError) else ConfigError(f"build_task: {error}") from error

    def baselines(
        self, train_csv: str, test_csvs: list[str], cache_dir: str, num_workers: int
    ) -> dict[str, dict[str, dict[str, float]]]:
        """The most frequent word."""
        from problems.methods import baselines

        return baselines.of_texts(train_csv, test_csvs)


def _require_no_attention(build_task: Section) -> None:
    """Check that no setting is for an attention decoder.

    Raises:
        ConfigError: one is.
    """
    keys = [key for key in JOINT if build_task.get(key) is not None]
    if (build_task.get("decode") or {}).get("name") == "joint":
        keys.append("decode.name joint")
    if keys:
        raise ConfigError(
            f"build_task.{keys[0]} is for a model with an attention decoder, and this one has none: train one with"
            " --build_model.attention {}"
        )


def _language_model(decode: dict[str, Any], table: Any) -> Any:
    """The language model that the decoder asks for; its keys are removed from ``decode``.

    Args:
        table: that of the training transcripts.
    """
    from dataset.language import ngrams

    source = decode.pop("lm", None)
    decode.pop("lm_order", None)
    if decode.get("name", "greedy") == "greedy" or source is None:
        return None
    if source != "train":
        return ngrams.read_arpa(source)
    if table is None:
        raise ConfigError(
            "build_task.decode.lm is train, but build_task got no language_model: a build_task of your own must take"
            " language_model=None and pass it on"
        )
    columns = (table[name] for name in ("ngram", "log10", "backoff"))
    return {tuple(n.split(" ")): (float(p), float(b)) for n, p, b in zip(*columns)}


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
