"""``run --nproc N``: several processes on this machine, started by torchrun's agent."""

from __future__ import annotations

import inspect
import os
from collections.abc import Sequence
from typing import Any

from problems.engine.runtime.environment import cores


def launch(problem: Any, processes: int, words: Sequence[str]) -> int:
    """Run the command line on ``processes`` processes.

    Returns:
        The exit code of the first process that failed, 128 plus the signal that ended the agent, or 0.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import get_args_parser, run

    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores() // processes)))
    module = type(problem).__module__
    # after "--", torchrun does not take --start for an abbreviation of its --start-method
    program = ["-m", "--", module] if module != "__main__" else ["--", inspect.getfile(type(problem))]
    agent = ["--standalone", f"--nproc-per-node={processes}"]
    try:
        run(get_args_parser().parse_args([*agent, *program, "run", *words]))
    except ChildFailedError as error:
        return abs(error.get_first_failure()[1].exitcode) or 1
    except SignalException as error:
        return 128 + error.sigval
    return 0
