"""Batch samplers by name: batches by number, pure functions of (seed, epoch). Importing this does not import torch."""

SAMPLERS = {
    "random": "dataset.samplers.random:RandomBatchSampler",
    "sequential": "dataset.samplers.sequential:SequentialBatchSampler",
    "sorted": "dataset.samplers.sorted:SortedBatchSampler",
    "bucket": "dataset.samplers.bucket:BucketBatchSampler",
    "duration": "dataset.samplers.duration:DurationBatchSampler",
    "block": "dataset.samplers.block:BlockBatchSampler",
    "balanced": "dataset.samplers.balanced:BalancedBatchSampler",
    "weighted": "dataset.samplers.weighted:WeightedBatchSampler",
    "speakers": "dataset.samplers.speakers:SpeakerBatchSampler",
    "mixed": "dataset.samplers.mixed:MixedBatchSampler",
    "grouped": "dataset.samplers.grouped:GroupedBatchSampler",
}
"""Those that ``build_batch_sampler.<mode>.name`` may name; each takes ``dataset``, ``batch_size``, ``max_seconds``."""
