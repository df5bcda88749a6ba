"""Training a colorizer on grey photos and on others in colour."""

from __future__ import annotations

import tensorflow as tf

from kcolor.color import rgb_to_lab
from kcolor.colorizer import Colorizer
from kcolor.forward import Forward
from kcolor.schemes.cyclegan import CycleGANScheme
from kcolor.training.adversarial import Adversarial, seen, shown
from kcolor.training.pool import Pool


class CycleGAN(Adversarial):
    """Trains a colorizer on unpaired batches, (L, L of others, their ab).

    Validation is on pairs: it measures and teaches nothing.

    Args:
        colorizer: What is trained; with the objective `rgb`, together with a
            greying generator of the same architecture.
        scheme: The settings.
        seed: Of all that is random.
    """

    def __init__(self, colorizer: Colorizer, scheme: CycleGANScheme, seed: int):
        self.is_classical = colorizer.objective.name == "rgb"
        super().__init__(colorizer, scheme, seed)
        size = colorizer.image_size
        self.pool = None
        if scheme.pool:
            self.pool = Pool(scheme.pool, (size, size, 3), seed + 2)
        if self.is_classical:
            self.greying = colorizer.architecture.build(size, 3, 1)
            self.grey_discriminator = scheme.build_discriminator(
                1, size, "grey_discriminator"
            )
            self.grey_pool = None
            if scheme.pool:
                self.grey_pool = Pool(scheme.pool, (size, size, 1), seed + 3)

    @property
    def logged(self):
        identity = ("identity_loss",) if self.is_classical else ()
        return (
            "loss",
            "generator_loss",
            "cycle_loss",
            *identity,
            "discriminator_loss",
            "real_accuracy",
            "fake_accuracy",
        )

    @property
    def discriminators(self):
        found = super().discriminators
        return [*found, self.grey_discriminator] if self.is_classical else found

    @property
    def generator_variables(self):
        found = super().generator_variables
        if self.is_classical:
            found = found + self.greying.trainable_variables
        return found

    def train_step(self, batch):
        step = self._classical if self.is_classical else self._exact
        with tf.GradientTape() as tape:
            losses = step(tape, *batch)
            scaled = self.scaled(losses["loss"], self.optimizer)
        self.learn(tape, scaled)
        return losses

    def _exact(self, tape, grey, lightness, ab):
        """Returns the losses of a step in which the screen itself greys."""
        colorizer = self.colorizer
        predicted = colorizer.objective.predict(self._forward(grey))
        predicted = colorizer.to_photo(predicted, grey)
        fake = seen(grey, predicted)
        real = seen(lightness, self.coarse(ab))
        with tape.stop_recording():
            pooled = fake if self.pool is None else self.pool(fake)
            figures = self.teach((self.discriminator, real, pooled))
        generator_loss = self.adversarial_loss(self.discriminator, fake)
        greyed = rgb_to_lab((shown(grey, predicted) + 1.0) / 2.0)[..., :1]
        cycle_loss = _distance(greyed / 50.0, grey / 50.0)
        return {
            "loss": generator_loss + self.scheme.cycle_weight * cycle_loss,
            "generator_loss": generator_loss,
            "cycle_loss": cycle_loss,
            **figures,
        }

    def _classical(self, tape, grey, lightness, ab):
        """Returns the losses of a step of the paper, both ways."""
        scheme = self.scheme
        grey_seen, photo = grey / 50.0 - 1.0, shown(lightness, ab)
        coloured = self._colour(grey_seen)
        # What is grey already should stay as it is. Its twin, a photo in
        # colour, the colorizer cannot be shown: it takes lightness alone.
        both = tf.concat([photo, tf.repeat(grey_seen, 3, axis=-1)], axis=0)
        greyed, same = tf.split(self._grey(both), 2, axis=0)
        identity_loss = _distance(same, grey_seen)
        cycle_loss = _distance(self._grey(coloured), grey_seen)
        cycle_loss += _distance(self._colour(greyed), photo)
        with tape.stop_recording():
            pooled, grey_pooled = coloured, greyed
            if self.pool is not None:
                pooled = self.pool(coloured)
                grey_pooled = self.grey_pool(greyed)
            figures = self.teach(
                (self.discriminator, self.coarse(photo), pooled),
                (self.grey_discriminator, self.coarse(grey_seen), grey_pooled),
            )
        generator_loss = self.adversarial_loss(self.discriminator, coloured)
        generator_loss += self.adversarial_loss(self.grey_discriminator, greyed)
        undone = cycle_loss + scheme.identity_weight * identity_loss
        return {
            "loss": generator_loss + scheme.cycle_weight * undone,
            "generator_loss": generator_loss,
            "cycle_loss": cycle_loss,
            "identity_loss": identity_loss,
            **figures,
        }

    def _forward(self, lightness):
        return self.colorizer.forward(lightness, training=True)

    def _colour(self, grey_seen):
        """Returns RGB, -1 to 1, of lightness from -1 to 1."""
        rgb = self.colorizer.objective.rgb(
            self._forward(50.0 * (grey_seen + 1.0))()
        )
        return self.colorizer.to_photo(2.0 * rgb - 1.0, grey_seen)

    def _grey(self, photo):
        """Returns lightness of RGB, both from -1 to 1."""
        forward = Forward(
            self.greying, self.colorizer.architecture, photo, training=True
        )
        return self.colorizer.to_photo(tf.tanh(forward()), photo)


def _distance(one, other):
    return tf.reduce_mean(tf.abs(one - other))
