"""Query by example: ``python -m problems.qbe run``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataset.setting import setting
from problems.base import Problem, Section
from problems.engine.config import sections
from problems.engine.config.schema import follow_choices
from problems.engine.runtime.errors import ConfigError
from problems.engine.runtime.overrides import call


@dataclass
class Costs:
    """The costs of errors."""

    false_alarm: float = setting(1.0, "of a document that is found and does not match", min=0)
    miss: float = setting(100.0, "of a document that matches and is not found", min=0)
    target: float = setting(0.0008, "prior probability that a document matches", min=0, max=1)


@dataclass
class BuildTask:
    """The comparison of queries and documents."""

    layer: int = setting(-1, "the upstream's layer; -1: the last", test_time=True, resume="free")
    distance: str = setting(
        "cosine",
        "of two frames",
        choices=("cosine", "cosine_exp", "cosine_log", "euclidean"),
        test_time=True,
        resume="free",
    )
    normalize: bool = setting(
        True, "mean 0 and deviation 1 of each feature over an utterance", test_time=True, resume="free"
    )
    scale: bool = setting(
        False, "scale the distances of a query and a document to lie between 0 and 1", test_time=True, resume="free"
    )
    decision: float = setting(
        2.0, "deviations above a query's mean score at which a document is found", test_time=True, resume="free"
    )
    costs: Costs = setting(Costs(), "of errors, for the term-weighted value", test_time=True, resume="free")
    hits: int = setting(5, "documents that a prediction names", min=1, test_time=True, resume="free")


class QBE(Problem):
    """Finds the documents in which a spoken query is said, and where; measures MTWV, ATWV and Cnxe.

    Nothing is trained: the hidden states of a pretrained upstream are compared by dynamic time warping. Layer and
    distance are chosen on the validation set: ``evaluate.settings: {layer: [...], distance: [...]}``.
    """

    own_corpus = "csv_queries"
    unscored = ("matches", "no query of {csv} matches a document")
    fixed_encoder = "none"
    summary = "query by example: find a spoken word in recordings, without training"
    sections: dict[str, type] = Problem.sections | {"build_encoder": sections.Empty, "build_task": BuildTask}
    columns = ("kind", "matches")

    def default_config(self) -> dict[str, Any]:
        """The defaults of every problem, without training, validated by MTWV."""
        parts = {"prepare_data": {"corpus": "toy_queries"}, "build_downstream": {"name": "none"}}
        config = follow_choices(self, super().default_config(), parts)
        config["train"] |= {"valid_metric": "mtwv", "total_steps": 0, "eval_step": None, "save_step": None}
        return config

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
        """The queries, with ``matches``: JSON lists of the ids of documents."""
        from dataset.long_audio.recordings import Recordings
        from dataset.metadata import read_csv

        table = read_csv(data_csv, ("id", "wav_path", "seconds", "kind", "matches"))
        queries = table[table["kind"] == "query"].reset_index(drop=True)
        return Recordings(data_csv, _matches, None, queries.assign(collection=Path(data_csv).stem))

    def build_model(
        self,
        build_model: Section,
        model_output_size: int,
        build_upstream: Section,
        build_featurizer: Section,
        build_downstream: Section,
    ) -> Any:
        """The upstream alone."""
        from nn.model import FrozenUpstream

        if build_model["upstream_trainable"]:
            raise ConfigError("build_model.upstream_trainable: this problem trains nothing")
        return FrozenUpstream(call(self, "build_upstream", build_upstream=build_upstream))

    def task_arguments(
        self,
        build_dataset: Section,
        mode: str,
        data_csv: str,
        train_csv: str,
        build_task: Section | None = None,
    ) -> dict[str, Any]:
        """The documents of the set, whose name is their collection."""
        from dataset.metadata import read_csv

        table = read_csv(data_csv, ("id", "wav_path", "kind"))
        documents = table[table["kind"] == "document"][["id", "wav_path"]].reset_index(drop=True)
        return {f"{mode}_documents": documents.assign(collection=Path(data_csv).stem)}

    def build_task(
        self,
        build_task: Section,
        model: Any,
        encoder: Any,
        valid_documents: Any = None,
        test_documents: Any = None,
    ) -> Any:
        """Search by dynamic time warping.

        Args:
            valid_documents, test_documents: tables with the columns ``id, wav_path, collection``; None: none.
        """
        from dataset.audio import read
        from tasks.metrics.term_detection import Costs
        from tasks.search import SearchTask

        paths: dict[str, dict[str, str]] = {}
        for table in (valid_documents, test_documents):
            if table is not None and len(table):
                paths[table["collection"][0]] = dict(zip(table["id"], table["wav_path"]))
        if not paths:
            raise ConfigError("there are no documents to search: give some, in the CSV of the validation or test set")
        try:
            return SearchTask(model, paths, read, **{**build_task, "costs": Costs(**build_task["costs"])})
        except ValueError as error:
            raise ConfigError(f"build_task: {error}") from error


def _matches(row: dict[str, str]) -> dict[str, Any]:
    return {"matches": row["matches"], "collection": row["collection"]}


if __name__ == "__main__":
    from problems.qbe import QBE as problem  # under its own name, not as __main__

    problem().main()
