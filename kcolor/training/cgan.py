"""Training a colorizer as the generator of a conditional GAN."""

from __future__ import annotations

import tensorflow as tf

from kcolor.colorizer import Colorizer
from kcolor.schemes.cgan import ConditionalGAN
from kcolor.training.adversarial import Adversarial, seen
from kcolor.training.supervised import named


class CGAN(Adversarial):
    """Trains a colorizer by its loss and by a discriminator of (L, ab).

    Args:
        colorizer: What is trained.
        scheme: The settings.
        seed: Of all that is random.
    """

    def __init__(self, colorizer: Colorizer, scheme: ConditionalGAN, seed: int):
        super().__init__(colorizer, scheme, seed)
        self.weight = scheme.weight(colorizer.objective)
        self.pretrains = scheme.pretrain_epochs > 0

    @property
    def logged(self):
        return (
            *self.validated,
            "generator_loss",
            "discriminator_loss",
            "real_accuracy",
            "fake_accuracy",
        )

    def begin_epoch(self, epoch):
        super().begin_epoch(epoch)
        pretrains = epoch < self.scheme.pretrain_epochs
        if pretrains != self.pretrains:
            self.pretrains = pretrains
            self.make_train_function(force=True)

    def train_step(self, batch):
        if self.pretrains:
            losses = super().train_step(batch)
            # The history has a column for each from its first row on.
            return losses | {
                name: tf.constant(float("nan"))
                for name in self.logged
                if name not in losses
            }
        lightness, ab, *more = batch
        colorizer = self.colorizer
        real = seen(lightness, self.coarse(ab))
        with tf.GradientTape() as tape:
            losses, forward = self.losses_and_forward(
                lightness, ab, **named(more), training=True
            )
            # What the loss has seen: `predict` would ask the network again.
            predicted = colorizer.objective.decode(forward.outputs)
            fake = seen(lightness, colorizer.to_photo(predicted, lightness))
            with tape.stop_recording():
                for _ in range(self.scheme.discriminator_steps):
                    figures = self.teach((self.discriminator, real, fake))
            generator_loss = self.adversarial_loss(self.discriminator, fake)
            loss = losses["loss"] + self.weight * generator_loss
            scaled = self.scaled(loss, self.optimizer)
        self.learn(tape, scaled)
        return losses | {"generator_loss": generator_loss, **figures}
