"""A pool of photos that a generator made earlier."""

from __future__ import annotations

import keras
import tensorflow as tf

from kcolor.replicas import gathered, own


class Pool(keras.layers.Layer):
    """Exchanges about half of the photos for some of earlier steps.

    So that the discriminator does not forget what the generator no longer does.
    Its photos are kept in checkpoints.

    Args:
        size: How many it remembers, at least as many as there are in a batch
            of all replicas.
        shape: (H, W, C) of the photos.
        seed: Of which are exchanged.

    Reference:
        Shrivastava et al. 2017, "Learning from Simulated and Unsupervised
        Images through Adversarial Training", sec. 2.3; Zhu et al. 2017, sec. 4:
        50 photos, each exchanged with a probability of one half.
    """

    def __init__(self, size: int, shape: tuple, seed: int):
        super().__init__(dtype="float32")
        self.size = size
        # Assigned in each replica, and the same in all of them.
        kind = {
            "trainable": False,
            "synchronization": "on_read",
            "aggregation": "only_first_replica",
        }
        self.photos = keras.Variable(
            "zeros", (size, *shape), "float32", name="photos", **kind
        )
        self.count = keras.Variable("zeros", (), "int32", name="count", **kind)
        self._seeds = keras.random.SeedGenerator(seed)
        self.built = True

    def call(self, photos):
        """Returns photos, (N, H, W, C), some of them exchanged.

        While the pool is not full, photos go in and come back as they are.
        """
        # One pool for all replicas, each with the same copy of it.
        photos = gathered(photos)
        number = tf.shape(photos)[0]
        held = tf.convert_to_tensor(self.photos.value)
        count = tf.convert_to_tensor(self.count.value)

        # No two to one place: each photo has another.
        order = keras.random.uniform((self.size,), seed=self._seeds)
        drawn = tf.argsort(order, stable=True)[:number]
        coin = keras.random.uniform((self.size,), seed=self._seeds)[:number]
        fresh = count + tf.range(number)
        is_fresh = fresh < self.size
        is_swapped = tf.logical_and(count >= self.size, coin < 0.5)

        # Where the last free places go within a batch, the rest just passes.
        place = tf.where(is_fresh, fresh, drawn)
        goes_in = tf.logical_or(is_fresh, is_swapped)
        wide = goes_in[:, None, None, None]
        old = tf.gather(held, place)
        # A photo that does not go in leaves its place as it was; of the last
        # step of filling, such a place may be one that is being filled.
        spare = tf.concat([held, tf.zeros_like(held[:1])], axis=0)
        place = tf.where(goes_in, place, self.size)
        spare = tf.tensor_scatter_nd_update(
            spare, place[:, None], tf.where(wide, photos, tf.zeros_like(photos))
        )
        self.photos.assign(spare[: self.size])
        self.count.assign(tf.minimum(count + number, self.size))
        return own(tf.where(is_swapped[:, None, None, None], old, photos))
