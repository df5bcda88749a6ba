"""A colorizer as a SavedModel that TF Serving takes."""

from __future__ import annotations

import json
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import (
    model_pb2,
    predict_pb2,
    prediction_log_pb2,
)

from kcolor.colorizer import Colorizer
from kcolor.exports import EXTRA, NOTES, SIGNATURE
from kcolor.serving.signatures import Signatures

PHOTOS_SIGNATURE = "colorize"
# The file's name is TF Serving's.
WARM_UP = "tf_serving_warmup_requests"


def write(
    colorizer: Colorizer, folder: Path, most_pixels: int, notes: dict
) -> None:
    """Writes a SavedModel with both signatures, warm-up requests and notes.

    Args:
        colorizer: What is exported.
        folder: That of the version; TF Serving wants it named by a number.
        most_pixels: What larger photos are refused by.
        notes: What the export says of itself, as JSON has it.
    """
    signatures = Signatures(colorizer, most_pixels)
    archive = keras.export.ExportArchive()
    archive.add_endpoint(
        SIGNATURE,
        signatures.ab,
        input_signature=[tf.TensorSpec((None, None, None, 1), tf.float32, "L")],
    )
    archive.add_endpoint(
        PHOTOS_SIGNATURE,
        signatures.photos,
        input_signature=[tf.TensorSpec((None,), tf.string, "image_bytes")],
    )
    archive.write_out(folder, verbose=False)
    extra = folder / EXTRA
    extra.mkdir()
    (extra / NOTES).write_text(json.dumps(notes, indent=2) + "\n")
    _write_warm_up(extra / WARM_UP, colorizer.image_size)


def _write_warm_up(file: Path, image_size: int) -> None:
    """Writes requests that a server answers before it is asked anything.

    Or the first ones of each kind would wait for TensorFlow to get ready.
    """
    shape = (image_size, image_size)
    grey = np.full((*shape, 1), 128, np.uint8)
    jpeg, png = tf.io.encode_jpeg(grey), tf.io.encode_png(grey)
    requests = {
        SIGNATURE: {"L": np.full((1, *shape, 1), 50, np.float32)},
        PHOTOS_SIGNATURE: {"image_bytes": tf.stack([jpeg, png])},
    }
    with tf.io.TFRecordWriter(str(file)) as records:
        for signature, inputs in requests.items():
            request = predict_pb2.PredictRequest(
                model_spec=model_pb2.ModelSpec(signature_name=signature),
                inputs={
                    name: tf.make_tensor_proto(value)
                    for name, value in inputs.items()
                },
            )
            log = prediction_log_pb2.PredictionLog(
                predict_log=prediction_log_pb2.PredictLog(request=request)
            )
            records.write(log.SerializeToString())
