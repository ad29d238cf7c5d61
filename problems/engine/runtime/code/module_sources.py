"""Digests of the source files of modules and of all that they import, libraries aside."""

from __future__ import annotations

import ast
import contextlib
import hashlib
import importlib.util
import sys
import sysconfig
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

SOUNDSTAGE = {"nn", "tasks", "dataset", "problems", "configs"}
_STANDARD = tuple(f"{sysconfig.get_path(name)}/" for name in ("stdlib", "platstdlib"))
_INSTALLED = {"site-packages", "dist-packages"}


def source_digests(modules: Iterable[str], ours: Collection[str] = ()) -> list[str]:
    """Digest the source of ``modules`` and, recursively, of the modules in their import statements.

    Imports are read from the source, those inside functions too, so that the answer does not depend on what a process
    has imported so far. A package's ``__init__`` counts only if an import names the package itself.

    Args:
        modules: their full names.
        ours: the packages of Soundstage that are followed like the user's modules; the rest is left out.

    Returns:
        The digests, sorted, one a file.
    """
    digests: dict[Path, str] = {}
    seen: set[str] = set()
    pending = list(modules)
    while pending:
        name = pending.pop()
        path = None if name in seen else _source_of(name)
        seen.add(name)
        if path is None or path in digests or not _is_followed(name, path, ours):
            continue
        source = path.read_bytes()
        digests[path] = hashlib.blake2b(source).hexdigest()
        if path.suffix == ".py":
            pending += _imports(source, name if path.name == "__init__.py" else name.rpartition(".")[0])
    return sorted(digests.values())


def is_users(name: str) -> bool:
    """Return True if a module is the user's: typed in or in a file, but not a library's and not Soundstage's."""
    path = _source_of(name)
    if path is None:
        return name == "__main__" or name not in sys.modules
    return _is_followed(name, path, ())


def _is_followed(name: str, path: Path, ours: Collection[str]) -> bool:
    package = name.partition(".")[0]
    if package in SOUNDSTAGE:
        return package in ours
    return not str(path).startswith(_STANDARD) and _INSTALLED.isdisjoint(path.parts)


def _source_of(name: str) -> Path | None:
    """The file of a module, imported or not; None for built-in modules, namespaces and names that are not modules."""
    if name in sys.modules:
        origin = getattr(sys.modules[name], "__file__", None)
    elif name.partition(".")[0] in sys.stdlib_module_names:
        return None
    else:
        origin = _origin(name)
    return Path(origin) if origin and Path(origin).is_file() else None


def _origin(name: str) -> str | None:
    """The file of a module that is not imported yet. Nothing is imported to find it."""
    package, *parts = name.split(".")
    with contextlib.suppress(ImportError, ValueError):
        spec = importlib.util.find_spec(package)
        if spec is None or not parts:
            return getattr(spec, "origin", None)
        for folder in spec.submodule_search_locations or ():
            path = Path(folder, *parts)
            for candidate in (path / "__init__.py", path.with_name(f"{path.name}.py")):
                if candidate.is_file():
                    return str(candidate)
    return None


def _imports(source: bytes, package: str) -> Iterator[str]:
    """The modules that a source names in its import statements; some of the names may be of other things."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
