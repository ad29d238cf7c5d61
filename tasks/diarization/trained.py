"""Diarization by a model of speaker activities.

In training the unit is a window of a recording; in validation and tests it is the whole recording, which is cut into
windows that overlap. What the windows say is joined in one of two ways: without clustering, the speakers of a window
are those of the windows before it that agree most; with clustering, each speaker of each window gets an embedding, and
embeddings of all windows are clustered, so that recordings may be long and have any number of speakers.

Notation: B windows, T samples, N frames of a window, S speakers of a window.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nn.diarize import clustering as clusters
from nn.diarize.windows import join, merge, smooth
from nn.losses.permutation import permutation_free_bce, permutation_free_powerset
from nn.streaming import CannotStream
from tasks.base import Mode, StepOutput, check_scores
from tasks.contracts import SpeakerActivities, Upstream
from tasks.diarization.activities import activities, clear_frames
from tasks.diarization.base import SAMPLE_RATE, Diarization, Turn, result_of
from tasks.diarization.embeddings import Clustering, embeddings_of
from tasks.frame_stream import FrameStream
from tasks.recordings import WINDOWS_AT_ONCE, window_outputs
from tasks.results import Turns


class TrainedDiarization(Diarization):
    """Trains a model of speaker activities on windows; joins the windows of a recording.

    Args:
        model: from waveforms or hidden states to logits (B, N, outputs) and lengths (B,).
        encoder: what its outputs are: each speaker, or each set of speakers.
        window: seconds of audio that the model gets at once, in validation and tests.
        hop: seconds from one window to the next.
        threshold: least probability of a speaker who speaks; not for a powerset.
        median: frames of the median filter over activities.
        clustering: clusters the speakers of all windows; None: windows are joined by where they overlap.
        embedder: an upstream whose last state is an embedding of speakers, for clustering.
        others: of :class:`Diarization`.
    """

    takes_features = True

    def __init__(
        self,
        model: nn.Module,
        encoder: SpeakerActivities,
        *,
        window: float = 8.0,
        hop: float = 2.0,
        threshold: float = 0.5,
        median: int = 5,
        clustering: Clustering | None = None,
        embedder: Upstream | None = None,
        windows_at_once: int = WINDOWS_AT_ONCE,
        **others: Any,
    ):
        super().__init__(model, **others)
        if clustering is not None and embedder is None:
            raise ValueError("clustering needs an embedding of speakers")
        if hop > window:
            raise ValueError(f"hop is {hop} s, which leaves gaps between windows of {window} s")
        self.encoder, self.window, self.hop = encoder, window, hop
        self.threshold, self.median = threshold, median
        self.clustering, self.windows_at_once = clustering, windows_at_once
        self.embedder = (embedder,)  # in a tuple, so that it is no part of what is trained and saved

    @property
    def frame_samples(self) -> int:
        """Samples of a frame of activities."""
        return self.model.downsample_rate

    # ---- training ----

    def forward(
        self, mode: str, *, id: list[str], turns: list[str], scored: list[str] | None = None, **batch: Any
    ) -> StepOutput:
        """One step: in training on windows, otherwise on whole recordings.

        turns: JSON lists of [start, end, speaker]; scored: JSON lists of [start, end], or empty; other keys: the
        model's inputs.
        """
        self.check_mode(mode)
        if mode != Mode.TRAIN and batch.get("wav") is not None:
            return self._evaluated(id, turns, scored or [""] * len(id), batch["wav"], batch["wav_len"])
        logits, lengths = self.run_model(batch)
        losses = self._losses(logits, lengths, [json.loads(own) for own in turns])
        return StepOutput(losses.mean(), float(len(id)), {"id": list(id)})

    def _losses(self, logits: Tensor, lengths: Tensor, turns: Sequence[Sequence[Turn]], start: float = 0.0) -> Tensor:
        """The loss of each window (B,). ``start``: the time of its first frame, as the turns count it."""
        check_scores(logits, len(self.encoder), "a frame")
        frame_sec = self.frame_samples / SAMPLE_RATE
        at_once = self.encoder.at_once if self.encoder.classes else self.encoder.num_speakers
        targets = [
            activities(own, logits.shape[1], frame_sec, self.encoder.num_speakers, at_once, start) for own in turns
        ]
        target = torch.from_numpy(np.stack(targets)).to(logits.device)
        if self.encoder.classes is None:
            return permutation_free_bce(logits, target, lengths)
        return permutation_free_powerset(logits, target, lengths, self.encoder.classes)

    # ---- whole recordings ----

    def _evaluated(
        self, id: Sequence[str], turns: Sequence[str], scored: Sequence[str], wav: Tensor, wav_len: Tensor
    ) -> StepOutput:
        hypotheses, losses = [], []
        for own, length, reference in zip(wav, wav_len.tolist(), turns):
            windows = self._outputs(own[:length])
            losses.append(self._loss_of(windows, json.loads(reference)))
            hypotheses.append(self._joined(own[:length], windows))
        records = self.scores(id, turns, scored, hypotheses) | {"loss": losses}
        return StepOutput(wav.new_tensor(math.fsum(losses) / len(losses)), float(len(id)), records)

    def turns(self, wav: Tensor) -> list[Turn]:
        return self._joined(wav, self._outputs(wav))

    def stream(self) -> FrameStream:
        """A recording that arrives in chunks: one window of any length.

        Raises:
            CannotStream: its voices are to be clustered, or the model needs the whole recording.
        """
        if self.clustering is not None:
            raise CannotStream("the voices of a whole recording are clustered (build_task.cluster is true)")

        def result(logits: Tensor, samples: int) -> Turns:
            active = self._activity(logits.cpu().numpy()) > self._least
            return result_of(self._as_turns(active, samples))

        return FrameStream(self.model, result)

    def _outputs(self, wav: Tensor) -> list[tuple[int, Tensor]]:
        """First frame and logits (N, outputs), of each window of a recording (T,)."""
        sizes = {"frame_samples": self.frame_samples, "window": self.window, "hop": self.hop}
        return window_outputs(self.run_model, wav, **sizes, at_once=self.windows_at_once)

    def _loss_of(self, windows: Sequence[tuple[int, Tensor]], reference: Sequence[Turn]) -> float:
        """The mean loss of the windows."""
        frame_sec, losses = self.frame_samples / SAMPLE_RATE, []
        for first, logits in windows:
            if len(logits):
                lengths = torch.tensor([len(logits)], device=logits.device)
                losses.append(float(self._losses(logits[None], lengths, [reference], first * frame_sec)))
        return math.fsum(losses) / max(1, len(losses))

    def _joined(self, wav: Tensor, windows: Sequence[tuple[int, Tensor]]) -> list[Turn]:
        total = max([1, *(first + len(logits) for first, logits in windows)])
        active = [(first, self._activity(logits.cpu().numpy())) for first, logits in windows]
        if self.clustering is None:
            joined = join(active, total) > self._least
        else:
            heard = [(first, own > self._least) for first, own in active]
            joined = self._clustered(wav, heard, total)
        return self._as_turns(joined, len(wav))

    @property
    def _least(self) -> float:
        """The activity above which a speaker speaks."""
        return self.threshold if self.encoder.classes is None else 0.5

    def _as_turns(self, active: np.ndarray, samples: int) -> list[Turn]:
        """The turns of a recording from who is active, bool (T, S)."""
        return self.as_turns(smooth(active, self.median), self.frame_samples / SAMPLE_RATE, samples / SAMPLE_RATE)

    def _activity(self, logits: np.ndarray) -> np.ndarray:
        """The probability that each speaker speaks, or of a powerset the likeliest set: (N, S)."""
        if self.encoder.classes is None:
            return 1 / (1 + np.exp(-logits))
        members = np.zeros((len(self.encoder.classes), self.encoder.num_speakers))
        for number, own in enumerate(self.encoder.classes):
            members[number, list(own)] = 1.0
        return members[logits.argmax(axis=1)]

    def _clustered(self, wav: Tensor, windows: Sequence[tuple[int, np.ndarray]], total: int) -> np.ndarray:
        """The activity of each cluster in each frame of a recording: bool (total, C)."""
        size, pieces, places = self.frame_samples, [], []
        for number, (first, activity) in enumerate(windows):
            for speaker in range(activity.shape[1]):
                chosen = clear_frames(activity, speaker)
                if len(chosen):
                    places.append((number, speaker))
                    samples = wav[first * size : (first + len(activity)) * size]
                    mask = torch.zeros(len(activity) * size, dtype=torch.bool, device=wav.device)
                    mask.view(-1, size)[torch.from_numpy(chosen).to(wav.device)] = True
                    pieces.append(samples[mask[: len(samples)]])
        if not pieces:
            return np.zeros((total, 1), bool)
        embeddings = self._embed(pieces)
        is_long = np.array([len(piece) >= 0.5 * SAMPLE_RATE for piece in pieces])
        sure = embeddings[is_long] if is_long.any() else embeddings
        cluster_of = self.clustering(sure, in_time=False)  # speakers of a window speak at the same time
        centres = np.stack([sure[cluster_of == number].mean(axis=0) for number in range(cluster_of.max() + 1)])
        labels = clusters.assigned(embeddings, centres, np.array([number for number, _ in places]))
        by_window = [[-1] * activity.shape[1] for _, activity in windows]
        for (number, speaker), label in zip(places, labels):
            by_window[number][speaker] = int(label)
        return merge(windows, by_window, total, len(centres))

    def _embed(self, pieces: Sequence[Tensor]) -> np.ndarray:
        (embedder,) = self.embedder
        return embeddings_of(embedder, pieces)
