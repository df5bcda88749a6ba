"""Where photos come from: the demo's, TensorFlow Datasets', a folder's."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf

from kcolor.data.photos import SUFFIXES
from kcolor.errors import UserError, first_line, not_installed, unknown

# What `--data NAME` means in TensorFlow Datasets.
TFDS_NAMES = {
    "cifar10": "cifar10",
    "imagenet32": "downsampled_imagenet/32x32",
    "imagenet64": "downsampled_imagenet/64x64",
}

# The colour photographs of mvtb-data. Its other images are drawings, paintings,
# aerial and studio pictures, and grey ones.
_DEMO_TRAIN_NAMES = """
58060.png building2-3.png butterfly.jpg church.jpg eiffel-1.png eiffel-2.png
image3.jpg notre-dame.png parks.png road.png rocks2-l.png rocks2-r.png roof.png
tomato_124.png tomato_14.png tomato_35.png tomato_54.png walls-l.png
walls-r.png yellowtargets.png
flowers1.png flowers2.png flowers3.png flowers4.png flowers5.png flowers6.png
flowers7.png flowers8.png flowers9.png
campus/P1070491.png campus/P1070493.png campus/P1070494.png
campus/P1070495.png campus/P1070496.png campus/P1070497.png
campus/P1070498.png campus/P1070499.png campus/P1070500.png
campus/P1070501.png campus/P1070503.png campus/P1070504.png
campus/P1070505.png campus/P1070506.png campus/P1070507.png
campus/P1070509.png campus/P1070510.png campus/P1070512.png
campus/P1070514.png campus/P1070515.png
campus/holdout/P1070492.png campus/holdout/P1070502.png
campus/holdout/P1070508.png campus/holdout/P1070511.png
campus/holdout/P1070513.png
"""
DEMO_TRAIN = _DEMO_TRAIN_NAMES.split()
DEMO_TEST = {
    "skimage": [
        "data/astronaut.png",
        "data/chelsea.png",
        "data/coffee.png",
        "data/motorcycle_left.png",
        "data/rocket.jpg",
    ],
    "sklearn": ["datasets/images/china.jpg", "datasets/images/flower.jpg"],
}


@dataclass(frozen=True)
class Files:
    """Encoded photos, in a fixed order.

    Attributes:
        names: What to call each photo, (n,) strings.
        domains: The class of each photo, or "", (n,) strings.
        dataset: Yields what `read` turns into an encoded photo.
        read: From an element of `dataset` to the bytes of a picture file.
            Raises OSError where that cannot be read.
    """

    names: list[str]
    domains: list[str]
    dataset: tf.data.Dataset
    read: Callable[[bytes], bytes]

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True)
class Source:
    """Photos for training and photos for test.

    Attributes:
        train: The photos for training and validation.
        test: The photos for test; None to take a share of `train` by a hash of
            their content.
        crops: Whether each training photo is cut into many.
    """

    train: Files
    test: Files | None
    crops: bool = False


def open_source(data: str) -> Source:
    """Returns the source that `--data` names.

    Args:
        data: "demo", "cifar10", "imagenet32", "imagenet64",
            "tfds:NAME[/CONFIG]", or the path of a folder.

    Raises:
        UserError: There is no such source, or it holds no photo.
    """
    if data == "demo":
        return _demo()
    if data in TFDS_NAMES:
        return _tfds(TFDS_NAMES[data])
    if data.startswith("tfds:"):
        return _tfds(data.removeprefix("tfds:"))
    folder = Path(data).expanduser()
    if data and folder.is_dir():
        return _folder(folder)
    if data and folder.exists():
        raise UserError(f"data '{data}' is a file: give the folder it is in")
    if os.sep in data or data.startswith("."):
        raise UserError(f"data folder '{data}' does not exist: check the path")
    known = ["demo", *TFDS_NAMES, "tfds:NAME", "FOLDER"]
    raise unknown("data", data, known)


def _demo() -> Source:
    train = [Path("images") / name for name in DEMO_TRAIN]
    test = [
        _installed(package, path)
        for package, paths in DEMO_TEST.items()
        for path in paths
    ]
    return Source(
        _files([_installed("mvtbdata", path) for path in train]),
        _files(test),
        crops=True,
    )


def _installed(package: str, path: str | Path) -> Path:
    """Returns the path of a package's file, without importing the package."""
    spec = importlib.util.find_spec(package)
    if spec is None:
        raise not_installed(
            f"data 'demo' needs the photos of {package}", "demo"
        )
    return Path(spec.submodule_search_locations[0]) / path


