"""What the schemes with a discriminator share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from kcolor.errors import UserError
from kcolor.models.discriminators import LEAST
from kcolor.schemes.scheme import Scheme
from kcolor.settings import Count, Depth, NonNegative, Positive, Share


@dataclass(frozen=True, kw_only=True)
class AdversarialScheme(Scheme):
    """A discriminator learns to tell coloured photos from real ones.

    Args:
        discriminator: What tells them apart: patch looks at overlapping
            squares, pixel at each pixel alone, cnn, like the poster's network,
            at the whole photo.
        patch_layers: Convolutions of stride 2, in patch alone: 1, 2, 3 look at
            squares of 16, 34, 70 pixels; 3 is the paper's.
        discriminator_filters: Of the first layer of patch and pixel: 64 in the
            papers.
        spectral: Whether the discriminator's weights are divided by their
            largest singular value, which stands in for its normalisation.
        discriminator_rate: Learning rate of the discriminator; --schedule
            lowers it as it does the other. All else of its optimizer is as
            that of the colorizer's.
        gan_loss: Of the game between the two: vanilla, cross entropy;
            least_squares, cyclegan's own default; hinge; wgan_gp, Wasserstein's
            with a penalty on gradients.
        label_smoothing: How far below 1 the discriminator's target for real
            photos is, of vanilla and least_squares.
        gradient_penalty: Weight of the penalty of wgan_gp alone, on the
            gradient of a photo's mean logit.
        r1: Weight of another penalty, for any of them: half the squared
            gradient of a logit at real photos; 0 for none.
    """

    learning_rate: ClassVar[float] = 2e-4
    beta_1: ClassVar[float] = 0.5

    discriminator: Literal["patch", "pixel", "cnn"] = "patch"
    patch_layers: Depth = 2
    discriminator_filters: Count = 32
    spectral: bool = False
    discriminator_rate: Positive = 2e-4
    gan_loss: Literal["vanilla", "least_squares", "hinge", "wgan_gp"] = (
        "vanilla"
    )
    label_smoothing: Share = 0.0
    gradient_penalty: NonNegative = 10.0
    r1: NonNegative = 0.0

    @property
    def other_rates(self) -> dict[str, float]:
        return {"discriminator_optimizer": self.discriminator_rate}

    def check(self, architecture, objective, image_size, batch_size, epochs):
        super().check(architecture, objective, image_size, batch_size, epochs)
        if not objective.teachable:
            raise UserError(
                f"{self.name} cannot teach {objective.name}, whose colours are "
                "no smooth function of the network's outputs: give another "
                "--loss, or --scheme supervised"
            )
        least = LEAST[self.discriminator]
        if self.discriminator == "patch":
            least *= 2**self.patch_layers
        if image_size < least:
            raise UserError(
                f"the discriminator {self.discriminator} cannot take photos of "
                f"{image_size} pixels: --image-size must be at least {least}, "
                "or give fewer --patch-layers or --discriminator pixel"
            )

    def callbacks(self):
        from kcolor.training.callbacks import WarnOnCollapse

        return [WarnOnCollapse(self.gan_loss)]

    def build_discriminator(self, planes: int, image_size: int, name: str):
        """Returns a discriminator of photos of so many planes."""
        from kcolor.models.discriminators import build

        return build(
            self.discriminator,
            image_size,
            planes,
            self.discriminator_filters,
            self.patch_layers,
            self.spectral,
            name,
        )
