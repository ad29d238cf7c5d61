"""Speaker verification: embeddings trained on some speakers, evaluated by trials of unseen ones.

The threshold, the calibration and the learnt parts of the scorer come from the validation trials and are kept in
checkpoints; a test only uses them.

Notation: B utterances, D dimensions of an embedding, N trials.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from tasks import SEPARATOR
from tasks.base import Mode, Records, StepOutput, Task
from tasks.metrics.kinds import Count, Number, Rate
from tasks.metrics.resampling import WeightedTrials, calibrated_rates, joined, trial_weights
from tasks.metrics.verification import Calibration, TrialScores, learn_calibration
from tasks.results import Embedding, Verification
from tasks.verification.embeddings import from_text, to_text
from tasks.verification.scoring import Scorer
from tasks.verification.trials import Trials

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

PRIORS = (0.01, 0.05)  # of a target trial, for the detection cost
LEARNT = "scorer."  # prefix of the scorer's arrays in the state
RATES = ("eer", "eer_threshold", *(f"min_dcf_{p}" for p in PRIORS), "cllr")  # undefined without both kinds of trial


class VerificationTask(Task):
    """Trains embeddings with a loss over the training speakers; scores trials in validation and test.

    Args:
        model: ``model(wav=..., wav_len=...)`` or ``model(hidden_states=..., hidden_lens=...)`` -> embeddings (B, D)
            and lengths (B,), all 1.
        loss: one of ``nn.losses``.
        scorer: scores trials from embeddings; None for plain cosine.
        valid_trials: a table with the columns ``id1, id2, label`` (:class:`tasks.verification.trials.Trials`).
        test_trials: the same, for mode test.
        cohort: a table with the columns ``id, spk``: training utterances that the scorer learns from. They are part
            of the validation set, beside the utterances of the trials.
        margin_schedule: [start, end] in training batches: the margin of the loss grows from 0 to full between them.
    """

    predicts = "trials"
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
    paired = True
    learns_in_validation = True
    records_follow_model = True

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
                f"margin_schedule is {list(margin_schedule)}: expected two rising numbers of batches, such as [0, 1000]"
            )
        self.loss, self.scorer = loss, scorer or Scorer()
        if self.scorer.needs_cohort and valid_trials is not None and cohort is None:
            raise ValueError(
                "the scoring learns from training speakers, but has no cohort: set build_dataset.cohort_per_speaker"
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
        self.learnt_at = -1  # the value of ``batches`` at the last validation
        self.threshold = math.nan
        self.calibration: Calibration | None = None
        self._last_test: tuple[Records, tuple[Trials, np.ndarray]] | None = None

    def forward(self, mode: str, *, id: list[str], label: Tensor | None = None, **batch: Any) -> StepOutput:
        """One step. In training the loss is the mean over utterances.

        Validation and test have unseen speakers, so their loss is 0 and their records hold the embeddings.

        label: int64 (B,), in training; other keys: the model's inputs; the rest is ignored.
        """
        self.check_mode(mode)
        embeddings, _ = self.run_model(batch)
        if mode == Mode.TRAIN:
            losses = self.loss(embeddings, label, self.margin_share)
            self.batches += 1
            return StepOutput(losses.mean(), float(len(id)), {"id": list(id)})
        records = {"id": list(id), "embedding": to_text(embeddings)}
        return StepOutput(embeddings.new_zeros(()), float(len(id)), records)

    @property
    def margin_share(self) -> float:
        """The share of the margin that is in force; it grows linearly over the schedule."""
        start, end = self.margin_schedule
        return 1.0 if self.batches >= end else max(0.0, (self.batches - start) / max(1, end - start))

    # ---- evaluation ----

    def measure(self, mode: str, records: Records) -> dict[str, float]:
        """EER and its threshold, normalised detection costs (minDCF) at two priors, Cllr of the calibrated scores.

        Mode valid first learns the scorer, and then the threshold and the calibration. Mode test adds the miss and
        false alarm rates at the validation threshold. Trials with missing utterances are left out; without both kinds
        of trial the rates are NaN.
        """
        ids, x = records["id"], from_text(records["embedding"])
        if mode == Mode.VALID and self.scorer.needs_cohort and self._is_complete(mode, ids):
            # sorted by id, since a sum of floats depends on the order
            rows = sorted((row for row, id in enumerate(ids) if id in self.cohort), key=ids.__getitem__)
            self.scorer.learn(x[rows], [self.cohort[ids[row]] for row in rows])
        trials, scores = self._score(mode, records)
        self._last_test = (records, (trials, scores)) if mode == Mode.TEST else None
        counts = {"trials": len(trials), "utterances": len(ids)}
        if trials.targets.all() or not trials.targets.any():
            return dict.fromkeys(RATES, math.nan) | counts
        trial_scores = TrialScores(scores, trials.targets)
        if mode == Mode.VALID:
            self.threshold, self.learnt_at = trial_scores.eer_point.threshold, self.batches
            self.calibration = learn_calibration(scores, trials.targets)
        metrics = {"eer": trial_scores.eer, "eer_threshold": trial_scores.eer_point.threshold}
        metrics |= {f"min_dcf_{p}": trial_scores.min_dcf(p) for p in PRIORS}
        return metrics | self._calibrated_metrics(mode, trial_scores) | counts

    def resampled(
        self, mode: str, records: Records, weights: np.ndarray, test_weights: np.ndarray | None = None
    ) -> dict[str, np.ndarray]:
        """Every metric but the counts and the threshold.

        A non-target trial counts as often as both its speakers together, a target trial as its speaker.
        """
        trials, scores = self._scored_once(mode, records)
        row_of = {id: row for row, id in enumerate(records["id"])}
        enrol = np.array([row_of[members[0]] for members in trials.members()], dtype=int)[trials.enrol]
        test = np.array([row_of[id] for id in trials.tests], dtype=int)[trials.test]
        other = weights if test_weights is None else test_weights
        counts = trial_weights(weights[:, enrol], other[:, test], trials.targets)
        weighted = WeightedTrials(scores, trials.targets)
        miss, false_alarm = weighted.rates(counts)
        values = {"eer": weighted.eer(miss, false_alarm)}
        values |= {f"min_dcf_{p}": weighted.min_dcf(miss, false_alarm, p) for p in PRIORS}
        if self.calibration is not None and self.is_fresh:
            accepted = scores >= np.asarray(self.threshold, dtype=scores.dtype)
            values |= calibrated_rates(counts, self.calibration(scores), accepted, trials.targets)
        return values

    def units(self, mode: str, records: Records) -> list[str]:
        """The speaker of each utterance, as far as the target trials tell: they join utterances of one speaker."""
        trials, ids = self._trials(mode).among(records["id"]), list(records["id"])
        row_of = {id: row for row, id in enumerate(ids)}
        members = [[row_of[id] for id in enrolment] for enrolment in trials.members()]
        tests = np.array([row_of[id] for id in trials.tests], dtype=int)
        firsts = np.array([rows[0] for rows in members], dtype=int)
        same = [(rows[0], row) for rows in members for row in rows[1:]]  # an enrolment is of one speaker
        one = np.concatenate([firsts[trials.enrol[trials.targets]], np.array([a for a, _ in same], dtype=int)])
        other = np.concatenate([tests[trials.test[trials.targets]], np.array([b for _, b in same], dtype=int)])
        return [str(speaker) for speaker in joined(len(ids), one, other)]

    def width(self, mode: str) -> int:
        """The number of trials."""
        return len(self._trials(mode))

    def _scored_once(self, mode: str, records: Records) -> tuple[Trials, np.ndarray]:
        """As :meth:`scored`, without forgetting the scores of the last test."""
        last = self._last_test
        return last[1] if last and last[0] is records and mode == Mode.TEST else self._score(mode, records)

    def scored(self, mode: str, records: Records) -> tuple[Trials, np.ndarray]:
        """The trials of mode valid or test whose utterances are all among the records, and their scores (N,).

        The scores of the last test are reused if ``records`` are the same object that :meth:`reduction` got.
        """
        last, self._last_test = self._last_test, None
        return last[1] if last and last[0] is records and mode == Mode.TEST else self._score(mode, records)

    def _score(self, mode: str, records: Records) -> tuple[Trials, np.ndarray]:
        trials, ids = self._trials(mode), records["id"]
        if not self._is_complete(mode, ids):
            trials, total = trials.among(ids), len(trials)
            level = logging.WARNING if mode == Mode.TEST else logging.DEBUG
            log.log(level, "%d utterances cover %d of %d trials", len(ids), len(trials), total)
            if self.scorer.needs_cohort and not self.scorer.learnt:
                trials = trials.among(())
        if mode == Mode.TEST and len(trials):
            self._require_fresh_scorer()
        return trials, self.scorer.score(ids, from_text(records["embedding"]), trials)

    @property
    def is_fresh(self) -> bool:
        """True if the last validation was of the present weights."""
        return self.learnt_at == self.batches

    def _require_fresh_scorer(self) -> None:
        if self.scorer.needs_cohort and not self.is_fresh:
            raise ValueError(
                f"the scorer was learnt at training batch {self.learnt_at}, but the weights are of {self.batches}: this"
                " checkpoint was never validated; take the best one, or let train.save_step be a multiple of"
                " train.eval_step"
            )

    def likelihood_ratios(self, scores: np.ndarray) -> np.ndarray | None:
        """Scores as natural log likelihood ratios; None if these weights were never validated."""
        return self.calibration(scores) if self.calibration is not None and self.is_fresh else None

    def _trials(self, mode: str) -> Trials:
        trials = self.trials[mode]
        if trials is None:
            raise ValueError(f"there are no trials for mode {mode}: build the task with {mode}_trials")
        return trials

    def _is_complete(self, mode: str, ids: Sequence[str]) -> bool:
        """True if ``ids`` hold every utterance of the trials and, in validation, of the cohort."""
        available = set(ids)
        has_cohort = mode == Mode.TEST or available.issuperset(self.cohort)
        return has_cohort and len(self._trials(mode).among(available)) == len(self._trials(mode))

    def _calibrated_metrics(self, mode: str, trial_scores: TrialScores) -> dict[str, float]:
        if self.calibration is None or not self.is_fresh:
            log.warning("this checkpoint was never validated: its scores have no threshold and no calibration")
            return {}
        target, nontarget = self.calibration(trial_scores.target), self.calibration(trial_scores.nontarget)
        is_target = np.arange(len(target) + len(nontarget)) < len(target)
        metrics = {"cllr": TrialScores(np.concatenate([target, nontarget]), is_target).cllr()}
        if mode == Mode.TEST:
            point = trial_scores.at(self.threshold)
            metrics |= {"miss": point.miss, "false_alarm": point.false_alarm}
        return metrics

    # ---- new audio ----

    def infer(self, wav: Tensor, wav_len: Tensor) -> list[Embedding]:
        """The embedding of each utterance."""
        return [Embedding(own) for own in self.run_model({"wav": wav, "wav_len": wav_len})[0].float().tolist()]

    def verify(self, enrolled: Sequence[Embedding], test: Embedding) -> Verification:
        """The score of a recording against an enrolment of one or several."""
        score = self.compare([own.vector for own in enrolled], test.vector)
        ratios = self.likelihood_ratios(np.array([score]))
        probability = None if ratios is None else float(1 / (1 + np.exp(-ratios[0])))
        return Verification(score, probability, self.decide(score))

    def compare(self, enrolled: Sequence[Sequence[float]], test: Sequence[float]) -> float:
        """The score of one test embedding against an enrolment of one or several embeddings."""
        self._require_fresh_scorer()
        ids = [str(number) for number in range(len(enrolled) + 1)]
        zero = np.zeros(1, dtype=np.int64)
        trial = Trials(
            enrolments=[SEPARATOR.join(ids[:-1])], tests=ids[-1:], enrol=zero, test=zero, targets=zero.astype(bool)
        )
        return float(self.scorer.score(ids, np.array([*enrolled, test], dtype=np.float32), trial)[0])

    def decide(self, score: float) -> bool | None:
        """True if a score reaches the EER threshold of the validation; None if these weights were never validated."""
        return score >= self.threshold if self.is_fresh and not math.isnan(self.threshold) else None

    # ---- state ----

    def get_state(self) -> dict[str, Any]:
        """The number of training batches, and the results of the last validation."""
        calibration = None if self.calibration is None else [self.calibration.scale, self.calibration.offset]
        state = {"batches": self.batches, "learnt_at": self.learnt_at, "threshold": self.threshold}
        learnt = {f"{LEARNT}{name}": torch.from_numpy(value) for name, value in self.scorer.state().items()}
        return {**state, "calibration": calibration, **learnt}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore what :meth:`get_state` returned."""
        self._last_test = None
        self.batches, self.learnt_at = state["batches"], state["learnt_at"]
        self.threshold = state["threshold"]
        self.calibration = Calibration(*state["calibration"]) if state["calibration"] else None
        learnt = {name.removeprefix(LEARNT): value for name, value in state.items() if name.startswith(LEARNT)}
        self.scorer.restore({name: value.cpu().numpy() for name, value in learnt.items()})
