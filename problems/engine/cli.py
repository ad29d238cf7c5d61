"""The command line of a problem: run, status, config, predict.

A user's mistake ends with one message and exit code 2 or 1; ``--traceback`` shows where it was found, and the log of
the target folder always has it.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from problems.engine import config as configuration
from problems.engine.errors import ConfigError, SoundstageError, nearest

VERBS = ("run", "status", "config", "predict")
OURS = ("problems", "dataset", "nn", "tasks", "configs")

log = logging.getLogger(__name__)


def parse(args: Sequence[str], flags: Sequence[str]) -> tuple[list[str], list[tuple[str, str]], bool]:
    """``(configs, overrides, traceback?)`` from ``--config X``, ``--a.b v``, ``--a.b=v``, ``a.b=v`` and flags.

    Raises:
        ConfigError: an option has no value, or a word is neither an option nor an override.
    """
    configs, overrides, show = [], [], False
    rest = list(args)
    while rest:
        word = rest.pop(0)
        if word == "--traceback":
            show = True
            continue
        key, equals, value = word.removeprefix("--").partition("=")
        if not word.startswith("--") and not equals:
            raise ConfigError(f"{word!r} is not understood: expected --key value, --key=value or key=value")
        if not equals:
            if rest and not rest[0].startswith("--"):
                value = rest.pop(0)
            elif key in flags:
                value = "true"
            else:
                raise ConfigError(f"--{key} needs a value")
        if key == "config":
            configs.append(value)
        else:
            overrides.append((key, value))
    return configs, overrides, show


def resolved(
    problem: Any, configs: Sequence[str], overrides: Sequence[tuple[str, str]], recorded: bool = False
) -> dict:
    """The config of a command line, with its target folder.

    Args:
        recorded: take the config that the target folder holds where nothing but the folder is given.
    """
    families = problem.families()
    layers = [configuration.find_config(name, families) for name in configs or _default_preset(families)]
    typed = configuration.override_layer(overrides)
    target = typed.tree.get("target_dir") or next(
        (t for la in reversed(layers) if (t := la.tree.get("target_dir"))), None
    )
    if target is None:
        target = f"result/{families[0]}/{Path(configs[-1]).stem if configs else 'default'}"
    kept = Path(target) / "config.yaml"
    if recorded and not configs and set(typed.tree) <= {"target_dir"} and kept.exists():
        layers = [configuration.load_file(kept)]
        for key in ("start", "stop", "fresh", "remove_all_cache"):
            layers[0].tree.pop(key, None)  # what that one run was asked, not what it is
    return configuration.resolve(problem, [*layers, typed]) | {"target_dir": str(target)}


def _default_preset(families: Sequence[str]) -> list[str]:
    from importlib import resources

    root = Path(str(resources.files("configs")))
    return ["default"] if any((root / f / "default.yaml").is_file() for f in families) else []


class _Console(logging.Handler):
    """Messages on stderr, above the progress bar where there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        if "tqdm" in sys.modules:
            sys.modules["tqdm"].tqdm.write(text, file=sys.stderr)
        else:
            print(text, file=sys.stderr)


