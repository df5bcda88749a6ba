"""What the trainings with a discriminator share."""

from __future__ import annotations

import keras
import tensorflow as tf

from kcolor.color import lab_to_rgb
from kcolor.colorizer import Colorizer
from kcolor.schemes.adversarial import AdversarialScheme
from kcolor.training import gan_losses
from kcolor.training.supervised import Supervised, apply

# ab as discriminators see it: about as wide as lightness, which is -1..1.
AB_SCALE = 50.0


class Adversarial(Supervised):
    """Trains a colorizer against discriminators, each with its optimizer.

    In a step the discriminators learn first, from photos that no gradient
    leaves, then the colorizer learns from what they say of the same photos now.

    Args:
        colorizer: What is trained.
        scheme: The settings.
        seed: Of all that is random.
    """

    sees_all = True

    def __init__(
        self, colorizer: Colorizer, scheme: AdversarialScheme, seed: int
    ):
        self.scheme = scheme
        super().__init__(colorizer, seed)
        # Of its own, so that the colorizer's draws are those of supervision.
        self._discriminator_seeds = keras.random.SeedGenerator(seed + 1)
        self.discriminator_optimizer = None
        self.discriminator = scheme.build_discriminator(
            3, colorizer.image_size, "discriminator"
        )

    @property
    def discriminators(self) -> list[keras.Model]:
        """All that `discriminator_optimizer` trains."""
        return [self.discriminator]

    @property
    def discriminator_variables(self) -> list[keras.Variable]:
        """What `discriminator_optimizer` trains."""
        return [
            variable
            for discriminator in self.discriminators
            for variable in discriminator.trainable_variables
        ]

    @property
    def optimizers(self):
        return [self.optimizer, self.discriminator_optimizer]

    def compile(self, optimizer, discriminator_optimizer, **options):
        """Takes the optimizers of the colorizer and of the discriminators."""
        super().compile(optimizer=optimizer, **options)
        self.discriminator_optimizer = discriminator_optimizer

    def build_optimizers(self):
        super().build_optimizers()
        self.discriminator_optimizer.build(self.discriminator_variables)

    def coarse(self, photos):
        """Returns photos as coarse as what the colorizer can answer.

        Or a discriminator would know real ones by their sharpness.
        """
        return self.colorizer.to_photo(self.colorizer.to_grid(photos), photos)

    def teach(self, *lessons):
        """Lets all discriminators take one step; returns their mean figures.

        The loss among them is without penalties.

        Args:
            *lessons: Of each one: itself, real photos as it sees them,
                (N, H, W, any), and as many of a generator.
        """
        gradients, figures = [], []
        for lesson in lessons:
            found, figure = self._judged(*lesson)
            gradients += found
            figures.append(figure)
        apply(
            self.discriminator_optimizer,
            gradients,
            self.discriminator_variables,
        )
        names = ("discriminator_loss", "real_accuracy", "fake_accuracy")
        columns = zip(*figures, strict=True)
        means = [sum(column) / len(figures) for column in columns]
        return dict(zip(names, means, strict=True))

    def _judged(self, discriminator, real, fake):
        """Returns a discriminator's gradients, and its figures."""
        scheme = self.scheme
        real, fake = tf.stop_gradient(real), tf.stop_gradient(fake)

        def judge(photos):
            return discriminator(photos, training=True)

        with tf.GradientTape() as tape:
            # Both at once: what a layer changes as it is called, as spectral
            # normalisation does, must not lie between them.
            logits = judge(tf.concat([real, fake], axis=0))
            of_real, of_fake = tf.split(logits, 2, axis=0)
            loss = gan_losses.discriminator_loss(
                scheme.gan_loss, of_real, of_fake, scheme.label_smoothing
            )
            total = loss
            if scheme.gan_loss == "wgan_gp" and scheme.gradient_penalty:
                total += scheme.gradient_penalty * gan_losses.gradient_penalty(
                    judge, real, fake, self._discriminator_seeds
                )
            if scheme.r1:
                total += scheme.r1 * gan_losses.r1_penalty(judge, real)
            scaled = self.scaled(total, self.discriminator_optimizer)
        gradients = tape.gradient(scaled, discriminator.trainable_variables)
        accuracies = gan_losses.accuracies(scheme.gan_loss, of_real, of_fake)
        return gradients, (loss, *accuracies)

    def adversarial_loss(self, discriminator, fake):
        """Returns a generator's loss for its photos."""
        # Spectral normalisation alone does in training what it must not here.
        logits = discriminator(fake, training=not self.scheme.spectral)
        return gan_losses.generator_loss(self.scheme.gan_loss, logits)


def seen(lightness, ab):
    """Returns lightness and ab as discriminators see them, (N, H, W, 3)."""
    return tf.concat([lightness / 50.0 - 1.0, ab / AB_SCALE], axis=-1)


def shown(lightness, ab):
    """Returns RGB, (N, H, W, 3), -1 to 1, of lightness and ab."""
    return 2.0 * lab_to_rgb(tf.concat([lightness, ab], axis=-1)) - 1.0
