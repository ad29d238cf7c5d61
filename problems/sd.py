"""Speaker diarization: ``python -m problems.sd run``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataset.setting import setting
from problems.base import Problem, Section
from problems.engine.config import sections
from problems.engine.config.registry import build, load_class, resolve
from problems.engine.config.schema import follow_choices
from problems.engine.runtime.errors import ConfigError
from problems.engine.runtime.overrides import call

NONE = "none"


@dataclass
class BuildEncoder:
    """Stage 1: what the outputs of the model stand for."""

    outputs: str = setting(
        "powerset", "an output for each speaker, or for each set of speakers", choices=("speakers", "powerset")
    )
    num_speakers: int = setting(3, "most speakers of a window", min=1, max=8)
    at_once: int = setting(2, "most that speak at once, for a powerset", min=1)


@dataclass
class BuildDataset(sections.BuildDataset):
    """Training windows and their augmentation."""

    window: float = setting(8.0, "seconds of a training window", min=0.5)
    hop: float | None = setting(None, "seconds from one to the next; null: half a window", min=0.1)


@dataclass
class Embedding:
    """The embedding of speakers, for clustering."""

    name: str = setting("ge2e", "the upstream whose last state it is", registry="nn.upstream:UPSTREAMS")
    conf: dict = setting({}, "its settings")


@dataclass
class VBx:
    """The Bayesian hidden Markov model of Landini et al. (2022), which starts from agglomerative clustering."""

    fa: float = setting(0.2, "scale of the evidence of embeddings", min=0.001)
    fb: float = setting(20.0, "scale of the priors of speakers; the larger, the fewer speakers", min=0.001)
    loop_prob: float = setting(
        0.9, "probability that a speaker goes on, from one embedding to the next", min=0, max=0.9999
    )
    dimensions: int = setting(16, "principal components of the embeddings", min=1)


@dataclass
class Clustering:
    """Clustering of the voices of a recording."""

    name: str = setting("agglomerative", "the method", choices=("agglomerative", "spectral", "vbx"))
    threshold: float = setting(0.4, "cosine distance at which agglomerative clustering stops", min=0, max=2)
    num_speakers: int | None = setting(None, "speakers of each recording; null: found", min=1)
    most_speakers: int = setting(8, "speakers that spectral clustering looks for", min=1)
    vbx: VBx = setting(VBx(), "settings of vbx")


@dataclass
class Scoring:
    """The part of a recording that is scored."""

    collar: float = setting(0.0, "seconds around each reference boundary, on each side, that do not count", min=0)
    skip_overlap: bool = setting(False, "leave out overlapped speech")
    mapping: str = setting(
        "scored",
        "match speakers by the time that they share in what is scored, or in all of the spans, as md-eval does",
        choices=("scored", "all"),
    )


@dataclass
class BuildTask:
    """From what the model says of windows to the turns of a recording."""

    window: float | None = setting(
        None,
        "seconds of audio at once in tests; null: as in training, or 1.6 without training",
        min=0.1,
        test_time=True,
    )
    hop: float | None = setting(
        None, "seconds from one window to the next; null: a quarter of a window, or 0.4", min=0.05, test_time=True
    )
    threshold: float = setting(
        0.5, "least probability of a speaker; not for a powerset", min=0, max=1, test_time=True, resume="free"
    )
    median: int = setting(5, "frames of the median filter; 1: none", min=1, test_time=True, resume="free")
    min_silence: float = setting(0.0, "fill shorter pauses, in seconds", min=0, test_time=True, resume="free")
    min_speech: float = setting(0.0, "drop shorter turns, in seconds", min=0, test_time=True, resume="free")
    cluster: bool = setting(
        False, "cluster the voices of all windows, for long recordings", test_time=True, resume="free"
    )
    clustering: Clustering = setting(Clustering(), "how", test_time=True, resume="free")
    embedding: Embedding = setting(Embedding(), "by which embedding", test_time=True, resume="free")
    speech_share: float = setting(
        0.35,
        "without training, speech is this share of the range of levels above the noise",
        min=0,
        max=1,
        test_time=True,
    )
    scoring: Scoring = setting(Scoring(), "what is scored", test_time=True, resume="free")


class SD(Problem):
    """Finds who speaks when; measures the diarization error rate (DER), its parts, and the Jaccard error rate (JER).

    A model of speaker activities is trained on windows. With ``build_task.cluster`` the speakers of all windows are
    clustered by their embeddings, so that recordings may be long and have any number of speakers. With
    ``build_downstream.name none`` and an upstream of speaker embeddings nothing is trained.

    A test's folder has ``hypothesis.rttm``, ``reference.rttm``, and ``scoring.json`` with collar, overlap and UEM.
    """

    own_corpus = "csv_turns"
    unscored = ("turns", "nobody speaks in any recording of {csv}")
    fixed_encoder = "speaker_activities"
    summary = "speaker diarization: who speaks when"
    sections: dict[str, type] = Problem.sections | {
        "build_encoder": BuildEncoder,
        "build_dataset": BuildDataset,
        "build_task": BuildTask,
    }
    columns = ("turns",)

    def default_config(self) -> dict[str, Any]:
        """The defaults of every problem, validated by DER."""
        parts = {"prepare_data": {"corpus": "toy_conversations"}}
        config = follow_choices(self, super().default_config(), parts)
        config["train"] |= {"valid_metric": "der"}
        return config

    def check_config(self, config: Section) -> None:
        """Refuse outputs and windows that later stages would refuse."""
        from dataset import encoders

        super().check_config(config)
        try:
            encoders.build_encoder(self.fixed_encoder, [], **config["build_encoder"])
        except encoders.EncoderError as error:
            raise ConfigError(f"build_encoder: {error}") from error
        task = config["build_task"]
        window = task["window"] or config["build_dataset"]["window"]
        if config["build_downstream"]["name"] != NONE and (task["hop"] or 0) > window:
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
        """Windows to train on, and whole recordings otherwise: with ``turns`` and ``scored``, as JSON."""
        from dataset.diarization.windows import check_turns, windows_of
        from dataset.long_audio.recordings import Recordings
        from dataset.utterances import Utterances
        from problems.methods.augmentation import build_augmentation

        if mode != "train":
            return Recordings(data_csv, check_turns)
        window = build_dataset["window"]
        table = windows_of(data_csv, window, build_dataset["hop"] or window / 2)
        return Utterances(data_csv, check_turns, build_augmentation(build_dataset), table, timed=["turns"])

    def build_model(
        self,
        build_model: Section,
        model_output_size: int,
        build_upstream: Section,
        build_featurizer: Section,
        build_downstream: Section,
    ) -> Any:
        """Upstream, featurizer and head; the upstream alone if there is no head."""
        if build_downstream["name"] == NONE:
            from nn.model import FrozenUpstream

            return FrozenUpstream(call(self, "build_upstream", build_upstream=build_upstream))
        return super().build_model(build_model, model_output_size, build_upstream, build_featurizer, build_downstream)

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

    def build_task(self, build_task: Section, model: Any, encoder: Any, training_window: float = 8.0) -> Any:
        """Diarization by a trained model, or by clustering alone if the model is an upstream."""
        from tasks.diarization.base import Scoring
        from tasks.diarization.clustered import ClusteredDiarization
        from tasks.diarization.embeddings import Clustering
        from tasks.diarization.trained import TrainedDiarization

        settings = dict(build_task)
        windows = {key: settings.pop(key) for key in ("window", "hop", "cluster", "embedding", "speech_share")}
        clustering = Clustering(**settings.pop("clustering"))
        settings["scoring"] = Scoring(**settings["scoring"])
        try:
            if not hasattr(model, "downstream"):
                del settings["threshold"], settings["median"]
                more = {"window": windows["window"] or 1.6, "hop": windows["hop"] or 0.4}
                return ClusteredDiarization(model, clustering, speech_share=windows["speech_share"], **more, **settings)
            window = windows["window"] or training_window
            more = {"window": window, "hop": windows["hop"] or window / 4}
            if windows["cluster"]:
                more |= {"clustering": clustering, "embedder": self._embedder(windows["embedding"])}
            return TrainedDiarization(model, encoder, **more, **settings)
        except ValueError as error:
            raise error if isinstance(error, ConfigError) else ConfigError(f"build_task: {error}") from error

    def _embedder(self, embedding: Section) -> Any:
        target = resolve(embedding["name"], load_class("nn.upstream:UPSTREAMS"), "build_task.embedding.name")
        return build(target, embedding["conf"], "build_task.embedding").requires_grad_(False)

    def save_predictions(self, task: Any, mode: str, records: Mapping[str, list[Any]], dump_dir: Path) -> None:
        """Write ``predictions.csv``, the turns as RTTM, and ``scoring.json``: what else the error rates depend on."""
        import hashlib

        from dataset.diarization.turns import from_json, rttm_lines
        from dataset.storage.files import write_json, write_text

        super().save_predictions(task, mode, records, dump_dir)
        for name in ("hypothesis", "reference"):
            pairs = zip(records["id"], records[name])
            write_text(Path(dump_dir) / f"{name}.rttm", "".join(rttm_lines(id, from_json(own)) for id, own in pairs))
        scoring = {
            "scorer": "tasks.metrics.diarization",
            "collar_seconds_each_side": task.scoring.collar,
            "overlap": "left out" if task.scoring.skip_overlap else "scored",
            "speakers_matched_in": task.scoring.mapping,
            "uem": "of the metadata" if any(records["scored"]) else "none: whole recordings",
            "references_sha256": hashlib.sha256((Path(dump_dir) / "reference.rttm").read_bytes()).hexdigest(),
        }
        write_json(Path(dump_dir) / "scoring.json", scoring)

    def baselines(
        self, train_csv: str, test_csvs: list[str], cache_dir: str, num_workers: int, build_task: Section
    ) -> dict[str, dict[str, dict[str, float]]]:
        """One speaker who speaks all the time, scored as the model is."""
        from problems.methods import recording_baselines

        return recording_baselines.of_turns(test_csvs, **build_task["scoring"])


if __name__ == "__main__":
    from problems.sd import SD as problem  # under its own name, not as __main__

    problem().main()
