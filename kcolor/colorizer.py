"""The colorizer: lightness in, ab out."""

from __future__ import annotations

import contextlib
import numbers

import keras

from kcolor import models, objectives
from kcolor.color import LARGEST_AB
from kcolor.forward import (
    NOISE_PLANES,
    PREDICT_NOISE,
    Forward,
    noise_planes,
)
from kcolor.layers.dropout import dropping
from kcolor.models.architecture import Architecture
from kcolor.objectives.objective import Objective
from kcolor.resize import crop, enlarge, shrink
from kcolor.settings import settings


@keras.saving.register_keras_serializable("kcolor")
class Colorizer(keras.Model):
    """An architecture and an objective as one model, in physical units.

    Args:
        architecture: What produces numbers for each pixel.
        objective: What those numbers mean.
        image_size: Height and width of the photos it is trained on, in pixels.
        classes: How many classes the training photos are labelled with; 0 for
            none. Only architectures that classify, too, care.
        noise: What lets a photo have many answers, beside the objective:
            "none"; "planes", a few numbers for each photo, as planes beside the
            lightness; "dropout", that of the architecture. The one answer is
            that to noise which is always the same, or without dropout.

    Raises:
        UserError: The two do not fit each other, or the size.

    Example:

    >>> from kcolor.models.cnn import CNN
    >>> from kcolor.objectives.l2 import L2
    >>> colorizer = Colorizer(CNN(head="conv"), L2(), image_size=32)
    >>> colorizer(keras.ops.zeros((1, 48, 40, 1))).shape
    TensorShape([1, 48, 40, 2])
    """

    def __init__(
        self,
        architecture: Architecture,
        objective: Objective,
        image_size: int,
        classes: int = 0,
        noise: str = "none",
        **kwargs,
    ):
        # Lightness and ab stay float32; the network has its own precision.
        super().__init__(dtype="float32", **kwargs)
        architecture.check(image_size, objective.channels)
        objective.check(image_size, architecture.stride)
        self.architecture = architecture
        self.objective = objective
        self.image_size = image_size
        self.classes = classes if architecture.classifies else 0
        self.noise = noise
        added = NOISE_PLANES if noise == "planes" else 0
        self.network = architecture.label(self.classes).build(
            image_size,
            planes=1 + added + objective.planes,
            channels=objective.channels,
        )
        height, width = self.network.inputs[0].shape[1:3]
        self.build((None, height, width, 1))

    @property
    def fixed_size(self) -> int | None:
        """Height and width of the only photos it takes; None for any."""
        return self.network.inputs[0].shape[1]

    @property
    def can_sample(self) -> bool:
        """Whether `sample` gives more than one answer."""
        return self.objective.can_sample or self.noise != "none"

    def forward(
        self,
        lightness,
        training=False,
        network=None,
        positions=None,
        noise=None,
        features=(),
    ) -> Forward:
        """Returns lightness on its way through the network.

        Args:
            lightness: (N, H, W, 1), 0 to 100.
            training: Whether dropout and batch statistics are those of
                training.
            network: What to ask in place of the whole network.
            positions: (N, S, 2), what to ask it for.
            noise: What `draw_noise` gave; None for noise that is always the
                same.
            features: What the encoder says of the lightness, where the network
                is the rest alone.

        Raises:
            ValueError: The lightness has another shape.
        """
        lightness = keras.ops.convert_to_tensor(lightness, "float32")
        shape = lightness.shape
        if shape.rank != 4 or shape[-1] != 1:
            raise ValueError(f"lightness must be (N, H, W, 1), not {shape}")
        if noise is None and self.noise == "planes":
            size = keras.ops.shape(lightness)[:3]
            noise = keras.ops.broadcast_to(
                PREDICT_NOISE[0], (*size, NOISE_PLANES)
            )
        return Forward(
            network or self.network,
            self.architecture,
            lightness / 50.0 - 1.0,
            noise,
            training,
            positions,
            features,
        )

    def call(self, lightness, training=False):
        """Returns ab, (N, H, W, 2), for lightness (N, H, W, 1), 0 to 100."""
        forward = self.forward(lightness, training)
        return self.to_photo(self.objective.predict(forward), lightness)

    def sample(self, lightness, seed=None):
        """Returns one plausible ab, (N, H, W, 2), another for each seed.

        By objectives that know only one answer, that one.

        Args:
            lightness: (N, H, W, 1), 0 to 100.
            seed: An integer, a `keras.random.SeedGenerator`, or None for a
                fresh draw at each call.
        """
        if isinstance(seed, numbers.Integral):
            seed = int(seed)  # Keras does not take NumPy's
        noise = self.draw_noise(lightness, seed)
        forward = self.forward(lightness, noise=noise)
        drops = self.noise == "dropout"
        with dropping(seed) if drops else contextlib.nullcontext():
            ab = self.objective.sample(forward, seed)
        return self.to_photo(ab, lightness)

    def draw_noise(self, lightness, seeds):
        """Returns fresh planes of noise, (N, H, W, any), if it has some."""
        if self.noise != "planes":
            return None
        return noise_planes(keras.ops.shape(lightness)[:3], seeds)

    def to_grid(self, ab):
        """Returns ab on the grid of the network's outputs, by its means.

        Args:
            ab: (N, H, W, 2), in ab units.
        """
        return shrink(ab, self.architecture.stride)

    def to_photo(self, ab, lightness):
        """Returns ab of the network's grid at the size of the photos.

        Args:
            ab: (N, h, w, 2), in ab units.
            lightness: (N, H, W, 1), of the photos.
        """
        height, width = keras.ops.shape(lightness)[1:3]
        ab = crop(enlarge(ab, self.architecture.stride), height, width)
        return keras.ops.clip(ab, -LARGEST_AB, LARGEST_AB)

    def build(self, input_shape):
        self.built = True

    def get_config(self):
        return {
            "name": self.name,
            "architecture": _settings_of(self.architecture),
            "objective": _settings_of(self.objective),
            "objective_state": self.objective.state(),
            "image_size": self.image_size,
            "classes": self.classes,
            "noise": self.noise,
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        architecture = dict(config.pop("architecture"))
        objective = dict(config.pop("objective"))
        state = config.pop("objective_state")
        return cls(
            models.get(architecture.pop("name"))(**architecture),
            objectives.get(objective.pop("name"))(**objective).restore(state),
            **config,
        )

    def changed(self, image_size: int | None = None, **settings) -> Colorizer:
        """Returns a colorizer that has learnt the same, and is asked otherwise.

        Args:
            image_size: Short side at which it sees photos, in pixels; None for
                this one's.
            **settings: Of its objective, such as the temperature of ce; None
                for this one's.

        Example:

        >>> from kcolor.models.cnn import CNN
        >>> from kcolor.objectives.ce import CrossEntropy
        >>> colorizer = Colorizer(CNN(head="conv"), CrossEntropy(), 32)
        >>> colorizer.changed(temperature=1.0).objective.temperature
        1.0
        """
        config = self.get_config()
        config["objective"] |= {
            name: value for name, value in settings.items() if value is not None
        }
        if image_size is not None:
            config["image_size"] = image_size
        other = Colorizer.from_config(config)
        other.set_weights(self.get_weights())
        return other


def _settings_of(part: Architecture | Objective) -> dict:
    chosen = {
        field.name: getattr(part, field.name) for field in settings(type(part))
    }
    return {"name": part.name, **chosen}
