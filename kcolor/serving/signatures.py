"""What an export answers, as TensorFlow graphs."""

from __future__ import annotations

import tensorflow as tf

from kcolor.colorizer import Colorizer
from kcolor.painting import network_size, paint, shrunk_lightness
from kcolor.serving.decoding import decoded

COMPRESSION = 3  # of PNGs, 0 to 9: from there on only slower
# Pixels of all photos in a request for ab: networks hold hundreds of numbers
# for each. As many as 32 photos of 256x256.
MOST_LIGHTNESS = 2**21
MOST_PHOTOS = 256  # in a request: they are coloured one after the other


class Signatures:
    """The two questions that TF Serving can be asked.

    Args:
        colorizer: Who answers.
        most_pixels: What larger photos are refused by.
    """

    def __init__(self, colorizer: Colorizer, most_pixels: int):
        self.colorizer = colorizer
        self.most_pixels = most_pixels
        self.fixed = colorizer.fixed_size
        spec = lightness_spec(colorizer)
        self._network_shape = spec.shape[1:]
        # Once in the graph, however often it is called.
        self._ask = tf.function(
            colorizer, input_signature=[spec], jit_compile=False
        )

    def ab(self, L) -> dict[str, tf.Tensor]:
        """Returns ab, (N, H, W, 2), of lightness, (N, H, W, 1), of any size.

        At the photos' own size, by networks that take any. For those that take
        one the photos are resized, and what they answer is, too.

        Raises:
            tf.errors.InvalidArgumentError: Another shape, or more than
                `MOST_LIGHTNESS` numbers.
        """
        # A server does not check what the signature says of shapes, and some
        # convolutions end the whole process over a wrong one.
        L = tf.ensure_shape(L, (None, None, None, 1))
        refusal = tf.debugging.Assert(
            tf.size(L, tf.int64) <= MOST_LIGHTNESS,
            [f"more than {MOST_LIGHTNESS} pixels in one request, shape of L:"]
            + [tf.shape(L)],
        )
        with tf.control_dependencies([refusal]):
            L = tf.identity(L)
        if not self.fixed:
            return {"ab": self._ask(L)}
        size = (self.fixed, self.fixed)

        def resized():
            small = tf.image.resize(L, size, "lanczos3", antialias=True)
            ab = self._ask(tf.clip_by_value(small, 0.0, 100.0))
            return tf.image.resize(ab, tf.shape(L)[1:3])

        return {
            "ab": tf.cond(
                tf.reduce_all(tf.shape(L)[1:3] == size),
                lambda: self._ask(tf.ensure_shape(L, (None, *size, 1))),
                resized,
            )
        }

    def photos(self, image_bytes) -> dict[str, tf.Tensor]:
        """Returns PNGs, string (N,), of encoded JPEGs or PNGs, string (N,).

        Each has its photo's own size, lightness, depth and transparency.

        Raises:
            tf.errors.InvalidArgumentError: A photo cannot be read, or there are
                more than `MOST_PHOTOS`.
        """
        image_bytes = tf.ensure_shape(image_bytes, (None,))
        count = tf.size(image_bytes)
        refusal = tf.debugging.Assert(
            count <= MOST_PHOTOS,
            [f"more than {MOST_PHOTOS} photos in one request:", count],
        )
        with tf.control_dependencies([refusal]):
            image_bytes = tf.identity(image_bytes)

        def photo(item):
            return decoded(*item, self.most_pixels, self._coloured)

        return {
            "photo_bytes": tf.map_fn(
                photo,
                (image_bytes, tf.range(count)),
                fn_output_signature=tf.TensorSpec((), tf.string),
                parallel_iterations=1,  # memory for one photo at a time
            )
        }

    def _coloured(self, samples: tf.Tensor) -> tf.Tensor:
        """Returns the PNG of a photo, (H, W, C), with its colours."""
        channels = tf.shape(samples)[-1]
        colours = tf.where(channels > 2, 3, 1)
        alpha = samples[..., colours:]
        # Grey three times: few operations take 16 bits, but this one.
        rgb = tf.gather(samples, tf.minimum(tf.range(3), colours - 1), axis=-1)
        height, width = tf.unstack(tf.shape(rgb)[:2])
        size = network_size(
            height, width, self.colorizer.image_size, bool(self.fixed)
        )
        lightness = shrunk_lightness(rgb, *size)
        lightness = tf.ensure_shape(lightness, self._network_shape)
        painted = paint(rgb, self._ask(lightness[None])[0])
        return tf.io.encode_png(
            tf.concat([painted, alpha], axis=-1), compression=COMPRESSION
        )


def lightness_spec(colorizer: Colorizer) -> tf.TensorSpec:
    """Returns the spec of what a network takes, (N, H, W, 1)."""
    side = colorizer.fixed_size
    return tf.TensorSpec((None, side, side, 1), tf.float32, "L")
