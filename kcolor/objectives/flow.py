"""Flow matching on coarse ab."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from jsonargparse.typing import PositiveInt

from kcolor.late import keras
from kcolor.objectives import register
from kcolor.objectives.objective import Objective

SCALE = 20.0  # of ab: about as wide as the noise it starts from
LARGEST = 110.0  # that an ab gets: a bad step must not run off
PREDICT_SEED = 0


@register("flow")
@dataclass(frozen=True)
class Flow(Objective):
    """Flow matching from noise to the photo's ab, on a coarse grid.

    The network sees lightness, ab on its straight way from Gaussian noise at
    time 0 to the truth at time 1, and the time, and predicts the way's
    velocity. Lightness is never noised. Assumes nothing about the shape of the
    colours, not even that pixels are independent. `sample` follows the
    velocities from fresh noise to colour; `decode` from noise that is always
    the same, so it, too, is one plausible colouring and not a mean.

    Meant for averaged weights: `--ema 0.999`.

    Args:
        grid: Pixels of the photo, along each side, to one of the coarse grid.
        flow_steps: Steps (Heun's) from noise to colour: 8 to 16 are enough.

    Reference:
        Lipman et al. 2023, "Flow Matching for Generative Modeling", sec. 4.1
        (optimal transport paths). Liu, Gong and Liu 2023, "Flow Straight and
        Fast", eq. 1.
    """

    planes: ClassVar[int] = 3  # noised a and b, and the time
    samples: ClassVar[bool] = True
    sees_all: ClassVar[bool] = True

    grid: PositiveInt = 4
    flow_steps: PositiveInt = 8

    @property
    def channels(self) -> int:
        return 2

    def train_losses(self, forward, ab, seeds):
        truth = _pooled(ab, self._side(forward)) / SCALE
        noise = keras.random.normal(keras.ops.shape(truth), seed=seeds)
        time = keras.random.uniform((forward.shape[0], 1, 1, 1), seed=seeds)
        between = time * truth + (1 - time) * noise
        velocity = self._velocity(forward, between, time)
        error = keras.ops.square(velocity - (truth - noise))
        losses = {"loss": keras.ops.mean(error)}
        arrived = between + (1 - time) * velocity
        return self.with_terms(losses, SCALE * arrived, SCALE * truth)

    def predict(self, forward):
        return self._follow(forward, 1, PREDICT_SEED)

    def sample(self, forward, seeds):
        return self._follow(forward, forward.shape[0], seeds)

    def _side(self, forward) -> int:
        """Returns the pixels of the outputs to one of the coarse grid."""
        return max(1, self.grid // forward.stride)

    def _velocity(self, forward, between, time):
        """Returns the velocity, (N, h, w, 2), of coarse ab at a time."""
        photos, height, width = forward.shape
        planes = _enlarged(between, self._side(forward) * forward.stride)
        times = keras.ops.broadcast_to(time, (photos, height, width, 1))
        outputs = forward(planes[:, :height, :width], times)
        return _pooled(keras.ops.cast(outputs, "float32"), self._side(forward))

    def _follow(self, forward, count, seeds):
        """Returns ab from the noise of each photo, or of all if count is 1."""
        side = self._side(forward)
        photos, height, width = forward.shape
        coarse = [-(-n // (side * forward.stride)) for n in (height, width)]
        ab = keras.random.normal((count, *coarse, 2), seed=seeds)
        ab = keras.ops.broadcast_to(ab, (photos, *coarse, 2))
        step = 1 / self.flow_steps
        for number in range(self.flow_steps):
            time = keras.ops.full((1, 1, 1, 1), number * step)
            velocity = self._velocity(forward, ab, time)
            if number < self.flow_steps - 1:  # Heun's; at the end Euler's
                ahead = ab + step * velocity
                later = self._velocity(forward, ahead, time + step)
                velocity = (velocity + later) / 2
            ab = ab + step * velocity
        ab = keras.ops.clip(SCALE * ab, -LARGEST, LARGEST)
        rows, columns = height // forward.stride, width // forward.stride
        return _enlarged(ab, side, "bilinear")[:, :rows, :columns]


def _pooled(pixels, side: int):
    if side == 1:
        return pixels
    return keras.ops.average_pool(pixels, side, padding="same")


def _enlarged(pixels, side: int, interpolation: str = "nearest"):
    height, width = keras.ops.shape(pixels)[1:3]
    from kcolor.resize import resize

    return resize(pixels, height * side, width * side, interpolation)
