"""``run``: the stages of a problem, in this process or in several."""

from __future__ import annotations

import logging
import os
import shlex
import sys
import time
from collections.abc import Mapping
from typing import Any

from problems.engine.cli.arguments import Arguments, resolve_config
from problems.engine.cli.commands import learning_curve, repeated_runs
from problems.engine.cli.console import spin_briefly, start_logging
from problems.engine.cli.next_steps import next_steps

log = logging.getLogger(__name__)


def _submit(problem: Any, config: Mapping[str, Any], arguments: Arguments) -> int:
    """Submit the run to the cluster, and print how to follow it."""
    from problems.engine.cli.submit import submit

    job = submit(problem, config, arguments.words)
    print(f"submitted as job {job.job_id}; it is queued again after a preemption, and continues")
    print(f"  log     {job.paths.stdout}")
    print(f"  status  python -m {type(problem).__module__} status --target_dir {shlex.quote(config['target_dir'])}")
    print(f"  end     scancel {job.job_id}")
    return 0


def run(problem: Any, arguments: Arguments) -> int:
    """Run the stages that the command line asks for."""
    began = time.monotonic()  # before torch is imported
    spin_briefly()
    config = resolve_config(problem, arguments.configs, arguments.overrides)
    if config["learning_curve"]:
        learning_curve.check(config)
    if config["launcher"] is not None:
        return _submit(problem, config, arguments)
    series = repeated_runs.series_of(problem, config)
    if config["nproc"] > 1 and "RANK" not in os.environ:
        from problems.engine.cli.launch import launch

        return launch(problem, config["nproc"], arguments.words)
    from problems.engine.stages.pipeline import Pipeline

    pipeline = Pipeline(problem, config, began)
    start_logging(pipeline.root, main=os.environ.get("RANK", "0") == "0")
    log.info("$ %s", " ".join(sys.argv), extra={"quiet": True})
    if config["learning_curve"]:
        learning_curve.run_parts(config, lambda config: Pipeline(problem, config).run())
        return 0
    if series:
        repeated_runs.run_series(config, series, lambda config: Pipeline(problem, config).run())
        return 0
    pipeline.run()
    if {2, 4} <= {stage.number for stage in pipeline.ran} and os.environ.get("RANK", "0") == "0":
        log.info("next:\n%s", "\n".join(f"  {line}" for line in next_steps(problem, config)))
    return 0
