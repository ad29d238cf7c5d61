"""``--nproc N``: several processes on this machine by torchrun's own agent, without another command."""

from __future__ import annotations

import inspect
import os
from collections.abc import Sequence
from typing import Any

from problems.engine.environment import cores
from problems.engine.errors import ConfigError


def launch(problem: Any, processes: str, args: Sequence[str]) -> int:
    """Run the command line on ``processes`` processes; the exit code of the first that failed, or 0.

    Raises:
        ConfigError: ``processes`` is not a number of processes.
    """
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import get_args_parser, run

    if not processes.isdigit() or int(processes) < 1:
        raise ConfigError(f"--nproc: expected how many processes to start, got {processes!r}")
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores() // int(processes))))
    module = type(problem).__module__
    # "--": torchrun takes --start for an abbreviation of its own --start-method
    program = ["-m", "--", module] if module != "__main__" else ["--", inspect.getfile(type(problem))]
    agent = ["--standalone", f"--nproc-per-node={processes}"]
    try:
        run(get_args_parser().parse_args([*agent, *program, "run", *args]))
    except ChildFailedError as error:
        return abs(error.get_first_failure()[1].exitcode) or 1
    return 0
