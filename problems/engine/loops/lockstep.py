"""Trainings in lockstep: several in one process, which share each batch and its states from a frozen upstream.

Each training is a lane: a thread with random generators of its own. One lane runs at a time. It runs until it needs a
batch that no lane has read yet; then the lane that is furthest behind goes on. A batch, and what the upstream makes of
it, is so computed by the first lane that needs it, and handed to the others. Every lane trains as it would alone, to
the last bit.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import Any

import torch

from dataset import seeding
from problems.engine.runtime import numerics, stop_signals
from problems.engine.runtime.errors import Interrupted

Clock = tuple[int, ...]
"""The position of a lane: (epoch, batch of the epoch), then (1, batch) in a validation there."""
BEFORE: Clock = (-1, 0)
"""The position before the first batch."""
Judge = Callable[[int, Mapping[str, Any], int], None]
"""Called with a lane's number, its section ``train`` and its step after each validation; may raise :class:`Dropped`."""


class Dropped(Interrupted):
    """The training of a lane ends early, because those beside it are better."""

    def __init__(self, message: str):
        super().__init__(0, message)


class Lane(threading.Thread):
    """One training of several.

    Args:
        lockstep: that it belongs to.
        number: its rank among those at the same position.
        function: runs the training.
    """

    def __init__(self, lockstep: Lockstep, number: int, function: Callable[[], None]):
        super().__init__(name=f"lane {number}", daemon=True)
        self.lockstep, self.number, self.function = lockstep, number, function
        self.trained: Clock = BEFORE
        self.clock: Clock = BEFORE
        self.batches = "train"
        """The settings that the training's batches follow from; they are shared with lanes that have the same."""
        self.state = seeding.get_state(), numerics.flags()
        """The random generators and torch's settings, which the process has once."""
        self.error: BaseException | None = None

    def run(self) -> None:
        """Run the training, from its first turn on; keep its error."""
        self.lockstep.wait_for_turn(self)
        try:
            self.function()
        except BaseException as error:
            self.error = error
        self.lockstep.leave(self)

    def reach(self, clock: Clock) -> None:
        """Let the lanes behind this position go on first."""
        self.clock = clock
        if self.lockstep.furthest_behind() is not self:
            self.state = seeding.get_state(), numerics.flags()
            self.lockstep.pass_turn()
            self.lockstep.wait_for_turn(self)
        stop_signals.raise_if_at_once()


class Lockstep:
    """Runs trainings in lockstep.

    Args:
        judge: called by each lane after a validation, when those behind it have validated too; None: all go on.
    """

    def __init__(self, judge: Judge | None = None) -> None:
        self.judge = judge
        self.changed = threading.Condition()
        self.lanes: list[Lane] = []
        self.turn: Lane | None = None
        self.batches: dict[str, tuple[Clock, Any]] = {}
        """The newest item of each kind of stream, and its position."""
        self.upstreams: list[torch.nn.Module] = []

    def run(self, functions: Sequence[Callable[[], None]]) -> list[BaseException | None]:
        """Run each function in a lane; return the error that ended it, or None, of each.

        SIGINT and SIGTERM reach every lane: each training saves a checkpoint and ends.
        """
        lanes = [Lane(self, number, function) for number, function in enumerate(functions)]
        self.lanes, self.turn = list(lanes), lanes[0]
        with stop_signals.forwarded():
            for lane in lanes:
                lane.start()
            for lane in lanes:
                while lane.is_alive():
                    lane.join(timeout=0.5)  # a signal is handled between two waits
        return [lane.error for lane in lanes]

    # ---- turns ----

    def wait_for_turn(self, lane: Lane) -> None:
        """Wait until the lane may run, then put its state in place."""
        with self.changed:
            self.changed.wait_for(lambda: self.turn is lane)
        generators, flags = lane.state
        seeding.set_state(generators)
        numerics.set_flags(flags)

    def furthest_behind(self) -> Lane | None:
        """Return the lane that goes on next; None if all have ended."""
        return min(self.lanes, key=lambda lane: (lane.clock, lane.number), default=None)

    def pass_turn(self) -> None:
        """Let the lane that is furthest behind run."""
        with self.changed:
            self.turn = self.furthest_behind()
            self.changed.notify_all()

    def leave(self, lane: Lane) -> None:
        """Take the lane out, at its end."""
        self.lanes.remove(lane)
        self.pass_turn()


def own_lane() -> Lane | None:
    """Return the lane of this thread; None if its training is alone."""
    thread = threading.current_thread()
    return thread if isinstance(thread, Lane) else None


def is_of_other_lane(thread: int | None, own: int) -> bool:
    """Return True if ``thread`` runs a lane, and is not ``own``."""
    return thread != own and any(isinstance(t, Lane) and t.ident == thread for t in threading.enumerate())


