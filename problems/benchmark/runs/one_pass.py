"""Several runs of a problem in one pass over its data: one process reads each batch, and computes its states, once."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from problems.engine.cli import console
from problems.engine.cli.arguments import flags_of, parse, resolve_config
from problems.engine.runtime.errors import ConfigError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunEnd:
    """The end of a run: its exit code, its seconds, and the reason if it did not come to its end."""

    code: int
    seconds: float
    message: str = ""


def run_in_one_pass(
    make_problem: Callable[[], Any], runs: Sequence[Sequence[str]], judge: Callable[..., None] | None = None
) -> list[RunEnd]:
    """Run command lines of a problem in lockstep, each in its target folder, as if it were alone.

    They may differ in what is trained, such as the learning rate, but not in the data. Each logs to its own run.log.

    Args:
        make_problem: returns a problem, for each run one of its own.
        runs: the words after ``run``.
        judge: ends trainings early (:class:`problems.engine.loops.lockstep.Lockstep`).
    """
    from problems.engine.loops.lockstep import Lockstep

    ends: dict[int, RunEnd] = {}

    def lane(number: int) -> None:
        began = time.monotonic()
        code, message = _run(make_problem(), runs[number])
        ends[number] = RunEnd(code, time.monotonic() - began, message)

    Lockstep(judge).run([lambda number=number: lane(number) for number in range(len(runs))])
    return [ends.get(number, RunEnd(1, 0.0, "stopped")) for number in range(len(runs))]


def _run(problem: Any, words: Sequence[str]) -> tuple[int, str]:
    """Run one command line in this thread; return its exit code, and the message of its error."""
    from problems.engine.loops.lockstep import Dropped
    from problems.engine.stages.pipeline import Pipeline

    handler = None
    try:
        arguments = parse(words, flags=flags_of(problem))
        config = resolve_config(problem, arguments.configs, arguments.overrides)
        if config["nproc"] > 1:
            raise ConfigError(f"nproc is {config['nproc']}: runs in one pass take one process; leave it out")
        pipeline = Pipeline(problem, config)
        handler = _run_log_of_this_thread(pipeline.root)
        pipeline.run()
    except Dropped as reason:
        log.info("%s", reason)
        return 0, str(reason)
    except BaseException as error:  # of this run alone: the others go on
        log.error("%s", console.message_of(error), exc_info=True)
        return getattr(error, "exit_code", 1), console.message_of(error)
    finally:
        if handler is not None:
            logging.getLogger().removeHandler(handler)
            handler.close()
    return 0, ""


def _run_log_of_this_thread(folder: Path) -> logging.Handler:
    """Write the messages of this thread, and of those that belong to no other lane, to ``folder/run.log``."""
    from problems.engine.loops.lockstep import is_of_other_lane

    handler, thread = console.run_log(folder), threading.get_ident()
    handler.addFilter(lambda record: not is_of_other_lane(record.thread, thread))
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    root.addHandler(handler)
    return handler
