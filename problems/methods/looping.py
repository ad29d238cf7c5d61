"""Train, evaluate and compare a model, for every problem: the entry points of stages 2 and 3."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from problems.engine.config.registry import load_class
from problems.engine.runtime.overrides import call

if TYPE_CHECKING:
    from dataset.protocols import BatchSampler, CollateFn, IndexableDataset

Section = Mapping[str, Any]


class Looping:
    """Trains a task and evaluates it. Every method may be overridden."""

    eval_loop: type | str
    callbacks: Sequence[Any]

    def train(
        self,
        train: Section,
        train_dir: str,
        build_model_all_args: Section,
        build_task_all_args_except_model: Section,
        save_model: Section,
        save_task: Section,
        build_optimizer: Section,
        build_scheduler: Section,
        evaluate: Section,
        train_dataset: IndexableDataset,
        train_batch_sampler: BatchSampler,
        train_collate_fn: CollateFn,
        valid_dataset: IndexableDataset | None,
        valid_batch_sampler: BatchSampler | None,
        valid_collate_fn: CollateFn | None,
        num_workers: int,
        world_size: int,
        rank: int,
        eval_batch: int,
        device: str,
        global_config: Section | None = None,
    ) -> None:
        """Stage 2: build model and task and train them in ``train_dir``, from its newest checkpoint on.

        Args:
            valid_dataset, valid_batch_sampler, valid_collate_fn: None if ``train.valid_metric`` is None.
            world_size, rank: ignored; they are those of the process group that is joined (torchrun, --nproc).
        """
        from problems.engine.checkpoints.arguments import check_arguments
        from problems.engine.loops.evaluate import first_batches
        from problems.engine.loops.setup import Setup
        from problems.engine.runtime.numerics import numerics

        for arguments in (build_model_all_args, build_task_all_args_except_model):
            check_arguments(arguments)
        with numerics(train["deterministic"], train["tf32"]):
            setup = Setup(
                self,
                train,
                Path(train_dir),
                device,
                model_args=build_model_all_args,
                task_args=build_task_all_args_except_model,
                build_optimizer=build_optimizer,
                build_scheduler=build_scheduler,
                global_config=global_config,
            )
            setup.read(train_dataset, train_batch_sampler, train_collate_fn, num_workers)
            if train["valid_metric"] is None:
                setup.fit(None, save_model, save_task)
                return
            valid_dataset = setup.with_valid_features(valid_dataset, first_batches(valid_batch_sampler, eval_batch))

            def validate(batches: int = eval_batch, workers: int = num_workers) -> dict[str, float]:
                return call(
                    self,
                    "evaluate",
                    evaluate={**evaluate, "callbacks": setup.extras.callbacks},
                    mode="valid",
                    task=setup.task,
                    dataset=valid_dataset,
                    batch_sampler=valid_batch_sampler,
                    collate_fn=valid_collate_fn,
                    eval_batch=batches,
                    dump_dir=None,
                    device=device,
                    num_workers=workers,
                )

            setup.fit(validate, save_model, save_task)

    def evaluate(
        self,
        evaluate: Section,
        mode: str,
        task: Any,
        dataset: IndexableDataset,
        batch_sampler: BatchSampler,
        collate_fn: CollateFn,
        eval_batch: int,
        dump_dir: str | None,
        device: str,
        num_workers: int,
    ) -> dict[str, float]:
        """The metrics over a dataset; predictions and result are written to ``dump_dir`` unless it is None."""
        import torch

        from problems.engine.loops.analysis import Analysis

        callbacks = [*self.callbacks, *evaluate.get("callbacks", ())]
        loop = load_class(self.eval_loop)(task, torch.device(device), evaluate["precision"], callbacks)
        folder = None if dump_dir is None else Path(dump_dir)
        analysis = Analysis(evaluate.get("groups") or (), evaluate.get("confidence", 0), evaluate.get("unit"))

        def save(records: Mapping[str, list[Any]], dump_dir: Path) -> None:
            call(self, "save_predictions", task=task, mode=mode, records=records, dump_dir=dump_dir)

        return loop.evaluate(
            mode,
            dataset,
            batch_sampler,
            collate_fn,
            eval_batch=eval_batch,
            dump_dir=folder,
            num_workers=num_workers,
            save_predictions=save,
            analysis=analysis,
            place=evaluate.get("place"),
            skip_errors=evaluate.get("skip_errors", False),
            records_file=Path(evaluate["records"]) if evaluate.get("records") else None,
        )

    def save_predictions(self, task: Any, mode: str, records: Mapping[str, list[Any]], dump_dir: Path) -> None:
        """Write ``predictions.csv`` in ``dump_dir``: the records, one row per utterance."""
        from problems.engine.loops.evaluate import write_predictions

        write_predictions(records, dump_dir)

    def baselines(
        self,
        train_csv: str,
        test_csvs: list[str],
        cache_dir: str,
        num_workers: int,
        build_upstream: Section | None = None,
        build_task: Section | None = None,
        device: str = "cpu",
    ) -> dict[str, dict[str, dict[str, float]]]:
        """Metrics of trivial models on the same data, by test set (the stem of its CSV) and model; none by default.

        Stage 3 calls it once for the same CSVs and upstream, and the report compares the checkpoint with it.
        """
        return {}
