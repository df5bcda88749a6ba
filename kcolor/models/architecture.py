"""What every architecture is."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from kcolor.errors import UserError
from kcolor.settings import Checked

if TYPE_CHECKING:
    import keras


class Architecture(Checked):
    """What sees lightness and produces `channels` numbers for each pixel.

    A subclass is a frozen dataclass whose fields are its settings: they become
    flags of `kcolor-train` and keys of an experiment. It knows nothing of
    colour or loss.
    """

    name: ClassVar[str]
    # Whether it learns the photos' classes, too, where they have some.
    classifies: ClassVar[bool] = False

    @property
    def stride(self) -> int:
        """Pixels of the photo, along each side, to one pixel of the output."""
        return 1

    @property
    def multiple(self) -> int:
        """What the network's input is a multiple of, in height and width.

        Photos of other sizes are padded to it before the network sees them.
        """
        return self.stride

    @property
    def least(self) -> int:
        """The least height and width of the network's input."""
        return 1

    @property
    def has_encoder(self) -> bool:
        """Whether others have trained a part of it: see `encoder_of`."""
        return False

    def label(self, classes: int) -> Architecture:
        """Returns this architecture for photos of so many labelled classes."""
        return self

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
            A functional model, (N, H, W, planes) to (N, H / stride, W / stride,
            channels), whose outputs are float32. One with a branch that
            classifies photos returns a dictionary: these as "pixels", the
            logits (N, classes) as "classes".
        """
        raise NotImplementedError

    def encoder_of(self, network: keras.Model) -> keras.Model | None:
        """Returns the part of a network that others have trained, if any.

        Args:
            network: What `build` returned.
        """
        return None

    def decoder_of(self, network: keras.Model) -> keras.Model | None:
        """Returns all but the encoder, if there is one.

        A model of the planes and the encoder's features, a list, to the
        outputs.

        Args:
            network: What `build` returned.
        """
        return None

    def require(self) -> None:
        """Refuses to begin a training without what others have trained.

        Raises:
            UserError: It is not installed.
        """

    def load_encoder(self, network: keras.Model) -> None:
        """Gives a network the weights that others have trained.

        Args:
            network: What `build` returned.

        Raises:
            UserError: They are not there.
        """

    def sparse(self, network: keras.Model) -> keras.Model | None:
        """Returns the network for training on few pixels of each photo.

        Args:
            network: What `build` returned; the other shares its weights.

        Returns:
            A model of (planes, positions) to (N, S, 1, channels), where
            positions, int32 (N, S, 2), are rows and columns of the output.
            None for networks that train on all pixels.
        """
        return None


def doubled(filters: int, level: int) -> int:
    """Returns a level's filters: twice the last one's, up to eight times."""
    return filters * min(2**level, 8)


def scaled(filters: int, width: float) -> int:
    """Returns a paper's number of filters at a factor, at least 1."""
    return max(1, round(width * filters))


def check_depth(
    architecture: Architecture, depth: int, image_size: int
) -> None:
    """Refuses photos smaller than the squares that become one pixel.

    Raises:
        UserError: The photos are too small for the architecture's depth.
    """
    if image_size < architecture.multiple:
        raise UserError(
            f"{architecture.name} of depth {depth} cannot take "
            f"photos of {image_size} pixels: --image-size must be at least "
            f"{architecture.multiple}, or --depth less"
        )
