"""The command line of a problem: run, status, config, predict.

A user's mistake ends with one message and exit code 2 or 1; ``--traceback`` shows where it was found, and the log of
the target folder always has it.
"""

from __future__ import annotations

import errno
import logging
import os
import select
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from problems.engine.config import merge as configuration
from problems.engine.runtime.errors import ConfigError, Interrupted, SoundstageError, nearest
from problems.engine.runtime.shadowing import OURS
from problems.engine.runtime.stop_signals import raise_on_signals

VERBS = ("run", "status", "config", "predict")
HELP = ("-h", "--help")
BOOLEANS = ("true", "false", "yes", "no", "on", "off")  # the words that may follow a flag
BROKEN_PIPE = 141  # what a shell reports of a program that SIGPIPE ended

log = logging.getLogger(__name__)


def parse(args: Sequence[str], flags: Sequence[str]) -> tuple[list[str], list[tuple[str, str]]]:
    """``(configs, overrides)`` from ``--config X``, ``--a.b v``, ``--a.b=v``, ``a.b=v`` and flags.

    Raises:
        ConfigError: an option has no value, or a word is neither an option nor an override.
    """
    configs, overrides = [], []
    rest = [word for word in args if word != "--traceback"]
    while rest:
        word = rest.pop(0)
        key, equals, value = word.removeprefix("--").partition("=")
        if not key or not (word.startswith("--") or equals):
            raise ConfigError(f"{word!r} is not understood: expected --key value, --key=value or key=value")
        if not equals:
            if key in flags and not (rest and rest[0].lower() in BOOLEANS):
                value = "true"
            elif rest and not rest[0].startswith("--"):
                value = rest.pop(0)
            else:
                raise ConfigError(f"--{key} needs a value")
        if key == "config":
            configs.append(value)
        else:
            overrides.append((key, value))
    return configs, overrides


def resolved(
    problem: Any,
    configs: Sequence[str],
    overrides: Sequence[tuple[str, str]],
    recorded: bool = False,
    to_edit: bool = False,
) -> dict:
    """The config of a command line, with its target folder.

    Args:
        recorded: take the config that the target folder holds where nothing but the folder is given.
        to_edit: leave what is still to be given as ``???``.
    """
    layers = _layers(problem, configs, overrides)
    usual = f"result/{problem.families()[0]}/{Path(configs[-1]).stem if configs else 'default'}"
    if recorded and not configs and all(key == "target_dir" for key, _ in overrides):
        kept = Path(dict(overrides).get("target_dir", usual)) / "config.yaml"
        if kept.exists():
            layers = [configuration.load_file(kept), layers[-1]]
            for key in ("start", "stop", "fresh", "remove_all_cache"):
                layers[0].tree.pop(key, None)  # what that one run was asked, not what it is
    found = configuration.resolve(problem, layers, to_edit)
    return found if found["target_dir"] else found | {"target_dir": usual}


def _layers(problem: Any, configs: Sequence[str], overrides: Sequence[tuple[str, str]]) -> list[configuration.Layer]:
    from importlib import resources

    families = problem.families()
    root = Path(str(resources.files("configs")))
    usual = ["default"] if any((root / f / "default.yaml").is_file() for f in families) else []
    named = [configuration.find_config(name, families) for name in configs or usual]
    return [*named, configuration.override_layer(overrides)]


