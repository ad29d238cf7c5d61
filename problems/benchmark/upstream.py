"""``python -m problems upstream NAME``: what an encoder is, whether it keeps its promises, and how fast it is here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from problems.benchmark import reference
from problems.benchmark.cells import Encoder
from problems.benchmark.plan import speed_of
from problems.benchmark.superb import encoder_of
from problems.engine.cli.arguments import parse
from problems.engine.runtime.errors import ConfigError

HELP = """usage: python -m problems upstream NAME [--reference FILE] [--save_reference FILE]

What an encoder is, and its speed here. Its states are checked on noise, and compared with stored ones if there are any.

  NAME                     an encoder, or LABEL='{name: NAME, conf: {...}}'
  --reference FILE         compare with the outputs in this file
  --save_reference FILE    write its outputs to this file"""
LENGTHS = (16000, 11111, 7001)
TOLERANCE = 1e-3


def upstream(words: Sequence[str]) -> int:
    """Print the shape, the size and the speed of an encoder, check it on noise, and compare it with stored outputs.

    Returns:
        1 if a check fails: states of other shapes or lengths than it declares, an utterance whose states differ in a
        padded batch, or outputs that differ from the stored ones.

    Raises:
        ConfigError: the encoder is unknown or cannot be built, or the stored outputs cannot be read.
    """
    arguments = parse(words, options=("reference", "save_reference"))
    options = {key: Path(value) for key, value in arguments.overrides}
    if len(arguments.files) != 1:
        raise ConfigError("upstream needs one encoder: upstream NAME, or upstream LABEL='{name: NAME, conf: {...}}'")
    encoder = encoder_of(arguments.files[0])
    stored = _stored(encoder, options.get("reference"))
    model = _built(encoder.name, encoder.conf)
    parameters = sum(own.numel() for own in model.parameters())
    rates = sorted(set(model.downsample_rates))
    speed = speed_of(encoder)
    lines = [
        f"{encoder.label}: {type(model).__module__}:{type(model).__name__}",
        *([(type(model).__doc__ or "").strip().partition("\n")[0]] if type(model).__doc__ else []),
        f"states      {model.num_layers}, of {', '.join(map(str, sorted(set(model.hidden_sizes))))} features",
        f"frames      every {', '.join(f'{rate / 16:g}' for rate in rates)} ms",
        f"parameters  {parameters:,}",
        f"features    {speed.bytes_per_second / 1e3:.0f} kB for a second of audio as fp16",
        f"speed       {speed.times_real:.0f} times real time here",
    ]
    print("\n".join(lines))
    problems = checks(model)
    if not problems:
        print("checks      shapes, lengths and padding are right")
    if stored is None:
        print("reference   none is stored; --save_reference FILE writes one, --reference FILE compares with it")
    else:
        others, worst = reference.differences(reference.outputs(model), stored)
        problems += others
        if not others:
            print(f"reference   outputs are the stored ones, to {worst:.1e} of their RMS")
    if "save_reference" in options:
        reference.save(options["save_reference"], encoder.name, model)
    for problem in problems:
        print(f"WRONG: {problem}")
    return 1 if problems else 0


def _stored(encoder: Encoder, path: Path | None) -> dict[str, Any] | None:
    """The outputs to compare with: of a file, or those that come with Soundstage."""
    return reference.read(path) if path is not None else reference.stored_of(encoder.name, encoder.conf)


def _built(name: str, conf: Any) -> Any:
    from problems.engine.config.registry import build, load_class, resolve

    target = resolve(name, load_class("nn.upstream:UPSTREAMS"), "upstream")
    return build(target, dict(conf), "upstream").eval()


def checks(model: Any) -> list[str]:
    """The promises of the interface that an encoder breaks, on noise of three lengths."""
    import torch

    generator = torch.Generator().manual_seed(0)
    waves = [0.1 * torch.randn(length, generator=generator) for length in LENGTHS]
    wav_len = torch.tensor(LENGTHS)
    with torch.inference_mode():
        states, lengths = model(torch.nn.utils.rnn.pad_sequence(waves, batch_first=True), wav_len)
        alone = [model(wave[None], torch.tensor([len(wave)]))[0] for wave in waves]
    declared = [own.tolist() for own in model.output_lengths(wav_len)]
    wrong, sizes = [], [own.shape[-1] for own in states]
    if len(states) != model.num_layers or sizes != list(model.hidden_sizes):
        wrong.append(f"{len(states)} states of {sizes}, declared {model.num_layers} of {list(model.hidden_sizes)}")
    if [own.tolist() for own in lengths] != declared[: len(lengths)]:
        wrong.append(f"frames {[own.tolist() for own in lengths][:1]}, declared by output_lengths {declared[:1]}")
    for number, length in enumerate(LENGTHS):
        pairs = zip(states, alone[number], [own[number] for own in declared])
        worst = max(_difference(own[number, :frames], single[0, :frames]) for own, single, frames in pairs)
        if worst > TOLERANCE:
            wrong.append(f"the states of {length} samples differ by {worst:.1e} in a padded batch from those alone")
    return wrong


def _difference(one: Any, other: Any) -> float:
    """The largest difference of two states, relative to the largest value; infinite if they have other shapes."""
    if one.shape != other.shape:
        return float("inf")
    return float((one - other).abs().max() / other.abs().max().clamp(min=1e-6)) if one.numel() else 0.0
