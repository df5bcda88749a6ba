"""The faults of old photographs, put on the lightness of new ones.

A network that is to colour old photographs should have seen lightness like
theirs. The tint of a sepia print is gone once its lightness is taken: it comes
out as a tone curve.
"""

from __future__ import annotations

import tensorflow as tf

from kcolor.color import light_to_lab

# How often each fault occurs, its least and its most. Lightness and noise of
# old photographs shrunk to 64 and 128 pixels are hardly worse than those of new
# ones: what is most here is about the worst of them.
FAULTS = {
    "film": (0.6, 0.0, 1.0),  # from all colours seen to no red
    "green": (1.0, 0.0, 0.7),  # share of green, beside blue, such film saw
    "vignette": (0.3, -15.0, 10.0),  # lightness added in the corners
    "blur": (0.5, 0.2, 0.7),  # sigma, in pixels
    "grain": (0.5, 0.5, 4.0),  # sigma in mid-tones, of lightness
    "coarseness": (1.0, 0.2, 0.7),  # of grain: sigma, in pixels
    "gamma": (0.5, -0.8, 0.4),  # its base 2 logarithm: below 0 lighter
    "contrast": (0.4, -0.3, 0.5),  # its base 2 logarithm
    "blacks": (0.3, 0.0, 22.0),  # how far they are lifted
    "whites": (0.25, 0.0, 18.0),  # how far they are dimmed
    "stains": (0.3, 1.0, 4.0),  # sigma, of lightness
    "jpeg": (0.3, 5.0, 60.0),  # what its quality lacks of 100
}


def aged(
    lightness: tf.Tensor, light: tf.Tensor, share: float, seeds: tf.Tensor
) -> tf.Tensor:
    """Makes the lightness of some photos look old.

    Film that saw blue rather than red, uneven light, blur, grain, contrast of
    prints and scans, fading, stains and JPEG, each of them or not, come in the
    order in which they happen to a photo.

    Args:
        lightness: float32 (N, H, W, 1), 0 to 100, whose H and W are known when
            a graph is traced.
        light: float32 (N, H, W, 3), of red, green and blue, 0 to 1.
        share: Of the photos, 0 to 1. The others keep their lightness.
        seeds: int32 (N, 2). A photo's seed alone decides its faults, whatever
            photos are beside it.

    Returns:
        A float32 tensor of the shape of `lightness`, 0 to 100.

    Example:

    >>> grey = tf.fill((2, 8, 8, 1), 50.0)
    >>> light = tf.fill((2, 8, 8, 3), 0.18)
    >>> aged(grey, light, 0.5, tf.constant([[0, 1], [2, 3]])).shape
    TensorShape([2, 8, 8, 1])
    """
    draws = _drawn(tf.random.stateless_uniform, (1 + 2 * len(FAULTS),), seeds)
    old = tf.where(draws[:, 0] < share)[:, 0]
    light, draws, seeds = (
        tf.gather(whole, old) for whole in (light, draws, seeds)
    )
    changed = _all_faults(light, draws[:, 1:], seeds)[..., None]
    return tf.tensor_scatter_nd_update(lightness, old[:, None], changed)