class _Console(logging.Handler):
    """Messages on stderr, above the progress bar where there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        if getattr(record, "quiet", False):  # for the log alone
            return
        prefix = "" if record.levelno < logging.WARNING else f"{record.levelname.lower()}: "
        text = prefix + record.getMessage()
        if "tqdm" in sys.modules:
            sys.modules["tqdm"].tqdm.write(text, file=sys.stderr)
        else:
            print(text, file=sys.stderr)


class _File(logging.FileHandler):
    """``run.log``."""


def _start_logging(folder: Path, follows: bool = False) -> None:
    """Messages on the console and in ``folder/run.log``; a process that ``follows`` another only warns."""
    root = logging.getLogger()
    root.setLevel(logging.WARNING if follows else logging.INFO)
    root.addHandler(_Console())
    if follows:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = _File(folder / "run.log", encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"target_dir: cannot write in {folder}: {error.strerror} ({error.filename});"
            " give another folder: --target_dir DIR"
        ) from error
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root.addHandler(file)


def _stop_logging() -> None:
    root = logging.getLogger()
    for handler in [h for h in root.handlers if isinstance(h, (_Console, _File))]:
        root.removeHandler(handler)
        handler.close()


def is_explained(error: BaseException) -> bool:
    """Whether an error's message says all that a user needs: one of ours, or the system's about a file."""
    return type(error).__module__.partition(".")[0] in OURS or (isinstance(error, OSError) and bool(error.strerror))


def _said(error: BaseException) -> str:
    if not (isinstance(error, OSError) and error.strerror):
        return str(error)
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    advice = "; make room, and the same command goes on from what is finished" if full else ""
    return error.strerror + (f": {error.filename}" if error.filename else "") + advice


def main(problem: Any, args: Sequence[str] | None = None) -> None:
    """Run a command line and end the process with its exit code."""
    code = execute(problem, sys.argv[1:] if args is None else args)
    if int(os.environ.get("WORLD_SIZE", 1)) > 1:
        # all is written; the threads of gloo and of its store now and then abort a process that tears down around them
        logging.shutdown()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)
    sys.exit(code)


def execute(problem: Any, args: Sequence[str]) -> int:
    """Run a command line; its exit code."""
    args = list(args)
    try:
        with raise_on_signals():
            code = _dispatch(problem, args)
            sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        print("interrupted: finished work is kept; run the same command to continue", file=sys.stderr)
        return 130
    except (Exception, Interrupted) as error:
        if isinstance(error, BrokenPipeError) and _reader_is_gone():
            return BROKEN_PIPE
        if any(isinstance(handler, _File) for handler in logging.getLogger().handlers):
            log.error("%s", _said(error), exc_info=True, extra={"quiet": True})
        if "--traceback" in args or not is_explained(error):
            traceback.print_exc()
        else:
            cut = isinstance(error, Interrupted)
            print(_said(error) if cut else f"error: {_said(error)}", file=sys.stderr)
        return getattr(error, "exit_code", 1)
    finally:
        _stop_logging()


def _reader_is_gone() -> bool:
    """Whether nobody reads what we print (``... | head -1``); what is left to print then goes nowhere."""
    try:
        number = sys.stdout.fileno()
    except (OSError, ValueError):  # no file at all
        return False
    poll = select.poll()
    poll.register(number, 0)
    gone = any(event & select.POLLERR for _, event in poll.poll(0))
    if gone:
        os.dup2(os.open(os.devnull, os.O_WRONLY), number)
    return gone


def _dispatch(problem: Any, args: list[str]) -> int:
    if not args or set(HELP) & set(args):
        _help(problem, [a for a in args if a not in (*HELP, *VERBS)])
        return 0 if args else 2
    verb = args[0]
    if verb not in VERBS:
        raise ConfigError(
            f"there is no verb {verb!r}{nearest(verb, VERBS)}; the first word is one of {', '.join(VERBS)}, or --help"
        )
    verbs = {"run": _run, "status": _status, "config": _config, "predict": _predict}
    return verbs[verb](problem, args[1:])


def _flags(problem: Any) -> list[str]:
    settings = configuration.schema(problem, configuration.defaults(problem))
    return [key for key, setting in settings.items() if setting.type == "bool"]


def _help(problem: Any, args: list[str]) -> None:
    from problems.engine.cli.help import text

    try:
        configs, overrides = parse(args, _flags(problem))
        given = _layers(problem, configs, overrides) if args else []
    except SoundstageError:
        given = []  # help is never refused
    print(text(problem, configuration.merge(problem, given, {}, []), bool(given)))


def _run(problem: Any, args: Sequence[str]) -> int:
    # GNU OpenMP's threads spin for milliseconds before they sleep, and starve whoever has the core: beside another busy
    # process an LSTM step took 60 times as long. A short spin costs nothing alone; read when torch is first loaded.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    from problems.engine.stages.pipeline import Pipeline

    configs, overrides = parse(args, _flags(problem))
    config = resolved(problem, configs, overrides)
    if config["nproc"] > 1 and "RANK" not in os.environ:
        from problems.engine.cli.launch import launch

        return launch(problem, config["nproc"], args)
    pipeline = Pipeline(problem, config)
    _start_logging(pipeline.root, follows=os.environ.get("RANK", "0") != "0")
    log.info("$ %s", " ".join(sys.argv), extra={"quiet": True})
    pipeline.run()
    return 0


def _status(problem: Any, args: Sequence[str]) -> int:
    from problems.engine.cli.status import show

    configs, overrides = parse(args, _flags(problem))
    print(show(problem, resolved(problem, configs, overrides, recorded=True)))
    return 0


def _config(problem: Any, args: Sequence[str]) -> int:
    from omegaconf import OmegaConf

    configs, overrides = parse(args, _flags(problem))
    print(OmegaConf.to_yaml(OmegaConf.create(resolved(problem, configs, overrides, to_edit=True))), end="")
    return 0


def _predict(problem: Any, args: Sequence[str]) -> int:
    ckpt, device, files = None, "auto", []
    rest = [word for word in args if word != "--traceback"]
    while rest:
        word = rest.pop(0)
        key, equals, value = word.partition("=")
        if key not in ("--ckpt", "--device"):
            if word.startswith("--"):
                raise ConfigError(f"predict takes --ckpt DIR, --device NAME and audio files, not {word!r}")
            files.append(word)
            continue
        if not equals and not rest:
            raise ConfigError(f"{key} needs a value")
        value = value if equals else rest.pop(0)
        ckpt, device = (value, device) if key == "--ckpt" else (ckpt, value)
    if ckpt is None or not files:
        missing = "--ckpt DIR" if ckpt is None else "an audio file"
        raise ConfigError(f"predict needs {missing}: predict --ckpt DIR AUDIO...")
    from dataset.audio import AudioError
    from problems.engine.checkpoints.find import find
    from problems.engine.loops.predictor import Predictor

    predictor = Predictor(find(Path(ckpt)), problem, device)
    failed = 0
    for path, said in predictor.problem.predict_files(predictor.task, files, str(predictor.device)):
        if isinstance(said, AudioError):
            print(f"error: {said}", file=sys.stderr)
            failed = 1
        else:
            print(f"{path}\t{said}", flush=True)
    return failed
