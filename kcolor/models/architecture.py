"""What every architecture is."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import keras


class Architecture:
    """What sees lightness and produces `channels` numbers for each pixel.

    A subclass is a frozen dataclass whose fields are its settings: they become
    flags of `kcolor-train` and keys of an experiment. It knows nothing of
    colour or loss.
    """

    name: ClassVar[str]

    def check(self, image_size: int, channels: int) -> None:
        """Refuses, before anything is built, what `build` could not do.

        Raises:
            UserError: The size or the number of channels does not fit.
        """

    def build(self, image_size: int, planes: int, channels: int) -> keras.Model:
        """Returns the network.

        Args:
            image_size: Height and width that it will be trained at, in
                pixels. Networks that take any size leave theirs open.
            planes: Input planes: 1 for lightness, scaled to -1..1, and more
                where an objective or a scheme adds some.
            channels: Numbers for each pixel that the objective asks for.

        Returns:
            A functional model, (N, H, W, planes) to (N, H, W, channels), whose
            outputs are float32.
        """
        raise NotImplementedError
