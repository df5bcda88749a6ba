"""CycleGAN: grey photos and colour photos that are no pairs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from jsonargparse.typing import restricted_number_type

from kcolor.errors import UserError
from kcolor.schemes import register
from kcolor.schemes.adversarial import AdversarialScheme
from kcolor.settings import NonNegative

Pool = restricted_number_type("Pool", int, [(">=", 0), ("<=", 4096)])


@register("cyclegan")
@dataclass(frozen=True, kw_only=True)
class CycleGANScheme(AdversarialScheme):
    """Learning from grey photos and from other photos in colour.

    One half of the photos gives its lightness, the other its colours. With any
    loss but `rgb` the colorizer keeps the lightness and predicts ab. Greying is
    then exact, and the cycle is on lightness: what the screen cannot show of a
    colour changes it. The loss itself only measures: nothing but the
    discriminator teaches. So it must be one that has a single answer. With
    `--loss rgb` it is the paper's two generators and two discriminators: the
    other one greys, and each must undo what the other did.

    Args:
        cycle_weight: Weight of the cycle's absolute error, where lightness and
            RGB are scaled to -1..1.
        identity_weight: Weight, times cycle_weight, of the greying generator's
            error on photos that are grey already; only with --loss rgb.
        pool: Coloured photos that are remembered: the discriminator sees one of
            them in place of about half of the fresh ones; 0 for none.

    Example:

    >>> CycleGANScheme().pool
    50

    Reference:
        Zhu, Park, Isola and Efros 2017, "Unpaired Image-to-Image Translation
        using Cycle-Consistent Adversarial Networks", eq. 1 to 3, sec. 4 and
        5.2. The pool: Shrivastava et al. 2017, "Learning from Simulated and
        Unsupervised Images", sec. 2.3.
    """

    monitor: ClassVar[str] = "colorfulness_gap"
    is_unpaired: ClassVar[bool] = True

    gan_loss: Literal["vanilla", "least_squares", "hinge", "wgan_gp"] = (
        "least_squares"
    )
    cycle_weight: NonNegative = 10.0
    identity_weight: NonNegative = 0.5
    pool: Pool = 50

    def check(self, architecture, objective, image_size, batch_size, epochs):
        super().check(architecture, objective, image_size, batch_size, epochs)
        if 0 < self.pool < batch_size:
            raise UserError(
                f"--pool {self.pool} is less than the {batch_size} photos of a "
                "step: give a larger one, a lower --batch-size, or 0 for none"
            )
        if objective.can_sample or objective.term_weights:
            raise UserError(
                f"the loss does not teach under cyclegan, so {objective.name} "
                "would have draws or terms that nothing has trained: give "
                "--loss l1 or rgb, without terms"
            )
        if architecture.classifies:
            raise UserError(
                f"cyclegan cannot teach {architecture.name}, which learns "
                "classes from pairs: give another --arch"
            )

    def build(self, colorizer, seed):
        from kcolor.training.cyclegan import CycleGAN

        return CycleGAN(colorizer, self, seed)
