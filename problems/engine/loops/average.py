"""Write the mean of the kept checkpoints' weights at the end of a training, and validate it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dataset import seeding
from dataset.storage.files import write_json
from problems.engine.checkpoints import averaging, weights
from problems.engine.checkpoints.writing import write
from problems.engine.loops.monitoring.display import format_metrics
from problems.engine.loops.state.restore import load_weights
from problems.engine.runtime import distributed
from tasks.base import Task

log = logging.getLogger(__name__)


def write_average(
    task: Task,
    train: Mapping[str, Any],
    train_dir: Path,
    *,
    validate: Callable[[], dict[str, float]] | None,
    save: Callable[[Path], None],
) -> None:
    """Write ``average``, and leave its weights in the task. It is validated, as a task may learn something from that.

    Args:
        train: the config's section.
        validate: returns the validation metrics; None does not validate.
        save: writes model and task into a checkpoint's folder.
    """
    folders = averaging.members(train_dir, train["average"], train["keep_num_ckpts"])
    target, names = train_dir / averaging.NAME, [folder.name for folder in folders]
    if distributed.on_main(lambda: averaging.is_of(target, names)):
        load_weights(target, task)  # the layers' weights are then written of these, as they were the first time
        return
    load_weights(folders[0], task)
    for part, module in (("model", task.model), ("task", task)):
        paths = [path for folder in folders if (path := folder / part / weights.WEIGHTS).exists()]
        if paths:
            module.load_state_dict(averaging.mean_of(paths), strict=False)
    with seeding.isolated():
        metrics = validate() if validate else {}

    def fill(temporary: Path) -> None:
        save(temporary)
        write_json(temporary / averaging.MEMBERS, {"of": names, "metrics": metrics})

    if distributed.world().writes:
        write(target, fill)
    metrics_text = format_metrics(metrics, task.metrics, train["valid_metric"])
    log.info("average of the weights of %s: valid %s", ", ".join(names), metrics_text)
    distributed.barrier()
