"""What every scheme is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from kcolor.settings import Checked

if TYPE_CHECKING:
    import keras

    from kcolor.colorizer import Colorizer
    from kcolor.models.architecture import Architecture
    from kcolor.objectives.objective import Objective
    from kcolor.training.supervised import Supervised


@dataclass(frozen=True)
class Scheme(Checked):
    """How the parameters are learnt.

    A subclass is a frozen dataclass whose fields are its settings: they become
    flags of `kcolor-train` and keys of an experiment. What trains is a Keras
    model in `kcolor.training`, which `build` returns.
    """

    name: ClassVar[str]
    # Of the optimizer, where the experiment says "auto".
    learning_rate: ClassVar[float] = 1e-3
    beta_1: ClassVar[float] = 0.9
    # The validation metric that says which epoch is the best; None for what
    # suits the objective.
    monitor: ClassVar[str | None] = None
    # Whether lightness and ab of a step are of different photos.
    is_unpaired: ClassVar[bool] = False

    @property
    def other_rates(self) -> dict[str, float]:
        """Learning rates of more optimizers, by what `compile` calls them."""
        return {}

    @property
    def generator_noise(self) -> str:
        """How the colorizer is made to have many answers, as it takes it."""
        return "none"

    def check(
        self,
        architecture: Architecture,
        objective: Objective,
        image_size: int,
        batch_size: int,
        epochs: int,
    ) -> None:
        """Refuses, before anything is built, what could not be trained.

        Raises:
            UserError: The parts, a setting or a size does not fit.
        """

    def callbacks(self) -> list[keras.callbacks.Callback]:
        """Returns what it wants to happen beside the training steps."""
        return []

    def build(self, colorizer: Colorizer, seed: int) -> Supervised:
        """Returns the Keras model that trains a colorizer.

        Args:
            colorizer: What is trained.
            seed: Of all that is random in it.
        """
        raise NotImplementedError
