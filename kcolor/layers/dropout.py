"""Dropout that can be at work outside training, as noise."""

from __future__ import annotations

import contextlib
import contextvars
import itertools
from collections.abc import Iterator

import keras

from kcolor.replicas import count, drawn

_seeds = contextvars.ContextVar("seeds", default=None)


@contextlib.contextmanager
def dropping(seed: keras.random.SeedGenerator | int | None) -> Iterator[None]:
    """Lets every `Dropout` that is asked in its block drop features.

    Args:
        seed: Where the choice comes from; None for a fresh one each time.
    """
    is_number = isinstance(seed, int)
    # Not the same features in each layer.
    seeds = itertools.count(seed) if is_number else itertools.repeat(seed)
    token = _seeds.set(seeds)
    try:
        yield
    finally:
        _seeds.reset(token)


@keras.saving.register_keras_serializable("kcolor")
class Dropout(keras.layers.Dropout):
    """Keras' layer, which drops within `dropping`, too.

    Reference:
        Isola et al. 2017, "Image-to-Image Translation with Conditional
        Adversarial Networks", sec. 3.2: noise in the form of dropout.
    """

    def call(self, inputs, training=False):
        seeds = _seeds.get()
        if seeds is None and not training:
            return inputs
        seed = self.seed_generator if seeds is None else next(seeds)
        if count() == 1:
            return keras.random.dropout(inputs, self.rate, seed=seed)

        def kept(shape):
            ones = keras.ops.ones(shape, inputs.dtype)
            return keras.random.dropout(ones, self.rate, seed=seed)

        return inputs * drawn(kept, keras.ops.shape(inputs))
