"""What all but a training step costs, beside its goal or a peer.

    python benchmarks/costs.py [NAME...] [--data FOLDER] [--run RUN]

Each measurement alternates what it compares, in one go, and prints medians
with the least and the most. Those named `colouring` and `tflite` need a trained
RUN; `colouring` the extra `peers`. Nothing else should run meanwhile.
"""

import argparse
import functools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

SIZE = 64
ROUNDS = 7


def alternated(
    functions: dict[str, Callable[[], float]], rounds: int = ROUNDS
) -> dict[str, list[float]]:
    """Returns what each function gives, taking turns, after one to warm up."""
    found = {name: [] for name in functions}
    for number in range(rounds + 1):
        for name, function in functions.items():
            value = function()
            if number:
                found[name].append(value)
    return found


def told(name: str, values: list[float], unit: str) -> None:
    """Prints the median of values, with the least and the most."""
    middle = statistics.median(values)
    spread = f"[{min(values):.3g}, {max(values):.3g}]"
    print(f"{name:46} {middle:9.3g} {spread} {unit}", flush=True)


def seconds_of(function: Callable[[], object]) -> float:
    """Returns how long a call takes."""
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


# === Training ===


def photos_of(data: str) -> np.ndarray:
    """Returns decoded photos."""
    from kcolor.data.prepare import load

    return load(data, SIZE, 0.05).train.pixels


def pipeline(options) -> None:
    """Batches alone, beside scikit-image in PyTorch's loader."""
    from kcolor.data.pipeline import batches

    pixels = photos_of(options.data)
    batch = 64

    def ours() -> float:
        stream = iter(
            batches(pixels, batch, image_size=SIZE, shuffle=(0, 0)).repeat()
        )
        next(stream)
        return (
            100 * batch / seconds_of(lambda: [next(stream) for _ in range(100)])
        )

    functions = {"pipeline": ours}
    try:
        import torch
        from skimage.color import rgb2lab
    except ImportError:
        print("no PyTorch: pip install -e '.[peers]'")
    else:

        class Photos(torch.utils.data.Dataset):
            def __len__(self):
                return len(pixels)

            def __getitem__(self, number):
                lab = rgb2lab(pixels[number]).astype("float32")
                return lab[..., :1], lab[..., 1:]

        loader = torch.utils.data.DataLoader(
            Photos(), batch, shuffle=True, drop_last=True, num_workers=2
        )

        def theirs() -> float:
            stream = iter(loader)
            next(stream)
            count = min(10, len(loader) - 1)
            seconds = seconds_of(lambda: [next(stream) for _ in range(count)])
            del stream
            return count * batch / seconds

        functions["PyTorch's loader, scikit-image, 2 processes"] = theirs
    for name, values in alternated(functions).items():
        told(name, values, "photos/s")


def losses(options) -> None:
    """The step of ce beside that of l2, of the same networks."""
    from throughput import scheme_of

    from kcolor.data.pipeline import batches

    pixels = photos_of(options.data)[:1000]
    for arch, batch in (("unet", 64), ("zhang", 64), ("cnn", 32)):
        steps = {}
        for loss in ("l2", "ce"):
            fields = {"arch": arch, "loss": loss, "batch_size": batch}
            if arch == "cnn":
                fields["head"] = "conv"
            scheme = scheme_of(pixels, fields, "mixed_bfloat16")
            stream = iter(
                batches(pixels, batch, image_size=SIZE, shuffle=(0, 0)).repeat()
            )
            steps[loss] = lambda scheme=scheme, stream=stream: min(
                seconds_of(lambda: float(scheme.train_function(stream)["loss"]))
                for _ in range(3)
            )
        found = alternated(steps)
        for loss, values in found.items():
            told(f"{arch}, {loss}", [1000 * v for v in values], "ms a step")
        ratios = np.divide(found["ce"], found["l2"]).tolist()
        told(f"{arch}, ce over l2", ratios, "(at most 1.2)")


