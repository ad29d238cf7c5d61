"""Optimizers by name: which parameters they move, in which groups, by which loss and how far.

One training has one optimizer or, under ``build_optimizer.optimizers``, a few that each move modules of their own.
"""

from __future__ import annotations

import fnmatch
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from problems.engine.config.signatures import check_conf, find_class
from problems.engine.optim import lr_schedules
from problems.engine.runtime.errors import ConfigError, nearest
from tasks.contracts import LayeredUpstream

Section = Mapping[str, Any]
MAIN = "loss"
OWN_KEYS = ("gradient_clipping", "gradient_norm_type", "scheduler")  # of one optimizer among several


class Parameters(list):
    """A list of parameters that knows their names, those that config files use: ``upstream.encoder.0.weight``.

    Args:
        named: (name, parameter) pairs; a leading ``model.``, which all of a task's model share, is left out.
        below_head: from a name to how many layers it stands below the head; None where no one knows.
    """

    def __init__(
        self, named: Iterable[tuple[str, nn.Parameter]], below_head: Callable[[str], int] | None = None
    ) -> None:
        pairs = [(name.removeprefix("model."), p) for name, p in named if p.requires_grad]
        super().__init__(p for _, p in pairs)
        self.names, self.below_head = [name for name, _ in pairs], below_head

    @classmethod
    def of_task(cls, task: nn.Module) -> Parameters:
        """Those of a task. How deep one stands, an upstream with numbered layers knows."""
        upstream = getattr(task.model, "upstream", None)
        if not isinstance(upstream, LayeredUpstream):
            return cls(task.named_parameters())

        def below_head(name: str) -> int:
            inner = name.removeprefix("upstream.")
            return 0 if inner == name else len(upstream.layers) + 1 - upstream.layer_of(inner)

        return cls(task.named_parameters(), below_head)

    def of(self, patterns: Sequence[str], section: str) -> Parameters:
        """Those in the modules that ``patterns`` name.

        Raises:
            ConfigError: a pattern names none.
        """
        for pattern in patterns:
            if not any(matches(name, pattern) for name in self.names):
                raise ConfigError(unmatched(pattern, self.names, section))
        pairs = (pair for pair in zip(self.names, self) if any(matches(pair[0], p) for p in patterns))
        return Parameters(pairs, self.below_head)


def matches(name: str, pattern: str) -> bool:
    """Whether a parameter's name is in the module that ``pattern`` names, with ``*`` for anything."""
    return fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(name, f"{pattern}.*")


def unmatched(pattern: str, names: Sequence[str], section: str) -> str:
    """The message that ``pattern`` names no parameter that trains."""
    modules = sorted({".".join(name.split(".")[:depth]) for name in names for depth in (1, 2)})
    return (
        f"{section}: no parameter that is trained is in a module {pattern!r}{nearest(pattern, modules)};"
        f" there are {', '.join(modules[:12])}{', ...' if len(modules) > 12 else ''}"
    )


def check_optimizer(section: Section) -> type[torch.optim.Optimizer]:
    """The class that the section names; a ConfigError where it, or one of its settings, does not exist."""
    found = find_class(torch.optim, torch.optim.Optimizer, section["name"], "build_optimizer")
    check_conf(found, section["conf"], "build_optimizer.conf", ("params",))
    for pattern, settings in patterns_of(section).items():
        if not isinstance(settings, Mapping):
            raise ConfigError(
                f"build_optimizer.groups.{pattern}: expected settings, as {{lr: 1.0e-5}}, got {settings!r}"
            )
        check_conf(found, settings, f"build_optimizer.groups.{pattern}", ("params",), section["conf"])
    return found


def patterns_of(section: Section) -> dict[str, Any]:
    """The settings of each group by pattern; a module's name may be nested, as dotted keys of a command line are."""
    found: dict[str, Any] = {}
    for pattern, settings in (section.get("groups") or {}).items():
        inner = {k: v for k, v in settings.items() if isinstance(v, Mapping)} if isinstance(settings, Mapping) else {}
        found |= {f"{pattern}.{name}": value for name, value in patterns_of({"groups": inner}).items()}
        if not inner or len(inner) < len(settings):
            found[pattern] = {k: v for k, v in settings.items() if k not in inner} if inner else settings
    return found


