"""Dispatch a verb; turn errors into messages and exit codes.

A user's mistake prints one message and exits with code 2 or 1. ``--traceback`` shows where it was raised; run.log
always has the traceback.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from dataset.wording import nearest
from problems.engine.cli import console
from problems.engine.cli.arguments import flags_of, parse
from problems.engine.cli.help import HELP, help_of_verb, help_text
from problems.engine.cli.verbs import VERBS
from problems.engine.config.registry import load_class
from problems.engine.runtime.errors import ConfigError, Interrupted
from problems.engine.runtime.stop_signals import raise_on_signals

BROKEN_PIPE = 141  # the exit code that a shell reports for SIGPIPE

log = logging.getLogger(__name__)


def main(problem: Any, args: Sequence[str] | None = None) -> None:
    """Run a command line and end the process with its exit code."""
    code = execute(problem, sys.argv[1:] if args is None else args)
    if int(os.environ.get("WORLD_SIZE", 1)) > 1:
        # everything is written; the threads of gloo and its store can abort a process that tears down around them
        logging.shutdown()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)
    sys.exit(code)


def execute(problem: Any, args: Sequence[str]) -> int:
    """Run a command line and return its exit code."""
    try:
        with raise_on_signals():
            run = _verb(problem, list(args))
            code = run()
            sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        print("interrupted: finished work is kept; run the same command to continue", file=sys.stderr)
        return 130
    except (Exception, Interrupted) as error:
        if isinstance(error, BrokenPipeError) and console.reader_is_gone():
            return BROKEN_PIPE
        message = console.message_of(error)
        if console.has_run_log():
            log.error("%s", message, exc_info=True, extra={"quiet": True})
        if "--traceback" in args or not console.is_explained(error):
            traceback.print_exc()
        elif not isinstance(error, Interrupted):
            print(f"error: {message}", file=sys.stderr)
        elif os.environ.get("RANK", "0") == "0":  # the others are also terminated after an error of the main process
            print(message, file=sys.stderr)
        return getattr(error, "exit_code", 1)
    finally:
        console.stop_logging()


def _verb(problem: Any, args: list[str]) -> Callable[[], int]:
    """The verb that the words name, with its arguments; it returns the exit code."""
    if not args or set(HELP) & set(args):
        return partial(_show_help, problem, args)
    name, *words = args
    if name not in VERBS:
        raise ConfigError(f"unknown verb {name!r}{nearest(name, VERBS)}; expected one of {', '.join(VERBS)}, or --help")
    verb = VERBS[name]
    flags = flags_of(problem) if verb.options is None else verb.flags
    return partial(load_class(verb.target), problem, parse(words, flags=flags, options=verb.options))


def _show_help(problem: Any, args: list[str]) -> int:
    if args and args[0] in VERBS and VERBS[args[0]].options is not None:
        print(help_of_verb(problem, args[0]))
        return 0
    print(help_text(problem, [word for word in args if word not in (*HELP, *VERBS)]))
    return 0 if args else 2
