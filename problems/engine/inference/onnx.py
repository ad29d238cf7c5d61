"""Models as programs of other runtimes: ONNX, and torch.export.

The program takes a padded batch, ``wav`` float32 (B, T) and ``wav_len`` int64 (B,), and gives the model's ``scores``
and ``lengths`` (B,). B and T may vary.
"""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from problems.engine.inference.onnx_recurrence import operator, translations
from problems.engine.inference.recurrence import scanned, with_recurrence
from problems.engine.runtime.errors import ConfigError
from problems.engine.runtime.numerics import flushing_denormals

TOLERANCE = 1e-2
"""The largest difference of a score from the model's own, relative to the largest score of the utterance."""
Program = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


@dataclass
class Comparison:
    """A program against its model over some recordings.

    Args:
        difference: the largest of a score, relative to the largest score of the utterance.
        seconds, model_seconds: the time of all recordings, one at a time.
        count: of the recordings.
    """

    difference: float
    seconds: float
    model_seconds: float
    count: int


class _Scores(nn.Module):
    """A model with positional arguments."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, wav: Tensor, wav_len: Tensor) -> tuple[Tensor, Tensor]:
        return self.model(wav=wav, wav_len=wav_len)


def write(model: nn.Module, path: Path, kind: str, recordings: Sequence[Tensor]) -> Comparison:
    """Write a model's program, and compare it with the model.

    Args:
        model: in evaluation mode, on the CPU.
        path: its file: ``.onnx``, or ``.pt2``.
        kind: onnx or torch_export.
        recordings: waveforms (T,) of several lengths.

    Raises:
        ConfigError: the model cannot be written, or its program differs by more than :data:`TOLERANCE`.
    """
    scores = _Scores(model).eval()
    program = _exported(scores, kind)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own deprecations
        run = _write_onnx(program, path) if kind == "onnx" else _write_program(program, path)
    result = compare(scores, run, recordings)
    if not result.difference <= TOLERANCE:
        path.unlink()
        raise ConfigError(
            f"--{kind}: the program differs from the model by {result.difference:.2g}, more than {TOLERANCE:g}"
        )
    return result


def _exported(scores: nn.Module, kind: str) -> torch.export.ExportedProgram:
    free = torch.export.Dim.DYNAMIC
    recurrence = operator() if kind == "onnx" else scanned
    wav, wav_len = torch.randn(2, 48000) * 0.1, torch.tensor([48000, 32000])
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            return torch.export.export(
                with_recurrence(scores, recurrence),
                (wav, wav_len),
                dynamic_shapes=({0: free, 1: free}, {0: free}),
                strict=False,
            )
    except Exception as error:  # of any kind: torch's exporter has no class of its own
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigError(f"--{kind}: torch cannot export this model: {reason}") from error


def _write_program(program: torch.export.ExportedProgram, path: Path) -> Program:
    torch.export.save(program, path)
    return load_program(path)


def load_program(path: Path) -> Program:
    """The program that torch.export wrote.

    Its guards are left out: they refuse a batch of one, for which it is right too.
    """
    return torch.export.load(path).module(check_guards=False)


def _write_onnx(program: torch.export.ExportedProgram, path: Path) -> Program:
    try:
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f"--onnx needs onnxscript and onnxruntime ({error}): pip install 'soundstage[onnx]'"
        ) from error
    logging.getLogger(torch.onnx.__name__).setLevel(logging.ERROR)  # it warns that torchvision is not there
    written = torch.onnx.export(
        program,
        dynamo=True,
        verbose=False,
        input_names=["wav", "wav_len"],
        output_names=["scores", "lengths"],
        dynamic_shapes=({0: "batch", 1: "samples"}, {0: "batch"}),
        custom_translation_table=translations(),
    )
    scores = written.model.graph.outputs[0]
    if scores.shape is not None and len(scores.shape) > 2:
        scores.shape[1] = "frames"  # torch names it by its formula
    written.save(str(path))
    return load_onnx(path)


def load_onnx(path: Path) -> Program:
    """The program in an ONNX file, run by onnxruntime on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def run(wav: Tensor, wav_len: Tensor) -> tuple[Tensor, Tensor]:
        scores, lengths = session.run(None, {"wav": wav.numpy(), "wav_len": wav_len.numpy()})
        return torch.from_numpy(scores), torch.from_numpy(lengths)

    return run


def compare(model: Program, program: Program, recordings: Sequence[Tensor]) -> Comparison:
    """A program against its model: one recording at a time, and all of them in batches of up to four."""
    singles = [[own] for own in recordings]
    batches = [list(recordings[place : place + 4]) for place in range(0, len(recordings), 4)]
    with torch.inference_mode(), flushing_denormals():
        expected, model_seconds = _timed(model, singles)
        outputs, seconds = _timed(program, singles)
        expected += _timed(model, batches)[0]
        outputs += _timed(program, batches)[0]
    return Comparison(max(map(_difference, expected, outputs)), seconds, model_seconds, len(recordings))


def _timed(program: Program, groups: Sequence[Sequence[Tensor]]) -> tuple[list[tuple[Tensor, Tensor]], float]:
    """The outputs for some groups of waveforms, and the seconds that they took; the first call is not counted."""
    inputs = [
        (nn.utils.rnn.pad_sequence(list(group), batch_first=True), torch.tensor([len(own) for own in group]))
        for group in groups
    ]
    program(*inputs[0])
    began = time.perf_counter()
    return [program(*own) for own in inputs], time.perf_counter() - began


def _difference(expected: tuple[Tensor, Tensor], output: tuple[Tensor, Tensor]) -> float:
    (scores, lengths), (other, other_lengths) = expected, output
    if lengths.tolist() != other_lengths.tolist():
        return float("inf")
    worst = 0.0
    for own, theirs, length in zip(scores, other, lengths.tolist()):
        own, theirs = (own[:length], theirs[:length]) if own.ndim > 1 else (own, theirs)
        if own.numel():
            worst = max(worst, float((own - theirs).abs().max() / own.abs().max().clamp(min=1e-6)))
    return worst
