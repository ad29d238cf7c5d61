"""Recurrent encoder for sequence labelling, without packed sequences.

A bidirectional layer is two unidirectional ones. The backward one reads each sequence reversed within its own
length, so that padding follows the true frames in both directions and cannot reach them. On a CPU this takes about
half the time of ``pack_padded_sequence`` with the same result (2 x BiLSTM 256, batch 16, 130 frames, 2 threads,
forward and backward: 222 ms against 432 ms).

Notation: B: batch, T: frames, H: features.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nn.downstream.rnn_stream import RNNStream
from nn.mask import zero_padding
from nn.streaming import CannotStream

MODULES = {"LSTM": nn.LSTM, "GRU": nn.GRU, "RNN": nn.RNN}
SAMPLE_STYLES = ("drop", "concat")


def stack_frames(x: Tensor, x_len: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Join each ``size`` successive frames into one; the last group is filled with zeros.

    x (B, T, H), x_len (B,) -> (B, ceil(T / size), size * H), ceil(x_len / size).
    """
    if size == 1:
        return x, x_len
    batch, num_frames, _ = x.shape
    x = nn.functional.pad(zero_padding(x, x_len), (0, 0, 0, -num_frames % size))
    return x.reshape(batch, x.shape[1] // size, -1), torch.div(x_len + size - 1, size, rounding_mode="floor")


def subsample(x: Tensor, x_len: Tensor, rate: int, style: str) -> tuple[Tensor, Tensor]:
    """Make one frame of each ``rate`` frames, as s3prl does: lengths round down, what is left over is dropped.

    An utterance of fewer frames than ``rate`` keeps one frame, where s3prl would give it none and fail in the next
    layer; an empty one stays empty.

    Args:
        x: (B, T, H), T at least 1.
        x_len: (B,) int64.
        rate: frames in, per frame out.
        style: "drop" keeps the first of them, "concat" joins them (zeros in place of those that are missing).

    Returns:
        (B, max(1, T // rate), H), or H * rate for "concat", and lengths (B,).
    """
    frames = max(1, x.shape[1] // rate)
    lengths = torch.div(x_len, rate, rounding_mode="floor").clamp_min(1) * (x_len > 0)
    if style == "drop":
        return x[:, ::rate][:, :frames], lengths
    x = nn.functional.pad(zero_padding(x, x_len), (0, 0, 0, max(0, rate - x.shape[1])))
    return x[:, : frames * rate].reshape(x.shape[0], frames, -1), lengths


def reversal(x_len: Tensor, num_frames: int) -> Tensor:
    """Indices into ``x.flatten(0, 1)`` that reverse every item within its length: x_len (B,) -> (B * T,).

    The permutation is its own inverse; frames past the length stay.
    """
    step = torch.arange(num_frames, device=x_len.device)
    length = x_len.unsqueeze(1)
    index = torch.where(step < length, length - 1 - step, step)
    # shape[0], as len() is a constant to exporters
    start = torch.arange(x_len.shape[0], device=x_len.device).unsqueeze(1) * num_frames
    return (index + start).flatten()


class RNNLayer(nn.Module):
    """Recurrence -> layer norm -> dropout -> sub-sampling -> tanh(linear), all but the first optional.

    The order is that of s3prl's RNNLayer. ``output_size`` is the size of the result.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        module: str,
        bidirectional: bool,
        dropout: float,
        layer_norm: bool,
        proj: bool,
        sample_rate: int,
        sample_style: str,
    ) -> None:
        super().__init__()
        recurrent = MODULES[module]
        size = hidden_size * (2 if bidirectional else 1)
        self.rate = sample_rate
        self.style = sample_style
        self.output_size = size * (sample_rate if sample_style == "concat" else 1)
        self.forward_rnn = recurrent(input_size, hidden_size, batch_first=True)
        self.backward_rnn = recurrent(input_size, hidden_size, batch_first=True) if bidirectional else None
        self.norm = nn.LayerNorm(size) if layer_norm else None
        self.dropout = nn.Dropout(dropout)
        self.proj = nn.Linear(self.output_size, self.output_size) if proj else None

    def forward(self, x: Tensor, x_len: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, input_size) -> (B, max(1, T // rate), output_size)."""
        y, _ = self.forward_rnn(x)
        if self.backward_rnn is not None:
            index = reversal(x_len, x.shape[1])
            past, _ = self.backward_rnn(_reorder(x, index))
            y = torch.cat([y, _reorder(past, index)], dim=-1)
        return self.after_recurrence(y, x_len)

    def after_recurrence(self, y: Tensor, x_len: Tensor) -> tuple[Tensor, Tensor]:
        """Apply all after the recurrence: (B, T, units of both directions) -> (B, max(1, T // rate), output_size)."""
        if self.norm is not None:
            y = self.norm(y)
        y = self.dropout(y)
        if self.rate > 1:
            y, x_len = subsample(y, x_len, self.rate, self.style)
        if self.proj is not None:
            y = torch.tanh(self.proj(y))
        return y, x_len


class RNNEncoder(nn.Module):
    """Frames -> [stack] -> [linear] -> recurrent layers -> linear, as s3prl's RNNEncoder.

    The number of layers is the length of ``hidden_size``. Arguments per layer are one value for all layers or a list
    with one value for each. True frames are the same in a padded batch as alone. Items may be empty. Frames past the
    length are undefined.

    Args:
        input_size: features per frame
        output_size: number of classes
        module: kind of recurrence: LSTM, GRU or RNN
        bidirectional: read each utterance in both directions
        hidden_size: units of each layer and direction
        dropout: dropout after each layer
        layer_norm: layer normalisation after each layer
        proj: tanh(linear) after each layer
        sample_rate: each layer makes one frame of this many; those left over at the end are dropped
        sample_style: how a layer sub-samples: drop (keep the first frame) or concat (join them)
        proj_size: size of a linear layer before the first recurrent one (0: none)
        stack: join this many successive frames before the first layer; the last group is filled with zeros
    """

    def __init__(
        self,
        input_size: int,
        output_size: int,
        module: str = "LSTM",
        bidirectional: bool = True,
        hidden_size: list[int] = [256, 256],  # noqa: B006 (a literal, for --help; never changed)
        dropout: float | list[float] = 0.0,
        layer_norm: bool | list[bool] = False,
        proj: bool | list[bool] = False,
        sample_rate: int | list[int] = 1,
        sample_style: str = "drop",
        proj_size: int = 0,
        stack: int = 1,
    ) -> None:
        super().__init__()
        hidden = [hidden_size] if isinstance(hidden_size, int) else list(hidden_size)
        if module not in MODULES:
            raise ValueError(f"module is {module!r}, expected one of {', '.join(MODULES)}")
        if sample_style not in SAMPLE_STYLES:
            raise ValueError(f"sample_style is {sample_style!r}, expected one of {', '.join(SAMPLE_STYLES)}")
        if not hidden or min(hidden) < 1:
            raise ValueError(f"hidden_size is {hidden_size!r}, expected a positive size for each layer")
        rates = _per_layer("sample_rate", sample_rate, len(hidden))
        if stack < 1 or min(rates) < 1 or proj_size < 0:
            raise ValueError(
                f"stack ({stack}) and sample_rate ({sample_rate}) must be at least 1, "
                f"proj_size ({proj_size}) at least 0"
            )
        self.stack = stack
        size = input_size * stack
        self.input_proj = nn.Linear(size, proj_size) if proj_size else None
        size = proj_size or size
        self.layers = nn.ModuleList()
        for units, drop, norm, project, rate in zip(
            hidden,
            _per_layer("dropout", dropout, len(hidden)),
            _per_layer("layer_norm", layer_norm, len(hidden)),
            _per_layer("proj", proj, len(hidden)),
            rates,
        ):
            layer = RNNLayer(
                size,
                units,
                module=module,
                bidirectional=bidirectional,
                dropout=drop,
                layer_norm=norm,
                proj=project,
                sample_rate=rate,
                sample_style=sample_style,
            )
            self.layers.append(layer)
            size = layer.output_size
        self.output = nn.Linear(size, output_size)

    @property
    def downsample_rate(self) -> int:
        """Input frames per output frame."""
        rate = self.stack
        for layer in self.layers:
            rate *= layer.rate
        return rate

    def forward(self, x: Tensor, x_len: Tensor) -> tuple[Tensor, Tensor]:
        """Encode a padded batch.

        Args:
            x: (B, T, input_size), T at least 1.
            x_len: (B,) int64.

        Returns:
            (B, T'', output_size) and lengths (B,). ``stack`` rounds lengths up, ``sample_rate`` down, to 1 at least.
        """
        x, x_len = stack_frames(x, x_len, self.stack)
        if self.input_proj is not None:
            x = self.input_proj(x)
        for layer in self.layers:
            x, x_len = layer(x, x_len)
        return self.output(x), x_len

    def stream(self) -> RNNStream:
        """A stream, which takes a recording in chunks and carries the state of each layer.

        Raises:
            CannotStream: the layers are bidirectional.
        """
        if any(layer.backward_rnn is not None for layer in self.layers):
            raise CannotStream(f"{type(self).__name__} also reads a recording from its end (bidirectional is true)")
        return RNNStream(self)


def _reorder(x: Tensor, index: Tensor) -> Tensor:
    return x.flatten(0, 1).index_select(0, index).view_as(x)


def _per_layer(name: str, value: object, num_layers: int) -> list:
    """A list with one value for each layer, from such a list or a single value."""
    if not isinstance(value, (list, tuple)):
        return [value] * num_layers
    if len(value) != num_layers:
        raise ValueError(
            f"{name} has {len(value)} values {list(value)} for the {num_layers} layers of hidden_size; "
            "expected one for each layer, or a single value for all"
        )
    return list(value)