class _ConsoleFormat(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        prefix = "" if record.levelno < logging.WARNING else f"{record.levelname.lower()}: "
        return prefix + record.getMessage()


def _start_logging(folder: Path | None) -> None:
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    console = _Console()
    console.setFormatter(_ConsoleFormat())
    root.addHandler(console)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        file = logging.FileHandler(folder / "run.log", encoding="utf-8")
        file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        root.addHandler(file)


def is_explained(error: BaseException) -> bool:
    """Whether an error's message says all that a user needs: one of ours, or the system's about a file."""
    return type(error).__module__.partition(".")[0] in OURS or isinstance(error, OSError)


def main(problem: Any, args: Sequence[str] | None = None) -> None:
    """Run a command line and end the process with its exit code."""
    sys.exit(execute(problem, sys.argv[1:] if args is None else args))


def execute(problem: Any, args: Sequence[str]) -> int:
    """Run a command line; its exit code."""
    args = list(args)
    verb = next((a for a in args if not a.startswith("-")), None) if args else None
    if not args or args[0] in ("-h", "--help") or (verb in VERBS and {"-h", "--help"} & set(args)):
        from problems.engine.help import text

        print(text(problem, verb))
        return 0 if args else 2
    if args[0] not in VERBS:
        hint = nearest(args[0], VERBS)
        print(
            f"error: there is no verb {args[0]!r}{hint}; there are {', '.join(VERBS)}, and --help",
            file=sys.stderr,
        )
        return 2
    show = "--traceback" in args
    try:
        _check_roots()
        return globals()[f"_{args[0]}"](problem, args[1:])
    except KeyboardInterrupt:
        print("interrupted: what is finished is kept; the same command goes on from there", file=sys.stderr)
        return 130
    except Exception as error:
        logged = any(isinstance(h, logging.FileHandler) for h in logging.getLogger().handlers)
        if logged:
            handler = next(h for h in logging.getLogger().handlers if isinstance(h, logging.FileHandler))
            handler.handle(log.makeRecord(log.name, logging.ERROR, "", 0, str(error), (), sys.exc_info()))
        if show or not is_explained(error):
            traceback.print_exc()
        else:
            where = f": {error.filename}" if isinstance(error, OSError) and error.filename else ""
            said = f"{error.strerror}{where}" if isinstance(error, OSError) and error.strerror else str(error)
            print(f"error: {said}", file=sys.stderr)
        return getattr(error, "exit_code", 1)
    finally:
        for handler in list(logging.getLogger().handlers):
            if isinstance(handler, (_Console, logging.FileHandler)):
                logging.getLogger().removeHandler(handler)
                handler.close()


def _check_roots() -> None:
    """The packages are called by everyday names: see that none of them is somebody else's."""
    from importlib.util import find_spec

    home = Path(__file__).resolve().parents[2]
    for name in OURS:
        spec = find_spec(name)
        places = list(spec.submodule_search_locations or []) if spec else []
        if not places or Path(places[0]).resolve().parent != home:
            found = places[0] if places else "nothing"
            raise SoundstageError(
                f"the package {name!r} is {found}, but Soundstage's is {home / name}:"
                " rename that folder, or start from another one"
            )


def _flags(problem: Any) -> list[str]:
    tree = problem.default_config()
    return [key for key, setting in configuration.schema(problem, tree).items() if setting.type == "bool"]


def _run(problem: Any, args: Sequence[str]) -> int:
    from problems.engine.pipeline import Pipeline
    from problems.engine.signals import raise_on_sigterm

    # Waiting threads that spin starve whoever has the core: with a second process on the machine (a loader's worker
    # is one) an LSTM step took 60 times as long. Read by OpenMP when torch is first loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    configs, overrides, _ = parse(args, _flags(problem))
    config = resolved(problem, configs, overrides)
    pipeline = Pipeline(problem, config)
    _start_logging(pipeline.root)
    log.info("$ %s", " ".join(sys.argv), extra={"quiet": True})
    raise_on_sigterm()
    pipeline.run()
    return 0


def _status(problem: Any, args: Sequence[str]) -> int:
    from problems.engine.status import show

    configs, overrides, _ = parse(args, _flags(problem))
    print(show(problem, resolved(problem, configs, overrides, recorded=True)))
    return 0


def _config(problem: Any, args: Sequence[str]) -> int:
    from omegaconf import OmegaConf

    configs, overrides, _ = parse(args, _flags(problem))
    print(OmegaConf.to_yaml(OmegaConf.create(resolved(problem, configs, overrides))), end="")
    return 0


def _predict(problem: Any, args: Sequence[str]) -> int:
    import argparse

    parser = argparse.ArgumentParser(prog="predict", description="Print path<TAB>prediction for each audio file.")
    parser.add_argument("--ckpt", required=True, help="a checkpoint, or a target folder, whose best one is taken")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, ...")
    parser.add_argument("--traceback", action="store_true", help="show where an error was found")
    parser.add_argument("audio", nargs="+", help="wav, flac, ogg or mp3; any rate, channels and length")
    options = parser.parse_args(list(args))
    from problems.engine.predict import Predictor

    predictor = Predictor(options.ckpt, type(problem), options.device)
    failed = 0
    for path in options.audio:
        try:
            print(f"{path}\t{predictor.predict(path)}", flush=True)
        except ValueError as error:  # an AudioError: the other files go on
            print(f"error: {error}", file=sys.stderr)
            failed = 1
    return failed
