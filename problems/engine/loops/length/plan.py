"""The length of a training that is planned from its data: numbers in place of ``auto``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

AUTO = "auto"
LEAST_STEPS, MOST_STEPS = 1000, 20000
VALIDATIONS = 10
"""Validations, and checkpoints, of a training."""
PATIENCE = 4
"""Validations without improvement, 40 % of a planned training, after which it ends."""


def planned(
    train: Mapping[str, Any], steps_per_epoch: int, *, validations: int = VALIDATIONS, has_budget: bool = False
) -> dict[str, Any]:
    """Return the section ``train`` with numbers in place of ``auto``.

    Args:
        steps_per_epoch: optimizer steps in a pass over the training set.
        validations: validations, and checkpoints, of the training.
        has_budget: True if ``total_steps`` is a plan too, over time.
    """
    plan, is_planned = dict(train), has_budget or train["total_steps"] == AUTO
    if plan["total_steps"] == AUTO:
        plan["total_steps"] = min(max(plan["auto_epochs"] * steps_per_epoch, LEAST_STEPS), MOST_STEPS)
    for key in ("eval_step", "save_step"):
        if plan[key] == AUTO:
            plan[key] = max(1, math.ceil(plan["total_steps"] / validations))
    if plan["patience"] == AUTO:
        plan["patience"] = PATIENCE if is_planned and plan["valid_metric"] is not None else None
    return plan
