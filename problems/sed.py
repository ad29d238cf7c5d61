"""Sound event detection: ``python -m problems.sed run``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataset.setting import setting
from problems.base import Section
from problems.engine.config import sections
from problems.engine.runtime.errors import ConfigError
from problems.methods.labelled import Labelled


@dataclass
class BuildDataset(sections.BuildDataset):
    """Training windows and their augmentation."""

    window: float = setting(4.0, "seconds of a training window", min=0.1)
    hop: float | None = setting(None, "seconds from one to the next; null: a window", min=0.1)


@dataclass
class Scoring:
    """Tolerances of the scores."""

    collar: float = setting(0.2, "seconds that an onset may be off", min=0)
    offset_share: float = setting(
        0.2, "part of an event's length that its offset may be off, if that is more than the collar", min=0
    )
    segment: float = setting(1.0, "seconds of a segment", min=0.01)


@dataclass
class BuildTask:
    """From the outputs of frames to the events of a recording."""

    window: float | None = setting(
        None, "seconds of audio at once in tests; null: as in training", min=0.1, test_time=True
    )
    hop: float | None = setting(
        None, "seconds from one window to the next; null: half a window", min=0.05, test_time=True
    )
    threshold: float = setting(0.5, "least probability of an event", min=0, max=1, test_time=True, resume="free")
    median: float = setting(
        0.25, "seconds of the median filter over frames; 0: none", min=0, test_time=True, resume="free"
    )
    min_duration: float = setting(0.125, "drop shorter events, in seconds", min=0, test_time=True, resume="free")
    min_gap: float = setting(
        0.0, "fill shorter gaps between two events of one label, in seconds", min=0, test_time=True, resume="free"
    )
    scoring: Scoring = setting(Scoring(), "tolerances", test_time=True, resume="free")


class SED(Labelled):
    """Finds which sounds are heard when; measures F1 of onsets, of onsets with offsets, and the error rate of segments.

    The column ``events`` holds ``[[start, end, label], ...]`` in seconds, as JSON; events may overlap. A test's folder
    has ``hypothesis.tsv`` and ``reference.tsv``: a line with file, onset, offset and label for each event.
    """

    summary = "sound event detection: which sounds are heard when"
    sections: dict[str, type] = Labelled.sections | {"build_dataset": BuildDataset, "build_task": BuildTask}
    columns = ("events",)
    own_corpus = "csv_events"
    unscored = ("events", "no recording of {csv} has an event")
    usual_corpus = "toy_events"
    usual_head = "frame_linear"
    usual_metric = "onset_f1"
    encoder = "events"
    refuses_unknown = False

    def check_config(self, config: Section) -> None:
        """Refuse windows with gaps between them."""
        super().check_config(config)
        section, task = config["build_dataset"], config["build_task"]
        window = task["window"] or section["window"]
        if (task["hop"] or 0) > window:
            raise ConfigError(f"build_task.hop is {task['hop']} s, which leaves gaps between windows of {window} s")

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
        """Windows to train on, and whole recordings otherwise: with ``events`` as JSON."""
        from dataset.diarization.windows import windows_of
        from dataset.long_audio.recordings import Recordings
        from dataset.utterances import Utterances
        from problems.methods.augmentation import build_augmentation

        if mode != "train":
            return Recordings(data_csv, _events_of)
        window = build_dataset["window"]
        table = windows_of(data_csv, window, build_dataset["hop"] or window, "events")
        return Utterances(data_csv, _events_of, build_augmentation(build_dataset), table, timed=["events"])

    def task_arguments(
        self,
        build_dataset: Section,
        mode: str,
        data_csv: str,
        train_csv: str,
        build_task: Section | None = None,
    ) -> dict[str, Any]:
        """The length of the training windows."""
        return {"training_window": build_dataset["window"]}

    def build_task(self, build_task: Section, model: Any, encoder: Any, training_window: float = 4.0) -> Any:
        """Frame-wise detection, with whole recordings scored."""
        from tasks.events import EventDetection, Scoring

        window = build_task["window"] or training_window
        settings = {**build_task, "window": window, "hop": build_task["hop"] or window / 2}
        try:
            return EventDetection(model, encoder, **settings | {"scoring": Scoring(**build_task["scoring"])})
        except ValueError as error:
            raise ConfigError(f"build_task: {error}") from error

    def save_predictions(self, task: Any, mode: str, records: Mapping[str, list[Any]], dump_dir: Path) -> None:
        """Write ``predictions.csv``, and the events as tables of file, onset, offset and label."""
        import json

        from dataset.storage.files import write_text

        super().save_predictions(task, mode, records, dump_dir)
        for name in ("hypothesis", "reference"):
            lines = ["filename\tonset\toffset\tevent_label"]
            for id, text in zip(records["id"], records[name]):
                lines += [f"{id}\t{start:.3f}\t{end:.3f}\t{label}" for start, end, label in json.loads(text)]
            write_text(Path(dump_dir) / f"{name}.tsv", "\n".join(lines) + "\n")

    def baselines(
        self, train_csv: str, test_csvs: list[str], cache_dir: str, num_workers: int, build_task: Section
    ) -> dict[str, dict[str, dict[str, float]]]:
        """The most frequent label wherever it is loud, scored as the model is."""
        from problems.methods import recording_baselines

        return recording_baselines.of_events(train_csv, test_csvs, **build_task["scoring"])


def _events_of(row: Mapping[str, str]) -> dict[str, Any]:
    """The events of a row of metadata, as JSON."""
    from dataset.diarization.turns import to_json
    from dataset.encoders.events import events_of

    return {"events": to_json(events_of(row["events"]))}


if __name__ == "__main__":
    from problems.sed import SED as problem  # under its own name, not as __main__

    problem().main()
