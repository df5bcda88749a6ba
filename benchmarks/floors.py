"""What this machine can do, and the least time that training steps can take.

    python benchmarks/floors.py [--cases unet zhang]

A step's floor is the time of its convolutions and dense layers alone, forward
and both gradients, at rates measured here of TensorFlow's library: once each
layer at its own rate, once all at that of the best shape. To it comes Adam's
traffic, 28 bytes a weight, at the rate of a copy; all else, above all
normalisation, is left out. Run it on a quiet machine.
"""

import argparse
import math
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from peers import CASES, USUAL, Case, processor

from kcolor import models, objectives
from kcolor.models.discriminators import build

SIZE = 64
PRECISIONS = ("bfloat16", "float32")
ADAM_BYTES = 28  # a weight: four numbers read, three written
MATRIX = 4096
GIB = 2**30


class Product(NamedTuple):
    """A convolution or a dense layer, as Keras has it, on a batch."""

    kind: str  # Conv2D, Conv2DTranspose, Dense
    inputs: tuple[int, ...]  # (N, H, W, C) or (N, C)
    kernel: tuple[int, ...]
    size: tuple[int, ...] = ()  # height and width of its output
    strides: int = 1
    dilation: int = 1
    padding: str = "SAME"

    @property
    def flops(self) -> float:
        """Operations of one of its three passes, a multiplication being two.

        Those with the padding of "same" count, too.
        """
        turned = self.kind == "Conv2DTranspose"
        pixels = self.inputs[1:3] if turned else self.size
        if self.kind == "Dense":
            pixels = ()
        return 2.0 * math.prod((self.inputs[0], *pixels, *self.kernel))

    def call(self) -> Callable:
        """Returns the function of its input and kernel."""
        if self.kind == "Dense":
            return tf.matmul
        if self.kind == "Conv2DTranspose":
            shape = (self.inputs[0], *self.size, self.kernel[2])
            return lambda inputs, kernel: tf.nn.conv2d_transpose(
                inputs, kernel, shape, self.strides, self.padding
            )
        return lambda inputs, kernel: tf.nn.conv2d(
            inputs, kernel, self.strides, self.padding, dilations=self.dilation
        )


BEST_SHAPES = [  # the fastest of them is the peak
    Product("Conv2D", (64, *size, count), (3, 3, count, count), size)
    for size, count in (((32, 32), 128), ((16, 16), 256), ((16, 16), 512))
]


class Use(NamedTuple):
    """A network's part in a step: how often on how many photos."""

    network: keras.Model
    photos: int
    times: int = 1
    learns: bool = True  # whether gradients of its weights are taken
    passes_on: bool = False  # whether that of its input is


def uses_of(case: Case) -> list[Use]:
    """Returns which networks a step asks."""
    fields, photos = case.fields, case.batch
    channels = objectives.get(fields["loss"])().channels
    make = models.get(fields["arch"])().build
    network = make(SIZE, 1, channels)
    if case.scheme == "supervised":
        return [Use(network, photos)]

    def judged(planes: int) -> list[Use]:
        patch = build("patch", SIZE, planes, 32, 2, False, f"patch{planes}")
        return [
            Use(patch, 2 * photos),
            Use(patch, photos, learns=False, passes_on=True),
        ]

    if case.scheme != "cyclegan":
        return [Use(network, photos), *judged(3)]
    greying = make(SIZE, 3, 1)
    return [
        Use(network, photos),
        Use(network, photos, passes_on=True),
        Use(greying, photos, times=2),
        Use(greying, photos, passes_on=True),
        *judged(3),
        *judged(1),
    ]


def products_of(use: Use) -> list[tuple[Product, int]]:
    """Returns a use's products, and how many passes each of them makes."""
    planes = keras.Input((SIZE, SIZE, use.network.input_shape[-1]))
    network = keras.models.clone_model(use.network, input_tensors=planes)
    found, is_first = [], True
    for layer in network.layers:
        kind = type(layer).__name__
        if kind not in ("Conv2D", "Conv2DTranspose", "Dense"):
            continue
        inputs = (use.photos, *layer.input.shape[1:])
        kernel = tuple(layer.kernel.shape)
        if kind == "Dense":
            product = Product(kind, inputs, kernel)
        else:
            product = Product(
                kind,
                inputs,
                kernel,
                tuple(layer.output.shape[1:3]),
                layer.strides[0],
                layer.dilation_rate[0],
                layer.padding.upper(),
            )
        passes = 1 + use.learns + (use.passes_on or not is_first)
        found.append((product, use.times * passes))
        is_first = False
    return found


# === Rates ===


