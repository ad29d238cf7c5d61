"""Detect a user's package or module that shadows one of ours, such as ``dataset`` or ``configs``.

A user's module of the same name comes first on the path, and the resulting ImportError would be cryptic. A plain folder
(``configs/`` with YAML, ``dataset/`` with audio) shadows ours only in an editable install, whose finder Python asks
last. Our root is then added to the path, on which a package takes precedence over a plain folder.
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path

OURS = ("problems", "dataset", "nn", "tasks", "configs")
HOME = Path(__file__).resolve().parents[4]


def _spec(name: str) -> ModuleSpec | None:
    try:
        return find_spec(name)
    except ValueError:  # a module of that name was put into sys.modules by hand
        return None


def check() -> None:
    """Check that our packages are ours.

    Raises:
        ImportError: another package has one of our names; the message names both places.
    """
    if any((spec := _spec(name)) is not None and spec.origin is None for name in OURS):
        sys.path.append(str(HOME))
    for name in OURS:
        spec = _spec(name)
        if spec is None:
            raise ImportError(f"the package {name!r} is missing; expected it in {HOME / name}: reinstall Soundstage")
        path = spec.origin or list(spec.submodule_search_locations or ["?"])[0]
        if Path(path).resolve() != HOME / name / "__init__.py":
            raise ImportError(
                f"{path} shadows Soundstage's package {HOME / name}: rename the first, or start from another folder"
            )
