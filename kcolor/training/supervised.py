"""The supervised scheme: true ab is what the loss is measured against."""

import keras

from kcolor.colorizer import Colorizer


class Supervised(keras.Model):
    """Trains a colorizer on pairs of (L, ab) by its objective's loss.

    Args:
        colorizer: What is trained.
    """

    def __init__(self, colorizer: Colorizer):
        # The network has its own precision; lightness and ab stay float32.
        super().__init__(dtype="float32")
        self.colorizer = colorizer
        self._means = {
            name: keras.metrics.Mean(name)
            for name in colorizer.objective.logged
        }

    def call(self, lightness, training=False):
        return self.colorizer.outputs(lightness, training)

    def compute_loss(self, x, y, y_pred, sample_weight=None, training=True):
        losses = self.colorizer.objective.losses(y_pred, y)
        for name, value in losses.items():
            self._means[name].update_state(value)
        return losses["loss"]

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        return {name: mean.result() for name, mean in self._means.items()}

    @property
    def metrics(self):
        return list(self._means.values())
