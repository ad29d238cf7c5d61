"""Classes of a library by name, and their settings checked against their signature, before anything is made."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from problems.engine.runtime.errors import ConfigError, nearest


def find_class(module: Any, base: type, name: str, section: str, extra: Iterable[str] = ()) -> type:
    """The subclass of ``base`` that ``module`` calls ``name``; an unknown name names the known ones and ``extra``."""
    found = getattr(module, name, None)
    if isinstance(found, type) and issubclass(found, base) and found is not base:
        return found
    classes = [n for n, c in vars(module).items() if isinstance(c, type) and issubclass(c, base) and c is not base]
    known = [*extra, *(n for n in classes if not n.startswith("_") and n != "LRScheduler")]
    raise ConfigError(
        f"{section}.name: there is no {name!r}{nearest(name, known)}; there are {', '.join(sorted(known))}"
    )


def check_conf(
    made: Callable, conf: Mapping[str, Any], section: str, given: Iterable[str], filled: Iterable[str] = ()
) -> None:
    """See that ``made`` takes what is in ``conf``, and needs no more than what it is ``given`` and what is ``filled``
    in where ``conf`` leaves it open.

    Raises:
        ConfigError: naming every setting that is unknown or missing.
    """
    parameters = inspect.signature(made).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    known = [p for p in parameters if p not in set(given)]
    errors = [
        f"{section}.{key}: {made.__name__} takes no such argument{nearest(key, known)}; it takes {', '.join(known)}"
        for key in conf
        if key not in known
    ]
    errors += [
        f"{section}.{name}: {made.__name__} must be given it"
        for name in known
        if parameters[name].default is inspect.Parameter.empty and name not in {*conf, *filled}
    ]
    if errors:
        raise ConfigError("the config is wrong:\n  " + "\n  ".join(errors))
