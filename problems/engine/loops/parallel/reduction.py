"""The sum of a window's gradients over the processes: while the last backward pass runs, or after it.

DistributedDataParallel's reducer sums the gradients in buckets, each as soon as the backward pass has filled it, so
that most of the communication is hidden behind computation. It sums here and does not average: the loop divides by the
units of all processes. Backward passes before the last of a window communicate nothing.

A process that loses its batch before the last backward pass takes part in the same sums with what it has. One that
fails inside that pass fills the sums that are left with zeros; they are then worth nothing, and the step is lost.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from problems.engine.runtime import distributed
from problems.engine.runtime.errors import ConfigError
from problems.engine.runtime.overrides import is_overridden
from problems.engine.runtime.peers.failure_watch import waiting

if TYPE_CHECKING:
    import torch.distributed as dist
    from torch.nn.parallel import DistributedDataParallel

    from problems.engine.loops.train import TrainLoop

log = logging.getLogger(__name__)

SUM, DDP, FSDP = "sum", "ddp", "fsdp"


class SumAfterwards:
    """Sums the gradients after the last backward pass of a window, for any kind of step.

    Args:
        parameters: those of all optimizers.
    """

    is_broken = False
    """True if the sums of the window are worth nothing, so that its step is lost."""

    def __init__(self, parameters: Sequence[nn.Parameter]):
        self.parameters = parameters

    def open(self) -> None:
        """Begin a window."""

    def begin_batch(self, is_last: bool) -> None:
        """Begin a batch.

        Args:
            is_last: True for the last batch of the window, on every process at once.
        """

    @contextlib.contextmanager
    def in_backward(self, loss: Tensor) -> Iterator[None]:
        """Run the backward pass of ``loss`` inside the ``with`` block."""
        yield

    def lose_batch(self) -> None:
        """Take note that the batch has failed; its gradients are dropped already."""

    def finish(self) -> None:
        """Complete the sums: the gradient of each parameter is that of all processes. None if all lack it."""
        distributed.sum_gradients(self.parameters)


class SumInBackward(SumAfterwards):
    """Sums the gradients while the last backward pass of a window runs, by DistributedDataParallel's reducer.

    Every process must train the same parameters at each step.
    """

    def __init__(self, parameters: Sequence[nn.Parameter]):
        super().__init__(parameters)
        self.ddp: DistributedDataParallel | None = None
        self.trained: list[nn.Parameter] = []
        self.are_trained: list[bool] = []
        self.is_last = self.is_prepared = False
        self.launched, self.is_complete = 0, False  # buckets of this window
        self.wait = contextlib.ExitStack()

    def open(self) -> None:
        """Begin a window; parameters that are frozen or released since the last one change the buckets."""
        are_trained = [p.requires_grad for p in self.parameters]
        if self.is_broken or are_trained != self.are_trained:
            self.ddp, self.are_trained = None, are_trained  # the hooks of the old one go before the new one's come
            self.trained = [p for p in self.parameters if p.requires_grad]
            self.ddp = self._build()
        self.is_broken = self.is_last = self.is_prepared = self.is_complete = False
        self.launched = 0

    def _build(self) -> DistributedDataParallel:
        from torch.nn.parallel import DistributedDataParallel

        # only its reducer is used: the loop calls the task itself, so that hooks and overridden methods see it
        ddp = DistributedDataParallel(
            nn.ParameterList(self.trained),
            init_sync=False,  # the loop has given every process the same weights
            find_unused_parameters=True,  # layer drop, and batches that need a part of the model
            gradient_as_bucket_view=True,
        )
        ddp.register_comm_hook(None, lambda state, bucket: self._sum(bucket))
        return ddp

    def begin_batch(self, is_last: bool) -> None:
        """Begin a batch; only the last one communicates."""
        self.is_last = is_last

    @contextlib.contextmanager
    def in_backward(self, loss: Tensor) -> Iterator[None]:
        """Let the reducer sum in the backward pass of ``loss``, if it is the last one of the window.

        Raises:
            ConfigError: nothing that is trained has a part in the loss, so that nothing was summed.
        """
        if not self.is_last:
            yield
            return
        self.is_prepared = True
        self.ddp.reducer.prepare_for_backward([loss])
        with self.wait:
            yield
        if not self.is_complete:
            raise ConfigError("the loss depends on no parameter that is trained at this step")

    def _sum(self, bucket: dist.GradBucket) -> torch.futures.Future[Tensor]:
        """Sum a bucket over the processes while the next ones are filled."""
        self.launched += 1
        summed = self._sum_later(bucket.buffer())
        if bucket.is_last():
            self.is_complete = True
            self.wait.enter_context(waiting())  # nothing is left to compute
        return summed

    def _sum_later(self, tensor: Tensor) -> torch.futures.Future[Tensor]:
        import torch.distributed as dist

        with waiting():  # for the error of a peer that has died
            summed = dist.all_reduce(tensor, async_op=True).get_future()
        return summed.then(lambda future: future.value()[0])

    def lose_batch(self) -> None:
        """Complete the sums in which the others take part, if the batch is the last one of the window."""
        if not self.is_last:
            return
        self.is_broken = self.is_prepared
        if not self.is_complete:
            self._take_part()

    def _take_part(self) -> None:
        """Launch the buckets that this process has not launched, in their order, with the gradients that it has."""
        buckets = self.ddp.reducer._get_zeros_like_grad_buckets()[self.launched :]
        views = [pair for bucket in buckets for pair in zip(bucket.parameters(), bucket.gradients())]
        for p, view in views:
            if p.grad is not None:
                view.copy_(p.grad)
        sums = [self._sum_later(bucket.buffer()) for bucket in buckets]
        used = torch.tensor([p.grad is not None for p in self.trained], dtype=torch.int32).to(self.trained[0].device)
        sums.append(self._sum_later(used))  # the reducer's map of the parameters that any process has used
        with waiting():
            torch.futures.wait_all(sums)
        is_used = dict(zip(map(id, self.trained), used.tolist()))
        for p, view in views:
            p.grad = view.clone() if is_used[id(p)] else None

    def finish(self) -> None:
        """Nothing is left to do: the backward pass has summed the gradients."""


def reduction_of(loop: TrainLoop) -> SumAfterwards:
    """Return how a training sums its gradients: as ``train.parallel`` asks, if that is possible.

    Raises:
        ConfigError: it asks for what is not possible for this training.
    """
    asked = loop.train["parallel"]
    if loop.world.size == 1 or asked == SUM:
        return SumAfterwards(loop.parameters)
    reason = overridden(loop)
    if len({optimizer.loss for optimizer in loop.optimizers}) > 1:
        reason = "the optimizers follow different losses"
    if reason and asked in (DDP, FSDP):
        raise ConfigError(f"train.parallel {asked}: cannot be used here, as {reason}; use auto, or sum")
    if reason:
        log.info("gradients are summed after each backward pass, not during it, as %s", reason)
        return SumAfterwards(loop.parameters)
    if loop.sharding:
        return loop.sharding
    order = {id(p): number for number, p in enumerate(loop.task.parameters())}
    return SumInBackward(sorted(loop.parameters, key=lambda p: order.get(id(p), -1)))


def overridden(loop: TrainLoop) -> str | None:
    """The part of a user's loop that sums in the backward pass could not follow, in words."""
    names = [name for name in ("step", "fit_batch", "backward", "optimizers_step") if is_overridden(loop, name)]
    return f"{type(loop).__name__} overrides {names[0]}" if names else None
