"""The colorizer: lightness in, ab out."""

from __future__ import annotations

import keras

from kcolor import models, objectives
from kcolor.models.architecture import Architecture
from kcolor.objectives.objective import Objective
from kcolor.settings import settings


@keras.saving.register_keras_serializable("kcolor")
class Colorizer(keras.Model):
    """An architecture and an objective as one model, in physical units.

    Args:
        architecture: What produces numbers for each pixel.
        objective: What those numbers mean.
        image_size: Height and width of the photos it is trained on, in pixels.

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
        **kwargs,
    ):
        # Lightness and ab stay float32; the network has its own precision.
        super().__init__(dtype="float32", **kwargs)
        self.architecture = architecture
        self.objective = objective
        self.image_size = image_size
        self.network = architecture.build(
            image_size, planes=1, channels=objective.channels
        )
        self.build((None, *self.network.input_shape[1:3], 1))

    def outputs(self, lightness, training=False):
        """Returns the network's outputs, (N, H, W, channels).

        Args:
            lightness: (N, H, W, 1), 0 to 100.
            training: Whether dropout and batch statistics are those of
                training.
        """
        return self.network(lightness / 50.0 - 1.0, training=training)

    def call(self, lightness, training=False):
        """Returns ab, (N, H, W, 2), for lightness (N, H, W, 1), 0 to 100."""
        return self.objective.decode(self.outputs(lightness, training))

    def build(self, input_shape):
        self.built = True

    def get_config(self):
        return {
            "name": self.name,
            "architecture": _settings_of(self.architecture),
            "objective": _settings_of(self.objective),
            "objective_state": self.objective.state(),
            "image_size": self.image_size,
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


def _settings_of(part: Architecture | Objective) -> dict:
    chosen = {
        field.name: getattr(part, field.name) for field in settings(type(part))
    }
    return {"name": part.name, **chosen}
