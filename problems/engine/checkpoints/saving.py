"""A model and a task as files: arguments as JSON, weights as safetensors, labels as their encoders write them.

Nothing is unpickled, and no code is imported from a recorded path.
"""

from __future__ import annotations

import csv
import inspect
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dataset.files import read_json, write_json, write_text
from problems.engine.runtime.digests import digest
from problems.engine.runtime.errors import CheckpointError, ConfigError

WEIGHTS = "weights.safetensors"
LAYERS = "layer_weights.json"


UPSTREAM = "upstream."


def referred(model: Any) -> set[str]:
    """The names of the weights that are referred to, not saved: what of the upstream is not trained.

    A model says that its upstream comes with weights of its own by having ``upstream_trainable``, and which parameters
    are trained at any time by having ``trained``. Buffers go with the parameters of the module that they stand in: what
    trains may change them.
    """
    if not hasattr(model, "upstream_trainable"):
        return set()
    ever = {id(p) for p in getattr(model, "trained", model.parameters())}
    named = model.named_parameters(remove_duplicate=False)
    trained = {n for n, p in named if p.requires_grad or (id(p) in ever and hasattr(model, "trained"))}
    parameters = {n for n, _ in model.named_parameters(remove_duplicate=False)}
    modules = {name.rpartition(".")[0] for name in trained}
    return {
        name
        for name in model.state_dict()
        if name.startswith(UPSTREAM)
        and name not in trained
        and (name in parameters or name.rpartition(".")[0] not in modules)
    }


def save_weights(folder: Path, model: Any) -> None:
    """Write what training changes of ``model``; of what is frozen of its upstream only a digest, to know it by."""
    state, frozen = model.state_dict(), referred(model)
    _save_tensors(folder / WEIGHTS, {k: v for k, v in state.items() if k not in frozen})
    if frozen:
        names, known = getattr(model, "_referred_digest", (None, None))
        if names != frozen:  # frozen: the same at every save
            known = digest({name: state[name] for name in frozen})
            model._referred_digest = frozen, known
        write_json(folder / "referred.json", {"upstream": known})


def _save_tensors(path: Path, tensors: Mapping[str, Any]) -> None:
    import torch
    from safetensors.torch import save_file

    for name, value in tensors.items():
        if not isinstance(value, torch.Tensor):
            raise ConfigError(f"{name!r} cannot be saved among weights: expected a tensor, got {type(value).__name__}")
    # cloned, because safetensors refuses tensors that share their memory
    save_file({k: v.detach().clone().contiguous() for k, v in tensors.items()}, path)


def load_weights(folder: Path, model: Any) -> None:
    """Read into ``model`` what :func:`save_weights` wrote.

    What is not in the file must be of the upstream, as it was when it was saved: which part was frozen then may differ
    from which is now (a schedule of fine-tuning, or a probe that fine-tuning starts from).

    Raises:
        CheckpointError: weights are missing, left over or of another shape, or the frozen upstream is another one:
            what is frozen now differs from what was trained then, or what was frozen then from what is there now.
    """
    from safetensors.torch import load_file

    state, own = load_file(folder / WEIGHTS), model.state_dict()
    mark = folder / "referred.json"
    trained_on = read_json(mark)["upstream"] if mark.exists() and hasattr(model, "upstream_trainable") else None
    frozen = {k: v for k, v in own.items() if trained_on and k.startswith(UPSTREAM) and k not in state}
    missing, left = sorted(own.keys() - state.keys() - frozen.keys()), sorted(state.keys() - own.keys())
    shapes = [k for k in own.keys() & state.keys() if own[k].shape != state[k].shape]
    if missing or left or shapes:
        raise CheckpointError(
            f"the weights in {folder} are not this model's:"
            f" missing {missing[:3]}, unknown {left[:3]}, other shapes {shapes[:3]}"
        )
    if trained_on and digest(frozen) != trained_on:
        raise CheckpointError(
            f"the frozen upstream is not the one that {folder} was trained on: its weights differ;"
            " give build_upstream the weights that it had then"
        )
    require_frozen(folder, model)
    model.load_state_dict(state, strict=False)


def require_frozen(folder: Path, model: Any) -> None:
    """See that weights which :func:`save_weights` wrote leave alone what of ``model``'s upstream is not trained.

    A checkpoint of ``model`` would hold only a digest of those, and no upstream as it is built has them.

    Raises:
        CheckpointError: they differ.
    """
    import torch
    from safetensors import safe_open

    own, frozen = model.state_dict(), referred(model)
    with safe_open(folder / WEIGHTS, "pt") as file:
        both = sorted(frozen.intersection(file.keys()))
        changed = [name for name in both if not torch.equal(file.get_tensor(name), own[name].cpu())]
    if changed:
        raise CheckpointError(
            f"{folder} holds other weights for {len(changed)} parts of the upstream that are frozen now, such as"
            f" {changed[0]}: train them (build_model.upstream_trainable), or give build_upstream an upstream that comes"
            " with them"
        )


def write_layer_weights(folder: Path, model: Any) -> dict[int, float]:
    """Write what training made of the weights of the upstream's layers, where they are weighed."""
    weigh = getattr(getattr(model, "featurizer", None), "weight_by_layer", None)
    weights = weigh() if weigh is not None else {}
    if len(weights) > 1:
        write_json(folder / LAYERS, weights)
    return weights


