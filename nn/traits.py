"""What a part says about its own behaviour, believed as far as it was said of the code that runs."""

from __future__ import annotations

from typing import Any


def claim(part: Any, name: str, default: Any, about: str = "forward") -> Any:
    """The attribute ``name`` of ``part``, which says something about its method ``about``; ``default`` where it cannot.

    A class that overrides the method inherits no word about it: it must say it again.
    """
    for cls in type(part).__mro__:
        if name in vars(cls):
            return getattr(part, name)
        if about in vars(cls):
            return default
    return default
