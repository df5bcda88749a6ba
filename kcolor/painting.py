"""A photo of any size, painted with colours that a network of its own size saw.

The network sees the photo shrunk. What it answers is brought to the photo's
size along the photo's edges, and the photo's own lightness, which is never
resampled, is kept. All of it is TensorFlow, so that exports do the same.

At full size ab is a straight line in the lightness, ab = slope L + offset,
whose slope and offset vary smoothly over the photo: where the lightness steps,
so does the colour.
"""

from __future__ import annotations

import math
from typing import Literal

import tensorflow as tf

from kcolor.color import lab_to_light, light_to_rgb, rgb_to_lightness

Upsample = Literal["guided", "bilinear"]

LONGEST = 8  # of the network's photos: the long side, in short ones
STRIP = 2**18  # pixels of the photo at once: memory does not grow with it
# Of the joint bilateral filter: how much finer its grid is than the network's,
# how many of the network's pixels it looks at to each side, and how far from
# here and how much lighter or darker, of 100, they may be to count.
FINER, REACH, NEAR, ALIKE = 4, 2, 1.0, 8.0
FINEST = 512  # short side from which on it is less fine, in pixels
NOISE = 10.0  # variance of lightness, of 100 squared, that is no edge
# Light below 0 or above 1 that rounding hides.
SLACK = 1e-5
HALVINGS = 12  # of chroma that no screen shows


def network_size(
    height: tf.Tensor | int,
    width: tf.Tensor | int,
    image_size: int,
    is_fixed: bool,
) -> tuple[tf.Tensor | int, tf.Tensor | int]:
    """Returns the height and width at which a network sees a photo, in pixels.

    The short side is that of the photos the network was trained on.

    Args:
        height: Of the photo.
        width: Of the photo.
        image_size: Height and width of the photos the network was trained on.
        is_fixed: Whether it takes no other; photos are squeezed, then.

    Example:

    >>> [int(side) for side in network_size(3000, 4000, 64, is_fixed=False)]
    [64, 85]
    """
    if is_fixed:
        return image_size, image_size
    sides = tf.cast(tf.stack([height, width]), tf.float32)
    sides = tf.round(sides * (image_size / tf.reduce_min(sides)))
    sides = tf.minimum(tf.cast(sides, tf.int32), LONGEST * image_size)
    return tuple(tf.unstack(sides))


def lightness_of(samples: tf.Tensor) -> tf.Tensor:
    """Returns the lightness, float32 (H, W), 0 to 100.

    Args:
        samples: uint8 or uint16 (H, W, 1) grey or (H, W, 3) sRGB.
    """
    white = samples.dtype.max
    if samples.shape[-1] == 3:
        return rgb_to_lightness(tf.cast(samples, tf.float32) / white)
    # Of each level, not of each pixel: they are many times fewer.
    levels = tf.range(white + 1.0)[:, None] / white
    table = rgb_to_lightness(tf.broadcast_to(levels, (white + 1, 3)))
    return tf.gather(table, tf.cast(samples[..., 0], tf.int32))


