"""What every objective is."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from kcolor.objectives import terms
from kcolor.settings import Checked, NonNegative, settings

if TYPE_CHECKING:
    from keras import KerasTensor as Tensor
    from keras.random import SeedGenerator

    from kcolor.forward import Forward


@dataclass(frozen=True)
class Objective(Checked):
    """What a network's numbers mean, and how far they are from true ab.

    A subclass is a frozen dataclass whose fields are its settings: they become
    flags of `kcolor-train` and keys of an experiment. Those with the metadata
    `{"setting": False}` are tuples that `adapt` learns from the data and the
    model's file keeps. All of it computes in float32, whatever the precision of
    the network.

    The network's outputs may be coarser than the photo; `ab` always has their
    grid.

    Raises:
        UserError: A setting is not what its type says.

    Args:
        chroma_transport: Weight of an added term: how far the batch's predicted
            colours, wherever they are, must be moved to become the true ones,
            in ab units: about 10 for grey ones.
        chroma_gap: Weight of an added term: how much less or more colourful
            each photo is than the truth, in ab units: about 18 for grey ones.
    """

    name: ClassVar[str]
    # Scalars that `losses` returns beside the `loss`.
    also_logged: ClassVar[tuple[str, ...]] = ()
    # The validation metric that says which epoch is the best.
    monitor: ClassVar[str] = "loss"
    # Planes that the objective adds to the network's input.
    planes: ClassVar[int] = 0
    # Whether `sample` gives more than one answer.
    can_sample: ClassVar[bool] = False
    # Whether the loss needs all of a photo's pixels, side by side.
    sees_all: ClassVar[bool] = False
    # Whether `predict` asks the network in a loop.
    loops: ClassVar[bool] = False
    # Share of the average of the weights that suits it, as `--ema`.
    ema: ClassVar[float] = 0.0

    chroma_transport: NonNegative = field(default=0.0, kw_only=True)
    chroma_gap: NonNegative = field(default=0.0, kw_only=True)

    @property
    def channels(self) -> int:
        """Numbers for each pixel that the network must give."""
        raise NotImplementedError

    @property
    def range_loss(self) -> float | Tensor:
        """Loss of an error as wide as the range of ab; 1 if it has no unit."""
        return 1.0

    @property
    def grey_loss(self) -> float | Tensor:
        """About what the loss of grey photos is; here, of a prior, in nats."""
        return 3.0

    @property
    def teachable(self) -> bool:
        """Whether a discriminator can teach what `decode` makes of outputs."""
        return True

    @property
    def logged(self) -> tuple[str, ...]:
        """Names of what `train_losses` returns."""
        return ("loss", *self.also_logged, *self.term_weights)

    def check(self, image_size: int, stride: int) -> None:
        """Refuses, before anything is built, what could not be trained.

        Args:
            image_size: Height and width of the photos, in pixels.
            stride: The architecture's.

        Raises:
            UserError: A setting does not fit.
        """

    def adapt(self, histogram: np.ndarray) -> Objective:
        """Returns this objective fitted to the training photos' colours.

        Args:
            histogram: (256, 256) counts of the training pixels by rounded a
                and b, from -128 to 127.
        """
        return self

    def state(self) -> dict[str, list[float]]:
        """Returns what `adapt` learnt, as the model's file keeps it."""
        names = {part.name for part in dataclasses.fields(self)}
        names -= {part.name for part in settings(type(self))}
        return {
            name: list(getattr(self, name))
            for name in sorted(names)
            if getattr(self, name) is not None
        }

    def restore(self, state: dict[str, list[float]]) -> Objective:
        """Returns this objective with what `state` gave."""
        return dataclasses.replace(
            self, **{name: tuple(value) for name, value in state.items()}
        )

    def losses(self, outputs: Tensor, ab: Tensor) -> dict[str, Tensor]:
        """Returns the `loss` of outputs, and scalars to log beside it.

        Args:
            outputs: (N, H, W, channels) from the network.
            ab: (N, H, W, 2) true chroma, in ab units.

        Returns:
            Means over all pixels, by name.
        """
        raise NotImplementedError

    def decode(self, outputs: Tensor) -> Tensor:
        """Returns the one ab, (N, H, W, 2) in ab units, for the outputs."""
        raise NotImplementedError

    # === For objectives that ask the network more than once, or feed it ===

    def train_losses(
        self, forward: Forward, ab: Tensor, seeds: SeedGenerator
    ) -> dict[str, Tensor]:
        """Returns the `loss` to train on, and scalars to log beside it.

        Args:
            forward: The batch's lightness, on its way through the network.
            ab: (N, H, W, 2) true chroma on the grid of the network's outputs.
            seeds: Where all that is random comes from.
        """
        outputs = forward()
        losses = self.losses(outputs, ab)
        if not self.term_weights:
            return losses
        return self.with_terms(losses, self.decode(outputs), ab)

    def predict(self, forward: Forward) -> Tensor:
        """Returns the one ab, (N, H, W, 2) in ab units, for a batch.

        The same lightness always gives the same ab.
        """
        return self.decode(forward())

    def sample(
        self, forward: Forward, seeds: SeedGenerator | int | None
    ) -> Tensor:
        """Returns one of the plausible ab, (N, H, W, 2), another at each call.

        Objectives that know only one answer return that. The others ask
        `seeds` once: an integer gives the same numbers at each question.
        """
        return self.predict(forward)

    def with_terms(
        self, losses: dict[str, Tensor], ab_pred: Tensor, ab: Tensor
    ) -> dict[str, Tensor]:
        """Returns losses with the added terms, for predicted and true ab."""
        found = {
            name: getattr(terms, name)(ab_pred, ab)
            for name in self.term_weights
        }
        loss = losses["loss"] + sum(
            weight * found[name] for name, weight in self.term_weights.items()
        )
        return losses | found | {"loss": loss}

    @property
    def term_weights(self) -> dict[str, float]:
        """Weights of the added terms that are asked for."""
        weights = {
            "chroma_transport": self.chroma_transport,
            "chroma_gap": self.chroma_gap,
        }
        return {name: weight for name, weight in weights.items() if weight}
