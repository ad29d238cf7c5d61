"""A window on a batch sampler: epochs of another length than the data's."""

from __future__ import annotations

from dataset.samplers.base import NumberedBatchSampler, whole


class WindowBatchSampler(NumberedBatchSampler):
    """Epochs of ``batches`` batches of another sampler, which go on where the last one ended.

    A short epoch shows a part of the data, and the next one another part, until all of it was seen; a long one shows
    it several times.

    Args:
        sampler: the sampler of the whole data.
        batches: batches in an epoch, at least 1.
    """

    def __init__(self, sampler: NumberedBatchSampler, batches: int):
        self.sampler, self.batches = sampler, whole("batches_per_epoch", batches, 1)

    def __len__(self) -> int:
        return self.batches

    def batch(self, seed: int, epoch: int, number: int) -> list[int]:
        """The indices of the utterances of one batch."""
        around, number = divmod(epoch * self.batches + number, len(self.sampler))
        return self.sampler.batch(seed, around, number)
