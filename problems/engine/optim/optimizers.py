"""Torch optimizers by name: parameter groups, layer-wise decay, and several optimizers in one training."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from dataset.wording import nearest
from problems.engine.config.signatures import check_conf, find_class
from problems.engine.optim import lr_schedules
from problems.engine.optim.named_parameters import NamedParameters, matches
from problems.engine.runtime.errors import ConfigError
from problems.engine.runtime.sharded import is_sharded

Section = Mapping[str, Any]
MAIN = "loss"
"""The name of the loss that a task returns as ``StepOutput.loss``."""
KEYS_OF_ONE = ("gradient_clipping", "gradient_norm_type", "scheduler")
"""Keys that one of several optimizers takes beside those of its section."""


def check(section: Section) -> None:
    """Check that every optimizer of the section can be built.

    Raises:
        ConfigError: a name or a setting does not exist.
    """
    for _, optimizer_section in single(section):
        check_optimizer(optimizer_section)
        if optimizer_section["scheduler"]:
            lr_schedules.check_scheduler(optimizer_section["scheduler"])


def check_optimizer(section: Section) -> type[torch.optim.Optimizer]:
    """Return the class that the section names.

    Raises:
        ConfigError: it, or one of its settings, does not exist.
    """
    optimizer_cls = find_class(torch.optim, torch.optim.Optimizer, section["name"], "build_optimizer")
    check_conf(optimizer_cls, section["conf"], "build_optimizer.conf", supplied=("params",))
    for pattern, settings in settings_by_pattern(section).items():
        key = f"build_optimizer.groups.{pattern}"
        if not isinstance(settings, Mapping):
            raise ConfigError(f"{key}: expected settings such as {{lr: 1.0e-5}}, got {settings!r}")
        check_conf(optimizer_cls, settings, key, supplied=("params",), optional=section["conf"])
    return optimizer_cls


def settings_by_pattern(section: Section) -> dict[str, Any]:
    """The settings of each group by pattern; a nested name, as dotted keys on a command line give it, is joined."""
    by_pattern: dict[str, Any] = {}
    for pattern, settings in (section.get("groups") or {}).items():
        nested = {k: v for k, v in settings.items() if isinstance(v, Mapping)} if isinstance(settings, Mapping) else {}
        for name, inner_settings in settings_by_pattern({"groups": nested}).items():
            by_pattern[f"{pattern}.{name}"] = inner_settings
        if not nested or len(nested) < len(settings):
            by_pattern[pattern] = {k: v for k, v in settings.items() if k not in nested} if nested else settings
    return by_pattern


def single(section: Section) -> list[tuple[str, dict[str, Any]]]:
    """The section of each optimizer with its name: the section itself, or each of ``optimizers`` merged onto it.

    Raises:
        ConfigError: one of ``optimizers`` has an unknown key.
    """
    base = {"scheduler": None} | {k: v for k, v in section.items() if k != "optimizers"}
    if not section.get("optimizers"):
        return [("", base)]
    keys = sorted({*base, *KEYS_OF_ONE})
    sections = []
    for name, overrides in section["optimizers"].items():
        for key in overrides or {}:
            if key not in keys:
                raise ConfigError(
                    f"build_optimizer.optimizers.{name}.{key}: no such key{nearest(key, keys)};"
                    f" the keys are {', '.join(keys)}"
                )
        merged = base | dict(overrides or {})
        if merged["scheduler"]:
            merged["scheduler"] = {"conf": {}, "every": None} | dict(merged["scheduler"])
        sections.append((name, merged))
    return sections


def build_optimizer(section: Section, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """Build the optimizer over the trained ones of ``parameters``, in groups if the section asks for any.

    Args:
        parameters: :class:`NamedParameters` if the section has groups, since these are chosen by name.

    Raises:
        ConfigError: as :func:`check_optimizer`; nothing is trained; torch refuses a setting's value.
    """
    optimizer_cls = check_optimizer(section)
    trained = [p for p in parameters if p.requires_grad]
    if not trained:
        raise ConfigError("build_optimizer: no parameter of the model is trained; is everything frozen?")
    conf, by_pattern = dict(section["conf"]), settings_by_pattern(section)
    if _may_fuse(optimizer_cls, [conf, *by_pattern.values()], trained):
        conf["fused"] = True  # the step can then be skipped on the device, without waiting for it
    needs_groups = by_pattern or section.get("no_decay_on_vectors") or section.get("layer_decay")
    try:
        params: Any = trained
        if needs_groups:
            defaults = optimizer_cls(trained, **conf).defaults
            params = _groups(parameters, section, by_pattern, defaults)
        optimizer = optimizer_cls(params, **conf)
    except ConfigError:
        raise
    except (TypeError, ValueError) as error:
        raise ConfigError(f"build_optimizer: invalid settings of {section['name']}: {error}") from error
    for group in optimizer.param_groups:
        group["lr"] *= section.get("lr_factor", 1.0)
    return optimizer


def _may_fuse(optimizer_cls: type, settings: Sequence[Section], parameters: Sequence[nn.Parameter]) -> bool:
    keys = {key for conf in settings for key in conf}
    if {"fused", "foreach", "differentiable"} & keys or "fused" not in inspect.signature(optimizer_cls).parameters:
        return False
    if "momentum" in keys:  # torch's fused SGD never fills the momentum of a first step that is skipped
        return False
    return all(p.is_cuda and p.is_floating_point() and not is_sharded(p) for p in parameters)


def _groups(
    parameters: Iterable[nn.Parameter], section: Section, by_pattern: Section, defaults: Section
) -> list[dict[str, Any]]:
    """Parameter groups: by the first pattern that matches, by whether they decay, and by depth in the upstream.

    ``layer_decay`` is ELECTRA's rule (Clark et al. 2020): a factor on the rate for each layer below the head.
    """
    layer_decay = section.get("layer_decay")
    if not isinstance(parameters, NamedParameters):
        raise ConfigError("build_optimizer.groups needs parameter names: pass `parameters` through unchanged")
    if layer_decay is not None and parameters.below_head is None:
        raise ConfigError("build_optimizer.layer_decay: this upstream has no numbered layers; leave it null")
    for pattern in by_pattern:
        parameters.of([pattern], "build_optimizer.groups")
    groups: dict[Any, dict[str, Any]] = {}
    for name, parameter in zip(parameters.names, parameters):
        pattern = next((p for p in by_pattern if matches(name, p)), None)
        is_plain_vector = bool(section.get("no_decay_on_vectors")) and parameter.ndim <= 1
        depth, settings = 0, dict(by_pattern.get(pattern) or {})
        if layer_decay is not None:
            depth = parameters.below_head(name)
            settings["lr"] = settings.get("lr", defaults["lr"]) * layer_decay**depth
        if is_plain_vector and "weight_decay" in defaults:
            settings["weight_decay"] = 0.0
        group = groups.setdefault((pattern, is_plain_vector, depth), {"params": [], **settings})
        group["params"].append(parameter)
    return list(groups.values())
