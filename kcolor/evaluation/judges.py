"""Networks that look at coloured photos beside the true ones, as people would.

A judge takes the true photos and the coloured ones, both uint8 (n, H, W, 3),
and returns figures, an array of n rows each, by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import keras
import numpy as np
import tensorflow as tf

Progress = Callable[..., Iterable]
Judge = Callable[[np.ndarray, np.ndarray, Progress], dict[str, np.ndarray]]

BATCH = 32
# Pixels in height and width of photos of which something is left at the end.
LEAST_SIZE = {"lpips_alex": 32, "lpips_vgg": 32}
# Figures of the true photos, the same arrays for all that is judged.
TRUTH = {"efficientnet_lite0_true", "inception_true"}


class _Features:
    """Judges by a classifier's features; those of the truth are kept."""

    def __init__(self, name: str, network: Callable):
        self._name = name
        self._network = network
        self._truth: tuple = (None, None)  # photos, and what was made of them

    def __call__(self, true, coloured, progress):
        if self._truth[0] is not true:
            self._truth = true, self._outputs(true, progress)
        expected, found = self._truth[1], self._outputs(coloured, progress)
        figures = {
            f"{self._name}_true": expected["features"],
            self._name: found["features"],
        }
        if "class" in found:
            same = found["class"] == expected["class"]
            figures["recognised"] = same.astype(np.float32)
        return figures

    def _outputs(self, photos, progress) -> dict[str, np.ndarray]:
        parts = [
            self._network(photos[start : start + BATCH])
            for start in _starts(photos, progress, self._name)
        ]
        return {
            name: np.concatenate([part[name] for part in parts])
            for name in parts[0]
        }


def efficientnet_lite0() -> Judge:
    """Returns a judge by EfficientNet-Lite0.

    Raises:
        UserError: Its weights are not installed.
    """
    from kcolor.borrowed import efficientnet_lite

    network = _compiled(efficientnet_lite.classifier())

    def outputs(photos: np.ndarray) -> dict[str, np.ndarray]:
        features, logits = network(photos)
        return {
            "features": features,
            "class": np.argmax(logits, axis=-1),
        }

    return _Features("efficientnet_lite0", outputs)


def inception() -> Judge:
    """Returns a judge by Inception-v3.

    Raises:
        UserError: Its weights can be neither found nor fetched.
    """
    from kcolor.borrowed import inception

    network = _compiled(inception.encoder())
    return _Features("inception", lambda photos: {"features": network(photos)})


def lpips(network: str) -> Judge:
    """Returns a judge by the perceptual distance.

    Args:
        network: "alex" or "vgg".

    Raises:
        UserError: Its weights are not installed.
    """
    from kcolor.borrowed.lpips import distance

    between, name = _compiled(distance(network)), f"lpips_{network}"

    def judge(true, coloured, progress):
        parts = []
        for start in _starts(true, progress, name):
            rows = slice(start, start + BATCH)
            parts.append(between([true[rows], coloured[rows]]))
        return {name: np.concatenate(parts)}

    return judge


def machine_turing() -> Judge:
    """Returns a judge by a classifier that it trains itself."""
    from kcolor.evaluation.machine_turing import told_apart

    def judge(true, coloured, progress):
        return {"told_apart": told_apart(true, coloured, progress)}

    return judge


# A metric's `judge` to what makes it.
JUDGES: dict[str, Callable[[], Judge]] = {
    "efficientnet_lite0": efficientnet_lite0,
    "inception": inception,
    "lpips_alex": lambda: lpips("alex"),
    "lpips_vgg": lambda: lpips("vgg"),
    "machine_turing": machine_turing,
}


def _compiled(network: keras.Model) -> Callable:
    """Returns a network of NumPy arrays as a graph, which is faster."""
    answer = tf.function(network, reduce_retracing=True)

    def numpy(photos):
        photos = keras.tree.map_structure(np.float32, photos)
        return keras.tree.map_structure(np.asarray, answer(photos))

    return numpy


def _starts(photos, progress: Progress, label: str) -> Iterable[int]:
    starts = range(0, len(photos), BATCH)
    return progress(starts, len(starts), label, " batches")
