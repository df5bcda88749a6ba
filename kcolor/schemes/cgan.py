"""The conditional GAN of pix2pix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from jsonargparse.typing import NonNegativeInt, restricted_number_type

from kcolor.errors import UserError
from kcolor.schemes import register
from kcolor.schemes.adversarial import AdversarialScheme
from kcolor.settings import NonNegative

Rounds = restricted_number_type("Rounds", int, [(">=", 1), ("<=", 100)])
# pix2pix's 1 to 100 is this beside the error of grey photos, a tenth of what ab
# is scaled to.
AUTO_SHARE = 0.1


@register("cgan")
@dataclass(frozen=True, kw_only=True)
class ConditionalGAN(AdversarialScheme):
    """The loss, and a discriminator that sees lightness and ab together.

    The colorizer minimises its loss + `gan_weight` x the adversarial loss, so a
    colouring that is no mean but could be a photo's is worth some error. The
    discriminator sees true ab as coarse as the colorizer's, or it would know
    real photos by their sharpness. The best epoch is still chosen by a
    validation metric.

    Args:
        gan_weight: Weight of the adversarial loss beside the other; auto: a
            tenth of about what the other is of grey photos: 1.1 beside l1,
            which is pix2pix's 1 to 100 where ab is scaled to -1..1, and 0.3
            beside losses in nats.
        noise: What lets one photo have many colourings, which draws.png shows:
            none, planes of noise beside the lightness, or the architecture's
            dropout, at work when it is sampled, too.
        discriminator_steps: Of the discriminator to one of the colorizer, on
            the same photos.
        pretrain_epochs: Epochs at the start without the discriminator.

    Example:

    >>> from kcolor.objectives.l1 import L1
    >>> round(ConditionalGAN().weight(L1()), 3)
    1.1

    Reference:
        Isola, Zhu, Zhou and Efros 2017, "Image-to-Image Translation with
        Conditional Adversarial Networks", eq. 1 to 4. Mao et al. 2017 (least
        squares), Lim and Ye 2017 (hinge), Gulrajani et al. 2017 (wgan_gp),
        Mescheder, Geiger and Nowozin 2018 (R1), Miyato et al. 2018 (spectral).
    """

    gan_weight: Literal["auto"] | NonNegative = "auto"
    noise: Literal["none", "planes", "dropout"] = "none"
    discriminator_steps: Rounds = 1
    pretrain_epochs: NonNegativeInt = 0

    @property
    def generator_noise(self) -> str:
        return self.noise

    def weight(self, objective) -> float:
        """Returns the weight of the adversarial loss beside an objective's."""
        if self.gan_weight != "auto":
            return self.gan_weight
        return AUTO_SHARE * float(objective.grey_loss)

    def check(self, architecture, objective, image_size, batch_size, epochs):
        super().check(architecture, objective, image_size, batch_size, epochs)
        if self.pretrain_epochs >= epochs:
            raise UserError(
                f"--pretrain-epochs {self.pretrain_epochs} leaves none of the "
                f"{epochs} epochs to the discriminator: give fewer, or more "
                "--epochs"
            )
        if self.noise == "dropout" and not getattr(architecture, "dropout", 0):
            raise UserError(
                f"--noise dropout needs an architecture that drops: "
                f"{architecture.name} has no dropout: set --dropout, or give "
                "--noise planes"
            )

    def build(self, colorizer, seed):
        from kcolor.training.cgan import CGAN

        return CGAN(colorizer, self, seed)
