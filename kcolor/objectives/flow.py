"""Flow matching on coarse ab."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jsonargparse.typing import PositiveInt

from kcolor.color import LARGEST_AB
from kcolor.errors import UserError
from kcolor.late import keras
from kcolor.objectives import register
from kcolor.objectives.objective import Objective
from kcolor.objectives.regression import SCALE
from kcolor.replicas import drawn
from kcolor.resize import enlarge, shrink
from kcolor.settings import Count

# The noise that `predict` starts from, repeated where the grid is larger. Not
# drawn by Keras, whose draws differ between devices and under XLA.
PREDICT_NOISE = np.random.default_rng(0).normal(size=(64, 64, 2))


@register("flow")
@dataclass(frozen=True)
class Flow(Objective):
    """Flow matching from noise to the photo's ab, on a coarse grid.

    The network sees lightness, ab on its straight way from Gaussian noise at
    time 0 to the truth at time 1, and the time, and predicts the way's
    velocity. Lightness is never noised. Assumes nothing about the shape of the
    colours, not even that pixels are independent. `sample` follows the
    velocities from fresh noise to colour. The one answer follows them from
    noise that is always the same, so it, too, is one plausible colouring and
    not a mean. It carries no added terms: what velocities point to is, early on
    the way, a mean, and rightly greyer than the truth.

    Args:
        grid: Pixels of the photo, along each side, to one of the coarse grid: a
            multiple of those to one of the architecture's outputs.
        flow_steps: Steps (Heun's, two questions each) from noise to colour: 8
            to 16 are enough.

    Example:

    >>> Flow().planes  # noised a and b, and the time
    3

    Reference:
        Lipman et al. 2023, "Flow Matching for Generative Modeling", sec. 4.1
        (optimal transport paths). Liu, Gong and Liu 2023, "Flow Straight and
        Fast", eq. 1. Karras et al. 2022, "Elucidating the Design Space of
        Diffusion-Based Generative Models", algorithm 1 (Heun's steps).
    """

    planes: ClassVar[int] = 3  # noised a and b, and the time
    can_sample: ClassVar[bool] = True
    sees_all: ClassVar[bool] = True
    loops: ClassVar[bool] = True
    ema: ClassVar[float] = 0.999

    grid: PositiveInt = 4
    flow_steps: Count = 8

    @property
    def channels(self) -> int:
        return 2

    @property
    def teachable(self) -> bool:
        return False  # its outputs are velocities

    def __post_init__(self):
        super().__post_init__()
        if self.term_weights:
            terms = " and ".join(self.term_weights)
            raise UserError(f"flow carries no added terms: leave out {terms}")

    @property
    def range_loss(self):
        return (2 * LARGEST_AB / SCALE) ** 2

    def check(self, image_size: int, stride: int) -> None:
        if self.grid % stride or self.grid > image_size:
            raise UserError(
                f"--grid {self.grid} does not fit photos of {image_size} "
                f"pixels and an architecture that answers for squares of "
                f"{stride}: give a multiple of {stride}, at most {image_size}"
            )

    def train_losses(self, forward, ab, seeds):
        truth = shrink(ab, self._side(forward)) / SCALE
        shape = keras.ops.shape(truth)
        noise = drawn(keras.random.normal, shape, seed=seeds)
        time = drawn(keras.random.uniform, (shape[0], 1, 1, 1), seed=seeds)
        between = time * truth + (1 - time) * noise
        velocity = self._velocity(forward, between, time)
        error = keras.ops.square(velocity - (truth - noise))
        return {"loss": keras.ops.mean(error)}

    def predict(self, forward):
        photos, height, width = self._coarse(forward)
        rows, columns = (
            keras.ops.arange(size) % len(PREDICT_NOISE)
            for size in (height, width)
        )
        noise = keras.ops.take(np.float32(PREDICT_NOISE), rows, axis=0)
        noise = keras.ops.take(noise, columns, axis=1)
        shape = (photos, height, width, 2)
        return self._follow(forward, keras.ops.broadcast_to(noise, shape))

    def sample(self, forward, seeds):
        shape = (*self._coarse(forward), 2)
        return self._follow(forward, keras.random.normal(shape, seed=seeds))

    def _side(self, forward) -> int:
        """Returns the network's outputs, along a side, to one of the grid."""
        return self.grid // forward.stride

    def _coarse(self, forward) -> tuple:
        """Returns N, and height and width of the coarse grid."""
        photos, height, width = forward.shape
        return photos, -(-height // self.grid), -(-width // self.grid)

    def _velocity(self, forward, between, time):
        """Returns the velocity, (N, h, w, 2), of coarse ab at a time."""
        photos, height, width = forward.shape
        planes = enlarge(between, self.grid, "nearest")
        times = keras.ops.broadcast_to(time, (photos, height, width, 1))
        outputs = forward(planes[:, :height, :width], times)
        return shrink(keras.ops.cast(outputs, "float32"), self._side(forward))

    def _follow(self, forward, ab):
        """Returns ab, (N, H, W, 2), where the velocities lead from noise."""
        size = 1 / self.flow_steps

        def step(number, ab):
            time = size * keras.ops.cast(number, "float32")
            velocity = self._velocity(forward, ab, time)
            ahead = ab + size * velocity
            later = self._velocity(forward, ahead, time + size)
            return ab + size * (velocity + later) / 2

        # A loop in the graph, which does not grow with the steps.
        ab = keras.ops.fori_loop(0, self.flow_steps, step, ab)
        # A bad step must not run off.
        ab = keras.ops.clip(SCALE * ab, -LARGEST_AB, LARGEST_AB)
        _, height, width = forward.shape
        rows, columns = (-(-n // forward.stride) for n in (height, width))
        return enlarge(ab, self._side(forward))[:, :rows, :columns]