def waiting(options) -> None:
    """The share of training that waits for photos."""
    import tensorflow as tf
    from throughput import scheme_of

    from kcolor.data.pipeline import batches

    pixels = photos_of(options.data)[:1000]
    for arch, loss in (("unet", "l2"), ("zhang", "ce")):
        scheme = scheme_of(
            pixels,
            {"arch": arch, "loss": loss, "batch_size": 64},
            "mixed_bfloat16",
        )
        stream = iter(
            batches(pixels, 64, image_size=SIZE, shuffle=(0, 0)).repeat()
        )
        shares = []
        for number in range(25):
            began = time.perf_counter()
            batch = next(stream)
            came = time.perf_counter()
            one = iter(tf.data.Dataset.from_tensors(batch))
            float(scheme.train_function(one)["loss"])
            share = (came - began) / (time.perf_counter() - began)
            if number > 4:
                shares.append(100 * share)
        told(f"{arch}, {loss}: waiting for photos", shares, "% (below 2)")


MEMORY = """
import sys, resource, psutil
import numpy as np
sys.path.insert(0, sys.argv[1])
from throughput import scheme_of
from kcolor.data.pipeline import batches
random = np.random.default_rng(0)
pixels = random.integers(0, 256, (400, 64, 64, 3), np.uint8)
began = psutil.Process().memory_info().rss
scheme = scheme_of(pixels, {"loss": "l2", "batch_size": 200}, sys.argv[2])
stream = iter(batches(pixels, 200, image_size=64, shuffle=(0, 0)).repeat())
for _ in range(4):
    float(scheme.train_function(stream)["loss"])
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
values, kept = 0, 0
for layer in scheme.colorizer.network.layers:
    kind = type(layer).__name__
    if kind in ("Conv2D", "BatchNormalization"):
        kept += np.prod(layer.output.shape[1:])
bytes_each = 4 if sys.argv[2] == "float32" else 2
weights = scheme.colorizer.network.count_params()
# Weights, gradients, Adam's two means; a convolution's outputs and those of
# its normalisation, which the way back needs.
paper = 4 * 4 * weights + 200 * kept * bytes_each
print(peak - began, paper)
"""


def memory(_) -> None:
    """Memory of the poster's network beside what it needs on paper."""
    here = str(Path(__file__).parent)
    for precision in ("float32", "mixed_bfloat16"):
        done = subprocess.run(
            [sys.executable, "-c", MEMORY, here, precision],
            capture_output=True,
            text=True,
            check=True,
        )
        used, paper = map(float, done.stdout.split()[-2:])
        print(
            f"cnn, l2, batch 200, {precision}: {used / 1e9:.2f} GB, on paper "
            f"{paper / 1e9:.2f} GB, {used / paper:.2f} times (at most 1.3)",
            flush=True,
        )


# === Colouring ===


def colouring(options) -> None:
    """A photo of 12 megapixels and a batch, beside the usual PyTorch way."""
    import torch
    from PIL import Image
    from skimage.color import lab2rgb, rgb2lab
    from torch_networks import UNet

    from kcolor.colorizing.painter import Look, Painter

    torch.set_num_threads(os.cpu_count())
    network = UNet(1, 2).eval()
    random = np.random.default_rng(0)
    small = random.integers(0, 256, (12, 16, 3), np.uint8)
    large = np.asarray(Image.fromarray(small).resize((4000, 3000)))
    many = [
        np.asarray(Image.fromarray(np.roll(small, n, 1)).resize((256, 256)))
        for n in range(64)
    ]

    def ours(painter, photos) -> None:
        for photo, (ab,) in zip(photos, painter.colours(photos), strict=True):
            painter.paint(photo, ab)

    def theirs(photos) -> None:
        # As colorization repositories do it: Lab by scikit-image, the network
        # at its own size, bilinear colours, and back.
        labs = [rgb2lab(photo) for photo in photos]
        seen = torch.stack(
            [
                torch.nn.functional.interpolate(
                    torch.from_numpy(np.float32(lab[None, ..., 0]))[None],
                    size=(SIZE, SIZE),
                    mode="bilinear",
                    antialias=True,
                )[0]
                for lab in labs
            ]
        )
        with torch.inference_mode():
            answers = network(seen / 50 - 1)
        for lab, ab in zip(labs, answers, strict=True):
            up = torch.nn.functional.interpolate(
                ab[None], size=lab.shape[:2], mode="bilinear"
            )
            lab[..., 1:] = up[0].permute(1, 2, 0).numpy()
            np.uint8(np.round(255 * lab2rgb(lab)))

    ways = {
        "kcolor, along edges": functools.partial(
            ours, Painter(options.run, Look())
        ),
        "kcolor, bilinear": functools.partial(
            ours, Painter(options.run, Look(upsample="bilinear"))
        ),
        "PyTorch, bilinear": theirs,
    }
    for name, photos, rounds in (
        ("12 megapixels", [large], 3),
        ("64 of 256x256", many, ROUNDS),
    ):
        found = alternated(
            {
                who: lambda way=way, p=photos: seconds_of(lambda: way(p))
                for who, way in ways.items()
            },
            rounds,
        )
        for who, values in found.items():
            told(f"{name}, {who}", values, "s")


