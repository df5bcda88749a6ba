"""Features of several depths, joined for each pixel."""

from __future__ import annotations

import keras

from kcolor.resize import resize


@keras.saving.register_keras_serializable("kcolor")
class Hypercolumn(keras.layers.Layer):
    """Adds maps of several sizes, by bilinear interpolation, then the ReLU.

    Args:
        stride: Pixels of the first and largest map, along each side, to one of
            the output.

    Example:

    >>> fine, coarse = (keras.ops.ones((1, side, side, 3)) for side in (8, 2))
    >>> layer = Hypercolumn(stride=2)
    >>> layer([fine, coarse]).shape
    TensorShape([1, 4, 4, 3])
    >>> layer([fine, coarse], keras.ops.array([[0, 15]])).shape
    TensorShape([1, 2, 1, 3])
    """

    def __init__(self, stride: int, **kwargs):
        super().__init__(**kwargs)
        self.stride = stride
        self.bias = None

    def build(self, maps_shape, positions_shape=None):
        self.bias = self.add_weight(
            (maps_shape[0][-1],), initializer="zeros", name="bias"
        )

    def call(self, maps, positions=None):
        """Returns (N, H / stride, W / stride, C), or (N, S, 1, C) at positions.

        Args:
            maps: Each (N, any height, any width, C), the first the largest.
            positions: int (N, S), pixels of the output, counted row by row.
        """
        height, width = (
            n // self.stride for n in keras.ops.shape(maps[0])[1:3]
        )
        if positions is None:
            parts = (resize(part, height, width) for part in maps)
        else:
            parts = (
                _at(part, positions, height, width)[:, :, None] for part in maps
            )
        return keras.ops.relu(sum(parts) + self.bias)

    def compute_output_shape(self, maps_shape, positions_shape=None):
        count, height, width, channels = maps_shape[0]
        if positions_shape is not None:
            return (count, positions_shape[1], 1, channels)
        sides = [side and side // self.stride for side in (height, width)]
        return (count, *sides, channels)

    def get_config(self):
        return {**super().get_config(), "stride": self.stride}


def _at(features, positions, height: int, width: int):
    """Returns what resizing features to (height, width) has at positions.

    Args:
        features: (N, h, w, C).
        positions: int (N, S), pixels of the resized map, row by row.
        height: Of the resized map.
        width: Of the resized map.

    Returns:
        (N, S, C).
    """
    count, rows, columns, channels = keras.ops.shape(features)
    flat = keras.ops.reshape(features, (count, rows * columns, channels))
    sides = (
        (positions // width, rows, height),
        (positions % width, columns, width),
    )
    ends = []
    for place, size, resized in sides:
        # Pixels have their values at their centres.
        place = (keras.ops.cast(place, "float32") + 0.5) * (
            size / resized
        ) - 0.5
        place = keras.ops.clip(place, 0.0, size - 1.0)
        first = keras.ops.floor(place)
        share = place - first
        first = keras.ops.cast(first, "int32")
        second = keras.ops.minimum(first + 1, size - 1)
        ends.append(((first, 1 - share), (second, share)))
    total = 0.0
    for row, row_share in ends[0]:
        for column, column_share in ends[1]:
            indices = (row * columns + column)[..., None]
            share = keras.ops.cast(row_share * column_share, features.dtype)
            chosen = keras.ops.take_along_axis(flat, indices, axis=1)
            total = total + share[..., None] * chosen
    return total
