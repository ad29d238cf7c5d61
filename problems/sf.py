"""Slot filling: ``python -m problems.sf run``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataset.setting import setting
from problems.asr import ASR
from problems.base import Section
from problems.engine.config import sections
from problems.engine.config.schema import follow_choices
from problems.engine.runtime.errors import ConfigError


@dataclass
class PrepareData(sections.PrepareData):
    """Stage 0: the metadata of a corpus, with slots."""

    slots_column: str = setting("slots", "column of the slots, as JSON: [[name, value], ...] or {name: value}")
    intent_column: str | None = setting(None, "column of an intent to recognise too; null: none")


@dataclass
class BuildTask:
    """CTC training and the scores of slots."""

    log_predictions: int = setting(
        0, "references and hypotheses to log after each validation and test", min=0, resume="free"
    )


class SF(ASR):
    """Transcribes speech with its slots, and its intent, by CTC; measures slot F1, and the errors of their values.

    A transcript is marked: ``⟪set_alarm⟫ wake me at ⟦time five am time⟧``. Each value must stand in the transcript.
    """

    summary = "slot filling: audio to text with named values, by CTC"
    sections: dict[str, type] = ASR.sections | {
        "prepare_data": PrepareData,
        "build_model": sections.BuildModel,
        "build_task": BuildTask,
    }

    @classmethod
    def families(cls) -> list[str]:
        """The folders of this problem's presets; those of speech recognition are for plain text."""
        return [name for name in super().families() if name != "asr"]

    def default_config(self) -> dict[str, Any]:
        """The defaults of speech recognition, with slots, validated by SUPERB's slot type F1."""
        parts = {"prepare_data": {"corpus": "toy_slots"}, "build_encoder": {"name": "marked_character"}}
        config = follow_choices(self, super().default_config(), parts)
        config["train"] |= {"valid_metric": "slot_type_f1"}
        return config

    def prepare_data(
        self, prepare_data: Section, target_dir: str, cache_dir: str, get_path_only: bool = False
    ) -> tuple[str, str, list[str]]:
        """Stage 0, with marked transcripts; ``text`` is the transcript without marks."""
        from dataset import prepare
        from dataset.corpora import CorpusError
        from dataset.language.slots import MARKS, mark, slots_of

        if get_path_only:
            return prepare.paths(Path(target_dir))
        splits = self.corpus(prepare_data).load(Path(cache_dir))
        column, intent = prepare_data["slots_column"], prepare_data["intent_column"]
        for rows in (splits.train, splits.valid, *splits.test.values()):
            for row in rows:
                for name in filter(None, ("transcription", column, intent)):
                    if name not in row:
                        raise CorpusError(f"{row['id']} has no column {name!r}; it has {', '.join(row)}")
                is_marked = any(bracket in row["transcription"] for bracket in MARKS)
                text = row["text"] if is_marked and "text" in row else row["transcription"]  # packed: marked before
                try:
                    marked = mark(text, slots_of(row[column]), (row[intent].strip() or None) if intent else None)
                except ValueError as error:
                    raise CorpusError(f"{row['id']}: {error}") from error
                row |= {"text": text, "transcription": marked}
        folders = {"target_dir": target_dir, "cache_dir": cache_dir}
        return prepare.write(splits, prepare_data, self.columns, **folders)

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
        """Learn characters and marks of the training set; refuse a slot or an intent that only other sets have."""
        folder = super().build_encoder(
            build_encoder, target_dir, cache_dir, train_csv, valid_csv, test_csvs, get_path_only=get_path_only
        )
        if not get_path_only:
            for csv in (valid_csv, *test_csvs):
                self._require_slots(self.load_encoder(folder), csv)
        return folder

    @staticmethod
    def _require_slots(encoder: Any, csv: str) -> None:
        from dataset.language.slots import is_mark
        from dataset.metadata import read_csv

        table = read_csv(csv, ("id", "transcription"), may_be_empty=True)
        for id, text in zip(table["id"], table["transcription"]):
            unknown = sorted(token for token in encoder.unknown(text) if is_mark(token))
            if unknown:
                name, key = unknown[0].strip("⟦⟧⟪⟫"), "intents" if unknown[0].startswith("⟪") else "slots"
                raise ConfigError(
                    f"{csv}, {id}: {name!r} does not occur in the training set, so that nothing can learn it: remove"
                    f" these utterances, or list it: --build_encoder.conf.{key} [{name}]"
                )

    def build_task(self, build_task: Section, model: Any, encoder: Any) -> Any:
        """CTC over characters and marks."""
        from dataset.language.slots import meaning
        from tasks.slots import SlotTask

        return SlotTask(model, encoder, meaning=meaning, **build_task)

    def baselines(
        self, train_csv: str, test_csvs: list[str], cache_dir: str, num_workers: int
    ) -> dict[str, dict[str, dict[str, float]]]:
        """The most frequent names of slots, for every utterance."""
        from problems.methods import baselines

        return baselines.of_slots(train_csv, test_csvs)


if __name__ == "__main__":
    from problems.sf import SF as problem  # under its own name, not as __main__

    problem().main()
