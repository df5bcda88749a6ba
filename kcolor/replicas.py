"""A batch whose photos are shared out among several devices or machines.

Each replica sees an equal part of the batch, in the batch's order. With these a
step comes out as if one device had seen all of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from kcolor.late import keras, tf

if TYPE_CHECKING:
    from keras import KerasTensor as Tensor


def count() -> int:
    """Returns how many replicas share the batch: 1 outside a strategy's step.

    Example:

    >>> count()
    1
    """
    replica = tf.distribute.get_replica_context()
    return replica.num_replicas_in_sync if replica else 1


def own(whole: Tensor) -> Tensor:
    """Returns this replica's part, (N, ...), of a whole batch's tensor.

    Args:
        whole: (N x replicas, ...), the same in every replica.
    """
    if count() == 1:
        return whole
    number = tf.distribute.get_replica_context().replica_id_in_sync_group
    photos = keras.ops.shape(whole)[0] // count()
    return whole[number * photos : (number + 1) * photos]


def gathered(part: Tensor) -> Tensor:
    """Returns the whole batch's tensor, (N x replicas, ...), in every replica.

    Args:
        part: (N, ...), of this replica.
    """
    if count() == 1:
        return part
    return tf.distribute.get_replica_context().all_gather(part, axis=0)


def summed(values):
    """Returns the sums over all replicas, which gradients go through.

    Args:
        values: A tensor, or several in a list.
    """
    if count() == 1:
        return values
    replica = tf.distribute.get_replica_context()
    return replica.all_reduce(tf.distribute.ReduceOp.SUM, values)


def drawn(draw: Callable[..., Tensor], shape: tuple, *args, **options):
    """Returns random numbers for this replica's photos.

    Every replica draws those of the whole batch: its own are those that the
    photos would get on one device.

    Args:
        draw: Such as `keras.random.uniform`.
        shape: (N, ...).
        *args: What else `draw` takes.
        **options: What else `draw` takes.

    Example:

    >>> drawn(keras.random.uniform, (2, 3), seed=0).shape
    TensorShape([2, 3])
    """
    return own(draw((shape[0] * count(), *shape[1:]), *args, **options))
