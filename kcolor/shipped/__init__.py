"""The trained colorizer that comes with kcolor.

`CARD.md` tells what it was trained on, how, and where it fails.
"""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING

from kcolor.errors import UserError
from kcolor.late import keras

if TYPE_CHECKING:
    from kcolor.colorizer import Colorizer

NAME = "pretrained"  # wherever a model is named
FOLDER = Path(__file__).parent
ABOUT, WEIGHTS = "colorizer.json", "weights.npz"


def pretrained() -> Colorizer:
    """Returns the colorizer that comes with kcolor.

    From lightness, (N, H, W, 1), 0 to 100, of any size, to ab, (N, H, W, 2), in
    ab units. It was trained for photos shrunk to about its `image_size`.

    Raises:
        UserError: Its files are missing or damaged.

    Example:

    >>> import numpy as np
    >>> colorizer = pretrained()
    >>> colorizer(np.full((1, 96, 128, 1), 50.0)).shape
    TensorShape([1, 96, 128, 2])
    """
    return load(FOLDER)


def config(folder: Path = FOLDER) -> dict:
    """Returns the colorizer's configuration, without TensorFlow.

    Raises:
        UserError: It is missing or damaged.
    """
    return _about(folder)["config"]


def load(folder: Path) -> Colorizer:
    """Returns the colorizer of a folder that `pack` wrote.

    Raises:
        UserError: Its files are missing, damaged, or of another kcolor.
    """
    import numpy as np

    from kcolor.colorizer import Colorizer

    about = _about(folder)
    content = _read(folder, WEIGHTS)
    if hashlib.sha256(content).hexdigest() != about["sha256"]:
        raise _damaged(WEIGHTS, "its sha256 is another")
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        colorizer = Colorizer.from_config(about["config"])
        arrays = np.load(io.BytesIO(content), allow_pickle=False)
        colorizer.set_weights(
            [arrays[w.path].astype(np.float32) for w in colorizer.weights]
        )
    except (KeyError, ValueError, TypeError, UserError) as error:
        raise _damaged(ABOUT, f"it does not fit: {error}") from error
    finally:
        keras.config.set_dtype_policy(policy)
    return colorizer


def _about(folder: Path) -> dict:
    try:
        about = json.loads(_read(folder, ABOUT))
        config = about["config"]
        for part in ("architecture", "objective"):
            str(config[part]["name"])
        int(config["image_size"])
        return {"config": config, "sha256": str(about["sha256"])}
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(ABOUT, "it is not what was written") from error


def _read(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except OSError as error:
        raise _damaged(name, error.strerror) from error


def _damaged(name: str, fault: str) -> UserError:
    return UserError(
        f"the colorizer that comes with kcolor cannot be loaded ({name}: "
        f"{fault}): install kcolor again, or give another model"
    )