def judge(train: Mapping[str, Any], step: int) -> None:
    """Let a lane's training be judged after its validation at ``step``.

    Raises:
        Dropped: it is not to go on.
    """
    lane = own_lane()
    if lane is not None and lane.lockstep.judge is not None:
        lane.reach((*lane.trained, 2))
        lane.lockstep.judge(lane.number, train, step)


# ---- batches ----


def name_training_batches(*causes: object) -> None:
    """Say what the batches of this lane's training follow from, beside the data: the seed, the form of the items."""
    lane = own_lane()
    if lane is not None:
        lane.batches = " ".join(map(str, ("train", *causes)))


def shared_training(
    open_at: Callable[[int, int], Iterator[Any]], epoch: int, position: int
) -> Generator[Any, None, None] | Iterator[Any]:
    """Return a training's stream of (place, batch) from a position on, shared with the other lanes.

    Args:
        open_at: opens the stream at (epoch, position).
    """
    lane = own_lane()
    if lane is None:
        return open_at(epoch, position)

    def after(item: Any) -> Clock:
        place = item[0]
        return (place.epoch + 1, 0) if place.last else (place.epoch, place.done)

    return _shared(lane, lane.batches, (epoch, position), lambda clock: open_at(*clock), after)


def shared_evaluation(kind: str, numbers: Sequence[int], open_at: Callable[[Sequence[int]], Iterator[Any]]) -> Any:
    """Return an evaluation's stream of (number, batch), shared with the other lanes.

    Args:
        kind: names the data; the batch of a number must follow from it.
        numbers: of the batches.
        open_at: opens the stream of the batches of these numbers.
    """
    lane = own_lane()
    if lane is None:
        return open_at(numbers)
    places = {number: place for place, number in enumerate(numbers)}

    def after(item: Any) -> Clock | None:
        place = places[item[0]] + 1
        return (*lane.trained, 1, numbers[place]) if place < len(numbers) else None

    start = (*lane.trained, 1, numbers[0]) if numbers else None
    return _shared(lane, kind, start, lambda clock: open_at(numbers[places[clock[-1]] :]), after)


def _shared(
    lane: Lane,
    kind: str,
    clock: Clock | None,
    open_at: Callable[[Clock], Iterator[Any]],
    after: Callable[[Any], Clock | None],
) -> Generator[Any, None, None]:
    """Yield the items from ``clock`` on: the newest of all lanes, or else those of a stream of this lane's own."""
    stream, at = None, None
    batches = lane.lockstep.batches
    try:
        while clock is not None:
            lane.reach(clock)
            if len(clock) == len(BEFORE):
                lane.trained = clock
            known, item = batches.get(kind, (None, None))
            if known != clock:
                if at != clock:
                    _close(stream)
                    stream = open_at(clock)
                item = next(stream)
                at = after(item)
                batches[kind] = clock, item
            clock = after(item)
            yield item
    finally:
        _close(stream)


def _close(stream: Any) -> None:
    if hasattr(stream, "close"):
        stream.close()


# ---- the upstream ----


class _LastStates:
    """The forward method of an upstream, which computes the states of the same waveforms once."""

    def __init__(self, forward: Callable[..., Any]):
        self.forward = forward
        self.wav: torch.Tensor | None = None
        self.mode: tuple[Any, ...] = ()
        self.states: Any = None

    def __call__(self, wav: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        device = wav.device.type
        mode = torch.is_inference_mode_enabled(), torch.is_autocast_enabled(device), torch.get_autocast_dtype(device)
        if wav is not self.wav or mode != self.mode:
            self.states = self.forward(wav, *args, **kwargs)
            self.wav, self.mode = wav, mode
        states, lengths = self.states
        return list(states), list(lengths)


def share_upstream(model: torch.nn.Module) -> None:
    """Let a lane's model use the frozen upstream of another lane, if the two are equal."""
    lane, upstream = own_lane(), getattr(model, "upstream", None)
    if lane is None or not _is_frozen(model):
        return
    for other in lane.lockstep.upstreams:
        if _is_equal(upstream, other):
            model.upstream = other
            return
    upstream.forward = _LastStates(upstream.forward)
    lane.lockstep.upstreams.append(upstream)


def _is_frozen(model: torch.nn.Module) -> bool:
    upstream = getattr(model, "upstream", None)
    if upstream is None or getattr(model, "upstream_trainable", True) is not False or upstream.training:
        return False
    parameters = list(upstream.parameters())
    return bool(parameters) and not any(p.requires_grad for p in parameters)


def _is_equal(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    mine, theirs = one.state_dict(), other.state_dict()
    return (
        type(one) is type(other)
        and repr(one) == repr(other)
        and mine.keys() == theirs.keys()
        and all(mine[name].dtype == theirs[name].dtype and torch.equal(mine[name], theirs[name]) for name in mine)
    )
