"""Speaker verification: ``python -m problems.asv run``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataset.setting import setting
from problems import classification
from problems.base import Section
from problems.engine.config import sections
from problems.engine.config.registry import build, load_class, resolve
from problems.engine.runtime.errors import ConfigError
from problems.engine.runtime.overrides import call, is_overridden
from problems.methods import labelled

if TYPE_CHECKING:
    from tasks.contracts import EmbeddingModel, Labels


@dataclass
class BuildDataset(labelled.BuildDataset):
    """Augmentation of the training audio, and the cohort of the validation."""

    cohort_per_speaker: int = setting(
        0,
        "training utterances per speaker that validation embeds, for build_task.scoring to learn from",
        min=0,
        test_time=True,
    )


@dataclass
class BuildModel(sections.BuildModel):
    """Upstream, featurizer and head together."""

    embedding_size: int = setting(512, "size of the embeddings; those of mean_pool_adapter have the upstream's", min=1)


@dataclass
class Scoring:
    """Scores of trials from embeddings."""

    centre: bool = setting(False, "subtract the mean embedding of training speakers")
    lda: int | None = setting(None, "dimensions after linear discriminant analysis; null: off", min=1)
    backend: str = setting("cosine", "how two embeddings are compared", choices=("cosine", "plda"))
    as_norm: int | None = setting(None, "AS-norm: number of cohort speakers per side; null: off", min=2)
    enrolment: str = setting(
        "embedding", "average the embeddings or the scores of an enrolment's utterances", choices=("embedding", "score")
    )


@dataclass
class BuildTask:
    """The loss over the training speakers, and the scoring of trials."""

    loss: str = setting("amsoftmax", "the loss", registry="nn.losses:LOSSES")
    conf: dict = setting({}, "its settings")
    margin_schedule: list[int] = setting(
        [0, 0], "[start, end] in batches: the margin grows from 0 to full between them"
    )
    scoring: Scoring = setting(Scoring(), "scores of trials from embeddings", test_time=True)


class ASV(classification.Classification):
    """Decides if two utterances are of one speaker. Embeddings are trained on some speakers and tested on others.

    The training set has the column ``spk``. The other sets are lists of trials, ``id1, id2, wav_path1, wav_path2,
    label``, of unseen speakers. The best checkpoint, the threshold, the calibration and the normalisation come from the
    validation trials; nothing is chosen on test trials.
    """

    own_corpus = "csv_trials"
    summary = "speaker verification: decide if two utterances are of one speaker"
    sections: dict[str, Any] = classification.Classification.sections | {
        "build_dataset": BuildDataset,
        "build_model": BuildModel,
        "build_task": BuildTask,
    }
    columns = ("spk",)
    model_attributes = ("embedding_size",)
    usual_corpus = "toy_trials"

    def default_config(self) -> dict[str, Any]:
        """The defaults of every problem, with an x-vector, validated by EER."""
        config = super().default_config()
        config["build_downstream"] = {"name": "xvector", "conf": {}}
        config["train"] |= {"valid_metric": "eer"}
        return config

    def check_config(self, config: Section) -> None:
        """Refuse the corpus ``csv``, which makes no trials, beside what every problem refuses."""
        super().check_config(config)
        if config["prepare_data"].get("corpus") == "csv" and not is_overridden(self, "prepare_data"):
            raise ConfigError(
                "prepare_data.corpus csv makes no trials to validate and test with: set csv_trials, which draws them"
            )

    # ---- data ----

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
        """Number the training speakers. The speakers of trials are others and have no number."""
        return super().build_encoder(
            build_encoder,
            target_dir,
            cache_dir,
            train_csv=train_csv,
            valid_csv=train_csv,
            test_csvs=[],
            get_path_only=get_path_only,
        )

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
        """In training, utterances with ``label``; otherwise each utterance of the trials once, uncropped.

        The validation set has the utterances of the cohort too.
        """
        if mode == "train":
            return super().build_dataset(
                build_dataset,
                target_dir,
                cache_dir,
                mode=mode,
                data_csv=data_csv,
                encoder_path=encoder_path,
                frame_shift=frame_shift,
            )
        from dataset import trial_tables
        from dataset.utterances import Utterances

        table = trial_tables.utterance_table(trial_tables.read_trials(data_csv)[1], cache_dir)
        if mode == "valid" and build_dataset["cohort_per_speaker"]:
            folders = {"target_dir": target_dir, "cache_dir": cache_dir}
            train_csv, *_ = call(self, "prepare_data", prepare_data={}, **folders, get_path_only=True)
            table = trial_tables.add_cohort(
                table, trial_tables.cohort_table(train_csv, build_dataset["cohort_per_speaker"]), data_csv
            )
        return Utterances(data_csv, table=table)

    # ---- model and task ----

    def build_model(
        self,
        build_model: Section,
        model_output_size: int,
        build_upstream: Section,
        build_featurizer: Section,
        build_downstream: Section,
    ) -> Any:
        """A model that gives embeddings. ``model_output_size``, the number of speakers, matters to the loss only.

        A model of your own must have the attribute ``embedding_size``.
        """
        size = build_model["embedding_size"]
        model = super().build_model(
            build_model,
            size,
            build_upstream=build_upstream,
            build_featurizer=build_featurizer,
            build_downstream=build_downstream,
        )
        model.embedding_size = getattr(model.downstream, "output_size", size)  # build_task builds the loss for it
        return model

    def task_arguments(
        self,
        build_dataset: Section,
        mode: str,
        data_csv: str,
        train_csv: str,
        build_task: Section | None = None,
    ) -> dict[str, Any]:
        """The trials of ``data_csv``, and the cohort of the validation; nothing for a training without validation."""
        from dataset import trial_tables

        trials, _ = trial_tables.read_trials(data_csv, may_be_empty=mode == "valid")
        if trials.empty:
            return {}
        tables: dict[str, Any] = {f"{mode}_trials": trials}
        if mode == "valid" and build_dataset["cohort_per_speaker"]:
            tables["cohort"] = trial_tables.cohort_table(train_csv, build_dataset["cohort_per_speaker"])[["id", "spk"]]
        return tables

    def build_task(
        self,
        build_task: Section,
        model: EmbeddingModel,
        encoder: Labels,
        valid_trials: Any = None,
        test_trials: Any = None,
        cohort: Any = None,
    ) -> Any:
        """A loss over the speakers of ``encoder``, and the scoring of trials.

        Args:
            valid_trials, test_trials: tables with the columns ``id1, id2, label``, or s3prl's lists of tuples (label,
                id1, id2).
            cohort: a table with the columns ``id, spk``.
        """
        from tasks.verification.scoring import Scorer
        from tasks.verification.task import VerificationTask

        target = resolve(build_task["loss"], load_class("nn.losses:LOSSES"), "build_task.loss")
        sizes = {"input_size": model.embedding_size, "num_classes": len(encoder)}
        loss = build(target, build_task["conf"], "build_task", **sizes)
        tables = {"valid_trials": _table(valid_trials), "test_trials": _table(test_trials), "cohort": cohort}
        try:
            scorer = Scorer(**build_task["scoring"])
            return VerificationTask(model, loss, scorer, **tables, margin_schedule=build_task["margin_schedule"])
        except ValueError as error:
            raise ConfigError(f"build_task: {error}") from error

    # ---- outputs ----

    def baselines(
        self,
        train_csv: str,
        test_csvs: list[str],
        cache_dir: str,
        num_workers: int,
        build_upstream: Section | None = None,
        device: str = "cpu",
    ) -> dict[str, dict[str, dict[str, float]]]:
        """The cosine of pooled filter banks, and of the mean last state of an upstream that has weights."""
        from problems.methods import baselines

        upstream = build_upstream and call(self, "build_upstream", build_upstream=build_upstream)
        return baselines.of_trials(
            train_csv, test_csvs, cache_dir, num_workers=num_workers, upstream=upstream, device=device
        )

    def save_predictions(self, task: Any, mode: str, records: Mapping[str, list[Any]], dump_dir: Path) -> None:
        """Write ``predictions.csv`` (one row per trial), ``scores.txt``, ``embeddings.npz`` and ``det.json``."""
        from problems.methods.verification_outputs import save

        save(task, mode, records, Path(dump_dir))


def _table(trials: Any) -> Any:
    """Trials as a table; tuples are (label, id1, id2).

    Raises:
        ConfigError: a trial has another form.
    """
    if trials is None or hasattr(trials, "columns"):
        return trials
    import pandas

    trials = list(trials)
    for number, trial in enumerate(trials, start=1):
        if not isinstance(trial, Sequence) or isinstance(trial, str) or len(trial) != 3:
            raise ConfigError(f"trial {number} is {trial!r}: expected a tuple (label, id1, id2)")
    return pandas.DataFrame(trials, columns=["label", "id1", "id2"])


if __name__ == "__main__":
    from problems.asv import ASV as problem  # under its own name, not as __main__

    problem().main()
