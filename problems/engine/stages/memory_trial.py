"""Try a size of batches: train a few steps on the largest, in a process of its own that may run out of memory."""

from __future__ import annotations

import copy
import dataclasses
import logging
import multiprocessing
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from problems.engine.loops.memory_trial import KEY, MemoryTrial
from problems.engine.runtime.errors import SoundstageError
from problems.engine.runtime.overrides import call
from problems.engine.stages.train import Train

ONEDNN = ("could not create a primitive", "could not create a memory object", "could not execute a primitive")
"""The message of the library of torch's CPU kernels if memory runs out, and seldom otherwise."""
WITHOUT = {
    "epochs": None, "eval_step": None, "valid_per_epochs": None, "save_step": None, "save_per_epochs": None,
    "valid_metric": None, "best_rules": [], "average": None, "patience": None, "gradient_accumulate": 1,
    "init_ckpt_dir": None, "init_parts": None, "resume_ckpt_dir": None, "skip_errors": False, "dry_run": False,
    "no_optim": False, "overfit_one_batch": False, "nonfinite_patience": 100,
}  # fmt: skip
"""Settings of ``train`` that a trial leaves out: those of validation, checkpoints and the length."""


@dataclasses.dataclass
class Size:
    """The largest batches of a sampler.

    Args:
        batches: the indices of their utterances: the heaviest batch, and the one with the longest utterance.
        utterances: of the heaviest batch.
        longest: the length of its longest utterance in seconds.
    """

    batches: list[list[int]]
    utterances: int
    longest: float

    @property
    def padded(self) -> float:
        """Seconds of the heaviest batch, padding included."""
        return self.utterances * self.longest


class MemoryTrials(Train):
    """Stage 2 on the largest batches of each size that is tried; nothing is written."""

    def __init__(self, *args: Any):
        super().__init__(*args)
        self.config = copy.deepcopy(dict(self.config)) | {"budget": None}
        self.config["train"] |= WITHOUT
        train_csv, *_ = self.folder.csvs()
        self.data = super().build_data("train", train_csv, self.folder.encoder_path())
        self.lengths = np.asarray(self.data[0].seconds, dtype=np.float64)

    def size(self, key: str, value: int) -> Size:
        """The largest batches, if ``build_batch_sampler.train`` has this value of a key."""
        section = copy.deepcopy(self.config["build_batch_sampler"])
        section["train"][key] = value
        train_csv, *_ = self.folder.csvs()
        where = {**self.builder_folders(), "mode": "train", "data_csv": train_csv, "dataset": self.data[0]}
        sampler = call(self.problem, "build_batch_sampler", build_batch_sampler=section, **where)
        batches = [list(batch) for batch in sampler]
        heaviest, with_longest = max(batches, key=self._padded), max(batches, key=lambda b: self.lengths[b].max())
        return Size([heaviest, with_longest], len(heaviest), float(self.lengths[heaviest].max()))

    def _padded(self, batch: Sequence[int]) -> float:
        return len(batch) * float(self.lengths[batch].max())

    def build_data(self, mode: str, csv: str, encoder_path: str) -> tuple[Any, Any, Any]:
        """The training set, with the batches that are tried in place of its sampler."""
        dataset, _, collate_fn = self.data
        return dataset, self.batches, collate_fn

    def measure(self, size: Size, limit: int | None) -> MemoryTrial:
        """Train on the batches of a size in another process.

        Args:
            limit: bytes that it may take; None: all that is free.

        Raises:
            SoundstageError: the training fails for another reason than memory.
        """
        self.batches = _Batches(size.batches)
        trial = MemoryTrial(len(size.batches))
        self.config["train"] |= {KEY: trial, "total_steps": len(size.batches) + 1}
        ours, theirs = multiprocessing.Pipe(duplex=False)
        # forked, so that data and code are read once; this process has not touched a GPU, so that the other may
        process = multiprocessing.get_context("fork").Process(target=self._measure_here, args=(theirs, limit))
        process.start()
        theirs.close()
        try:
            outcome = ours.recv()
        except EOFError:  # killed, as the kernel does when memory is short
            outcome = dataclasses.replace(trial, is_out_of_memory=True)
        process.join()
        if isinstance(outcome, str):
            raise SoundstageError(f"the training cannot be tried: {outcome}")
        return outcome

    def _measure_here(self, connection: Connection, limit: int | None) -> None:
        from problems.engine.runtime.device import pick_device
        from problems.engine.runtime.memory import is_out_of_memory, limit_memory

        logging.getLogger().setLevel(logging.ERROR)
        trial = self.config["train"][KEY]
        try:
            device = pick_device(self.config["device"])
            limit_memory(device, limit)
            self.run(str(device), None)
            connection.send(trial)
        except Exception as error:
            is_lack = is_out_of_memory(error) or any(text in str(error) for text in ONEDNN)
            connection.send(
                dataclasses.replace(trial, is_out_of_memory=True) if is_lack else f"{type(error).__name__}: {error}"
            )


class _Batches:
    """A batch sampler of given batches."""

    def __init__(self, batches: list[list[int]]):
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.batches)
