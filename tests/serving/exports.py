"""An export of a small model, and what a deployer is given for it."""

import re
from pathlib import Path

import keras
import yaml
from photos import encoded, pixels

import kcolor
from kcolor import objectives
from kcolor.colorizer import Colorizer
from kcolor.models.cnn import CNN
from kcolor.serving import saved_model

EXPORT = Path(__file__).parents[2] / "export"
SIZE = 16


def exported(folder: Path) -> Path:
    """Exports two small untrained models as two versions of one.

    Returns:
        Where the versions are, OUT/<name>.
    """
    for number in range(8):
        split = "train" if number % 2 else "test"
        path = folder / "data" / split / "all" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(pixels(SIZE, SIZE, number)))
    small_colorizer(seed=1).save(folder / "net.keras")
    found = kcolor.export(
        folder / "net.keras",
        folder,
        formats=["savedmodel"],
        name="kcolor",
        data=str(folder / "data"),
    )
    first, _ = found["savedmodel"]
    # Not compared with its model, for which a process more would start.
    second = first.with_name("2")
    saved_model.write(small_colorizer(seed=2), second, 10**6, {})
    return first.parent


def small_colorizer(seed: int) -> Colorizer:
    """Returns a colorizer of weights that are its own."""
    keras.utils.set_random_seed(seed)
    return Colorizer(CNN(head="conv"), objectives.get("l2")(), SIZE)


def config_of(folder: Path, *versions: int, **labels: int) -> str:
    """Returns the models.config that is shipped, for another folder.

    Args:
        folder: Path, where the model's versions are.
        versions: int, those to load; default: as shipped.
        labels: int, which version each names; default: as shipped.
    """
    text = (EXPORT / "models.config").read_text()
    text = text.replace("/models/kcolor", str(folder))
    if versions:
        lines = " ".join(f"versions: {version}" for version in versions)
        text = re.sub(r"(?<=    )versions: 1", lines, text)
    for label, version in labels.items():
        text = re.sub(rf'(?<=key: "{label}" value: )\d+', str(version), text)
    return text


def compose() -> dict:
    """Returns the service that compose.yaml starts."""
    document = yaml.safe_load((EXPORT / "compose.yaml").read_text())
    return document["services"]["kcolor"]
