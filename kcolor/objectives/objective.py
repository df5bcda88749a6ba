"""What every objective is."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

if TYPE_CHECKING:
    from keras import KerasTensor as Tensor


class Objective:
    """What a network's numbers mean, and how far they are from true ab.

    A subclass is a frozen dataclass whose fields are its settings: they become
    flags of `kcolor-train` and keys of an experiment. All of it computes in
    float32, whatever the precision of the network.
    """

    name: ClassVar[str]
    logged: ClassVar[tuple[str, ...]] = ("loss",)  # what `losses` returns
    # The validation metric that says which epoch is the best.
    monitor: ClassVar[str] = "loss"

    @property
    def channels(self) -> int:
        """Numbers for each pixel that the network must give."""
        raise NotImplementedError

    def adapt(self, histogram: np.ndarray) -> Objective:
        """Returns this objective fitted to the training photos' colours.

        Args:
            histogram: (256, 256) counts of the training pixels by rounded a
                and b, from -128 to 127.
        """
        return self

    def state(self) -> dict[str, list[float]]:
        """Returns what `adapt` learnt, as the model's file keeps it."""
        return {}

    def restore(self, state: dict[str, list[float]]) -> Objective:
        """Returns this objective with what `state` gave."""
        return self

    def losses(self, outputs: Tensor, ab: Tensor) -> dict[str, Tensor]:
        """Returns the `loss` to train on, and scalars to log beside it.

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
