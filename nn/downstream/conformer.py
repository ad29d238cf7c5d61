"""Conformer encoder: attention and convolution in turn (Gulati et al., "Conformer", Interspeech 2020).

Written here because torchaudio's convolution reads the padding, and its batch norm counts it: there, an utterance has
other outputs in a batch than alone. A layer equals torchaudio's for a batch without padding.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nn.attention import Attention, chunk_mask, positions
from nn.downstream.conformer_stream import ConformerStream
from nn.downstream.rnn import stack_frames
from nn.mask import frame_mask, zero_padding
from nn.masked_batch_norm import FrameNorm
from nn.streaming import CannotStream


class Conformer(nn.Module):
    """[stack] -> linear -> positions -> conformer layers -> linear.

    Positions are sinusoids that are added to the frames, in place of the paper's relative ones. Items may be empty.
    Frames past the length are undefined.

    With ``chunk``, attention sees no later chunk, and convolution no later frame, so that a recording may come in
    chunks (Zhang et al., "Unified Streaming and Non-streaming Two-pass End-to-end Model for Speech Recognition", 2020).

    Args:
        input_size: features per frame
        output_size: number of classes
        size: features per frame inside
        layers: number of layers
        heads: attention heads of each layer; they divide size
        feedforward: hidden units of the feed-forward parts
        kernel: frames that the convolution of a layer sees, an odd number
        dropout: dropout after each part of a layer, and of the attention weights
        stack: join this many successive frames before the first layer; the last group is filled with zeros
        chunk: frames inside that are seen together, none after them, so that the model streams (null: all frames)
        left_chunks: chunks before its own that a frame sees (null: all)
    """

    def __init__(
        self,
        input_size: int,
        output_size: int,
        size: int = 144,
        layers: int = 4,
        heads: int = 4,
        feedforward: int = 576,
        kernel: int = 31,
        dropout: float = 0.1,
        stack: int = 1,
        chunk: int | None = None,
        left_chunks: int | None = None,
    ) -> None:
        super().__init__()
        if min(size, layers, feedforward, stack) < 1 or kernel % 2 == 0:
            raise ValueError(
                f"size ({size}), layers ({layers}), feedforward ({feedforward}) and stack ({stack}) must be at least 1,"
                f" and kernel ({kernel}) an odd number"
            )
        if (chunk is not None and chunk < 1) or (left_chunks is not None and left_chunks < 0):
            raise ValueError(
                f"chunk ({chunk}) must be at least 1 and left_chunks ({left_chunks}) at least 0, or null for no limit"
            )
        if left_chunks is not None and chunk is None:
            raise ValueError(f"left_chunks ({left_chunks}) limits chunks, and there are none: set chunk, their frames")
        self.stack, self.chunk = stack, chunk
        self.scale = size**0.5
        self.input = nn.Linear(input_size * stack, size)
        self.dropout = nn.Dropout(dropout)
        parts = {"heads": heads, "feedforward": feedforward, "kernel": kernel, "dropout": dropout}
        reach = {"chunk": chunk, "left_chunks": left_chunks}
        self.layers = nn.ModuleList(ConformerLayer(size, **parts, **reach) for _ in range(layers))
        self.output = nn.Linear(size, output_size)

    @property
    def downsample_rate(self) -> int:
        """Input frames per output frame."""
        return self.stack

    def forward(self, x: Tensor, x_len: Tensor) -> tuple[Tensor, Tensor]:
        """Encode a padded batch.

        Args:
            x: (B, T, input_size), T at least 1.
            x_len: (B,) int64.

        Returns:
            (B, ceil(T / stack), output_size) and lengths (B,).
        """
        x, x_len = stack_frames(zero_padding(x, x_len), x_len, self.stack)
        x = self.embedded(x)
        for layer in self.layers:
            x = layer(x, x_len)
        return self.output(x), x_len

    def embedded(self, x: Tensor, first: int = 0) -> Tensor:
        """Stacked frames with their positions, the first of which is ``first``: (B, T, stack * H) -> (B, T, D)."""
        x = self.input(x)
        return self.dropout(x * self.scale + positions(first, x.shape[1], x))

    def stream(self) -> ConformerStream:
        """A stream, which takes a recording in chunks and carries what later ones see of those before.

        Raises:
            CannotStream: a frame sees the whole recording.
        """
        if self.chunk is None:
            raise CannotStream(f"{type(self).__name__} attends to the whole recording (chunk is null)")
        return ConformerStream(self)


class ConformerLayer(nn.Module):
    """Half a feed-forward part, attention, convolution, half a feed-forward part, layer norm; each but the last added.

    Args:
        size: D
        others: of :class:`Conformer`
    """

    def __init__(
        self,
        size: int,
        *,
        heads: int,
        feedforward: int,
        kernel: int,
        dropout: float,
        chunk: int | None = None,
        left_chunks: int | None = None,
    ) -> None:
        super().__init__()
        self.chunk, self.left_chunks = chunk, left_chunks
        self.first = _feed_forward(size, feedforward, dropout)
        self.attention_norm = nn.LayerNorm(size)
        self.attention = Attention(size, heads, dropout)
        self.dropout = nn.Dropout(dropout)
        self.convolution = Convolution(size, kernel, dropout, is_causal=chunk is not None)
        self.second = _feed_forward(size, feedforward, dropout)
        self.norm = nn.LayerNorm(size)

    def forward(self, x: Tensor, x_len: Tensor) -> Tensor:
        """x (B, T, D), x_len (B,) -> (B, T, D)."""
        x = x + 0.5 * self.first(x)
        normed = self.attention_norm(x)
        seen = self._seen(x_len, x.shape[1])
        x = x + self.dropout(self.attention(normed, *self.attention.keys_and_values(normed), seen))
        x = x + self.convolution(x, x_len)
        return self.norm(x + 0.5 * self.second(x))

    def _seen(self, x_len: Tensor, frames: int) -> Tensor:
        """The frames that each frame sees: bool (B, 1, 1 or T, T). Each sees one at least, else it is NaN."""
        seen = frame_mask(x_len.clamp_min(1), frames)[:, None, None]
        if self.chunk is None:
            return seen
        own = torch.eye(frames, dtype=torch.bool, device=x_len.device)
        return seen & chunk_mask(frames, self.chunk, self.left_chunks, x_len.device) | own


class Convolution(nn.Module):
    """Layer norm -> linear -> GLU -> convolution of each channel -> batch norm -> SiLU -> linear -> dropout.

    The convolution sees zeros past an item's length, and the batch norm the true frames alone.

    Args:
        size: D
        kernel: frames that the convolution sees
        dropout: dropout at the end
        is_causal: of these frames none is later
    """

    def __init__(self, size: int, kernel: int, dropout: float, is_causal: bool = False) -> None:
        super().__init__()
        self.kernel = kernel
        self.padding = (kernel - 1, 0) if is_causal else (kernel // 2, kernel // 2)
        self.norm = nn.LayerNorm(size)
        self.input = nn.Linear(size, 2 * size)
        self.depthwise = nn.Conv1d(size, size, kernel, groups=size)
        self.batch_norm = FrameNorm(size)
        self.output = nn.Linear(size, size)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, x_len: Tensor) -> Tensor:
        """x (B, T, D), x_len (B,) -> (B, T, D)."""
        return self.mixed(F.pad(zero_padding(self.gated(x), x_len), (0, 0, *self.padding)), x_len)

    def gated(self, x: Tensor) -> Tensor:
        """Apply all before the convolution: (B, T, D) -> (B, T, D)."""
        return F.glu(self.input(self.norm(x)), dim=-1)

    def mixed(self, x: Tensor, x_len: Tensor) -> Tensor:
        """Apply the convolution and all after it: (B, T + kernel - 1, D) -> (B, T, D)."""
        x = self.depthwise(x.transpose(1, 2)).transpose(1, 2)
        return self.dropout(self.output(F.silu(self.batch_norm(x, x_len))))


def _feed_forward(size: int, hidden: int, dropout: float) -> nn.Sequential:
    """Layer norm -> linear -> SiLU -> dropout -> linear -> dropout."""
    return nn.Sequential(
        nn.LayerNorm(size),
        nn.Linear(size, hidden),
        nn.SiLU(),
        nn.Dropout(dropout),
        nn.Linear(hidden, size),
        nn.Dropout(dropout),
    )
