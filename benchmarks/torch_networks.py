"""kcolor's networks in PyTorch, layer for layer, for `peers.py`.

Planes are channels first, as PyTorch has them. Layers bear the names that they
have in Keras, but for dots and underscores: by them `load_keras` finds weights.
"""

import math
import re

import numpy as np
import torch
from torch import nn

ZHANG_BLOCKS = (  # filters, convolutions, stride of the last one, dilation
    (16, 2, 2, 1),
    (32, 2, 2, 1),
    (64, 3, 2, 1),
    (128, 3, 1, 1),
    (128, 3, 1, 2),
    (128, 3, 1, 2),
    (128, 3, 1, 1),
)


def build(
    arch: str, planes: int, channels: int, norm: str = "InstanceNorm2d"
) -> nn.Module:
    """Returns a network at kcolor's default settings, for photos of 64x64.

    Args:
        arch: cnn, zhang, unet, resnet; or patch, the discriminator.
        planes: Of its input.
        channels: Of its output.
        norm: How photos are normalised, each by itself: InstanceNorm2d, or
            GroupNorm with a group for each channel, which is the same.
    """
    if arch == "cnn":
        return CNN(planes, channels)
    if arch == "zhang":
        return zhang(planes, channels)
    if arch == "unet":
        return UNet(planes, channels)
    make = resnet if arch == "resnet" else patch
    return make(planes, channels, NORMS[norm])


NORMS = {
    "InstanceNorm2d": lambda channels: nn.InstanceNorm2d(channels, affine=True),
    "GroupNorm": lambda channels: nn.GroupNorm(channels, channels),
}


class CNN(nn.Module):
    """The poster's: six valid 4x4 convolutions and a dense layer."""

    def __init__(self, planes: int, channels: int, size: int = 64):
        super().__init__()
        self.shape = (channels, size, size)
        self.trunk = nn.Sequential()
        before = planes
        for block, filters in enumerate((8, 16, 32, 64, 128, 16), start=1):
            for name, layer in (
                ("conv", nn.Conv2d(before, filters, 4)),
                ("relu", nn.ReLU(inplace=True)),
                ("norm", nn.BatchNorm2d(filters, eps=1e-5)),
            ):
                self.trunk.add_module(f"{name}{block}", layer)
            before, size = filters, size - 3
        features = before * size**2
        self.head = nn.Linear(features, math.prod(self.shape))
        self.calm = math.sqrt(before / features)

    def forward(self, planes):
        """Returns (N, channels, 64, 64) of (N, planes, 64, 64)."""
        outputs = self.head(self.trunk(planes).flatten(1))
        return self.calm * outputs.unflatten(1, self.shape)


class UNet(nn.Module):
    """At half the size, with residual blocks on the way down and up."""

    def __init__(
        self, planes: int, channels: int, filters: int = 32, depth: int = 4
    ):
        super().__init__()
        widths = [filters * min(2**level, 8) for level in range(depth + 1)]
        self.gather = nn.PixelUnshuffle(2)
        self.stem = nn.Conv2d(4 * planes, filters, 3, padding=1)
        self.down, self.shrink = nn.ModuleList(), nn.ModuleList()
        self.spread, self.mix = nn.ModuleList(), nn.ModuleList()
        self.up = nn.ModuleList()
        for width, below in zip(widths, widths[1:], strict=False):
            self.down.append(preactivated(width))
            self.shrink.append(nn.Conv2d(width, below, 2, stride=2))
            self.spread.append(nn.Conv2d(below, 4 * width, 1))
            self.mix.append(nn.Conv2d(2 * width, width, 1))
            self.up.append(preactivated(width))
        self.middle1 = preactivated(widths[-1])
        self.middle2 = preactivated(widths[-1])
        self.enlarge = nn.PixelShuffle(2)
        self.head = nn.Conv2d(filters, channels, 1)

    def forward(self, planes):
        """Returns (N, channels, H / 2, W / 2) of (N, planes, H, W)."""
        x = self.stem(self.gather(planes))
        skips = []
        for down, shrink in zip(self.down, self.shrink, strict=True):
            x = down(x)
            skips.append(x)
            x = shrink(x)
        x = self.middle2(self.middle1(x))
        for level in reversed(range(len(self.up))):
            x = self.enlarge(self.spread[level](x))
            x = self.mix[level](torch.cat([x, skips[level]], dim=1))
            x = self.up[level](x)
        return self.head(x)


class Residual(nn.Sequential):
    """What its layers add to their input."""

    def forward(self, x):
        """Returns features of the input's shape."""
        return x + super().forward(x)


