"""Call the methods of a problem, overridden or not, with the arguments that their signatures take."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from problems.engine.runtime.errors import ConfigError

PACKAGE = __name__.partition(".")[0]
NOT_CALLED = ("run", "main", "default_config", "families", "get_class_from_name")
"""Methods that only a user calls."""
NEVER_DROPPED = "get_path_only"
"""An argument that decides whether files are written, so that no method can leave it out."""


def is_overridden(problem: Any, name: str) -> bool:
    """Return True if the problem's method ``name`` comes from outside Soundstage."""
    return _is_users(getattr(type(problem), name, None))


def call(problem: Any, name: str, **arguments: Any) -> Any:
    """Call a method of a problem with the arguments of the contract, as :func:`arranged`."""
    positional, named = arranged(problem, name, arguments)
    return getattr(problem, name)(*positional, **named)


def arranged(problem: Any, name: str, arguments: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """Arrange the arguments of the contract for the signature of a problem's method.

    They are passed by name if the signature has no other names, and those that it leaves out are dropped. They are
    passed by position if it renames them. Sections are copied, so that a method may change its own.

    Returns:
        Positional and named arguments.

    Raises:
        ConfigError: the signature takes them neither way.
    """
    values = {name: _copied(value) for name, value in arguments.items()}
    method = getattr(problem, name)
    by_name = _taken_by_name(method, [*values])
    if by_name is not None:
        return [], {name: values[name] for name in by_name}
    required = [name for name in _required(_contract(problem, name)) if name in values]
    error = _why_not_by_position(method, required)
    if error:
        raise ConfigError(error)
    optional = {name: value for name, value in values.items() if name not in required and _takes(method, name)}
    return [values[name] for name in required], optional


def check_signatures(problem: Any) -> None:
    """Check that every overridden method can be called.

    Raises:
        ConfigError: naming each that cannot.
    """
    names = {n for kind in type(problem).__mro__ for n, value in vars(kind).items() if inspect.isfunction(value)}
    overridden = sorted(n for n in names - {*NOT_CALLED} if n[0] != "_" and is_overridden(problem, n))
    errors = [error for name in overridden if (error := _signature_error(problem, name))]
    if errors:
        raise ConfigError("\n".join(errors))


def _signature_error(problem: Any, name: str) -> str:
    """Why an override cannot take the place of our method; empty if it can, or if there is no such method of ours."""
    contract, method = _contract(problem, name), getattr(problem, name)
    if contract is None:
        return ""
    if NEVER_DROPPED in contract and not _takes(method, NEVER_DROPPED):
        return (
            f"{_title(method)} must take {NEVER_DROPPED}=False: with True it returns the paths of its files and writes"
            " nothing"
        )
    return "" if _taken_by_name(method, [*contract]) is not None else _why_not_by_position(method, _required(contract))


def _is_users(method: Any) -> bool:
    return callable(method) and inspect.unwrap(method).__module__.partition(".")[0] != PACKAGE


def _contract(problem: Any, name: str) -> dict[str, inspect.Parameter] | None:
    """The parameters of Soundstage's own method of that name."""
    for kind in type(problem).__mro__:
        method = vars(kind).get(name)
        if inspect.isfunction(method) and not _is_users(method):
            return dict(list(inspect.signature(method).parameters.items())[1:])
    return None


def _required(parameters: Mapping[str, inspect.Parameter] | None) -> list[str]:
    return [name for name, p in (parameters or {}).items() if p.default is p.empty]


def _copied(value: Any) -> Any:
    """A section copied with the dicts and lists inside it; anything else as it is."""
    if type(value) is dict:
        return {key: _copied(inner) for key, inner in value.items()}
    return [_copied(inner) for inner in value] if type(value) is list else value


def _named(method: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {p.name: p for p in inspect.signature(method).parameters.values() if p.kind in kinds}


def _takes(method: Callable[..., Any], name: str) -> bool:
    parameters = inspect.signature(method).parameters.values()
    return name in _named(method) or any(p.kind is p.VAR_KEYWORD for p in parameters)


def _taken_by_name(method: Callable[..., Any], names: list[str]) -> list[str] | None:
    """Those of ``names`` to pass by name; None if the signature renames arguments or takes them as ``*args``."""
    parameters = inspect.signature(method).parameters.values()
    if any(p.kind in (p.VAR_POSITIONAL, p.POSITIONAL_ONLY) for p in parameters):
        return None
    if any(name not in names for name in _required(_named(method))):
        return None
    return [name for name in names if _takes(method, name)]


def _why_not_by_position(method: Callable[..., Any], names: list[str]) -> str:
    """Why a method cannot be called with arguments in this order; empty if it can."""
    call = f"{_title(method)} cannot be called with ({', '.join(names)})"
    advice = "name the arguments as docs/extend.md does, or take all of them in its order"
    try:
        places = inspect.signature(method).bind(*names).arguments
    except TypeError as error:
        return f"{call}: {error}; {advice}"
    moved = [name for name, place in places.items() if name in names and place != name]
    return f"{call}: it expects {moved[0]} at another place; {advice}" if moved else ""


def _title(method: Callable[..., Any]) -> str:
    owner = getattr(method, "__self__", None)
    return f"{type(owner).__name__}.{method.__name__}{inspect.signature(method)}"
