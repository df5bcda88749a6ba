"""The supervised scheme: true ab is what the loss is measured against."""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from kcolor import replicas
from kcolor.colorizer import Colorizer
from kcolor.replicas import drawn

# Iizuka et al. 2016, sec. 3.3: beside a loss of ab scaled to 0..1.
CLASS_WEIGHT = 1 / 300
SAMPLED = 128  # pixels of a photo: Larsson et al. 2016, sec. 3


class Supervised(keras.Model):
    """Trains a colorizer on pairs of (L, ab) by its objective's loss.

    Batches may hold as their third part, by name, the `labels`, the number of
    each photo's class: networks that classify, too, are trained on it; and the
    `features` that an encoder gives for each.

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
        self._frozen, self._frozen_epochs = None, 0
        self._sparse = None
        if not (self.sees_all or colorizer.objective.sees_all):
            network = colorizer.network
            self._sparse = colorizer.architecture.sparse(network)
        self._seeds = keras.random.SeedGenerator(seed)
        self._validation_seeds = keras.random.SeedGenerator(seed)
        self._first_draw = self._validation_seeds.state.numpy()
        names = dict.fromkeys((*self.logged, *self.validated))
        self._means = {name: Mean(name) for name in names}
        self._measured = tf.function(
            self.losses_of, reduce_retracing=True, autograph=False
        )
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

    def freeze(self, part: keras.Model, epochs: int) -> None:
        """Keeps a part of the colorizer as it is.

        Args:
            part: Which.
            epochs: After how many it learns, too; 0 for never.
        """
        self._frozen, self._frozen_epochs = part, epochs

    def begin_epoch(self, epoch: int) -> None:
        """Is called before the steps of an epoch, counted from 0."""
        if self._frozen is None:
            return
        learns = bool(self._frozen_epochs) and epoch >= self._frozen_epochs
        if learns != self._frozen.trainable:
            self._frozen.trainable = learns
            self.make_train_function(force=True)
        if learns:
            self._begin_averages(self._frozen.trainable_variables)

    def averaged(self):
        """Returns the averages of what is trained; what has none, as it is."""
        average_of = self._averages()
        return [
            average_of.get(id(variable), variable)
            for variable in self.generator_variables
        ]

    def _averages(self) -> dict[int, keras.Variable]:
        """Returns the averages there are, by the identity of the variable."""
        optimizer = getattr(self.optimizer, "inner_optimizer", self.optimizer)
        if not optimizer.use_ema:
            return {}
        pairs = zip(
            optimizer._trainable_variables,
            optimizer._model_variables_moving_average,
            strict=True,
        )
        return {id(variable): average for variable, average in pairs}

    def _begin_averages(self, variables) -> None:
        """Lets averages of what has just begun to learn begin there.

        Keras begins them at the optimizer's first step, or at 0.
        """
        average_of = self._averages()
        for variable in variables:
            average = average_of.get(id(variable))
            if average is not None and not np.any(average):
                average.assign(variable)

    def build_optimizers(self) -> None:
        """Makes the optimizers' variables, which checkpoints need at once."""
        self.optimizer.build(self.generator_variables)

    def losses_of(
        self, lightness, ab, labels=None, features=(), training=False
    ):
        """Returns the `loss`, and scalars to log beside it.

        Args:
            lightness: (N, H, W, 1), 0 to 100.
            ab: (N, H, W, 2), in ab units.
            labels: (N,), the number of each photo's class; None leaves the
                `class_loss` out.
            features: What the encoder says of the photos, where it was asked
                before.
            training: Whether dropout, batch statistics and the choice of
                pixels are those of training.
        """
        return self.losses_and_forward(
            lightness, ab, labels, features, training
        )[0]

    def losses_and_forward(
        self, lightness, ab, labels=None, features=(), training=False
    ):
        """Returns what `losses_of` does, and the lightness' way."""
        colorizer = self.colorizer
        target = colorizer.to_grid(ab)
        network, positions = None, None
        if training and self._sparse is not None:
            network = self._sparse
            target, positions = self._choose(target)
        if features:
            network = colorizer.architecture.decoder_of(colorizer.network)
        seeds = self._seeds if training else self._validation_seeds
        noise = colorizer.draw_noise(lightness, seeds) if training else None
        forward = colorizer.forward(
            lightness, training, network, positions, noise, features
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
        lightness, ab, *more = batch
        with tf.GradientTape() as tape:
            losses = self.losses_of(lightness, ab, **named(more), training=True)
            loss = self.scaled(losses["loss"], self.optimizer)
        self.learn(tape, loss)
        return losses

    def make_train_function(self, force=False):
        """Makes `train_function`: from an iterator of batches to means so far.

        Keras' own fails where several machines share a batch.
        """
        if self.train_function is not None and not force:
            return
        strategy = self.distribute_strategy
        step = self.train_step
        if self.jit_compile and not self.run_eagerly:
            step = tf.function(step, jit_compile=True, autograph=False)

        def train_function(iterator):
            losses = strategy.run(_shared, args=(step, next(iterator)))
            return self._log(
                {
                    name: strategy.experimental_local_results(loss)[0]
                    for name, loss in losses.items()
                }
            )

        if not self.run_eagerly:
            train_function = tf.function(train_function, autograph=False)
        self.train_function = train_function

    def scaled(self, loss, optimizer):
        """Returns a loss as its gradient is to be taken of.

        Gradients of replicas are summed, and those of float16 would vanish.
        """
        return optimizer.scale_loss(loss / replicas.count())

    def learn(self, tape, loss):
        """Takes the generator's step down the gradient of a scaled loss."""
        variables = self.generator_variables
        apply(self.optimizer, tape.gradient(loss, variables), variables)

    def validate(self, batches):
        """Returns the means of `validated` over all photos, by name.

        Args:
            batches: Of (L, ab), and what else is known, as `train_step` takes
                them.
        """
        # Or the same weights would be judged by other draws each time.
        self._validation_seeds.state.assign(self._first_draw)
        found, photos = [], []
        for batch in batches:
            lightness, ab, *more = batch
            losses = self._measured(lightness, ab, **named(more))
            found.append([float(loss) for loss in losses.values()])
            photos.append(len(batch[0]))
        means = np.average(found, axis=0, weights=photos)
        return dict(zip(losses, means.tolist(), strict=True))

    def _log(self, losses):
        """Notes a step's scalars, and returns their means so far."""
        for name, value in losses.items():
            self._means[name].update_state(value)
        return {name: self._means[name].result() for name in losses}

    def _choose(self, ab):
        """Returns the ab of random pixels, (N, S, 1, 2), and where they are."""
        count, height, width = keras.ops.shape(ab)[:3]
        rows, columns = (
            drawn(
                keras.random.randint,
                (count, SAMPLED),
                0,
                size,
                seed=self._seeds,
            )
            for size in (height, width)
        )
        pixels = keras.ops.reshape(ab, (count, height * width, 1, 2))
        indices = (width * rows + columns)[..., None, None]
        chosen = keras.ops.take_along_axis(pixels, indices, axis=1)
        return chosen, keras.ops.stack([rows, columns], axis=-1)

    @property
    def metrics(self):
        return list(self._means.values())


def named(more: Sequence[dict]) -> dict:
    """Returns what a batch holds beside L and ab, by name."""
    return dict(more[0]) if more else {}


def _shared(step, batch):
    """Returns the means of a step's losses over all replicas."""
    losses = step(batch)
    number = replicas.count()
    if number == 1:
        return losses
    means = replicas.summed([loss / number for loss in losses.values()])
    return dict(zip(losses, means, strict=True))


def apply(optimizer, gradients, variables):
    """Takes an optimizer's step down gradients that replicas have parts of."""
    number = replicas.count()
    clips = getattr(optimizer, "inner_optimizer", optimizer).global_clipnorm
    if number > 1 and clips:
        # Keras clips each replica's part before it sums them.
        known = [g for g in gradients if g is not None]
        sums = iter(replicas.summed(known))
        gradients = [
            None if g is None else next(sums) / number for g in gradients
        ]
    optimizer.apply(gradients, variables)


class Mean(keras.metrics.Metric):
    """The mean of a step's figures since the epoch's start.

    Its sums are the same bits each time. Keras' own adds by a plain addition:
    where a value is a sum itself, TensorFlow joins the two to one of many
    terms, in an order that depends on which of them may be overwritten when it
    runs. And Keras' own sums of replicas are known only to all of them
    together, so that one alone could not write a checkpoint.
    """

    def __init__(self, name: str):
        super().__init__(name=name)
        self.total = keras.Variable(0.0, trainable=False, name="total")
        self.count = keras.Variable(0.0, trainable=False, name="count")

    def update_state(self, value):
        """Takes a step's figure, the mean of all replicas, into account."""
        self.total.value.assign_add(value)
        self.count.value.assign_add(1.0)

    def result(self):
        return self.total / self.count