def check(section: Section) -> None:
    """See that every optimizer of the section can be made.

    Raises:
        ConfigError: a name or a setting does not exist.
    """
    for _, one in single(section):
        check_optimizer(one)
        if one["scheduler"]:
            lr_schedules.check_scheduler(one["scheduler"])


def single(section: Section) -> list[tuple[str, dict[str, Any]]]:
    """The sections of the optimizers by name: the section itself, or each of ``optimizers`` merged onto it."""
    base = {"scheduler": None} | {k: v for k, v in section.items() if k != "optimizers"}
    if not section.get("optimizers"):
        return [("", base)]
    found = []
    for name, own in section["optimizers"].items():
        known = (*base, *OWN_KEYS)
        for key in own or {}:
            if key not in known:
                raise ConfigError(
                    f"build_optimizer.optimizers.{name}.{key}: there is no such key{nearest(key, known)};"
                    f" there are {', '.join(sorted(set(known)))}"
                )
        one = base | dict(own or {})
        if one["scheduler"]:
            one["scheduler"] = {"conf": {}, "every": None} | dict(one["scheduler"])
        found.append((name, one))
    return found


def build_optimizer(section: Section, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """The optimizer over those ``parameters`` that train, in groups where the section asks for any.

    Args:
        parameters: :class:`Parameters` where groups are asked for: they go by name.
    """
    made = check_optimizer(section)
    named = parameters if isinstance(parameters, Parameters) else None
    trained = [p for p in parameters if p.requires_grad]
    if not trained:
        raise ConfigError("build_optimizer: no parameter of the model is trained; is everything frozen?")
    conf = dict(section["conf"])
    if _may_fuse(made, [conf, *patterns_of(section).values()], trained):
        conf["fused"] = True  # the step can then be skipped on the device, without waiting for it
    groups = patterns_of(section), section.get("no_decay_on_vectors"), section.get("layer_decay")
    try:
        given: Any = _groups(named, *groups, made(trained, **conf).defaults) if any(groups) else trained
        optimizer = made(given, **conf)
    except ConfigError:
        raise
    except (TypeError, ValueError) as error:
        raise ConfigError(f"build_optimizer: {section['name']} refuses its settings: {error}") from error
    for group in optimizer.param_groups:
        group["lr"] *= section.get("lr_factor", 1.0)
    return optimizer


def _may_fuse(made: type, settings: Sequence[Section], parameters: Sequence[nn.Parameter]) -> bool:
    given = {key for conf in settings for key in conf}
    if {"fused", "foreach", "differentiable"} & given or "fused" not in inspect.signature(made).parameters:
        return False
    if "momentum" in given:  # torch's fused SGD never fills the momentum of a first step that is left out
        return False
    return all(p.is_cuda and p.is_floating_point() for p in parameters)


def _groups(
    named: Parameters | None, patterns: Section, no_decay: bool | None, layer_decay: float | None, defaults: Section
) -> list[dict[str, Any]]:
    """Parameter groups: by the first pattern that fits a name, vectors apart where they are not to decay, and each
    layer of the upstream apart where its rate falls with depth (ELECTRA's rule, Clark et al. 2020)."""
    if named is None:
        raise ConfigError("build_optimizer: groups go by the names of parameters: hand on the parameters as they came")
    if layer_decay is not None and named.below_head is None:
        raise ConfigError("build_optimizer.layer_decay: this upstream has no numbered layers; leave it null")
    for pattern in patterns:
        named.of([pattern], "build_optimizer.groups")
    found: dict[Any, dict[str, Any]] = {}
    for name, parameter in zip(named.names, named):
        pattern = next((p for p in patterns if matches(name, p)), None)
        vector, depth = bool(no_decay) and parameter.ndim <= 1, 0
        group = {"params": [], **(patterns.get(pattern) or {})}
        if layer_decay is not None:
            depth = named.below_head(name)
            group["lr"] = group.get("lr", defaults["lr"]) * layer_decay**depth
        group = found.setdefault((pattern, vector, depth), group)
        group["params"].append(parameter)
        if vector and "weight_decay" in defaults:
            group["weight_decay"] = 0.0
    return list(found.values())
