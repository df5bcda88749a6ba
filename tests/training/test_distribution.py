"""Several devices and several workers train as one does."""

import keras
import numpy as np
import pytest
from PIL import Image
from training_together import ended, start

import kcolor  # noqa: F401  registers the colorizer

COMMON = {
    "image_size": 16,
    "batch_size": 8,
    "steps": 5,
    "epochs": 2,
    "precision": "float32",
}
ADVERSARIAL = {"loss": "l1", "patch_layers": 1, "discriminator_filters": 4}
UNET = {"arch": "unet", "filters": 4, "depth": 2}
# Together they hold all that replicas tell each other: batch statistics,
# clipped gradients, crops, dropout, noise, chosen pixels, a pool.
EXPERIMENTS = {
    "supervised": {**UNET, "loss": "l2", "dropout": 0.2, "clip_norm": 1.0},
    "cgan": {**UNET, **ADVERSARIAL, "scheme": "cgan", "noise": "planes"},
    "cyclegan": {
        "arch": "resnet",
        "filters": 4,
        "blocks": 1,
        **ADVERSARIAL,
        "scheme": "cyclegan",
        "pool": 9,
    },
    "sparse": {"arch": "larsson", "loss": "ce", "width": 0.05},
}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A folder of coloured blobs, larger than what is cropped of them."""
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(0)
    for number in range(48):
        blobs = random.integers(0, 256, (3, 3, 3), np.uint8)
        photo = Image.fromarray(blobs).resize((21, 19), Image.BILINEAR)
        photo.save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def trained(photos, tmp_path_factory):
    """Trains experiments together, and returns their weights and histories."""

    def by(names, **options):
        folder = tmp_path_factory.mktemp("runs")
        runs = {
            str(folder / name): {
                **COMMON,
                **EXPERIMENTS[name],
                "data": str(photos),
            }
            for name in names
        }
        for code, told in ended(start(runs, **options)):
            assert code == 0, told[-3000:]
        return [
            (
                keras.models.load_model(f"{run}/model.keras").get_weights(),
                np.genfromtxt(f"{run}/history.csv", names=True, delimiter=","),
            )
            for run in runs
        ]

    return by


@pytest.fixture(scope="module")
def assert_same_as_one(trained):
    """Compares trainings by several replicas with those by one."""
    alone = {}

    def check(names, **options):
        unknown = [name for name in names if name not in alone]
        alone.update(zip(unknown, trained(unknown), strict=True))
        for name, found in zip(names, trained(names, **options), strict=True):
            weights, history = found
            ours, theirs = alone[name]
            # Of larsson's last layers a batch has no more than eight numbers,
            # whose variance may be next to nothing.
            close = 1e-4 if name == "sparse" else 1e-5
            for weight, other in zip(weights, ours, strict=True):
                np.testing.assert_allclose(weight, other, close, close, name)
            for loss in ("loss", "val_loss"):
                np.testing.assert_allclose(history[loss], theirs[loss], 1e-4)

    return check


@pytest.mark.parametrize("how", [{"devices": 2}, {"workers": 2}])
def test_two_replicas_give_the_weights_of_one(assert_same_as_one, how):
    assert_same_as_one(["supervised"], **how)


@pytest.mark.slow
@pytest.mark.parametrize(
    "how",
    [
        {"devices": 2},
        {"workers": 2},
        {"workers": 4},
        {"workers": 2, "devices": 2},
    ],
)
def test_several_replicas_give_the_weights_of_one(assert_same_as_one, how):
    assert_same_as_one([*EXPERIMENTS], **how)
