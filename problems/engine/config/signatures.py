"""Look up torch classes by name and check their arguments before anything is built."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import Any, TypeVar

from dataset.wording import nearest
from problems.engine.runtime.errors import ConfigError

T = TypeVar("T")


def find_class(module: ModuleType, base: type[T], name: str, section: str, *, also: Iterable[str] = ()) -> type[T]:
    """The subclass of ``base`` that ``module`` calls ``name``.

    Args:
        section: of the config, for the error message.
        also: further names that are allowed in its place, for the error message.
    """
    cls = getattr(module, name, None)
    if isinstance(cls, type) and issubclass(cls, base) and cls is not base:
        return cls
    classes = [n for n, c in vars(module).items() if isinstance(c, type) and issubclass(c, base) and c is not base]
    names = sorted([*also, *(n for n in classes if not n.startswith("_") and n != "LRScheduler")])
    raise ConfigError(
        f"{section}.name: unknown name {name!r}{nearest(name, names)}; expected one of {', '.join(names)}"
    )


def check_conf(
    function: Callable,
    conf: Mapping[str, Any],
    section: str,
    *,
    supplied: Iterable[str],
    optional: Iterable[str] = (),
) -> None:
    """Check that ``function`` takes the arguments in ``conf``, and that none is missing.

    Args:
        supplied: arguments that the builder passes; ``conf`` may not set them.
        optional: arguments that the builder passes if ``conf`` does not.

    Raises:
        ConfigError: naming every setting that is unknown or missing.
    """
    parameters = inspect.signature(function).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    names = [p for p in parameters if p not in set(supplied)]
    errors = [
        f"{section}.{key}: unknown argument of {function.__name__}{nearest(key, names)};"
        f" expected one of {', '.join(names)}"
        for key in conf
        if key not in names
    ]
    errors += [
        f"{section}.{name}: must be given: {function.__name__} has no default for it"
        for name in names
        if parameters[name].default is inspect.Parameter.empty and name not in {*conf, *optional}
    ]
    if errors:
        raise ConfigError("the config is wrong:\n  " + "\n  ".join(errors))