def shrunk_lightness(
    samples: tf.Tensor, height: tf.Tensor | int, width: tf.Tensor | int
) -> tf.Tensor:
    """Returns the lightness of a photo at another size, float32 (H', W', 1).

    Args:
        samples: uint8 or uint16 (H, W, 1) grey or (H, W, 3) sRGB.
        height: H', in pixels.
        width: W'.
    """
    white = samples.dtype.max
    size = tf.stack([height, width])
    # Means of squares first: from many pixels to few, Lanczos alone is slow.
    factors = tf.maximum(tf.shape(samples)[:2] // (2 * size), 1)
    sides = -(-tf.shape(samples)[:2] // factors)
    pixels = tf.image.resize(samples, sides, "area") / white
    pixels = tf.image.resize(pixels, size, "lanczos3", antialias=True)
    pixels = tf.clip_by_value(pixels, 0.0, 1.0)
    pixels = tf.broadcast_to(pixels, tf.concat([size, [3]], 0))
    return rgb_to_lightness(pixels)[..., None]


def paint(
    samples: tf.Tensor, ab: tf.Tensor, upsample: Upsample = "guided"
) -> tf.Tensor:
    """Returns a photo in other colours, of its dtype, (H, W, 3) sRGB.

    Its lightness is kept. Colours that sRGB cannot show at that lightness are
    brought nearer to grey until it can.

    Args:
        samples: uint8 or uint16 (H, W, 1) grey or (H, W, 3) sRGB.
        ab: (h, w, 2), of the whole photo at any size, in ab units.
        upsample: guided, along the photo's edges, or bilinear.

    Example:

    >>> grey = tf.cast(tf.reshape(tf.range(0, 240, 20), (3, 4, 1)), tf.uint8)
    >>> photo = paint(grey, tf.fill((1, 1, 2), 20.0))
    >>> away = lightness_of(photo) - lightness_of(grey)
    >>> photo.shape, float(tf.reduce_max(abs(away))) < 0.4
    (TensorShape([3, 4, 3]), True)

    Reference:
        Kopf et al. 2007, "Joint Bilateral Upsampling", eq. 1. He, Sun and Tang
        2013, "Guided Image Filtering", eq. 5, and He and Sun 2015, "Fast Guided
        Filter", for the straight line.
    """
    white = samples.dtype.max
    height, width = tf.unstack(tf.shape(samples)[:2])
    if upsample == "guided":
        lines = _along_edges(samples, ab)
    else:
        lines = tf.concat([tf.zeros_like(ab), ab], axis=-1)
    rows = tf.minimum(tf.maximum(STRIP // width, 1), height)

    def strip(number):
        here = tf.minimum(number * rows + tf.range(rows), height - 1)
        part = tf.gather(samples, here)
        lightness = lightness_of(part)
        line = tf.image.resize(_rows(lines, here, height), (rows, width))
        slope_a, slope_b, offset_a, offset_b = tf.unstack(line, 4, axis=-1)
        light = light_shown(
            lightness,
            slope_a * lightness + offset_a,
            slope_b * lightness + offset_b,
        )
        levels = [tf.round(light_to_rgb(part) * white) for part in light]
        levels = [tf.cast(part, samples.dtype) for part in levels]
        return tf.stack(levels, axis=-1)

    strips = tf.map_fn(
        strip,
        tf.range(-(-height // rows)),
        fn_output_signature=tf.TensorSpec((None, None, 3), samples.dtype),
        parallel_iterations=1,
    )
    return tf.reshape(strips, (-1, width, 3))[:height]


def light_shown(
    lightness: tf.Tensor, a: tf.Tensor, b: tf.Tensor
) -> list[tf.Tensor]:
    """Returns the light of red, green and blue, 0 to 1, of that lightness.

    What no screen shows is brought nearer to grey. Clipped, it would be lighter
    or darker.

    Args:
        lightness: Of any shape, 0 to 100.
        a: Of that shape, in ab units.
        b: Of that shape.

    Example:

    >>> light = light_shown(*(tf.constant([x]) for x in (50.0, 0.0, 110.0)))
    >>> [round(100 * float(part[0])) for part in light]
    [27, 18, 0]
    """
    light = lab_to_light(lightness, a, b)
    places = tf.where(_is_outside(light))
    chosen = [tf.gather_nd(part, places) for part in (lightness, a, b)]

    def fade(share):
        return lab_to_light(chosen[0], share * chosen[1], share * chosen[2])

    low = tf.zeros_like(chosen[0])
    high = tf.ones_like(low)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        is_outside = _is_outside(fade(middle))
        low = tf.where(is_outside, low, middle)
        high = tf.where(is_outside, middle, high)
    return [
        tf.tensor_scatter_nd_update(part, places, faded)
        for part, faded in zip(light, fade(low), strict=True)
    ]


def _is_outside(light: list[tf.Tensor]) -> tf.Tensor:
    """Returns whether no screen shows a colour, bool of the light's shape."""
    away = [abs(part - 0.5) for part in light]
    return tf.maximum(tf.maximum(*away[:2]), away[2]) > 0.5 + SLACK


def _along_edges(samples: tf.Tensor, ab: tf.Tensor) -> tf.Tensor:
    """Returns slope and offset of ab along lightness, (h', w', 4).

    On a grid finer than that of ab, (h, w, 2).
    """
    size = tf.shape(ab)[:2]
    photo = tf.shape(samples)[:2]
    finer = tf.clip_by_value(FINEST // tf.reduce_min(size), 1, FINER)
    fine = tf.maximum(tf.minimum(finer * size, photo), size)
    lightness = shrunk_lightness(samples, *tf.unstack(fine))
    coarse = tf.image.resize(lightness, size, "area")
    wide = _joint_bilateral(ab, coarse, lightness)
    # What the network said of each of its pixels holds: in the mean.
    wide += tf.image.resize(ab - tf.image.resize(wide, size, "area"), fine)
    slope = _slope(lightness, wide)
    return tf.concat([slope, wide - slope * lightness], axis=-1)


def _joint_bilateral(
    ab: tf.Tensor, coarse: tf.Tensor, fine: tf.Tensor
) -> tf.Tensor:
    """Returns ab on the grid of `fine`, from pixels near by and alike.

    Args:
        ab: (h, w, 2).
        coarse: (h, w, 1), its lightness.
        fine: (H, W, 1), the lightness of the same photo, larger.
    """
    side = 2 * REACH + 1
    rows, columns = (
        _neighbours(tf.shape(ab)[axis], tf.shape(fine)[axis])
        for axis in range(2)
    )
    # Plane by plane, and all columns first: numbers that lie beside each other
    # are read and computed at once.
    unit = ALIKE * math.sqrt(2)
    fine = fine[..., 0] / unit
    planes = [coarse[..., 0] / unit, *tf.unstack(ab, 2, axis=-1)]
    planes = [
        tf.transpose(tf.gather(plane, columns[0], axis=1), (1, 0, 2))
        for plane in planes
    ]

    def add(number, total_a, total_b, weights):
        row, column = number // side, number % side
        lightness, a, b = (
            tf.gather(plane[column], rows[0][row]) for plane in planes
        )
        alike = tf.exp(-tf.math.squared_difference(lightness, fine))
        # Something of all, should none be alike.
        weight = (alike + 1e-6) * rows[1][row][:, None] * columns[1][column]
        return (
            number + 1,
            total_a + weight * a,
            total_b + weight * b,
            weights + weight,
        )

    zeros = tf.zeros_like(fine)
    _, total_a, total_b, weights = tf.while_loop(
        lambda number, *_: number < side**2,
        add,
        (0, zeros, zeros, zeros),
        parallel_iterations=1,
    )
    return tf.stack([total_a / weights, total_b / weights], axis=-1)


def _neighbours(size: tf.Tensor, resized: tf.Tensor):
    """Returns what is near each pixel of a line that has another size.

    Args:
        size: Of the line, in pixels.
        resized: Of the other.

    Returns:
        Places on the line, int32 (2 REACH + 1, resized), and their weights.
    """
    ratio = tf.cast(size, tf.float32) / tf.cast(resized, tf.float32)
    # Pixels have their values at their centres.
    place = (tf.range(tf.cast(resized, tf.float32)) + 0.5) * ratio - 0.5
    shifts = tf.range(-REACH, REACH + 1.0)[:, None]
    near = tf.round(place) + shifts
    weights = tf.exp(-(((near - place) / NEAR) ** 2) / 2)
    return tf.clip_by_value(tf.cast(near, tf.int32), 0, size - 1), weights


def _slope(lightness: tf.Tensor, ab: tf.Tensor) -> tf.Tensor:
    """Returns how ab goes with lightness around each pixel, (h, w, 2)."""

    def mean(values):
        return tf.nn.avg_pool2d(values[None], 3, 1, "SAME")[0]

    # From their means, or squares would not be exact.
    lightness -= 50.0
    shift = mean(lightness)
    variance = tf.maximum(mean(lightness**2) - shift**2, 0.0)
    return (mean(lightness * ab) - shift * mean(ab)) / (variance + NOISE)


def _rows(lines: tf.Tensor, here: tf.Tensor, height: tf.Tensor) -> tf.Tensor:
    """Returns rows of the photo, (rows, w, C), interpolated from (h, w, C)."""
    size = tf.shape(lines)[0]
    ratio = tf.cast(size, tf.float32) / tf.cast(height, tf.float32)
    place = (tf.cast(here, tf.float32) + 0.5) * ratio - 0.5
    place = tf.clip_by_value(place, 0.0, tf.cast(size - 1, tf.float32))
    above = tf.floor(place)
    share = (place - above)[:, None, None]
    above = tf.cast(above, tf.int32)
    below = tf.minimum(above + 1, size - 1)
    first, second = tf.gather(lines, above), tf.gather(lines, below)
    return first + share * (second - first)
