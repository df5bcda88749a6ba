"""Features of several depths, joined for each pixel."""

from __future__ import annotations

import keras
import tensorflow as tf

from kcolor.resize import resize


@keras.saving.register_keras_serializable("kcolor")
class Hypercolumn(keras.layers.Layer):
    """Adds maps at the size of the first, by bilinear interpolation, then ReLU.

    Example:

    >>> fine, coarse = (keras.ops.ones((1, side, side, 3)) for side in (8, 2))
    >>> Hypercolumn()([fine, coarse]).shape
    TensorShape([1, 8, 8, 3])
    """

    def build(self, maps_shape):
        self.bias = self.add_weight(
            (maps_shape[0][-1],), initializer="zeros", name="bias"
        )

    def call(self, maps):
        """Returns (N, H, W, C).

        Args:
            maps: Each (N, any height, any width, C), the first (N, H, W, C).
        """
        height, width = keras.ops.shape(maps[0])[1:3]
        total = maps[0] + sum(resize(m, height, width) for m in maps[1:])
        return keras.ops.relu(total + self.bias)

    def compute_output_shape(self, maps_shape):
        return maps_shape[0]


@keras.saving.register_keras_serializable("kcolor")
class At(keras.layers.Layer):
    """Interpolates features at some pixels of a larger map.

    Its twin resizes the features to the map's size and takes the pixels there.

    Example:

    >>> features, larger = keras.ops.ones((1, 2, 2, 3)), keras.ops.ones(
    ...     (1, 8, 8, 1)
    ... )
    >>> At()(features, larger, keras.ops.array([[[0, 0], [7, 7]]])).shape
    TensorShape([1, 2, 1, 3])
    """

    def call(self, features, larger, positions):
        """Returns (N, S, 1, C).

        Args:
            features: (N, h, w, C).
            larger: (N, H, W, any).
            positions: int (N, S, 2), rows and columns of the larger map.
        """
        count, rows, columns, channels = keras.ops.shape(features)
        flat = keras.ops.reshape(features, (count, rows * columns, channels))
        ends = [
            _ends(positions[..., axis], size, resized)
            for axis, (size, resized) in enumerate(
                zip(
                    (rows, columns),
                    keras.ops.shape(larger)[1:3],
                    strict=True,
                )
            )
        ]
        total = 0.0
        for row, row_share in ends[0]:
            for column, column_share in ends[1]:
                chosen = tf.gather(flat, row * columns + column, batch_dims=1)
                share = keras.ops.cast(row_share * column_share, chosen.dtype)
                total = total + share[..., None] * chosen
        return total[:, :, None]

    def compute_output_shape(
        self, features_shape, larger_shape, positions_shape
    ):
        return (features_shape[0], positions_shape[1], 1, features_shape[-1])


def _ends(place, size: int, resized: int):
    """Returns the two pixels on either side of a place, with their shares.

    Args:
        place: int, any shape, a pixel of the resized line.
        size: Of the line.
        resized: Size that the line is resized to.
    """
    size, resized = (keras.ops.cast(n, "float32") for n in (size, resized))
    # Pixels have their values at their centres.
    place = (keras.ops.cast(place, "float32") + 0.5) * (size / resized) - 0.5
    place = keras.ops.clip(place, 0.0, size - 1)
    first = keras.ops.floor(place)
    second = keras.ops.minimum(first + 1, size - 1)
    share = place - first
    return [
        (keras.ops.cast(first, "int32"), 1 - share),
        (keras.ops.cast(second, "int32"), share),
    ]
