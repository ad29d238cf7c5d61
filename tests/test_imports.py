"""Imports point one way, and importing does nothing."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.conftest import ROOT

ALLOWED = {
    "nn": {"nn"},
    "dataset": {"dataset"},
    "tasks": {"tasks", "nn"},
    "configs": {"configs"},
    "soundstage": {"soundstage", "problems"},
    "problems": {"problems", "tasks", "nn", "dataset", "configs"},
}
FILES = [path for name in ALLOWED for path in sorted((ROOT / name).rglob("*.py"))]


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """Every module that a file imports, inside functions too, and every ``"module:Class"`` that it names."""
    tree = ast.parse(path.read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and " " not in node.value:
            module, colon, name = node.value.partition(":")
            if colon and module.partition(".")[0] in ALLOWED and name.isidentifier():
                yield node.lineno, f"{module}.{name}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_one_way(path):
    package = path.relative_to(ROOT).parts[0]
    for line, name in imported(path):
        top = name.partition(".")[0]
        if top in ALLOWED:
            assert top in ALLOWED[package], f"{path}:{line} imports {name}"


ENGINE = ROOT / "problems/engine"
STAIR = (
    {"cli"},
    {"stages", "serving"},
    {"loops"},
    {"optim", "inference"},
    {"features", "checkpoints", "config", "report"},
    {"runtime"},
)
"""Packages of the engine, each step importing from those below it alone."""
TORCH_FREE = sorted([*(ENGINE / "cli").rglob("*.py"), *(ENGINE / "config").glob("*.py"), ENGINE / "runtime/errors.py"])


def step_of(package: str) -> int:
    """The number of a package's step, from the top."""
    return next(number for number, step in enumerate(STAIR) if package in step)


@pytest.mark.parametrize("path", sorted(ENGINE.rglob("*.py")), ids=lambda p: str(p.relative_to(ENGINE)))
def test_the_engine_knows_no_problem_and_its_arrows_go_down_the_stair(path):
    package = path.relative_to(ENGINE).parts[0]
    for line, name in imported(path):
        top, _, rest = name.partition(".")
        if top != "problems":
            continue
        assert rest.startswith("engine."), f"{path}:{line} imports {name}"
        target = rest.split(".")[1]
        assert target == package or step_of(package) < step_of(target), f"{path}:{line} imports {name}"


def executed_imports(node: ast.AST) -> Iterator[str]:
    """Every module or name that is imported when the code runs, inside functions too."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ImportFrom):
            yield from (f"{child.module}.{alias.name}" for alias in child.names)
        elif not (isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING"):
            yield from executed_imports(child)


def test_no_imports_go_round_in_a_circle():
    modules = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in FILES}
    graph = {
        module: {name if name in modules else name.rpartition(".")[0] for name in executed_imports(ast.parse(text))}
        for module, text in ((module, path.read_text("utf-8")) for module, path in modules.items())
    }
    TopologicalSorter({module: targets & modules.keys() - {module} for module, targets in graph.items()}).prepare()


@pytest.mark.parametrize("path", TORCH_FREE, ids=lambda p: str(p.relative_to(ENGINE)))
def test_the_command_line_and_the_config_import_no_torch(path):
    """At the top: what a verb needs, it imports when it runs."""
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    code = f"import sys, {module}; assert not {{'torch', 'torchaudio'}} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "module", ["problems", "problems.asr", "problems.asv", "problems.base", "problems.engine.cli.main",
               "problems.engine.config.merge", "tasks", "nn", "nn.upstream", "nn.downstream", "nn.losses", "dataset",
               "dataset.corpora", "dataset.encoders", "configs"]
)  # fmt: skip
def test_importing_loads_nothing_heavy_and_touches_nothing(module):
    code = f"""
import logging, os, random, signal, socket, sys, warnings
def refuse(*_, **__): raise AssertionError("network")
socket.socket.connect = refuse; socket.getaddrinfo = refuse
def state():
    return (random.getstate(), dict(os.environ), signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM),
            list(logging.getLogger().handlers), logging.getLogger().level, list(warnings.filters), list(sys.path),
            os.getcwd())
before = state()
import {module}
assert state() == before
heavy = {{"torch", "torchaudio", "numpy", "pandas", "soundfile", "omegaconf", "matplotlib"}} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_importing_everything_touches_no_seed_thread_or_backend():
    names = [
        ".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for p in FILES
        if p.name != "__main__.py"
    ]
    code = f"""
import importlib, random, socket
import numpy, torch, torchaudio, sklearn.metrics, matplotlib
def refuse(*_, **__): raise AssertionError("network")
socket.socket.connect = refuse; socket.getaddrinfo = refuse
def state():
    return (random.getstate(), numpy.random.get_state()[1].tolist(), torch.get_rng_state().tolist(),
            torch.get_num_threads(), torch.get_default_dtype(), torch.are_deterministic_algorithms_enabled(),
            torch.backends.cudnn.benchmark, torch.get_float32_matmul_precision(),
            matplotlib.get_backend(auto_select=False))
before = state()
for name in {names!r}:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        assert error.name in ("fastapi", "prometheus_client"), error  # of the extra serve
assert state() == before
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
