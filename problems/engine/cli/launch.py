"""``--nproc N``: several processes on this machine by torchrun's own agent, without another command."""

from __future__ import annotations

import inspect
import os
from collections.abc import Sequence
from typing import Any

from problems.engine.runtime.environment import cores


def launch(problem: Any, processes: int, args: Sequence[str]) -> int:
    """Run the command line on ``processes`` processes; the exit code of the first that failed, or 0."""
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import get_args_parser, run

    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores() // processes)))
    module = type(problem).__module__
    # "--": torchrun takes --start for an abbreviation of its own --start-method
    program = ["-m", "--", module] if module != "__main__" else ["--", inspect.getfile(type(problem))]
    agent = ["--standalone", f"--nproc-per-node={processes}"]
    try:
        run(get_args_parser().parse_args([*agent, *program, "run", *args]))
    except ChildFailedError as error:
        return abs(error.get_first_failure()[1].exitcode) or 1
    return 0
