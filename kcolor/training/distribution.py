"""Several devices, or several machines, for one training."""

from __future__ import annotations

import contextlib
import functools
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import tensorflow as tf

from kcolor.errors import Interrupted, UserError, WorkerLost, first_line
from kcolor.signals import Signals
from kcolor.terminal import say
from kcolor.training import cluster


@dataclass(frozen=True)
class Distribution:
    """Who takes part in a training, and which of them this process is.

    Each worker, a process on a machine of its own, has one or more replicas, a
    GPU each. All replicas have the same weights, and equal parts of each batch.

    Attributes:
        strategy: TensorFlow's.
        workers: How many there are.
        worker: Which one this is, from 0.
    """

    strategy: tf.distribute.Strategy
    workers: int = 1
    worker: int = 0

    @property
    def replicas(self) -> int:
        """How many replicas all workers have together."""
        return self.strategy.num_replicas_in_sync

    @property
    def is_chief(self) -> bool:
        """Whether this worker is the one that writes and speaks."""
        return self.worker == 0

    def check(self, batch_size: int) -> None:
        """Refuses batches that cannot be shared out evenly.

        Raises:
            UserError: They cannot.
        """
        if batch_size % self.replicas:
            lower = batch_size - batch_size % self.replicas
            raise UserError(
                f"batch size {batch_size} cannot be shared out evenly among "
                f"{self.replicas} replicas: give --batch-size "
                f"{lower or self.replicas}"
            )

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Ends a block in all workers where one of them cannot go on.

        Raises:
            UserError: Another cannot. What this one raises, it raises on.
        """
        error = None
        try:
            yield
        except Exception as caught:
            error = caught
        has_failed = self.largest(0 if error is None else 1)
        if error is not None:
            raise error
        if has_failed:
            raise UserError("another worker has given up: see what it says")

    @contextlib.contextmanager
    def chief_first(self) -> Iterator[None]:
        """Lets the others wait until the chief has done a block, too.

        Raises:
            UserError: Another cannot. What this one raises, it raises on.
        """
        with self.together():
            if self.is_chief:
                try:
                    yield
                except Exception:
                    self.from_chief([0.0])
                    raise
                self.from_chief([1.0])
            else:
                (is_done,) = self.from_chief([0.0])
                if not is_done:
                    raise UserError("the chief has given up: see what it says")
                yield

    @contextlib.contextmanager
    def watched(self, signals: Signals | None = None) -> Iterator[None]:
        """Tells the loss of a worker in the block from other errors.

        Args:
            signals: What notes signals meanwhile, if something does.

        Raises:
            WorkerLost: One is gone.
            Interrupted: One is, and this one was asked to end, too.
        """
        try:
            yield
        except tf.errors.OpError as error:
            told = str(error).lower()
            if self.workers == 1 or not (
                isinstance(error, tf.errors.UnavailableError)
                or "collective" in told
            ):
                raise
            if signals is not None and signals.received:
                raise Interrupted(
                    signals.received,
                    "other workers had ended before: start the same command "
                    "again on each machine to go on from the newest checkpoint",
                ) from error
            raise WorkerLost(
                "another worker is gone: start the same command again on each "
                "machine where it has ended, they go on from the newest "
                "checkpoint"
            ) from error

    def iterate(
        self, batches: Callable[[tuple[Sequence[int], int]], tf.data.Dataset]
    ):
        """Returns an iterator of batches, as a train function takes it.

        Args:
            batches: Returns them, given which parts of each to yield, and how
                many parts there are.
        """
        if self.replicas == 1:
            return iter(batches(((0,), 1)))
        here = self.replicas // self.workers
        ours = range(here * self.worker, here * (self.worker + 1))

        def of_worker(_) -> tf.data.Dataset:
            # Without an end: or all would ask each other whether one is there.
            return batches((ours, self.replicas)).repeat()

        return iter(self.strategy.distribute_datasets_from_function(of_worker))

    def from_chief(self, numbers: Sequence[float]) -> list[float]:
        """Returns the chief's numbers, in every worker, at once.

        Args:
            numbers: The chief's; of the others only how many they are counts.
        """
        if self.workers == 1:
            return list(numbers)
        ours = numbers if self.is_chief else [0.0] * len(numbers)
        return self._summed(tf.constant(ours, tf.float64)).numpy().tolist()

    def largest(self, number: int) -> int:
        """Returns the largest of all workers' numbers, which are below 256."""
        if self.workers == 1:
            return number
        flags = tf.one_hot(number, 256, dtype=tf.float64)
        return int(tf.where(self._summed(flags) > 0)[-1, 0])

    @functools.cached_property
    def _summed(self):
        """Returns the sum over workers of a vector of each."""
        here = self.replicas // self.workers

        @tf.function(autograph=False)
        def summed(values):
            # Each of a worker's replicas has its vector.
            parts = self.strategy.run(lambda v: v / here, args=(values,))
            return self.strategy.reduce("sum", parts, axis=None)

        return summed


def open_distribution(devices: int) -> Distribution:
    """Returns the distribution over this machine's devices and other machines.

    Other machines are those that the environment variable TF_CONFIG names. It
    waits until all of them are there.

    Args:
        devices: How many of this machine's GPUs take part.

    Raises:
        UserError: There are fewer, or the variable is malformed.
    """
    kind = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
    place = cluster.place()
    if place is None:
        found = tf.config.list_logical_devices(kind)
        _check_devices(devices, len(found), kind)
        if devices == 1:
            return Distribution(tf.distribute.get_strategy())
        return Distribution(_mirrored(devices, kind))
    addresses, worker = place
    strategy = _joined(addresses, worker, devices, kind)
    return Distribution(strategy, len(addresses), worker)


# What replicas tell each other TensorFlow counts for each strategy anew, and
# knows by its number alone: a second one in a process would meet the first's.
@functools.cache
def _mirrored(devices: int, kind: str) -> tf.distribute.Strategy:
    found = tf.config.list_logical_devices(kind)
    return tf.distribute.MirroredStrategy(
        [device.name for device in found[:devices]]
    )


@functools.cache
def _joined(
    addresses: tuple[str, ...], worker: int, devices: int, kind: str
) -> tf.distribute.Strategy:
    """Waits for the other workers, and returns what they train by."""
    physical = tf.config.list_physical_devices(kind)
    _check_devices(devices, len(physical), kind)
    if kind == "GPU":
        tf.config.set_visible_devices(physical[:devices], kind)
    say(f"worker {worker + 1} of {len(addresses)}: waiting for the others")
    cluster.meet(addresses, worker)
    # TensorFlow takes over signals that ask to end.
    handlers = {
        number: signal.getsignal(number)
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except (RuntimeError, tf.errors.OpError) as error:
        raise UserError(
            f"{cluster.VARIABLE}: the workers cannot be joined "
            f"({first_line(error)}): see that TensorFlow was not used before"
        ) from error
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in handlers.items():
                signal.signal(number, handler)


def _check_devices(wanted: int, found: int, kind: str) -> None:
    if wanted > found:
        raise UserError(
            f"--devices {wanted}: this machine has {found} ({kind})"
        )
