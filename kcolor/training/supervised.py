"""The supervised scheme: true ab is what the loss is measured against."""

import keras
import tensorflow as tf

from kcolor.colorizer import Colorizer

# Iizuka et al. 2016, sec. 3.3: beside a loss of ab scaled to 0..1.
CLASS_WEIGHT = 1 / 300
SAMPLED = 128  # pixels of a photo: Larsson et al. 2016, sec. 3


class Supervised(keras.Model):
    """Trains a colorizer on pairs of (L, ab) by its objective's loss.

    Batches may hold the number of each photo's class as their third part:
    networks that classify, too, are trained on it.

    Args:
        colorizer: What is trained.
        seed: Of what the objective draws.
    """

    # Whether the training needs an answer for all pixels of a photo.
    sees_all = False

    def __init__(self, colorizer: Colorizer, seed: int = 0):
        # The network has its own precision; lightness and ab stay float32.
        super().__init__(dtype="float32")
        self.colorizer = colorizer
        self._sparse = None
        if not (self.sees_all or colorizer.objective.sees_all):
            network = colorizer.network
            self._sparse = colorizer.architecture.sparse(network)
        self._seeds = keras.random.SeedGenerator(seed)
        self._validation_seeds = keras.random.SeedGenerator(seed)
        self._first_draw = self._validation_seeds.state.numpy()
        names = dict.fromkeys((*self.logged, *self.validated))
        self._means = {name: Mean(name) for name in names}
        self.built = True

    @property
    def logged(self) -> tuple[str, ...]:
        """Names of the means that training returns."""
        return self.validated

    @property
    def validated(self) -> tuple[str, ...]:
        """Names of the means that validation returns."""
        classes = ("class_loss",) if self.colorizer.classes else ()
        return (*self.colorizer.objective.logged, *classes)

    @property
    def generator_variables(self) -> list[keras.Variable]:
        """What `optimizer` trains."""
        return self.colorizer.trainable_variables

    @property
    def optimizers(self) -> list[keras.optimizers.Optimizer]:
        """Every optimizer."""
        return [self.optimizer]

    def begin_epoch(self, epoch: int) -> None:
        """Is called before the steps of an epoch, counted from 0."""

    def build_optimizers(self) -> None:
        """Makes the optimizers' variables, which checkpoints need at once."""
        self.optimizer.build(self.generator_variables)

    def losses_of(self, lightness, ab, labels=None, training=False):
        """Returns the `loss`, and scalars to log beside it.

        Args:
            lightness: (N, H, W, 1), 0 to 100.
            ab: (N, H, W, 2), in ab units.
            labels: (N,), the number of each photo's class; None leaves the
                `class_loss` out.
            training: Whether dropout, batch statistics and the choice of
                pixels are those of training.
        """
        return self.losses_and_forward(lightness, ab, labels, training)[0]

    def losses_and_forward(self, lightness, ab, labels=None, training=False):
        """Returns what `losses_of` does, and the lightness' way."""
        colorizer = self.colorizer
        target = colorizer.to_grid(ab)
        network, positions = None, None
        if training and self._sparse is not None:
            network = self._sparse
            target, positions = self._choose(target)
        seeds = self._seeds if training else self._validation_seeds
        noise = colorizer.draw_noise(lightness, seeds) if training else None
        forward = colorizer.forward(
            lightness, training, network, positions, noise
        )
        losses = colorizer.objective.train_losses(forward, target, seeds)
        if colorizer.classes and labels is not None:
            class_loss = keras.ops.mean(
                keras.losses.sparse_categorical_crossentropy(
                    labels, forward.classes, from_logits=True
                )
            )
            weight = CLASS_WEIGHT * colorizer.objective.range_loss
            loss = losses["loss"] + weight * class_loss
            losses = losses | {"loss": loss, "class_loss": class_loss}
        return losses, forward

    def train_step(self, batch):
        with tf.GradientTape() as tape:
            losses = self.losses_of(*batch, training=True)
            loss = self.scaled(losses["loss"], self.optimizer)
        self.learn(tape, loss)
        return self.log(losses, batch)

    def test_step(self, batch):
        return self.log(self.losses_of(*batch), batch)

    def scaled(self, loss, optimizer):
        """Returns a loss as its gradient is to be taken of.

        Gradients of replicas are summed, and those of float16 would vanish.
        """
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        return optimizer.scale_loss(loss / replicas if replicas > 1 else loss)

    def learn(self, tape, loss):
        """Takes the generator's step down the gradient of a scaled loss."""
        variables = self.generator_variables
        self.optimizer.apply(tape.gradient(loss, variables), variables)

    def evaluate(self, *args, **kwargs):
        # Or the same weights would be judged by other draws each time.
        self._validation_seeds.state.assign(self._first_draw)
        return super().evaluate(*args, **kwargs)

    def log(self, losses, batch):
        """Notes a step's scalars, and returns their means so far."""
        photos = keras.ops.cast(keras.ops.shape(batch[0])[0], "float32")
        for name, value in losses.items():
            self._means[name].update_state(value, photos)
        return {name: self._means[name].result() for name in losses}

    def _choose(self, ab):
        """Returns the ab of random pixels, (N, S, 1, 2), and where they are."""
        count, height, width = keras.ops.shape(ab)[:3]
        rows, columns = (
            keras.random.randint((count, SAMPLED), 0, size, seed=self._seeds)
            for size in (height, width)
        )
        pixels = keras.ops.reshape(ab, (count, height * width, 1, 2))
        indices = (width * rows + columns)[..., None, None]
        chosen = keras.ops.take_along_axis(pixels, indices, axis=1)
        return chosen, keras.ops.stack([rows, columns], axis=-1)

    @property
    def metrics(self):
        return list(self._means.values())


class Mean(keras.metrics.Mean):
    """A mean whose sums are the same bits each time.

    Keras' own adds by a plain addition. Where a value is a sum itself,
    TensorFlow joins the two to one of many terms, in an order that depends on
    which of them may be overwritten when it runs.
    """

    def update_state(self, value, photos):
        """Takes the mean of so many photos into account."""
        self.total.value.assign_add(value * photos)
        self.count.value.assign_add(photos)
