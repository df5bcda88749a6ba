"""Colours a photo by a .tflite file, without a server.

Needs ai-edge-litert, NumPy and Pillow; neither TensorFlow nor kcolor.

python tflite.py kcolor.tflite photo.jpg coloured.png
"""

import argparse
import json
import sys
import zipfile
from pathlib import Path

import numpy as np
from lab import lightness_of, rgb_of
from PIL import Image, ImageOps


def resized(plane: np.ndarray, width: int, height: int) -> np.ndarray:
    """Returns a plane of numbers at another size, bilinearly.

    Args:
        plane: (H, W) float32.
        width: int.
        height: int.
    """
    picture = Image.fromarray(plane)
    return np.asarray(
        picture.resize((width, height), Image.Resampling.BILINEAR)
    )


def ab_of(model: Path, lightness: np.ndarray) -> np.ndarray:
    """Returns the colours of a photo, whatever its size.

    Args:
        model: Path, a .tflite that kcolor-export has written.
        lightness: (H, W) float32, 0 to 100.

    Returns:
        (H, W, 2) float32.

    Raises:
        OSError, ValueError, zipfile.BadZipFile: It is not such a file.
    """
    # Not before the file has been looked at: this is what takes time.
    from ai_edge_litert.interpreter import Interpreter

    with zipfile.ZipFile(model) as notes:
        said = json.loads(notes.read("kcolor.json"))
    height, width = lightness.shape
    # The short side as in training; a network of one size sees a square.
    scale = said["image_size"] / min(height, width)
    seen = [max(1, round(scale * side)) for side in (height, width)]
    if said["fixed_size"]:
        seen = [said["image_size"]] * 2
    interpreter = Interpreter(str(model))
    (taken,) = interpreter.get_input_details()
    (given,) = interpreter.get_output_details()
    interpreter.resize_tensor_input(taken["index"], (1, *seen, 1))
    interpreter.allocate_tensors()
    small = resized(lightness, seen[1], seen[0])
    interpreter.set_tensor(taken["index"], small[np.newaxis, :, :, np.newaxis])
    interpreter.invoke()
    (ab,) = interpreter.get_tensor(given["index"])
    planes = [resized(ab[..., i].copy(), width, height) for i in (0, 1)]
    return np.stack(planes, -1)


def main() -> None:
    """Reads the flags and writes the photo."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="a .tflite of kcolor-export")
    parser.add_argument("photo", type=Path, help="any picture Pillow reads")
    parser.add_argument("out", type=Path, help="where to write; .png or .jpg")
    options = parser.parse_args()
    try:
        upright = ImageOps.exif_transpose(Image.open(options.photo))
        lightness = lightness_of(np.asarray(upright.convert("RGB")))
        ab = ab_of(options.model, lightness)
        Image.fromarray(rgb_of(lightness, ab)).save(options.out)
    except (KeyError, zipfile.BadZipFile):
        sys.exit(
            f"tflite.py: {options.model} is not a .tflite of kcolor-export"
        )
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        sys.exit(f"tflite.py: {error}")


if __name__ == "__main__":
    main()
