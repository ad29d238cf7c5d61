"""Parameters with the names that configs know them by, chosen by module."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Sequence

from torch import nn

from dataset.protocols import offers
from dataset.wording import nearest
from problems.engine.runtime.errors import ConfigError
from tasks.base import Task
from tasks.contracts import LayeredUpstream


class NamedParameters(list[nn.Parameter]):
    """A list of the trained parameters, with their names, such as ``upstream.encoder.0.weight``.

    Args:
        named: (name, parameter) pairs; a leading ``model.``, which all of a task's model share, is dropped.
        below_head: from a name to the number of layers between it and the head; None if that is unknown.
    """

    def __init__(
        self, named: Iterable[tuple[str, nn.Parameter]], below_head: Callable[[str], int] | None = None
    ) -> None:
        pairs = [(name.removeprefix("model."), p) for name, p in named if p.requires_grad]
        super().__init__(p for _, p in pairs)
        self.names, self.below_head = [name for name, _ in pairs], below_head

    @classmethod
    def of_task(cls, task: Task) -> NamedParameters:
        """The parameters of a task; an upstream with numbered layers knows how deep each one is."""
        upstream = getattr(task.model, "upstream", None)
        if not offers(upstream, LayeredUpstream):
            return cls(task.named_parameters())

        def below_head(name: str) -> int:
            inner = name.removeprefix("upstream.")
            return 0 if inner == name else len(upstream.layers) + 1 - upstream.layer_of(inner)

        return cls(task.named_parameters(), below_head)

    def of(self, patterns: Sequence[str], section: str) -> NamedParameters:
        """The parameters in the modules that ``patterns`` name.

        Raises:
            ConfigError: a pattern matches none; ``section`` is the config key that it stands under.
        """
        for pattern in patterns:
            if not any(matches(name, pattern) for name in self.names):
                raise ConfigError(self._no_match(pattern, section))
        pairs = zip(self.names, self)
        return NamedParameters(
            ((name, p) for name, p in pairs if any(matches(name, pattern) for pattern in patterns)), self.below_head
        )

    def _no_match(self, pattern: str, section: str) -> str:
        modules = sorted({".".join(name.split(".")[:depth]) for name in self.names for depth in (1, 2)})
        return (
            f"{section}: {pattern!r} matches no trained parameter{nearest(pattern, modules)};"
            f" the modules are {', '.join(modules[:12])}{', ...' if len(modules) > 12 else ''}"
        )


def matches(name: str, pattern: str) -> bool:
    """Return True if a parameter's name is in the module that ``pattern`` names; ``*`` stands for anything."""
    return fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(name, f"{pattern}.*")