class ReflectedConv2d(nn.Conv2d):
    """A convolution as wide as its input, padded by reflection.

    PyTorch's own `padding_mode="reflect"` pads in float32 under autocast.
    """

    def __init__(self, planes: int, filters: int, kernel: int):
        super().__init__(planes, filters, kernel)
        self.edge = [kernel // 2] * 4

    def forward(self, x):
        """Returns (N, filters, H, W) of (N, planes, H, W)."""
        with torch.autocast("cpu", enabled=False):
            x = nn.functional.pad(x, self.edge, mode="reflect")
        return super().forward(x)


def preactivated(filters: int) -> Residual:
    """Returns the U-Net's block: twice normalisation, ReLU, convolution."""
    block = Residual()
    for number in (1, 2):
        block.add_module(f"norm{number}", nn.BatchNorm2d(filters, eps=1e-3))
        block.add_module(f"relu{number}", nn.ReLU(inplace=True))
        block.add_module(
            f"conv{number}",
            nn.Conv2d(filters, filters, 3, padding=1, bias=number == 2),
        )
    return block


def zhang(planes: int, channels: int) -> nn.Sequential:
    """Returns "Colorful Image Colorization"'s network, a quarter as wide.

    (N, planes, H, W) to (N, channels, H / 4, W / 4).
    """
    network = nn.Sequential()

    def add(name: str, layer: nn.Module):
        network.add_module(name, layer)
        network.add_module(f"relu_{name}", nn.ReLU(inplace=True))

    before = planes
    for block, (filters, count, stride, dilation) in enumerate(ZHANG_BLOCKS, 1):
        for number in range(1, count + 1):
            layer = nn.Conv2d(
                before,
                filters,
                3,
                stride=stride if number == count else 1,
                padding=dilation,
                dilation=dilation,
            )
            add(f"conv{block}_{number}", layer)
            before = filters
        network.add_module(f"norm{block}", nn.BatchNorm2d(filters, eps=1e-3))
    add("conv8_1", nn.ConvTranspose2d(before, 64, 4, stride=2, padding=1))
    add("conv8_2", nn.Conv2d(64, 64, 3, padding=1))
    add("conv8_3", nn.Conv2d(64, 64, 3, padding=1))
    network.add_module("head", nn.Conv2d(64, channels, 1))
    return network


def resnet(
    planes: int, channels: int, norm, filters: int = 32, blocks: int = 6
) -> nn.Sequential:
    """Returns CycleGAN's generator.

    (N, planes, H, W) to (N, channels, H, W).
    """
    network = nn.Sequential()

    def add(to: nn.Module, name: str, layer: nn.Module, count: int):
        to.add_module(name, layer)
        to.add_module(f"{name}_norm", norm(count))

    def add_relu(to: nn.Module, name: str):
        to.add_module(f"{name}_relu", nn.ReLU(inplace=True))

    add(network, "first", ReflectedConv2d(planes, filters, 7), filters)
    add_relu(network, "first")
    count = filters
    for number in (1, 2):
        layer = nn.Conv2d(count, 2 * count, 3, stride=2, padding=1)
        count *= 2
        add(network, f"shrink{number}", layer, count)
        add_relu(network, f"shrink{number}")
    for number in range(1, blocks + 1):
        block = Residual()
        add(block, "1", ReflectedConv2d(count, count, 3), count)
        add_relu(block, "1")
        add(block, "2", ReflectedConv2d(count, count, 3), count)
        network.add_module(f"block{number}", block)
    for number in (1, 2):
        layer = nn.ConvTranspose2d(
            count, count // 2, 3, stride=2, padding=1, output_padding=1
        )
        count //= 2
        add(network, f"enlarge{number}", layer, count)
        add_relu(network, f"enlarge{number}")
    network.add_module("head", ReflectedConv2d(count, channels, 7))
    return network


def patch(
    planes: int, channels: int, norm, filters: int = 32, layers: int = 2
) -> nn.Sequential:
    """Returns the discriminator that judges overlapping squares.

    (N, planes, H, W) to logits, (N, channels, any, any).
    """
    network = nn.Sequential()
    before = planes
    for level in range(layers + 1):
        count = filters * 2**level
        stride = 2 if level < layers else 1
        network.add_module(
            f"conv{level}", nn.Conv2d(before, count, 4, stride, padding=1)
        )
        if level:
            network.add_module(f"conv{level}_norm", norm(count))
        network.add_module(f"leaky{level}", nn.LeakyReLU(0.2, inplace=True))
        before = count
    network.add_module("head", nn.Conv2d(before, channels, 4, padding=1))
    return network


# === The weights of the same network in Keras ===


def load_keras(network: nn.Module, weights: dict[str, list[np.ndarray]]):
    """Gives a network the weights of its twin in Keras.

    Args:
        network: What `build` returned.
        weights: Of each of Keras' layers that has some, by its name.

    Raises:
        KeyError: A layer has no twin of that name.
        ValueError: The networks differ.
    """
    weights = {_key(name): arrays for name, arrays in weights.items()}
    for full_name, layer in network.named_modules():
        name = _key(full_name.removeprefix("trunk."))
        state = [*layer.parameters(False), *layer.buffers(False)]
        state = [tensor for tensor in state if tensor.dim()]  # counts no steps
        if not state:
            continue
        arrays = weights.pop(name)
        if isinstance(layer, nn.Linear):
            arrays = _dense(arrays, network.shape)
        elif name.startswith("spread"):
            arrays = [_pixel_shuffled(array) for array in arrays]
        for tensor, array in zip(state, arrays, strict=True):
            if array.ndim == 4:
                array = array.transpose(3, 2, 0, 1)
            if tensor.shape != array.shape:
                raise ValueError(f"{name}: {tensor.shape} and {array.shape}")
            tensor.data.copy_(torch.from_numpy(np.ascontiguousarray(array)))
    if weights:
        raise ValueError(f"no such layers in PyTorch: {', '.join(weights)}")


def _key(name: str) -> str:
    return re.sub(r"[._]", "", name)


def _dense(arrays: list[np.ndarray], shape: tuple) -> list[np.ndarray]:
    """Returns a dense layer's weights with channels before rows and columns."""
    channels, height, width = shape
    kernel, bias = arrays
    features = 16
    side = math.isqrt(len(kernel) // features)
    kernel = kernel.reshape(side, side, features, height, width, channels)
    bias = bias.reshape(height, width, channels)
    return [
        kernel.transpose(5, 3, 4, 2, 0, 1).reshape(bias.size, -1),
        bias.transpose(2, 0, 1).ravel(),
    ]


def _pixel_shuffled(array: np.ndarray) -> np.ndarray:
    """Returns filters with a square's four pixels last, in TensorFlow first."""
    split = array.reshape(*array.shape[:-1], 4, -1)
    return np.swapaxes(split, -1, -2).reshape(array.shape)
