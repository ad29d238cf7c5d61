"""CTC and an attention decoder, trained and decoded together.

Watanabe et al., "Hybrid CTC/attention architecture for end-to-end speech recognition", 2017.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nn.decode.beam import Hypothesis
from nn.decode.joint import joint_beam_search
from nn.mask import frame_mask
from nn.streaming import CannotStream
from nn.transformer_decoder import END, DecoderSearch, TransformerDecoder
from tasks.base import Records
from tasks.contracts import Vocabulary
from tasks.ctc import BLANK, CTCTask, ctc_losses
from tasks.ctc_stream import CTCStream
from tasks.decoding import CTCDecoder, Decoded, Ngrams
from tasks.metrics.kinds import Number, Rate

CTC_WEIGHT, LABEL_SMOOTHING = 0.3, 0.1
"""SpeechBrain's numbers for LibriSpeech."""


class JointTask(CTCTask):
    """Trains an encoder with CTC and an attention decoder; decodes by CTC, or by both.

    The model gives V scores of CTC for each frame, and after them what the decoder attends to. Validations decode by
    CTC's best path, and measure how often the decoder tells the next token.

    Notation: B utterances, T' frames, S tokens, V symbols with the blank, D the decoder's ``size``.

    Args:
        model: ``model(...)`` -> outputs (B, T', V + D), lengths (B,); ``model.attention_decoder`` is a
            :class:`nn.transformer_decoder.TransformerDecoder`.
        encoder, log_predictions, ngrams: as of :class:`tasks.ctc.CTCTask`.
        ctc_weight: weight of CTC's loss; the rest is the decoder's.
        label_smoothing: probability that the decoder's targets give to all symbols alike.
        decode: settings of :class:`JointDecoder` for tests and predictions.
    """

    metrics = {
        **CTCTask.metrics,
        "loss_ctc": Number(better="lower", of=("loss_ctc", None), label="CTC loss"),
        "loss_attention": Number(better="lower", of=("loss_attention", None), label="attention loss"),
        "token_accuracy": Rate(better="higher", of=("right_tokens", "tokens"), label="token accuracy"),
    }

    def __init__(
        self,
        model: nn.Module,
        encoder: Vocabulary,
        log_predictions: int = 0,
        *,
        ctc_weight: float = CTC_WEIGHT,
        label_smoothing: float = LABEL_SMOOTHING,
        decode: Mapping[str, Any] | None = None,
        ngrams: Ngrams | None = None,
    ):
        super().__init__(model, encoder, log_predictions)
        if not 0 <= ctc_weight <= 1 or not 0 <= label_smoothing < 1:
            raise ValueError(
                f"ctc_weight is {ctc_weight} and label_smoothing {label_smoothing}: expected numbers from 0 to 1"
            )
        self.ctc_weight, self.label_smoothing = ctc_weight, label_smoothing
        attention = model.attention_decoder
        self.greedy = JointDecoder(encoder, attention, blank=BLANK)
        self.decoder = JointDecoder(encoder, attention, **dict(decode or {}), ngrams=ngrams, blank=BLANK)

    def _logits(self, batch: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
        outputs, lengths = self.run_model(batch)
        symbols, size = len(self.encoder), self.model.attention_decoder.size
        if outputs.shape[-1] != symbols + size:
            raise ValueError(
                f"the model gives {outputs.shape[-1]} outputs a frame: expected {symbols}, the scores of the encoder's"
                f" symbols, and {size} more, which the attention decoder reads"
            )
        return outputs, lengths

    def _numbers(self, logits: Tensor, lengths: Tensor, tokens: Tensor, tokens_len: Tensor) -> dict[str, Tensor]:
        """The losses of both, each a mean over the utterance's tokens, and the tokens that the decoder tells."""
        logits, memory = logits[..., : len(self.encoder)], logits[..., len(self.encoder) :]
        ctc, too_short = ctc_losses(logits, lengths, tokens, tokens_len)
        scores = self.model.attention_decoder(tokens, memory, lengths)
        attention, right = attention_losses(scores, tokens, tokens_len, self.label_smoothing)
        attention = torch.where(too_short, torch.zeros_like(attention), attention)
        return {
            "loss": self.ctc_weight * ctc + (1 - self.ctc_weight) * attention,
            "too_short": too_short,
            "loss_ctc": ctc,
            "loss_attention": attention,
            "right_tokens": right,
            "tokens": tokens_len + 1,
        }

    def stream(self) -> CTCStream:
        """Refuse: the decoder attends to the whole recording.

        Raises:
            CannotStream: always.
        """
        raise CannotStream("the attention decoder takes a recording as a whole")

    def measure(self, mode: str, records: Records) -> dict[str, float]:
        """The metrics of CTC, the mean of each loss, and how often the decoder tells the next token, given the true
        ones before it.
        """
        utterances = len(records["id"])
        return super().measure(mode, records) | {
            **{name: math.fsum(records[name]) / utterances for name in ("loss_ctc", "loss_attention")},
            "token_accuracy": sum(records["right_tokens"]) / sum(records["tokens"]),
        }


class JointDecoder(CTCDecoder):
    """Decodes the outputs of CTC and an attention decoder to text: by CTC alone, or ``joint``.

    Words have the times that CTC gives them. In their confidence after a joint search, the posterior is among the
    complete texts that it has kept, by their scores before they are divided.

    Args:
        encoder: decodes token indices to text.
        attention: the decoder.
        name: greedy or beam, which are CTC's own; or joint, a beam search by both.
        ctc_weight: weight of CTC in the joint search; the rest is the decoder's.
        length_norm: scores are divided by the number of tokens to this power.
        settings: of :class:`tasks.decoding.CTCDecoder`.
    """

    names = (*CTCDecoder.names, "joint")

    def __init__(
        self,
        encoder: Vocabulary,
        attention: TransformerDecoder,
        name: str = "greedy",
        *,
        ctc_weight: float = 0.4,
        length_norm: float = 1.0,
        **settings: Any,
    ):
        super().__init__(encoder, name, **settings)
        if not 0 <= ctc_weight <= 1 or length_norm < 0:
            raise ValueError(
                f"decode.ctc_weight is {ctc_weight} and length_norm {length_norm}: expected a weight from 0 to 1, and a"
                " power from 0"
            )
        self.attention, self.ctc_weight, self.length_norm = attention, ctc_weight, length_norm

    def __call__(self, logits: Tensor, lengths: Tensor) -> list[Decoded]:
        """Decode a batch: outputs (B, T', V + D), lengths (B,)."""
        logits, memory = logits[..., : len(self.encoder)], logits[..., len(self.encoder) :]
        if self.name != "joint":
            return super().__call__(logits, lengths)
        log_probs = torch.log_softmax(logits.float(), dim=-1)
        hypotheses = joint_beam_search(
            DecoderSearch(self.attention, memory, lengths, self.beam),
            log_probs,
            lengths,
            beam=self.beam,
            ctc_weight=self.ctc_weight,
            length_norm=self.length_norm,
            nbest=self.nbest,
            scoring=self.scoring.to(logits.device),
        )
        return [self._decoded(own, p[:n]) for own, p, n in zip(hypotheses, log_probs, lengths.tolist())]

    def _log_share(self, hypothesis: Hypothesis) -> float:
        is_divided = self.name == "joint"
        return hypothesis.score * (len(hypothesis.tokens) + 1) ** (self.length_norm if is_divided else 0)


def attention_losses(
    logits: Tensor, tokens: Tensor, tokens_len: Tensor, label_smoothing: float = 0.0
) -> tuple[Tensor, Tensor]:
    """The mean cross entropy over each utterance's tokens and its end, and how many of these are the likeliest.

    Args:
        logits: (B, S + 1, V), any precision; normalised in float32.
        tokens: int64 (B, S). tokens_len: (B,).
        label_smoothing: probability that the target gives to all symbols alike (Szegedy et al., CVPR 2016).

    Returns:
        float32 (B,) and int64 (B,).
    """
    tokens_len = tokens_len.to(tokens.device)
    targets = F.pad(tokens, (0, 1), value=END)
    targets = targets.masked_fill(~frame_mask(tokens_len, targets.shape[1]), END)
    is_true = frame_mask(tokens_len + 1, targets.shape[1])
    losses = F.cross_entropy(
        logits.float().transpose(1, 2), targets, reduction="none", label_smoothing=label_smoothing
    ).masked_fill(~is_true, 0.0)
    right = (logits.argmax(dim=-1) == targets) & is_true
    return losses.sum(dim=1) / (tokens_len + 1), right.sum(dim=1)
