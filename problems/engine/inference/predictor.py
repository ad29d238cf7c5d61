"""A trained model, ready for new audio."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from dataset import SAMPLE_RATE
from dataset.audio import AudioError
from problems.engine.checkpoints.learnt import read_learnt
from problems.engine.checkpoints.moved_upstream import load_options
from problems.engine.config.test_settings import task_settings
from problems.engine.inference.alignment import align
from problems.engine.inference.card import card_of
from problems.engine.inference.pieces import Piece, joined, pieces_of
from problems.engine.inference.recordings import Failure, Recording, is_single, recordings
from problems.engine.inference.stream import Stream
from problems.engine.runtime.device import pick_device
from problems.engine.runtime.errors import ConfigError
from problems.engine.runtime.numerics import numerics
from problems.engine.runtime.overrides import call
from tasks.base import Task
from tasks.results import Embedding, Result, Verification

BATCH_SECONDS = 320.0
"""Padded seconds of a batch on a GPU."""
POOLED = 8
"""Batches whose pieces are sorted by length together."""


class PredictingProblem(Protocol):
    """The attributes of a problem that prediction needs."""

    long_audio: str

    def task_sources(self, build_task: Mapping[str, Any]) -> list[str]: ...

    def load_model_and_task(self, ckpts_dir: str, **options: Any) -> tuple[torch.nn.Module, Task]: ...


@dataclass
class _Pending:
    """A recording whose pieces are being computed."""

    recording: Recording
    pieces: list[Piece | None] = field(default_factory=list)
    error: Exception | None = None
    is_read: bool = False

    @property
    def is_complete(self) -> bool:
        return self.is_read and (self.error is not None or all(piece is not None for piece in self.pieces))


@dataclass
class _Part:
    """A piece that is not computed yet: its recording, its place in it, its start in seconds, its samples."""

    pending: _Pending
    place: int
    start: float
    wav: Tensor


class Predictor:
    """A trained model, ready for new audio.

    It may be used from several threads.

    Args:
        folder: a checkpoint.
        problem: the problem that trained it.
        device: auto, cpu, cuda, ...
        upstream: the file or folder of its frozen upstream, if that has moved.
        task: keys of ``build_task`` to change, nested, such as ``{"decode": {"name": "beam"}}``; those that are free in
            a test.

    Raises:
        CheckpointError: the upstream is not the one that the checkpoint was trained on.
        ConfigError: a key of ``task`` is not free, or its value is wrong.
    """

    def __init__(
        self,
        folder: str | Path,
        problem: PredictingProblem,
        device: str = "auto",
        upstream: str | None = None,
        task: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder, self.problem, self.device = Path(folder), problem, pick_device(device)
        options = load_options(self.folder, upstream)
        if task:
            options["task_overrides"] = {"build_task": task_settings(problem, self.folder, task)}
        self.model, self.task = call(problem, "load_model_and_task", ckpts_dir=str(self.folder), **options)
        self.learnt: dict[str, Any] | None = None
        """The state that a test with these settings has taught the task, if it needs one and was tested."""
        if self.task.needs_validation:
            self.learnt = read_learnt(self.folder, task_settings(problem, self.folder, task or {}))
        if self.learnt is not None:
            self.task.set_state(self.learnt)
        self.task.to(self.device).eval()

    # ---- predictions ----

    def predict(
        self,
        audio: Any,
        *,
        batch_seconds: float | None = None,
        num_workers: int = 2,
        errors: Literal["raise", "return"] = "raise",
    ) -> Any:
        """The result for one recording, or an iterator over those of many, in their order.

        A recording is a path of any rate and channel count, an open file, samples (T,) at 16 kHz, or a pair (samples,
        rate). Many are a folder, a CSV with the column wav_path, or any iterable of the former; they are read as their
        results are asked for.

        Args:
            batch_seconds: padded seconds of a batch; 0: one recording at a time. None: 0 on a CPU, where a result then
                does not depend on the others to the last bit, and 320 elsewhere.
            num_workers: threads that read ahead.
            errors: of many recordings, raise the error of one that cannot be read, or return a :class:`Failure`.

        Returns:
            a :class:`tasks.results.Result`, whose ``str()`` is a line of text; or an iterator.

        Raises:
            AudioError: a recording cannot be read.
        """
        if errors not in ("raise", "return"):
            raise ConfigError(f"errors is {errors!r}: expected raise or return")
        if batch_seconds is None:
            batch_seconds = 0.0 if self.device.type == "cpu" else BATCH_SECONDS
        single = is_single(audio)
        results = self._results(recordings(audio), batch_seconds, 0 if single else num_workers, errors == "return")
        return next(results) if single else results

    def stream(self, rate: int = SAMPLE_RATE) -> Stream:
        """A stream, which takes recordings in chunks of samples at ``rate`` Hz, and gives partial and final results.

        Raises:
            ConfigError: the model needs the whole recording; the message says why.
        """
        return Stream(self, rate)

    def verify(self, enrolled: Any, test: Any, **options: Any) -> Any:
        """The score of a recording, or an iterator over those of many, against the enrolment of one or several.

        Args:
            enrolled, test: recordings, as for :meth:`predict`.
            options: of :meth:`predict`, for ``test``.

        Raises:
            ConfigError: the model does not compare recordings.
        """
        if not hasattr(self.task, "verify"):
            raise ConfigError(
                f"a model of {type(self.problem).__name__} does not compare recordings: predict without an enrolment"
            )
        voices = self.predict([enrolled] if is_single(enrolled) else enrolled)
        enrolment = [own for own in voices if isinstance(own, Embedding)]
        if is_single(test):
            return self._verified(enrolment, self.predict(test, **options))
        return (self._verified(enrolment, own) for own in self.predict(test, **options))

    def align(self, audio: Any, texts: Any, *, lexicon: str | None = None) -> Any:
        """The times of known phones in a recording, or an iterator over those of many.

        Args:
            audio: recordings, as for :meth:`predict`.
            texts: the phones of each, separated by spaces, or its words with a lexicon: a text, or a list of texts.
            lexicon: a file, cmudict, or espeak:LANGUAGE.

        Returns, Raises: as :func:`problems.engine.inference.alignment.align`.
        """
        single = is_single(audio)
        results = align(self, list(recordings(audio)), [texts] if single else list(texts), lexicon)
        return next(results) if single else results

    def _verified(self, enrolment: Sequence[Embedding], own: Any) -> Verification | Failure:
        if isinstance(own, Failure):
            return own
        result = self.task.verify(enrolment, own)
        result.source, result.seconds = own.source, own.seconds
        return result

    @property
    def card(self) -> dict[str, Any]:
        """The card of the model: problem, parameters, settings, and its results if they are beside it."""
        return card_of(self.folder, self.problem, self.model)

    def features(self, audio: Any) -> list[Tensor]:
        """The hidden states of the upstream for one recording: for each layer (T', H), on the CPU.

        Raises:
            ConfigError: the model has no upstream. AudioError: the recording cannot be read.
        """
        upstream = getattr(self.model, "upstream", None)
        if upstream is None or not is_single(audio):
            what = "the model has no upstream" if upstream is None else "features are of one recording"
            raise ConfigError(f"{what}: got {type(self.model).__name__} and {type(audio).__name__}")
        (recording,) = recordings(audio)
        ((_, wav),) = pieces_of(recording.open(), "whole")
        with numerics(deterministic=False, tf32=False), torch.inference_mode():
            length = torch.tensor([len(wav)], device=self.device)
            states, lengths = upstream(wav[None].to(self.device), length)
        return [state[0, : int(own[0])].float().cpu() for state, own in zip(states, lengths)]

    # ---- from recordings to results ----

    def _results(
        self, items: Iterator[Recording], batch_seconds: float, num_workers: int, keep_errors: bool
    ) -> Iterator[Result | Failure]:
        queue: deque[_Pending] = deque()
        parts: list[_Part] = []
        for pending in _opened(items, num_workers):
            queue.append(pending)
            for part in self._parts(pending):
                parts.append(part)
                if sum(len(own.wav) for own in parts) >= POOLED * batch_seconds * SAMPLE_RATE:
                    self._compute(parts, batch_seconds)
                    parts = []
            while queue and queue[0].is_complete:
                yield self._finished(queue.popleft(), keep_errors)
        self._compute(parts, batch_seconds)
        while queue:
            yield self._finished(queue.popleft(), keep_errors)

    def _parts(self, pending: _Pending) -> Iterator[_Part]:
        """The pieces of a recording as they are read."""
        if pending.error is None:
            try:
                for start, wav in pieces_of(pending.recording, self.problem.long_audio):
                    pending.pieces.append(None)
                    yield _Part(pending, len(pending.pieces) - 1, start, wav)
            except AudioError as error:
                pending.error = error
        pending.is_read = True

    def _compute(self, parts: Sequence[_Part], batch_seconds: float) -> None:
        """Compute the results of pieces, in batches of similar lengths."""
        ordered = sorted(parts, key=lambda own: len(own.wav)) if batch_seconds else parts
        batch: list[_Part] = []
        for part in ordered:
            if batch and (len(batch) + 1) * len(part.wav) > batch_seconds * SAMPLE_RATE:
                self._compute_batch(batch)
                batch = []
            batch.append(part)
        if batch:
            self._compute_batch(batch)

    def _compute_batch(self, batch: Sequence[_Part]) -> None:
        lengths = torch.tensor([len(own.wav) for own in batch], device=self.device)
        wav = torch.nn.utils.rnn.pad_sequence([own.wav for own in batch], batch_first=True).to(self.device)
        with numerics(deterministic=False, tf32=False), torch.inference_mode():
            results = self.task.predict(wav, lengths)
        for part, result in zip(batch, results):
            part.pending.pieces[part.place] = (part.start, len(part.wav) / SAMPLE_RATE, result)

    @staticmethod
    def _finished(pending: _Pending, keep_errors: bool) -> Result | Failure:
        if pending.error is None:
            return joined(pending.recording, [piece for piece in pending.pieces if piece is not None])
        if keep_errors:
            return Failure(pending.recording.name, pending.error)
        raise pending.error


def _opened(items: Iterable[Recording], num_workers: int) -> Iterator[_Pending]:
    """Recordings with their samples, read ahead by threads."""
    if not num_workers:
        yield from map(_open, items)
        return
    with ThreadPoolExecutor(num_workers) as pool:
        ahead: deque[Future[_Pending]] = deque()
        try:
            for item in items:
                ahead.append(pool.submit(_open, item))
                if len(ahead) > 2 * num_workers:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()


def _open(recording: Recording) -> _Pending:
    try:
        return _Pending(recording.open())
    except AudioError as error:
        return _Pending(recording, error=error)
