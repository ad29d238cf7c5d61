"""Speaker verification: embeddings trained to tell the training speakers apart, judged by trials of unseen ones.

Everything that is chosen on data (a threshold, a calibration, what the scorer learns of the training speakers) is
learnt in validation, on development trials, and kept in checkpoints; a test only uses it.

Notation: B utterances, D dimensions of an embedding, N trials.
"""

from __future__ import annotations

import base64
import logging
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from tasks.base import StepOutput, Task
from tasks.metrics.kinds import Count, Number, Rate
from tasks.metrics.verification import Calibration, TrialScores, learn_calibration
from tasks.verification.scoring import Scorer
from tasks.verification.trials import Trials

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

PRIORS = (0.01, 0.05)  # of a target trial, for the detection cost
LEARNT = "scorer."  # before the names of what the scorer learnt, in the state
METRICS = ("eer", "eer_threshold", *(f"min_dcf_{p}" for p in PRIORS), "cllr")


class VerificationTask(Task):
    """Trains embeddings with a loss over the training speakers; scores trials in validation and test.

    Args:
        model: ``model(wav=..., wav_len=...)`` or ``model(hidden_states=..., hidden_lens=...)`` -> embeddings (B, D),
            ones.
        loss: one of ``nn.losses``.
        scorer: from embeddings to scores; None for plain cosine.
        valid_trials: a table with the columns ``id1, id2, label`` (:class:`tasks.verification.trials.Trials`).
        test_trials: the same, for mode test.
        cohort: a table with the columns ``id, spk``: training utterances that the scorer learns from, part of the
            validation set beside those of the trials.
        margin_schedule: the loss's margin is 0 for so many training batches, and whole from so many on.
    """

    metrics = {
        "eer": Rate(better="lower", label="EER"),
        "eer_threshold": Number(label="EER threshold"),
        **{f"min_dcf_{p}": Number(better="lower", label=f"minDCF({p})") for p in PRIORS},
        "cllr": Number(better="lower", unit="bits", label="Cllr"),
        "miss": Rate(better="lower"),
        "false_alarm": Rate(better="lower"),
        "trials": Count(),
        "utterances": Count(),
    }
    takes_features = True

    def __init__(
        self,
        model: nn.Module,
        loss: nn.Module,
        scorer: Scorer | None = None,
        valid_trials: pd.DataFrame | None = None,
        test_trials: pd.DataFrame | None = None,
        cohort: pd.DataFrame | None = None,
        margin_schedule: Sequence[int] = (0, 0),
    ):
        super().__init__(model)
        if len(margin_schedule) != 2 or not 0 <= margin_schedule[0] <= margin_schedule[1]:
            raise ValueError(
                f"margin_schedule is {list(margin_schedule)}: expected two numbers of batches, as [0, 1000]"
            )
        self.loss, self.scorer = loss, scorer or Scorer()
        if self.scorer.needs_cohort and valid_trials is not None and cohort is None:
            raise ValueError(
                "the scoring learns from training speakers, but none are given: set build_dataset.cohort_per_speaker"
            )
        self.trials = {
            mode: None if table is None else Trials.of(table)
            for mode, table in (("valid", valid_trials), ("test", test_trials))
        }
        self.cohort = {} if cohort is None else dict(zip(cohort["id"], cohort["spk"]))
        if self.cohort:
            self.scorer.check_cohort(len(set(self.cohort.values())))
        self.margin_schedule = list(margin_schedule)
        self.batches = 0
        self.learnt_at = -1  # the training batches behind what was learnt in validation
        self.threshold = math.nan
        self.calibration: Calibration | None = None
        self._kept: tuple[Mapping[str, list[Any]], tuple[Trials, np.ndarray]] | None = None  # of the last test

    def forward(self, mode: str, *, id: list[str], label: Tensor | None = None, **batch: Any) -> StepOutput:
        """One step. In training the loss is the mean over utterances; there is none for speakers that are unseen, and
        validation and test have embeddings in their records instead.

        label: int64 (B,), in training; other keys: the model's inputs, the rest is not used.
        """
        self.check_mode(mode)
        embeddings, _ = self.run_model(batch)
        if mode == "train":
            losses = self.loss(embeddings, label, self.margin_share)
            self.batches += 1
            return StepOutput(losses.mean(), float(len(id)), {"id": list(id)})
        records = {"id": list(id), "embedding": to_text(embeddings)}
        return StepOutput(embeddings.new_zeros(()), float(len(id)), records)

    @property
    def margin_share(self) -> float:
        """The part of the loss's margin that is in force: it rises evenly from the schedule's first to its second."""
        start, end = self.margin_schedule
        return 1.0 if self.batches >= end else max(0.0, (self.batches - start) / max(1, end - start))

    # ---- evaluation ----

    def reduction(self, mode: str, records: Mapping[str, list[Any]]) -> dict[str, float]:
        """``eer`` and its threshold, ``min_dcf_0.01`` and ``min_dcf_0.05`` (detection costs, of one target in 100 or
        20 trials), ``cllr`` (in bits, of scores calibrated on the development trials), ``trials``, ``utterances``; in
        mode test also ``miss`` and ``false_alarm`` at the threshold of equal errors on the development trials.

        In mode valid, threshold, calibration, and what the scorer wants of the cohort, are learnt. Where only a part
        of the data was looked at, the trials that it holds count; rates that they do not have are NaN.

        Training records hold no embeddings and give no metrics.
        """
        self.check_mode(mode)
        if mode == "train":
            return {}
        if not records["id"]:
            raise ValueError(f"no utterances to score in mode {mode}: the data set or its sampler is empty")
        ids, x = records["id"], from_text(records["embedding"])
        if mode == "valid" and self.scorer.needs_cohort and self._is_whole(mode, ids):
            # in an order of their own: a sum of floats depends on it
            known = sorted((number for number, id in enumerate(ids) if id in self.cohort), key=ids.__getitem__)
            self.scorer.learn(x[known], [self.cohort[ids[number]] for number in known])
        trials, scores = self._scored(mode, records)
        self._kept = (records, (trials, scores)) if mode == "test" else None
        counts = {"trials": len(trials), "utterances": len(ids)}
        if trials.targets.all() or not trials.targets.any():
            return dict.fromkeys(METRICS, math.nan) | counts
        found = TrialScores(scores, trials.targets)
        if mode == "valid":
            self.threshold, self.learnt_at = found.eer_point.threshold, self.batches
            self.calibration = learn_calibration(scores, trials.targets)
        metrics = {"eer": found.eer, "eer_threshold": found.eer_point.threshold}
        metrics |= {f"min_dcf_{p}": found.min_dcf(p) for p in PRIORS}
        return metrics | self._calibrated(mode, found) | counts

    def scored(self, mode: str, records: Mapping[str, list[Any]]) -> tuple[Trials, np.ndarray]:
        """The trials of mode valid or test whose utterances are all among the records, and their scores (N,).

        Those of the records that :meth:`reduction` was just given in mode test are handed over, not computed again.
        """
        kept, self._kept = self._kept, None
        return kept[1] if kept and kept[0] is records and mode == "test" else self._scored(mode, records)

    def _scored(self, mode: str, records: Mapping[str, list[Any]]) -> tuple[Trials, np.ndarray]:
        trials, ids = self._trials(mode), records["id"]
        if not self._is_whole(mode, ids):
            trials = trials.among(ids)
            log.log(
                logging.WARNING if mode == "test" else logging.DEBUG,
                "%d utterances hold %d of %d trials", len(ids), len(trials), len(self._trials(mode)),
            )  # fmt: skip
            if self.scorer.needs_cohort and not self.scorer.learnt:
                trials = trials.among(())
        if mode == "test" and len(trials):
            self._require_fresh()
        return trials, self.scorer.score(ids, from_text(records["embedding"]), trials)

    @property
    def is_fresh(self) -> bool:
        """Whether what validation learns is of these very weights."""
        return self.learnt_at == self.batches

    def _require_fresh(self) -> None:
        if self.scorer.needs_cohort and not self.is_fresh:
            raise ValueError(
                f"what the scoring needs of the training speakers is of training batch {self.learnt_at}, the weights "
                f"are of {self.batches}: this checkpoint was never validated; take the best one, or let "
                "train.save_step be a multiple of train.eval_step"
            )

    def likelihood_ratios(self, scores: np.ndarray) -> np.ndarray | None:
        """Scores as natural log likelihood ratios; None where no calibration of these weights was learnt."""
        return self.calibration(scores) if self.calibration is not None and self.is_fresh else None

    def _trials(self, mode: str) -> Trials:
        found = self.trials[mode]
        if found is None:
            raise ValueError(f"there are no trials for mode {mode}: build the task with {mode}_trials")
        return found

    def _is_whole(self, mode: str, ids: Sequence[str]) -> bool:
        known = set(ids)
        there = mode == "test" or known.issuperset(self.cohort)
        return there and len(self._trials(mode).among(known)) == len(self._trials(mode))

    def _calibrated(self, mode: str, found: TrialScores) -> dict[str, float]:
        if self.calibration is None or not self.is_fresh:
            log.warning("this checkpoint was never validated: no threshold and no calibration of its scores is known")
            return {}
        target, other = self.calibration(found.target), self.calibration(found.other)
        kinds = np.arange(len(target) + len(other)) < len(target)
        metrics = {"cllr": TrialScores(np.concatenate([target, other]), kinds).cllr()}
        if mode == "test":
            point = found.at(self.threshold)
            metrics |= {"miss": point.miss, "false_alarm": point.false_alarm}
        return metrics

    # ---- new audio ----

    @torch.no_grad()
    def predict(self, wav: Tensor, wav_len: Tensor) -> list[list[float]]:
        """The embedding of each utterance. wav: (B, T), wav_len: (B,). Needs evaluation mode (``task.eval()``)."""
        if self.training:
            raise RuntimeError("the task is in training mode, where embeddings are others: call task.eval()")
        return self.run_model({"wav": wav, "wav_len": wav_len})[0].float().tolist()

    def compare(self, enrolled: Sequence[Sequence[float]], test: Sequence[float]) -> float:
        """The score of one test utterance against an enrolment of one or several, from their embeddings."""
        self._require_fresh()
        ids = [str(number) for number in range(len(enrolled) + 1)]
        zero = np.zeros(1, dtype=np.int64)
        pair = Trials([" ; ".join(ids[:-1])], ids[-1:], zero, zero, zero.astype(bool))
        return float(self.scorer.score(ids, np.array([*enrolled, test], dtype=np.float32), pair)[0])

    def decide(self, score: float) -> bool | None:
        """Whether a score is from the threshold on that gave equal errors in validation; None where none is known."""
        return score >= self.threshold if self.is_fresh and not math.isnan(self.threshold) else None

    # ---- state ----

    def get_state(self) -> dict[str, Any]:
        """The training batches so far, and what validation learnt."""
        calibration = None if self.calibration is None else [self.calibration.scale, self.calibration.offset]
        state = {"batches": self.batches, "learnt_at": self.learnt_at, "threshold": self.threshold}
        learnt = {f"{LEARNT}{name}": torch.from_numpy(value) for name, value in self.scorer.state().items()}
        return {**state, "calibration": calibration, **learnt}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Take back what :meth:`get_state` gave."""
        self._kept = None
        self.batches, self.learnt_at = state["batches"], state["learnt_at"]
        self.threshold = state["threshold"]
        self.calibration = Calibration(*state["calibration"]) if state["calibration"] else None
        learnt = {name.removeprefix(LEARNT): value for name, value in state.items() if name.startswith(LEARNT)}
        self.scorer.restore({name: value.cpu().numpy() for name, value in learnt.items()})


def to_text(embeddings: Tensor) -> list[str]:
    """Each of the embeddings (B, D) as text: its float32 values, little-endian, in base 64."""
    rows = embeddings.detach().float().cpu().numpy().astype("<f4")
    return [base64.b64encode(row.tobytes()).decode("ascii") for row in rows]


def from_text(texts: Sequence[str]) -> np.ndarray:
    """What :func:`to_text` wrote, float32 (B, D)."""
    return np.stack([np.frombuffer(base64.b64decode(text), dtype="<f4") for text in texts]).astype(np.float32)
