"""Properties that a class declares about one of its methods, as ``commutes_with_mean`` about ``forward``."""

from __future__ import annotations

from typing import Any


def trait(part: object, name: str, method: str = "forward") -> Any:
    """The value of ``part.name``, or None if the class of ``part`` does not declare it for its own ``method``.

    A subclass that overrides the method loses the trait and must declare it again.
    """
    for cls in type(part).__mro__:
        if name in vars(cls):
            return getattr(part, name)
        if method in vars(cls):
            return None
    return None