def _all_faults(
    light: tf.Tensor, draws: tf.Tensor, seeds: tf.Tensor
) -> tf.Tensor:
    """Returns the lightness, (N, H, W), of photos whose seeds draw faults."""
    occurs, strength = tf.split(draws, 2, axis=-1)
    often, least, most = tf.unstack(tf.constant(list(FAULTS.values())), axis=-1)
    strength = least + (most - least) * strength
    strength = tf.where(occurs < often, strength, 0.0)[..., None, None]
    of = dict(zip(FAULTS, tf.unstack(strength, axis=1), strict=True))
    noise = _drawn(
        tf.random.stateless_normal, (2, *light.shape[1:3]), seeds + 1
    )
    grain, stains = tf.unstack(noise, axis=1)

    photos = _filmed(light, of["film"], of["green"])
    photos += of["vignette"] * _distance_squared(*light.shape[1:3])
    photos = _smoothed(photos, of["blur"])
    # Black and white have little grain.
    middle = tf.clip_by_value(photos / 100.0, 0.05, 0.95)
    grain = _smoothed(grain, of["coarseness"], is_noise=True)
    photos += of["grain"] * 4.0 * middle * (1.0 - middle) * grain
    tone = tf.clip_by_value(photos / 100.0, 0.0, 1.0) ** 2.0 ** of["gamma"]
    tone = tf.clip_by_value(0.5 + 2.0 ** of["contrast"] * (tone - 0.5), 0, 1)
    span = 100.0 - of["blacks"] - of["whites"]
    photos = of["blacks"] + span * tone
    wide = max(light.shape[1:3]) / 6.0
    photos += of["stains"] * _smoothed(stains, wide, is_noise=True)
    return _compressed(photos, of["jpeg"])


def _drawn(draw, shape: tuple[int, ...], seeds: tf.Tensor) -> tf.Tensor:
    """Returns what each seed draws, (N, *shape)."""
    return tf.map_fn(
        lambda seed: draw(shape, seed),
        seeds,
        fn_output_signature=tf.TensorSpec(shape, tf.float32),
    )


def _filmed(light: tf.Tensor, share: tf.Tensor, green: tf.Tensor) -> tf.Tensor:
    """Returns the lightness on film that saw no red, or all colours.

    Args:
        light: (N, H, W, 3).
        share: (N, 1, 1), 1 for film that saw no red, 0 for the eye.
        green: (N, 1, 1), share of green in what such film saw; blue the rest.
    """
    eye = 0.212671, 0.715160, 0.072169  # Y of sRGB
    film = tf.zeros_like(green), green, 1.0 - green
    seen = sum(
        (part + share * (other - part)) * light[..., number]
        for number, (part, other) in enumerate(zip(eye, film, strict=True))
    )
    return light_to_lab(tf.stack([seen] * 3, axis=-1))[..., 0]


def _distance_squared(height: int, width: int) -> tf.Tensor:
    """Returns that from the middle, (height, width); 1 in the corners."""
    rows, columns = (tf.linspace(-1.0, 1.0, side) for side in (height, width))
    return (rows[:, None] ** 2 + columns**2) / 2.0


def _smoothed(
    photos: tf.Tensor, sigma: tf.Tensor | float, is_noise: bool = False
) -> tf.Tensor:
    """Returns Gaussian means, or sums that keep the variance of white noise.

    Args:
        photos: (N, H, W).
        sigma: (N, 1, 1) or a number, in pixels.
        is_noise: Whether to keep the variance.
    """

    def weights(side: int) -> tf.Tensor:
        line = tf.range(float(side))
        steps = (line - line[:, None]) / tf.maximum(sigma, 0.01)
        near = tf.exp(-(steps**2) / 2.0)
        order = 2 if is_noise else 1
        return near / tf.norm(near, order, axis=-1, keepdims=True)

    down, across = (weights(side) for side in photos.shape[1:3])
    return tf.matmul(down, tf.matmul(photos, across, transpose_b=True))


def _compressed(photos: tf.Tensor, lack: tf.Tensor) -> tf.Tensor:
    """Returns lightness, (N, H, W), from JPEG files of 8-bit levels.

    Args:
        photos: (N, H, W), lightness.
        lack: (N, 1, 1), of the quality, of 100.
    """
    levels = tf.clip_by_value(tf.round(2.55 * photos), 0.0, 255.0)
    quality = tf.cast(100.0 - lack[:, 0, 0], tf.int32)
    levels = tf.map_fn(
        lambda one: tf.image.adjust_jpeg_quality(*one, "INTEGER_ACCURATE"),
        (tf.cast(levels, tf.uint8)[..., None], quality),
        fn_output_signature=tf.TensorSpec((*photos.shape[1:], 1), tf.uint8),
    )
    return tf.cast(levels[..., 0], tf.float32) / 2.55