def origin(problem: Any) -> dict[str, str]:
    """Which class saved a checkpoint, and in which file it was."""
    try:
        file = inspect.getfile(type(problem))
    except (OSError, TypeError):
        file = ""
    return {"problem": type(problem).__name__, "file": file}


def check_arguments(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """What of ``arguments`` a checkpoint holds as JSON; the others are label encoders and DataFrames.

    Raises:
        ConfigError: an argument is none of these three, or JSON would change it.
    """
    return {name: _json(name, value) for name, value in arguments.items() if _kind(value) is None}


def _kind(value: Any) -> str | None:
    if hasattr(value, "save") and hasattr(value, "load"):
        return "encoder"
    return "csv" if type(value).__name__ == "DataFrame" else None


def _json(name: str, value: Any) -> Any:
    try:
        plain = json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError):
        plain = None
    if plain is None and value is not None:
        raise ConfigError(
            f"the argument {name!r} ({type(value).__name__}) cannot be saved in a checkpoint: expected JSON, "
            "a label encoder with save and load, or a DataFrame"
        )
    if not _has_text_keys(value):
        raise ConfigError(f"the argument {name!r} would come back changed from a checkpoint: its keys must be text")
    return plain


def _has_text_keys(value: Any) -> bool:
    """Whether every key is text; JSON makes text of the others without a word."""
    if isinstance(value, Mapping):
        return all(isinstance(k, str) and _has_text_keys(v) for k, v in value.items())
    return not isinstance(value, (list, tuple)) or all(_has_text_keys(v) for v in value)


def save_arguments(folder: Path, arguments: Mapping[str, Any]) -> None:
    """Write each argument as JSON, as a label encoder's own files or as a CSV; anything else is refused by name.

    Raises:
        ConfigError: what :func:`check_arguments` raises.
    """
    plain, kinds = check_arguments(arguments), {}
    for name, value in arguments.items():
        if name in plain:
            continue
        kinds[name] = _kind(value)
        if kinds[name] == "encoder":
            (folder / name).mkdir(parents=True, exist_ok=True)
            value.save(folder / name)
        else:
            # every cell quoted: a lone empty one would be a blank line, a bare carriage return the end of one
            value.astype(str).to_csv(folder / f"{name}.csv", index=False, quoting=csv.QUOTE_ALL, lineterminator="\n")
    write_json(folder / "arguments.json", {"values": plain, "files": kinds})


def load_arguments(folder: Path, load_encoder: Callable[[str], Any]) -> dict[str, Any]:
    """Read what :func:`save_arguments` wrote; ``load_encoder`` reads a label encoder's folder."""
    try:
        saved = read_json(folder / "arguments.json")
    except (FileNotFoundError, ValueError) as error:
        raise CheckpointError(f"{folder} is not part of a checkpoint: {error}") from error
    values = dict(saved["values"])
    for name, kind in saved["files"].items():
        if kind == "csv":
            import pandas

            values[name] = pandas.read_csv(folder / f"{name}.csv", dtype=str, keep_default_na=False)
        else:
            values[name] = load_encoder(str(folder / name))
    return values


def save_task(folder: Path, task: Any) -> None:
    """Write what a task holds beyond its model: weights of its own, and its state (tensors, and the rest as JSON).

    Raises:
        ConfigError: a value of its state is neither a tensor nor JSON.
    """
    import torch

    state = task.get_state()
    tensors = {k: v for k, v in state.items() if isinstance(v, torch.Tensor)}
    plain = {k: v for k, v in state.items() if k not in tensors}
    for name, value in plain.items():
        try:
            json.dumps(value)
        except (TypeError, ValueError):
            storable = False
        else:
            storable = _has_text_keys(value)
        if not storable:
            raise ConfigError(
                f"{type(task).__name__}.get_state() has {name!r} ({type(value).__name__}), which a checkpoint cannot"
                " hold: expected a tensor, or JSON whose keys are text"
            )
    # not write_json: a running value may be infinite or NaN, and must come back so
    write_text(folder / "state.json", json.dumps(plain, ensure_ascii=False) + "\n")
    if tensors:
        _save_tensors(folder / "state.safetensors", tensors)
    own = _own_weights(task)
    if own:
        _save_tensors(folder / WEIGHTS, own)


def load_task(folder: Path, task: Any) -> None:
    """Read into ``task`` what :func:`save_task` wrote.

    Raises:
        CheckpointError: its weights are not this task's.
    """
    from safetensors.torch import load_file

    tensors, weights = folder / "state.safetensors", folder / WEIGHTS
    saved, own = load_file(weights) if weights.exists() else {}, _own_weights(task)
    if {k: v.shape for k, v in saved.items()} != {k: v.shape for k, v in own.items()}:
        raise CheckpointError(
            f"the weights in {folder} are not this task's: it has {sorted(own)[:3]}, there are {sorted(saved)[:3]}"
        )
    task.load_state_dict(saved, strict=False)
    task.set_state(read_json(folder / "state.json") | (load_file(tensors) if tensors.exists() else {}))


def _own_weights(task: Any) -> dict[str, Any]:
    return {k: v for k, v in task.state_dict().items() if not k.startswith("model.")}
