"""Colours a photo by a server, over gRPC.

Needs tensorflow-serving-api, and NumPy and Pillow for --signature
serving_default, which sends lightness and is sent colour: for programs that
have photos decoded already.

python grpc_client.py photo.jpg coloured.png
"""

import argparse
import io
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import grpc
import numpy as np
import tensorflow as tf
from lab import lightness_of, rgb_of
from PIL import Image, ImageOps
from tensorflow_serving.apis import (
    predict_pb2,
    prediction_service_pb2_grpc,
)

# The default of 4 MiB is less than a large photo's PNG.
LARGEST_ANSWER = 256 * 2**20


def ask(stub, request, name: str, value: np.ndarray, timeout: float):
    """Returns the only output of a signature.

    Args:
        stub: PredictionServiceStub.
        request: PredictRequest, that names the model and the signature.
        name: str, its input.
        value: The input's value.
        timeout: float, seconds.

    Raises:
        grpc.RpcError: The server is not there or refuses.
    """
    request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    response = stub.Predict(request, timeout)
    (output,) = response.outputs.values()
    return tf.make_ndarray(output)


def main() -> None:
    """Reads the flags and writes the photo."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photo", type=Path, help="a JPEG or PNG")
    parser.add_argument("out", type=Path, help="where to write the PNG")
    parser.add_argument("--server", default="127.0.0.1:8500")
    parser.add_argument("--model", default="kcolor")
    parser.add_argument(
        "--signature",
        choices=["colorize", "serving_default"],
        default="colorize",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--version", type=int, help="default: the greatest")
    which.add_argument("--label", help="stable or canary")
    parser.add_argument(
        "--timeout", type=float, default=60.0, help="seconds (default: 60)"
    )
    options = parser.parse_args()
    channel = grpc.insecure_channel(
        options.server,
        [("grpc.max_receive_message_length", LARGEST_ANSWER)],
    )
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    request = predict_pb2.PredictRequest()
    request.model_spec.name = options.model
    request.model_spec.signature_name = options.signature
    if options.version is not None:
        request.model_spec.version.value = options.version
    if options.label:
        request.model_spec.version_label = options.label
    try:
        photo = options.photo.read_bytes()
        if options.signature == "colorize":
            (coloured,) = ask(
                stub, request, "image_bytes", [photo], options.timeout
            )
        else:
            upright = ImageOps.exif_transpose(Image.open(io.BytesIO(photo)))
            lightness = lightness_of(np.asarray(upright.convert("RGB")))
            batch = lightness[np.newaxis, :, :, np.newaxis]
            (ab,) = ask(stub, request, "L", batch, options.timeout)
            file = io.BytesIO()
            Image.fromarray(rgb_of(lightness, ab)).save(file, "PNG")
            coloured = file.getvalue()
        options.out.write_bytes(coloured)
    except grpc.RpcError as error:
        reason = (error.details() or "").partition("\n")[0]
        sys.exit(f"grpc_client.py: {error.code().name}: {reason}")
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        sys.exit(f"grpc_client.py: {error}")


if __name__ == "__main__":
    main()
