"""Parts of our checkpoints for the config of other trainings."""

from __future__ import annotations

from typing import Any


def upstream(path: str = "") -> Any:
    """The upstream of a checkpoint, fine-tuned or not: ``--build_upstream.name soundstage.checkpoint:upstream``.

    Args:
        path: a checkpoint, or a target or training folder, whose best one is taken
    """
    from problems.engine.inference.upstream import checkpoint_upstream

    return checkpoint_upstream(path)