def tflite(options) -> None:
    """TFLite by one thread and by two."""
    from ai_edge_litert.interpreter import Interpreter

    import kcolor

    with tempfile.TemporaryDirectory() as folder:
        kcolor.export(options.run, folder, ["tflite"])
        (file,) = Path(folder).rglob("*.tflite")
        for size in (SIZE, 256):
            photo = np.full((1, size, size, 1), 50, np.float32)

            def by(threads: int, photo=photo) -> Callable[[], float]:
                interpreter = Interpreter(str(file), num_threads=threads)
                (inputs,) = interpreter.get_input_details()
                interpreter.resize_tensor_input(inputs["index"], photo.shape)
                interpreter.allocate_tensors()
                interpreter.set_tensor(inputs["index"], photo)
                return lambda: (
                    1000
                    * min(seconds_of(interpreter.invoke) for _ in range(10))
                )

            for threads, values in alternated({"1": by(1), "2": by(2)}).items():
                told(f"TFLite, {size}x{size}, threads {threads}", values, "ms")


# === Starting ===


FIRST_STEP = """
import sys, time
from kcolor.cli.shell import load_tensorflow
load_tensorflow()
from kcolor.training import callbacks
def told(self, batch, logs=None):
    print("first step", time.time(), flush=True)
    raise KeyboardInterrupt
callbacks.Progress.on_train_batch_end = told
from kcolor.cli.train import main
sys.argv = ["kcolor-train", "--run", sys.argv[1]]
main()
"""


def starting(_) -> None:
    """Each command's --help, and the first step of training on the demo."""
    commands = sorted(Path(sys.executable).parent.glob("kcolor-*"))
    functions = {
        f"{command.name} --help": lambda command=command: seconds_of(
            lambda: subprocess.run(
                [command, "--help"], check=True, capture_output=True
            )
        )
        for command in commands
    }
    for name, values in alternated(functions, 5).items():
        told(name, values, "s (below 0.5)")

    def first_step() -> float:
        with tempfile.TemporaryDirectory() as folder:
            began = time.time()
            done = subprocess.run(
                [sys.executable, "-c", FIRST_STEP, f"{folder}/run"],
                capture_output=True,
                text=True,
            )
            return float(done.stdout.split("first step")[1].split()[0]) - began

    found = alternated({"kcolor-train": first_step}, 3)["kcolor-train"]
    told("kcolor-train on demo: first step after", found, "s (within 20)")


MEASURED = {
    f.__name__: f
    for f in (pipeline, losses, waiting, memory, colouring, tflite, starting)
}


def main() -> None:
    """Measures what is named, or all."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=", ".join(MEASURED)
    )
    parser.add_argument("--data", default="demo", help="photos: a folder")
    parser.add_argument("--run", help="of a U-Net, for colouring and tflite")
    options = parser.parse_args()
    for name in options.names or MEASURED:
        print(f"\n{MEASURED[name].__doc__}", flush=True)
        MEASURED[name](options)


if __name__ == "__main__":
    main()