def fastest(function: Callable, seconds: float = 0.3) -> float:
    """Returns the least time of calls, in seconds: what the machine can do."""
    times, began = [], time.perf_counter()
    while time.perf_counter() - began < seconds or len(times) < 5:
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def flops_rate(product: Product, precision: str) -> float:
    """Returns operations a second: forward and both gradients."""

    # TensorFlow runs what is returned, and nothing else.
    def draw(shape):
        return tf.cast(tf.random.normal(shape, stddev=0.1), precision)

    inputs, kernel = draw(product.inputs), draw(product.kernel)
    call = product.call()
    outputs = draw(call(inputs, kernel).shape)

    @tf.function
    def passes(inputs, kernel, outputs):
        with tf.GradientTape() as tape:
            tape.watch([inputs, kernel])
            found = call(inputs, kernel)
        return found, tape.gradient(found, [inputs, kernel], outputs)

    seconds = fastest(lambda: passes(inputs, kernel, outputs)[1][1].numpy())
    return 3 * product.flops / seconds


def matrix_rate(precision: str) -> float:
    """Returns operations a second of a product of square matrices."""
    square = tf.cast(tf.random.normal((MATRIX, MATRIX)), precision)
    multiply = tf.function(tf.matmul)
    seconds = fastest(lambda: multiply(square, square)[0, 0].numpy())
    return 2.0 * MATRIX**3 / seconds


def memory_rates() -> tuple[float, float]:
    """Returns bytes a second, read and written, of a copy and of an addition.

    By NumPy, each core its share of arrays of 1 GiB.
    """
    arrays = [np.ones(GIB // 4, np.float32) for _ in range(3)]
    cores = len(os.sched_getaffinity(0))
    shares = list(zip(*(np.split(a, cores) for a in arrays), strict=True))
    with ThreadPoolExecutor(cores) as pool:

        def together(function: Callable) -> float:
            return fastest(lambda: list(pool.map(function, shares)))

        copy = together(lambda share: np.copyto(share[0], share[1]))
        add = together(lambda share: np.add(share[1], share[2], out=share[0]))
    return 2 * GIB / copy, 3 * GIB / add


# === The tables ===


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", nargs="+", choices=CASES, default=USUAL)
    options = parser.parse_args()
    print(f"{processor()}; TensorFlow {tf.__version__}\n")

    copy, add = memory_rates()
    print(
        f"Memory: {copy / 1e9:.1f} GB/s of a copy, {add / 1e9:.1f} of an "
        "addition.\n"
    )
    steps = {}
    for name in options.cases:
        uses = uses_of(CASES[name])
        networks = {id(use.network): use.network for use in uses}.values()
        weights = sum(network.count_params() for network in networks)
        products = [found for use in uses for found in products_of(use)]
        steps[name] = products, ADAM_BYTES * weights / add
    asked = [
        product for products, _ in steps.values() for product, _ in products
    ]
    rates = {
        (product, precision): flops_rate(product, precision)
        for product in dict.fromkeys([*BEST_SHAPES, *asked])
        for precision in PRECISIONS
    }
    peaks = {
        precision: max(rates[product, precision] for product, _ in rates)
        for precision in PRECISIONS
    }
    matrices = {precision: matrix_rate(precision) for precision in PRECISIONS}
    print("| TFLOP/s | bfloat16 | float32 |\n|---|---|---|")
    for name, found in (
        ("the best of all layers below, the peak", peaks),
        ("product of matrices", matrices),
    ):
        cells = (f"{found[precision] / 1e12:.2f}" for precision in PRECISIONS)
        print(f"| {name} | {' | '.join(cells)} |")
    lines = []
    for name, (products, adam) in steps.items():
        flops = sum(product.flops * passes for product, passes in products)
        cells = [name, str(CASES[name].batch), f"{flops / 1e9:.0f}"]
        for precision in PRECISIONS:
            own = sum(
                product.flops * passes / rates[product, precision]
                for product, passes in products
            )
            for floor in (flops / peaks[precision], own):
                cells.append(f"{1000 * (floor + adam):.0f}")
        lines.append(f"| {' | '.join([*cells, f'{1000 * adam:.0f}'])} |")
    print()
    print("| layer | kernel | input | bfloat16 TFLOP/s | float32 TFLOP/s |")
    print("|---|---|---|---|---|")
    for product in dict.fromkeys(product for product, _ in rates):
        each = (f"{rates[product, p] / 1e12:.3f}" for p in PRECISIONS)
        sizes = (
            "x".join(map(str, part))
            for part in (product.kernel, product.inputs)
        )
        name = product.kind
        if product.strides > 1:
            name += f", stride {product.strides}"
        if product.dilation > 1:
            name += f", dilation {product.dilation}"
        print(f"| {' | '.join([name, *sizes, *each])} |")
    heads = (
        f"{precision}, ms at {what}"
        for precision in PRECISIONS
        for what in ("the peak", "each layer's rate")
    )
    print(
        f"\n| floor of a step | photos | GFLOP | {' | '.join(heads)} "
        "| of it Adam |\n|---|---|---|---|---|---|---|---|"
    )
    print("\n".join(lines))


if __name__ == "__main__":
    main()
