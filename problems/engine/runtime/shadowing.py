"""Our packages have everyday names (``dataset``, ``configs``, ...): see that they are ours before anything is imported.

A package or module of a user's comes before ours on the path, and what it breaks would be told as a riddle. A plain
folder (``configs/`` with YAML, ``dataset/`` with audio) comes before ours only in an editable install, whose finder
Python asks last; ours is then put on the path, where a package goes before a plain folder.
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path

OURS = ("problems", "dataset", "nn", "tasks", "configs")
HOME = Path(__file__).resolve().parents[3]


def _spec(name: str) -> ModuleSpec | None:
    try:
        return find_spec(name)
    except ValueError:  # a module of that name is loaded that nobody found: it was made by hand
        return None


def check() -> None:
    """Raise an ImportError with both places where one of our names is somebody else's."""
    if any((spec := _spec(name)) is not None and spec.origin is None for name in OURS):
        sys.path.append(str(HOME))
    for name in OURS:
        spec = _spec(name)
        found = "nothing" if spec is None else spec.origin or list(spec.submodule_search_locations or ["?"])[0]
        if found == "nothing" or Path(found).resolve() != HOME / name / "__init__.py":
            raise ImportError(
                f"the package {name!r} is {found}, but Soundstage's is {HOME / name}:"
                " rename the first, or start from another folder"
            )
