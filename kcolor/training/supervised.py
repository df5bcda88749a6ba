"""The supervised scheme: true ab is what the loss is measured against."""

import keras
import tensorflow as tf

from kcolor.colorizer import Colorizer

CLASS_WEIGHT = 1 / 300  # Iizuka et al. 2016, sec. 3.3
SAMPLED = 128  # pixels of a photo: Larsson et al. 2016, sec. 3.2


class Supervised(keras.Model):
    """Trains a colorizer on pairs of (L, ab) by its objective's loss.

    Batches may hold the number of each photo's class as their third part:
    networks that classify, too, are trained on it.

    Args:
        colorizer: What is trained.
        seed: Of what the objective draws.
    """

    def __init__(self, colorizer: Colorizer, seed: int = 0):
        # The network has its own precision; lightness and ab stay float32.
        super().__init__(dtype="float32")
        self.colorizer = colorizer
        self._sampled = None
        if not colorizer.objective.sees_all:
            network = colorizer.network
            self._sampled = colorizer.architecture.sampled(network)
        self._seeds = keras.random.SeedGenerator(seed)
        self._means = {name: keras.metrics.Mean(name) for name in self.logged}
        self.built = True

    @property
    def logged(self) -> tuple[str, ...]:
        """Names of the means that training and validation return."""
        classes = ("class_loss",) if self.colorizer.classes else ()
        return (*self.colorizer.objective.logged, *classes)

    def losses_of(self, lightness, ab, labels=None, training=False):
        """Returns the `loss`, and scalars to log beside it.

        Args:
            lightness: (N, H, W, 1), 0 to 100.
            ab: (N, H, W, 2), in ab units.
            labels: (N,), the number of each photo's class, if it has one.
            training: Whether dropout, batch statistics and the choice of
                pixels are those of training.
        """
        colorizer = self.colorizer
        target = colorizer.to_grid(ab)
        network, positions = None, None
        if training and self._sampled is not None:
            network = self._sampled
            target, positions = self._choose(target)
        forward = colorizer.forward(lightness, training, network, positions)
        losses = colorizer.objective.train_losses(forward, target, self._seeds)
        if colorizer.classes:
            class_loss = keras.ops.mean(
                keras.losses.sparse_categorical_crossentropy(
                    labels, forward.classes, from_logits=True
                )
            )
            loss = losses["loss"] + CLASS_WEIGHT * class_loss
            losses = losses | {"loss": loss, "class_loss": class_loss}
        return losses

    def train_step(self, batch):
        with tf.GradientTape() as tape:
            losses = self.losses_of(*batch, training=True)
            loss = self.optimizer.scale_loss(losses["loss"])
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply(gradients, self.trainable_variables)
        return self._log(losses)

    def test_step(self, batch):
        return self._log(self.losses_of(*batch))

    def _log(self, losses):
        for name, mean in self._means.items():
            mean.update_state(losses[name])
        return {name: mean.result() for name, mean in self._means.items()}

    def _choose(self, ab):
        """Returns the ab of random pixels, (N, S, 1, 2), and which they are."""
        count, height, width = keras.ops.shape(ab)[:3]
        positions = keras.random.randint(
            (count, SAMPLED), 0, height * width, seed=self._seeds
        )
        pixels = keras.ops.reshape(ab, (count, height * width, 1, 2))
        indices = keras.ops.reshape(positions, (count, SAMPLED, 1, 1))
        return keras.ops.take_along_axis(pixels, indices, axis=1), positions

    @property
    def metrics(self):
        return list(self._means.values())