def _folder(folder: Path) -> Source:
    if (folder / "train").is_dir() and (folder / "test").is_dir():
        train, test = _scan(folder / "train"), _scan(folder / "test")
    else:
        train, test = _scan(folder), None
    return Source(train, test)


def _scan(folder: Path) -> Files:
    paths = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES and path.is_file()
    )
    if not paths:
        raise UserError(
            f"data folder '{folder}' holds no photo: kcolor looks for "
            f"{' '.join(sorted(SUFFIXES))}"
        )
    return _files(paths, folder)


def _files(paths: list[Path], folder: Path | None = None) -> Files:
    """Returns files; with a folder, named and classed by their place in it."""
    inside = [path.relative_to(folder) if folder else path for path in paths]
    return Files(
        names=[str(path) if folder else path.name for path in inside],
        domains=[
            path.parts[0] if folder and len(path.parts) > 1 else ""
            for path in inside
        ],
        dataset=tf.data.Dataset.from_tensor_slices(
            [os.fsencode(path) for path in paths]
        ),
        read=lambda path: Path(os.fsdecode(path)).read_bytes(),
    )


def _tfds(name: str) -> Source:
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder(name)
    except tfds.core.DatasetNotFoundError as error:
        raise UserError(
            f"data 'tfds:{name}': tensorflow-datasets knows no such dataset: "
            "see tensorflow.org/datasets/catalog"
        ) from error
    except Exception as error:
        # A wrong config, version or spelling.
        raise UserError(
            f"data 'tfds:{name}' cannot be opened ({first_line(error)}): see "
            "tensorflow.org/datasets/catalog"
        ) from error
    try:
        builder.download_and_prepare()
    except Exception as error:
        # Downloads fail in as many ways as there are hosts and protocols.
        raise UserError(
            f"data '{name}' is not prepared in {builder.data_dir} and could "
            f"not be downloaded ({first_line(error)}): check the network, or "
            "set TFDS_DATA_DIR to where it is prepared"
        ) from error
    if "image" not in builder.info.features:
        raise UserError(f"data 'tfds:{name}' has no feature named 'image'")
    splits = builder.info.splits
    test = next((s for s in ("test", "validation") if s in splits), None)
    if "train" not in splits:
        raise UserError(f"data 'tfds:{name}' has no split named 'train'")
    return Source(
        train=_tfds_files(builder, "train"),
        test=_tfds_files(builder, test) if test else None,
    )


def _tfds_files(builder, split: str) -> Files:
    import tensorflow_datasets as tfds

    features = builder.info.features
    decoders = {"image": tfds.decode.SkipDecoding()}
    photos = builder.as_dataset(
        split=split,
        decoders=decoders,
        read_config=tfds.ReadConfig(try_autocache=False),
        shuffle_files=False,
    )
    count = builder.info.splits[split].num_examples
    label = features["label"] if "label" in features else None  # noqa: SIM401
    if isinstance(label, tfds.features.ClassLabel):
        classes = photos.map(lambda photo: photo["label"]).as_numpy_iterator()
        # A label that is withheld is -1.
        domains = [label.int2str(c) if c >= 0 else "" for c in classes]
    else:
        domains = [""] * count
    return Files(
        names=[f"{split}/{number}" for number in range(count)],
        domains=domains,
        dataset=photos.map(lambda photo: photo["image"]),
        read=lambda encoded: encoded,
    )
