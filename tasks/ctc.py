"""Connectionist temporal classification: sequence labels without an alignment.

Graves et al., "Connectionist Temporal Classification", ICML 2006. Loss by torch, greedy decoding by
``nn.decode.greedy``, errors by ``tasks.metrics.text``.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nn.decode.greedy import ctc_greedy
from tasks.base import StepOutput, Task
from tasks.metrics.kinds import Count, Number, Rate
from tasks.metrics.text import ErrorCounts, char_errors, corpus_rate, word_errors

log = logging.getLogger(__name__)

BLANK = 0


class TextEncoder(Protocol):
    """Text to indices and back; index 0 is the blank and the padding."""

    def encode(self, text: str) -> list[int]: ...

    def decode(self, ids: list[int]) -> str: ...

    def __len__(self) -> int: ...


class CTCTask(Task):
    """Trains a model with CTC; decodes greedily in validation and test.

    Notation: B utterances, T samples, T' frames, S labels, V symbols with the blank.

    Args:
        model: ``model(wav=..., wav_len=...)``, or ``model(hidden_states=..., hidden_lens=...)`` ->
            logits (B, T', V), lens (B,).
        encoder: turns label indices into text.
        log_predictions: how many references and hypotheses ``reduction`` writes to the log.
    """

    metrics = {
        "wer": Rate(better="lower", label="WER"),
        "cer": Rate(better="lower", label="CER"),
        "loss": Number(better="lower"),
        "substitutions": Count(better="lower"),
        "deletions": Count(better="lower"),
        "insertions": Count(better="lower"),
        "words": Count(),
        "utterances": Count(),
        "too_short": Count(),
    }
    takes_features = True

    def __init__(self, model: nn.Module, encoder: TextEncoder, log_predictions: int = 0):
        super().__init__(model)
        if log_predictions < 0:
            raise ValueError(f"log_predictions is {log_predictions}: expected 0 or more utterances")
        self.encoder = encoder
        self.log_predictions = log_predictions

    def forward(
        self, mode: str, *, id: list[str], text: list[str], tokens: Tensor, tokens_len: Tensor, **batch: Any
    ) -> StepOutput:
        """One step; the loss is the mean over utterances of nll / target length, as torch's ``mean``.

        An utterance with too few frames for its labels (or none) has no alignment: its loss is 0, it still
        counts in ``weight``, and ``too_short`` is true in its record.

        tokens: int64 (B, S); tokens_len: int64 (B,); other keys: the model's inputs, the rest is not used.
        """
        self.check_mode(mode)
        logits, lens = self._logits(batch)
        losses, too_short = ctc_losses(logits, lens, tokens, tokens_len)
        records: dict[str, list[Any]] = {"id": list(id)}
        if mode != "train":
            records["reference"] = list(text)
            records["hypothesis"] = self._decode(logits, lens)
            records["loss"] = losses.detach().tolist()
            records["too_short"] = too_short.tolist()
            for unit, count in (("word", word_errors), ("char", char_errors)):
                counts = [count(*pair) for pair in zip(records["reference"], records["hypothesis"])]
                records.update(_columns(unit, counts))
        return StepOutput(losses.mean(), float(len(id)), records)

    def reduction(self, mode: str, records: Mapping[str, list[Any]]) -> dict[str, float]:
        """Corpus-level ``wer`` and ``cer`` (fractions), ``loss`` (mean over utterances); and, as
        ints, word ``substitutions``, ``deletions``, ``insertions``, ``words``, ``utterances``, ``too_short``.

        Training records hold no predictions and give no metrics.
        """
        self.check_mode(mode)
        if mode == "train":
            return {}
        utterances = len(records["id"])
        if not utterances:
            raise ValueError(f"no utterances to score in mode {mode}: the data set or its sampler is empty")
        wer, words = corpus_rate(_counts("word", records), "word")
        cer, _ = corpus_rate(_counts("char", records), "character")
        self._log_examples(records)
        return {
            "wer": wer,
            "cer": cer,
            "loss": math.fsum(records["loss"]) / utterances,
            "substitutions": words.substitutions,
            "deletions": words.deletions,
            "insertions": words.insertions,
            "words": words.reference_length,
            "utterances": utterances,
            "too_short": sum(records["too_short"]),
        }

    @torch.no_grad()
    def predict(self, wav: Tensor, wav_len: Tensor) -> list[str]:
        """The text of each utterance. wav: (B, T), wav_len: (B,). Needs evaluation mode (``task.eval()``)."""
        if self.training:
            raise RuntimeError("the task is in training mode, where dropout changes its text: call task.eval()")
        return self._decode(*self._logits({"wav": wav, "wav_len": wav_len}))

    def _logits(self, batch: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
        logits, lens = self.run_model(batch)
        if logits.shape[-1] != len(self.encoder):
            raise ValueError(
                f"the model gives {logits.shape[-1]} scores a frame but the encoder has {len(self.encoder)} "
                "symbols (blank included): expected the same number, build the model with this encoder's size"
            )
        return logits, lens

    def _decode(self, logits: Tensor, lens: Tensor) -> list[str]:
        return [self.encoder.decode(ids) for ids in ctc_greedy(logits.detach(), lens, blank=BLANK)]

    def _log_examples(self, records: Mapping[str, list[Any]]) -> None:
        # the first by id, so that the same utterances are shown each time, whatever the sharding
        rows = zip(records["id"], records["reference"], records["hypothesis"])
        for id, reference, hypothesis in sorted(rows)[: self.log_predictions]:
            log.info("%s\n  reference:  %s\n  hypothesis: %s", id, reference, hypothesis)


def ctc_losses(logits: Tensor, lens: Tensor, tokens: Tensor, tokens_len: Tensor) -> tuple[Tensor, Tensor]:
    """Per utterance, the negative log likelihood divided by the target length (by 1 for an empty target).

    Args:
        logits: (B, T', V), any precision; normalised in float32.
        lens: (B,) frames; tokens: int64 (B, S); tokens_len: (B,) labels.

    Returns:
        losses: float32 (B,), 0 where no alignment exists; too_short: bool (B,), true there.
    """
    lens, tokens_len = lens.to(tokens.device), tokens_len.to(tokens.device)
    log_probs = F.log_softmax(logits.float(), dim=-1).transpose(0, 1)
    if log_probs.shape[0] == 0:  # torch wants at least one frame of storage, even where every length is 0
        log_probs = F.pad(log_probs, (0, 0, 0, 0, 0, 1))
    nll = F.ctc_loss(log_probs, tokens, lens, tokens_len, blank=BLANK, reduction="none", zero_infinity=True)
    # equal neighbours need a blank between them, one frame more
    positions = torch.arange(tokens.shape[1], device=tokens.device)[1:]
    repeats = (tokens[:, 1:] == tokens[:, :-1]) & (positions < tokens_len[:, None])
    too_short = lens < (tokens_len + repeats.sum(dim=1)).clamp(min=1)
    losses = nll / tokens_len.clamp(min=1)
    return torch.where(too_short, torch.zeros_like(losses), losses), too_short


_FIELDS = ("substitutions", "deletions", "insertions")


def _columns(unit: str, counts: list[ErrorCounts]) -> dict[str, list[int]]:
    names = ("errors", *_FIELDS, "reference_length")
    return {f"{unit}_{name}": [getattr(one, name) for one in counts] for name in names}


def _counts(unit: str, records: Mapping[str, list[Any]]) -> list[ErrorCounts]:
    columns = [records[f"{unit}_{name}"] for name in ("reference_length", *_FIELDS)]
    return [ErrorCounts(n - s - d, s, d, i) for n, s, d, i in zip(*columns)]
