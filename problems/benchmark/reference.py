"""Stored outputs of encoders for a known signal, to see that an encoder computes the same on another machine.

Other weights, another rate, a missing normalisation of the waveform or a layer too many change them; so would another
version of a library. ``references.json`` has those of the signal features.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from dataset.storage.files import read_json, write_json
from problems.engine.runtime.errors import ConfigError

FORMAT = "soundstage-reference-1"
STORED = Path(__file__).with_name("references.json")
TOLERANCE = 1e-3
VALUES = 16
"""Values that are stored of each state, evenly spaced over its frames and features."""


def signal() -> Any:
    """One second at 16 kHz, (16000,): a tone that rises from 100 to 7100 Hz, louder and softer three times a second."""
    import torch

    seconds = torch.arange(16000, dtype=torch.float64) / 16000
    phase = 2 * math.pi * (100 * seconds + 3500 * seconds**2)
    return (0.1 * torch.sin(phase) * (1.5 + torch.cos(6 * math.pi * seconds))).float()


def outputs(model: Any) -> dict[str, Any]:
    """What an encoder computes for :func:`signal`: the shape, rate, RMS and some values of each state."""
    import torch

    wav = signal()[None]
    with torch.inference_mode():
        states, lengths = model(wav, torch.tensor([wav.shape[1]]))
    rows = zip(states, lengths, model.downsample_rates)
    return {"format": FORMAT, "states": [_row(state[0, : int(length)].float(), rate) for state, length, rate in rows]}


def _row(state: Any, rate: int) -> dict[str, Any]:
    flat = state.reshape(-1)
    positions = [round(number * (len(flat) - 1) / (VALUES - 1)) for number in range(VALUES)]
    values = [float(f"{flat[position].item():.6g}") for position in positions]
    rms = float(f"{flat.square().mean().sqrt().item():.6g}")
    return {"shape": list(state.shape), "rate": int(rate), "rms": rms, "values": values}


def save(path: Path, name: str, model: Any) -> None:
    """Write the outputs of an encoder."""
    write_json(path, {"name": name, **outputs(model)})


def read(path: Path) -> dict[str, Any]:
    """Read what :func:`save` wrote.

    Raises:
        ConfigError: the file is missing or something else.
    """
    try:
        stored = read_json(path)
    except (OSError, ValueError) as error:
        raise ConfigError(f"--reference {path} cannot be read: {error}; --save_reference FILE writes one") from error
    if not isinstance(stored, dict) or stored.get("format") != FORMAT:
        raise ConfigError(f"--reference {path} is not a file of {FORMAT}; --save_reference FILE writes one")
    return stored


def stored_of(name: str, conf: Any) -> dict[str, Any] | None:
    """The outputs that come with Soundstage, for an encoder with its default settings; None without."""
    return None if conf else read_json(STORED).get(name)


def differences(own: dict[str, Any], stored: dict[str, Any]) -> tuple[list[str], float]:
    """What differs from stored outputs, and the largest difference in units of the RMS of its state."""
    ours, theirs = own["states"], stored["states"]
    if len(ours) != len(theirs):
        return [f"{len(ours)} states, the stored reference has {len(theirs)}"], math.inf
    wrong, worst = [], 0.0
    for layer, (state, other) in enumerate(zip(ours, theirs)):
        for key in ("shape", "rate"):
            if state[key] != other[key]:
                wrong.append(f"the {key} of state {layer} is {state[key]}, in the stored reference {other[key]}")
        pairs = zip([state["rms"], *state["values"]], [other["rms"], *other["values"]])
        difference = max(abs(one - another) for one, another in pairs) / max(other["rms"], 1e-6)
        worst = max(worst, difference)
        if difference > TOLERANCE:
            ratio = state["rms"] / max(other["rms"], 1e-6)
            wrong.append(
                f"state {layer} differs from the stored reference by {difference:.1e} of its RMS (RMS {state['rms']:g},"
                f" stored {other['rms']:g}: {ratio:.3g} times)"
            )
    return wrong, worst
