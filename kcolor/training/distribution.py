"""Several devices, or several machines, for one training."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import tensorflow as tf

from kcolor.errors import UserError, WorkerLost, first_line
from kcolor.terminal import say

CLUSTER = "TF_CONFIG"  # the environment variable that TensorFlow has for it
KINDS = ("chief", "worker")  # of machines that train


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
    def chief_first(self) -> Iterator[None]:
        """Lets the others wait until the chief has done a block, too.

        Raises:
            UserError: The chief could not.
        """
        if not self.is_chief:
            (is_done,) = self.from_chief([0.0])
            if not is_done:
                raise UserError("the chief has given up: see what it says")
            yield
            return
        try:
            yield
        except UserError:
            self.from_chief([0.0])
            raise
        self.from_chief([1.0])

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Tells the loss of a worker in the block from other errors.

        Raises:
            WorkerLost: One is gone.
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
    place = _place()
    if place is None:
        found = tf.config.list_logical_devices(kind)
        _check_devices(devices, len(found), kind)
        if devices == 1:
            return Distribution(tf.distribute.get_strategy())
        return Distribution(_mirrored(devices, kind))
    return Distribution(_joined(place, devices, kind), *place)


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
    place: tuple[int, int], devices: int, kind: str
) -> tf.distribute.Strategy:
    """Waits for the other workers, and for signals that ask to end."""
    physical = tf.config.list_physical_devices(kind)
    _check_devices(devices, len(physical), kind)
    if kind == "GPU":
        tf.config.set_visible_devices(physical[:devices], kind)
    workers, worker = place
    say(f"worker {worker + 1} of {workers}: waiting for the others")
    found = []

    def join() -> None:
        try:
            found.append(tf.distribute.MultiWorkerMirroredStrategy())
        except (RuntimeError, tf.errors.OpError) as error:
            found.append(error)

    # TensorFlow waits without an end, and lets no signal through.
    thread = threading.Thread(target=join, daemon=True)
    is_main = threading.current_thread() is threading.main_thread()
    handlers = {
        number: signal.getsignal(number)
        for number in (signal.SIGINT, signal.SIGTERM)
        if is_main
    }
    thread.start()
    while thread.is_alive():
        for number, handler in handlers.items():
            signal.signal(number, handler)
        thread.join(0.2)
    (joined,) = found
    if isinstance(joined, Exception):
        raise UserError(
            f"{CLUSTER}: the workers cannot be joined ({first_line(joined)}): "
            "see that the address is this machine's, its port free, and that "
            "TensorFlow was not used before"
        ) from joined
    return joined


def _check_devices(wanted: int, found: int, kind: str) -> None:
    if wanted > found:
        raise UserError(
            f"--devices {wanted}: this machine has {found} ({kind})"
        )


def _place() -> tuple[int, int] | None:
    """Returns how many workers there are and which this is; None if alone."""
    text = os.environ.get(CLUSTER, "").strip()
    if not text:
        return None
    try:
        config = json.loads(text)
        cluster, task = config["cluster"], config["task"]
        kind, index = task["type"], int(task["index"])
        counts = {name: len(cluster.get(name, ())) for name in cluster}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{CLUSTER} is malformed ({first_line(error)}): give "
            '{"cluster": {"worker": ["HOST:PORT", ...]}, '
            '"task": {"type": "worker", "index": 0}}'
        ) from error
    if kind not in KINDS or not 0 <= index < counts.get(kind, 0):
        raise UserError(
            f"{CLUSTER}: the cluster has no {kind} {index} that trains: tasks "
            f"are of type {' or '.join(KINDS)}, and in the cluster"
        )
    unknown = set(counts) - set(KINDS)
    if unknown:
        raise UserError(
            f"{CLUSTER}: '{min(unknown)}' takes no part in this training: "
            f"leave it out of the cluster"
        )
    before = counts.get("chief", 0) if kind == "worker" else 0
    workers = sum(counts.values())
    return None if workers == 1 else (workers, before + index)
