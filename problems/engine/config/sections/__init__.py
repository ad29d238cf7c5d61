"""Every shared config key: its default, help line and bounds, and whether a resumed training may change it.

A problem lists its sections in ``Problem.sections``; ``default_config()`` is these classes as a dict.
"""

from problems.engine.config.sections.data import (
    Batches,
    BuildBatchSampler,
    BuildDataset,
    BuildEncoder,
    PrepareData,
    TrainBatches,
)
from problems.engine.config.sections.evaluation import Evaluate
from problems.engine.config.sections.model import BuildDownstream, BuildFeaturizer, BuildModel, BuildUpstream
from problems.engine.config.sections.run import Empty, Features, Run, SaveModel, SaveTask
from problems.engine.config.sections.training import DIAGNOSTICS, BuildOptimizer, BuildScheduler, Train

__all__ = [
    "DIAGNOSTICS",
    "Batches",
    "BuildBatchSampler",
    "BuildDataset",
    "BuildDownstream",
    "BuildEncoder",
    "BuildFeaturizer",
    "BuildModel",
    "BuildOptimizer",
    "BuildScheduler",
    "BuildUpstream",
    "Empty",
    "Evaluate",
    "Features",
    "PrepareData",
    "Run",
    "SaveModel",
    "SaveTask",
    "Train",
    "TrainBatches",
]
