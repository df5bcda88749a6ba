"""A server that answers as TensorFlow Serving does, to test exports against.

    python tests/serving/conformance.py --model_config_file FILE

The official protos and stubs over `c_api.py`: gRPC's Predict,
GetModelMetadata and GetModelStatus, and their REST forms. Where answers are
formed and errors are worded it follows TensorFlow Serving's own
`json_tensor.cc`, `http_rest_api_util.cc`, `predict_util.cc` and
`server_core.cc`. It does not batch, classify, regress or measure itself, and it
loads a version while it answers for others, but one after the other.

Reference:
    https://www.tensorflow.org/tfx/serving/api_rest
"""

import argparse
import base64
import binascii
import contextlib
import json
import math
import os
import re
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import c_api
import numpy as np
from c_api import SavedModel, StatusError

if __name__ == "__main__":
    c_api.leave_out_python()

import grpc
from google.protobuf import json_format, text_format
from google.protobuf.message import DecodeError
from tensorflow.core.framework import tensor_pb2
from tensorflow.core.protobuf import config_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_log_pb2,
    prediction_service_pb2_grpc,
)
from tensorflow_serving.config import model_server_config_pb2

INVALID_ARGUMENT, DEADLINE_EXCEEDED, NOT_FOUND = 3, 4, 5
RESOURCE_EXHAUSTED, FAILED_PRECONDITION, UNIMPLEMENTED = 8, 9, 12
# http_server.cc; those it does not name are 500.
HTTP_CODES = {
    1: 499,
    INVALID_ARGUMENT: 400,
    DEADLINE_EXCEEDED: 504,
    NOT_FOUND: 404,
    6: 409,
    7: 403,
    RESOURCE_EXHAUSTED: 429,
    FAILED_PRECONDITION: 400,
    10: 409,
    11: 400,
    UNIMPLEMENTED: 501,
    14: 503,
    16: 401,
}
GRPC_CODES = {code.value[0]: code for code in grpc.StatusCode}
DEFAULT_SIGNATURE = "serving_default"
MAX_WARMUPS = 1000
WORKERS = 4 * (os.cpu_count() or 1)
PREDICT_PATH = re.compile(
    r"/v1/models/([^/:]+)(?:/versions/(\d+)|/labels/([^/:]+))?"
    r":(classify|regress|predict)",
    re.IGNORECASE,
)
STATUS_PATH = re.compile(
    r"/v1/models(?:/([^/:]+))?(?:/versions/(\d+)|/labels/([^/:]+))?"
    r"(?:/(metadata))?",
    re.IGNORECASE,
)
# Where the values of a TensorProto of each dtype stand.
VALUES = {
    np.dtype(np.float32): "float_val",
    np.dtype(np.float64): "double_val",
    np.dtype(np.int64): "int64_val",
    np.dtype(np.bool_): "bool_val",
    np.dtype(np.uint32): "uint32_val",
    np.dtype(np.uint64): "uint64_val",
    np.dtype(object): "string_val",
}
AVAILABLE = get_model_status_pb2.ModelVersionStatus.AVAILABLE


# === Tensors ===


def _values_of(dtype: np.dtype) -> str:
    return VALUES.get(np.dtype(dtype), "int_val")


def array_of(proto: tensor_pb2.TensorProto, name: str) -> np.ndarray:
    """Returns a tensor as an array, a last value repeated where some lack.

    Raises:
        StatusError: It is not a tensor.
    """
    broken = StatusError(INVALID_ARGUMENT, f"tensor parsing error: {name}")
    shape = [dimension.size for dimension in proto.tensor_shape.dim]
    dtype = np.dtype(c_api.DTYPES.get(proto.dtype, np.void))
    if min(shape, default=0) < 0 or dtype == np.void or dtype == np.float16:
        raise broken
    count = math.prod(shape)
    if proto.tensor_content and dtype.kind != "O":
        if len(proto.tensor_content) != count * dtype.itemsize:
            raise broken
        return np.frombuffer(proto.tensor_content, dtype).reshape(shape)
    values = list(getattr(proto, _values_of(dtype)))
    if len(values) > count:
        raise broken
    array = np.empty(count, dtype)
    texts = object if dtype.kind == "O" else None
    array[: len(values)] = np.array(values, texts).astype(dtype)
    missing = b"" if dtype.kind == "O" else 0
    array[len(values) :] = values[-1] if values else missing
    return array.reshape(shape)


def proto_of(array: np.ndarray) -> tensor_pb2.TensorProto:
    """Returns an array as a tensor whose values stand one by one."""
    proto = tensor_pb2.TensorProto(dtype=c_api.NUMBERS[array.dtype])
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    getattr(proto, _values_of(array.dtype)).extend(array.ravel().tolist())
    return proto


# === Models ===


@dataclass(frozen=True)
class Servable:
    """One version of a model, ready to answer."""

    name: str
    version: int
    model: SavedModel

    def predict(
        self, request: predict_pb2.PredictRequest, seconds: float | None = None
    ) -> predict_pb2.PredictResponse:
        """Runs the signature a request names.

        Raises:
            StatusError: The request does not fit, or the graph refuses it.
        """
        chosen = request.model_spec.signature_name or DEFAULT_SIGNATURE
        if chosen not in self.model.signatures:
            raise StatusError(
                FAILED_PRECONDITION,
                f'Serving signature key "{chosen}" not found.',
            )
        signature = self.model.signatures[chosen]
        sent, wanted = set(request.inputs), set(signature.inputs)
        if sent != wanted:
            raise StatusError(
                INVALID_ARGUMENT,
                f"input size does not match signature: {len(sent)}"
                f"!={len(wanted)} len({{{','.join(sorted(sent))}}}) != "
                f"len({{{','.join(sorted(wanted))}}}). Sent extra: "
                f"{{{','.join(sorted(sent - wanted))}}}. Missing but "
                f"required: {{{','.join(sorted(wanted - sent))}}}.",
            )
        unknown = set(request.output_filter) - set(signature.outputs)
        if unknown:
            raise StatusError(
                INVALID_ARGUMENT,
                "output tensor alias not found in signature: "
                + ",".join(sorted(unknown)),
            )
        options = config_pb2.RunOptions()
        if seconds is not None:
            options.timeout_in_ms = max(1, int(1000 * seconds))
        outputs = self.model.run(
            chosen,
            {n: array_of(tensor, n) for n, tensor in request.inputs.items()},
            options.SerializeToString(),
        )
        response = predict_pb2.PredictResponse()
        response.model_spec.name = self.name
        response.model_spec.version.value = self.version
        response.model_spec.signature_name = chosen
        for name in request.output_filter or outputs:
            response.outputs[name].CopyFrom(proto_of(outputs[name]))
        return response


def warmups(path: Path) -> Iterator[predict_pb2.PredictRequest]:
    """Yields the requests of a warm-up file, a TFRecord of PredictionLog.

    Raises:
        StatusError: It is not one.
    """
    data, offset = path.read_bytes(), 0
    while offset < len(data):
        # Length, its checksum, the record, its checksum; neither is compared.
        (length,) = struct.unpack_from("<Q", data, offset)
        record = data[offset + 12 : offset + 12 + length]
        offset += 12 + length + 4
        try:
            log = prediction_log_pb2.PredictionLog.FromString(record)
        except DecodeError as error:
            raise StatusError(
                INVALID_ARGUMENT,
                f"Failed to parse warmup record from {path}: {error}",
            ) from error
        if log.WhichOneof("log_type") != "predict_log":
            raise StatusError(UNIMPLEMENTED, f"Unsupported log_type in {path}")
        yield log.predict_log.request


def load(name: str, version: int, folder: Path) -> Servable:
    """Returns a version that has answered its own warm-up requests.

    Raises:
        StatusError: It cannot be loaded, or fails one of them.
    """
    servable = Servable(name, version, SavedModel(folder))
    path = folder / "assets.extra" / "tf_serving_warmup_requests"
    for number, request in enumerate(warmups(path) if path.exists() else ()):
        if number == MAX_WARMUPS:
            raise StatusError(
                INVALID_ARGUMENT, f"more than {MAX_WARMUPS} requests in {path}"
            )
        try:
            servable.predict(request)
        except StatusError as error:
            raise StatusError(
                error.code, f"warm-up request {number} of {path}: {error}"
            ) from error
    return servable


class Models:
    """What a model_config_list says, loaded.

    Args:
        path: Path, a ModelServerConfig as text.
        any_label: bool, whether a new label may name a version that is not
            there, `--allow_version_labels_for_unavailable_models`.

    Raises:
        StatusError: A version cannot be loaded, or a label not be given.
    """

    def __init__(self, path: Path, any_label: bool = False):
        self.path = path
        self.any_label = any_label
        self._versions: dict[str, dict[int, Servable]] = {}
        self._labels: dict[str, dict[str, int]] = {}
        self.reload()

    def reload(self) -> None:
        """Reads the config again, loads what is new, drops what is gone."""
        config = model_server_config_pb2.ModelServerConfig()
        text_format.Parse(self.path.read_text(), config)
        before, versions, labels = self._versions, {}, {}
        for model in config.model_config_list.config:
            held = before.get(model.name, {})
            versions[model.name] = {
                version: held.get(version) or load(model.name, version, folder)
                for version, folder in _aspired(model)
            }
            labels[model.name] = dict(model.version_labels)
        self._versions = versions
        for name, wanted in labels.items():
            # A label moves only to what answered before the config was read.
            for label, version in wanted.items():
                known = label in self._labels.get(name, {})
                there = version in before.get(name, {})
                if not there and (known or not self.any_label):
                    raise StatusError(
                        FAILED_PRECONDITION,
                        f"Request to assign label to version {version} of "
                        f"model {name}, which is not currently available for "
                        "inference",
                    )
        self._labels = labels

    def find(self, spec: model_pb2.ModelSpec) -> Servable:
        """Returns the version a request names, or the greatest.

        Raises:
            StatusError: There is none.
        """
        if not spec.name:
            raise StatusError(
                INVALID_ARGUMENT, "ModelSpec has no name specified."
            )
        versions = self._versions.get(spec.name, {})
        version = self._version_of(spec)
        if version is None and versions:
            return versions[max(versions)]
        if version not in versions:
            wanted = "Latest" if version is None else "Specific"
            which = "" if version is None else f", {version}"
            raise StatusError(
                NOT_FOUND,
                f"Servable not found for request: {wanted}({spec.name}{which})",
            )
        return versions[version]

    def _version_of(self, spec: model_pb2.ModelSpec) -> int | None:
        if spec.HasField("version"):
            return spec.version.value
        if not spec.version_label:
            return None
        labels = self._labels.get(spec.name, {})
        if spec.version_label not in labels:
            raise StatusError(
                INVALID_ARGUMENT,
                f"Unrecognized servable version label: {spec.version_label}",
            )
        return labels[spec.version_label]

    def status(
        self, spec: model_pb2.ModelSpec
    ) -> get_model_status_pb2.GetModelStatusResponse:
        """Returns the state of the versions a request names.

        Raises:
            StatusError: There is none.
        """
        versions = self._versions.get(spec.name, {})
        version = self._version_of(spec)
        if version is None and not versions:
            raise StatusError(
                NOT_FOUND, f"Could not find any versions of model {spec.name}"
            )
        if version is not None and version not in versions:
            raise StatusError(
                NOT_FOUND,
                f"Could not find version {version} of model {spec.name}",
            )
        response = get_model_status_pb2.GetModelStatusResponse()
        for each in sorted(versions) if version is None else [version]:
            status = response.model_version_status.add(
                version=each, state=AVAILABLE
            )
            status.status.error_message = ""
        return response

    def metadata(
        self, request: get_model_metadata_pb2.GetModelMetadataRequest
    ) -> get_model_metadata_pb2.GetModelMetadataResponse:
        """Returns the signatures of the version a request names.

        Raises:
            StatusError: There is none, or something else is asked for.
        """
        if not request.metadata_field:
            raise StatusError(
                INVALID_ARGUMENT,
                "GetModelMetadataRequest must specify at least one "
                "metadata_field",
            )
        for field in request.metadata_field:
            if field != "signature_def":
                raise StatusError(
                    INVALID_ARGUMENT,
                    f"Metadata field {field} is not supported",
                )
        servable = self.find(request.model_spec)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        for name, signature in servable.model.signatures.items():
            signatures.signature_def[name].CopyFrom(signature)
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        response.model_spec.name = servable.name
        response.model_spec.version.value = servable.version
        response.metadata["signature_def"].Pack(signatures)
        return response


def _aspired(
    model: model_server_config_pb2.ModelConfig,
) -> list[tuple[int, Path]]:
    """Returns the versions that a model's policy asks for, and where."""
    base = Path(model.base_path)
    found = {
        int(path.name): path
        for path in (base.iterdir() if base.is_dir() else ())
        if path.name.isdecimal() and path.is_dir()
    }
    policy = model.model_version_policy
    chosen = policy.WhichOneof("policy_choice")
    if chosen == "all":
        versions = sorted(found)
    elif chosen == "specific":
        versions = [v for v in policy.specific.versions if v in found]
    else:
        versions = sorted(found)[-(policy.latest.num_versions or 1) :]
    return [(version, found[version]) for version in versions]


# === gRPC ===


def _answering(context: grpc.ServicerContext, function, *arguments):
    try:
        return function(*arguments)
    except StatusError as error:
        context.abort(GRPC_CODES[error.code], error.message)
    except MemoryError:
        context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "out of memory")


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Predict and GetModelMetadata."""

    def __init__(self, models: Models):
        self.models = models

    def Predict(self, request, context):
        def answer():
            servable = self.models.find(request.model_spec)
            return servable.predict(request, context.time_remaining())

        return _answering(context, answer)

    def GetModelMetadata(self, request, context):
        return _answering(context, self.models.metadata, request)


class ModelService(model_service_pb2_grpc.ModelServiceServicer):
    """GetModelStatus."""

    def __init__(self, models: Models):
        self.models = models

    def GetModelStatus(self, request, context):
        return _answering(context, self.models.status, request.model_spec)


# === REST ===


def _is_base64(value) -> bool:
    return (
        isinstance(value, dict)
        and list(value) == ["b64"]
        and isinstance(value["b64"], str)
    )


def _decoded(value) -> bytes:
    if not _is_base64(value):
        raise StatusError(
            INVALID_ARGUMENT,
            f"JSON Value: {json.dumps(value)} not formatted correctly for "
            "base64 data",
        )
    text = re.sub(r"\s", "", value["b64"]).rstrip("=")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise StatusError(
            INVALID_ARGUMENT, "Unable to base64 decode"
        ) from error


def _scalar(value, dtype: np.dtype):
    """Returns one value of a tensor.

    Raises:
        StatusError: It is not of the dtype.
    """
    kinds = {"f": (int, float), "i": int, "u": int, "b": bool, "O": str}
    is_bool = isinstance(value, bool)
    if dtype.kind == "O" and isinstance(value, dict):
        return _decoded(value)
    if not isinstance(value, kinds[dtype.kind]) or is_bool != (
        dtype.kind == "b"
    ):
        raise StatusError(
            INVALID_ARGUMENT,
            f"JSON Value: {json.dumps(value)} Type: {type(value).__name__} is "
            f"not of expected type: {dtype.name}",
        )
    if dtype.kind == "O":
        return value.encode(errors="surrogatepass")
    if dtype.kind == "f" and np.isfinite(value):
        limits = np.finfo(dtype)
        exact = 2 ** (limits.nmant + 1) - 1
        largest = exact if isinstance(value, int) else float(limits.max)
        if abs(value) > largest:
            raise StatusError(
                INVALID_ARGUMENT,
                f"Cannot convert JSON value: {value} to {dtype.name} without "
                "loss of precision.",
            )
    return value


def tensor_of(value, dtype: np.dtype) -> np.ndarray:
    """Returns nested lists as an array.

    Raises:
        StatusError: They are ragged, or a value is not of the dtype.
    """
    shape, first = [], value
    while isinstance(first, list):
        shape.append(len(first))
        first = first[0] if first else None
    found = []

    def fill(item, level: int) -> None:
        if not isinstance(item, list):
            if level != len(shape):
                raise StatusError(
                    INVALID_ARGUMENT,
                    f"JSON Value: {json.dumps(item)} found at incorrect "
                    f"level: {level + 1} in the JSON DOM. Expected at level: "
                    f"{len(shape)}",
                )
            found.append(_scalar(item, dtype))
            return
        if level >= len(shape):
            raise StatusError(
                INVALID_ARGUMENT,
                f"Encountered list at unexpected level: {level} expected < "
                f"{len(shape)}",
            )
        if len(item) != shape[level]:
            raise StatusError(
                INVALID_ARGUMENT,
                f"Encountered list at unexpected size: {len(item)} at level: "
                f"{level} expected size: {shape[level]}",
            )
        for each in item:
            fill(each, level + 1)

    fill(value, 0)
    array = np.empty(len(found), dtype)
    try:
        array[:] = found
    except OverflowError as error:
        raise StatusError(
            INVALID_ARGUMENT,
            f"JSON Value: {error} is not of expected type: {dtype.name}",
        ) from error
    return array.reshape(shape)


def inputs_of_rows(rows, wanted: dict[str, np.dtype]) -> dict[str, np.ndarray]:
    """Returns the inputs of "instances": a row each, all of one shape.

    Raises:
        StatusError: The rows do not fit the signature or each other.
    """
    if not isinstance(rows, list):
        raise StatusError(
            INVALID_ARGUMENT, "Excepting 'instances' to be an list/array"
        )
    if not rows:
        raise StatusError(INVALID_ARGUMENT, "No values in 'instances' array")
    if not isinstance(rows[0], dict) and len(wanted) > 1:
        raise StatusError(
            INVALID_ARGUMENT,
            "instances is a plain list, but expecting list of objects as "
            "multiple input tensors required as per tensorinfo_map",
        )
    named = isinstance(rows[0], dict) and not _is_base64(rows[0])
    columns: dict[str, list[np.ndarray]] = {}
    for number, row in enumerate(rows):
        failed = f"Failed to process element: {number} of 'instances' list. "
        if named != (isinstance(row, dict) and not _is_base64(row)):
            kinds = "object but got list", "value/list but got object"
            raise StatusError(
                INVALID_ARGUMENT,
                f"Expecting {kinds[not named]} at item {number} of input list",
            )
        items = row if named else {next(iter(wanted)): row}
        if set(items) != set(wanted):
            raise StatusError(
                INVALID_ARGUMENT,
                f"{failed}JSON object: {json.dumps(row)[:200]} keys must be "
                f"equal to: {','.join(sorted(wanted))}",
            )
        for name, item in items.items():
            try:
                array = tensor_of(item, wanted[name])
            except StatusError as error:
                raise StatusError(
                    INVALID_ARGUMENT,
                    f"{failed}Error: INVALID_ARGUMENT: {error}",
                ) from error
            column = columns.setdefault(name, [])
            if column and column[0].shape != array.shape:
                raise StatusError(
                    INVALID_ARGUMENT,
                    f"{failed}Error: INVALID_ARGUMENT: Expecting shape "
                    f"{list(column[0].shape)} but got: {list(array.shape)}",
                )
            column.append(array)
    return {name: np.stack(column) for name, column in columns.items()}


def inputs_of_columns(
    columns, wanted: dict[str, np.dtype]
) -> dict[str, np.ndarray]:
    """Returns the inputs of "inputs": each a tensor, one alone also bare.

    Raises:
        StatusError: They do not fit the signature.
    """
    if not isinstance(columns, dict) or _is_base64(columns):
        if len(wanted) > 1:
            raise StatusError(
                INVALID_ARGUMENT,
                "inputs is a plain value/list, but expecting an object as "
                "multiple input tensors required as per tensorinfo_map",
            )
        columns = {next(iter(wanted)): columns}
    for name in wanted:
        if name not in columns:
            raise StatusError(
                INVALID_ARGUMENT,
                f"Missing named input: {name} in 'inputs' object.",
            )
    return {n: tensor_of(columns[n], dtype) for n, dtype in wanted.items()}


def _plain(value, name: str):
    """Returns one output's values as JSON has them."""
    if isinstance(value, list):
        return [_plain(each, name) for each in value]
    if not isinstance(value, bytes):
        return value
    if name.endswith("_bytes"):
        return {"b64": base64.b64encode(value).decode()}
    return value.decode(errors="replace")


def _listed(array: np.ndarray) -> list:
    if array.dtype != np.float32:
        return array.tolist()
    # Six digits where they read back the same, else nine, as the server does.
    values = array.ravel()
    short = np.array([float(f"{value:.6g}") for value in values])
    for index in np.flatnonzero(short.astype(np.float32) != values):
        short[index] = float(f"{values[index]:.9g}")
    return short.reshape(array.shape).tolist()


def json_of(outputs: dict[str, np.ndarray], rows: bool) -> dict:
    """Returns an answer in the format of its request.

    Raises:
        StatusError: Rows were asked for and the outputs have not as many.
    """
    values = {n: _plain(_listed(a), n) for n, a in outputs.items()}
    if not rows:
        alone = len(values) == 1
        return {"outputs": next(iter(values.values())) if alone else values}
    sizes = {array.shape[:1] for array in outputs.values()}
    if len(sizes) > 1 or sizes & {(), (0,)}:
        raise StatusError(
            INVALID_ARGUMENT,
            f"Tensor name: {','.join(outputs)} has inconsistent batch size",
        )
    if len(values) == 1:
        return {"predictions": next(iter(values.values()))}
    return {
        "predictions": [
            dict(zip(values, row, strict=True))
            for row in zip(*values.values(), strict=True)
        ]
    }


def predict_by_json(
    models: Models, spec: model_pb2.ModelSpec, body: bytes, seconds: float
) -> dict:
    """Returns the answer to a REST request.

    Raises:
        StatusError: It is malformed, or the model refuses it.
    """
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise StatusError(
            INVALID_ARGUMENT, f"JSON Parse error: {error}"
        ) from error
    if not isinstance(document, dict):
        raise StatusError(INVALID_ARGUMENT, "JSON Value: Is not object")
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise StatusError(
            INVALID_ARGUMENT,
            "JSON Value: not formatted correctly. 'signature_name' key must "
            "be a string value.",
        )
    servable = models.find(spec)
    signature = servable.model.signatures.get(name or DEFAULT_SIGNATURE)
    if signature is None:
        raise StatusError(
            INVALID_ARGUMENT,
            f'Serving signature name: "{name}" not found in signature def',
        )
    if not signature.inputs:
        raise StatusError(
            INVALID_ARGUMENT, f"Failed to get input map for signature: {name}"
        )
    wanted = {
        key: np.dtype(c_api.DTYPES[info.dtype])
        for key, info in signature.inputs.items()
    }
    rows = "instances" in document
    if rows and "inputs" in document:
        raise StatusError(
            INVALID_ARGUMENT,
            "JSON Value: Not formatted correctly expecting only one of "
            "'inputs' or 'instances' keys to exist ",
        )
    if not rows and "inputs" not in document:
        raise StatusError(
            INVALID_ARGUMENT, "Missing 'inputs' or 'instances' key"
        )
    parse = inputs_of_rows if rows else inputs_of_columns
    inputs = parse(document["instances" if rows else "inputs"], wanted)
    request = predict_pb2.PredictRequest(model_spec=spec)
    request.model_spec.signature_name = name
    for key, array in inputs.items():
        request.inputs[key].CopyFrom(proto_of(array))
    outputs = servable.predict(request, seconds).outputs
    return json_of({key: array_of(t, key) for key, t in outputs.items()}, rows)


class Handler(BaseHTTPRequestHandler):
    """Status, metadata and predictions over HTTP."""

    protocol_version = "HTTP/1.1"
    # A body need not wait until its headers have arrived.
    disable_nagle_algorithm = True
    models: Models
    seconds: float

    def do_GET(self):
        self._answer(STATUS_PATH.fullmatch(self.path), self._describe)

    def do_POST(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        self._answer(
            PREDICT_PATH.fullmatch(self.path),
            lambda match: self._predict(match, body),
        )

    def _answer(self, match: re.Match | None, function) -> None:
        code = 200
        try:
            if match is None:
                raise StatusError(
                    INVALID_ARGUMENT,
                    f"Malformed request: {self.command} {self.path}",
                )
            answer = function(match)
        except StatusError as error:
            code = HTTP_CODES.get(error.code, 500)
            answer = {"error": error.message}
        except MemoryError:
            code, answer = 429, {"error": "out of memory"}
        if match is None and not self.path.lower().startswith("/v1/"):
            code = 404
        body = json.dumps(answer, indent=1).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _spec(self, match: re.Match) -> model_pb2.ModelSpec:
        name, version, label = match.groups()[:3]
        if not name:
            raise StatusError(
                INVALID_ARGUMENT, "Missing model name in request."
            )
        spec = model_pb2.ModelSpec(name=unquote(name))
        if version:
            if int(version) >= 2**63:
                raise StatusError(
                    INVALID_ARGUMENT,
                    f"Failed to convert version: {version} to numeric.",
                )
            spec.version.value = int(version)
        if label:
            spec.version_label = unquote(label)
        return spec

    def _describe(self, match: re.Match) -> dict:
        spec = self._spec(match)
        if not match[4]:
            return _as_json(self.models.status(spec))
        response = self.models.metadata(
            get_model_metadata_pb2.GetModelMetadataRequest(
                model_spec=spec, metadata_field=["signature_def"]
            )
        )
        signatures = get_model_metadata_pb2.SignatureDefMap()
        response.metadata["signature_def"].Unpack(signatures)
        return {
            "model_spec": _as_json(response.model_spec),
            "metadata": {"signature_def": _as_json(signatures)},
        }

    def _predict(self, match: re.Match, body: bytes) -> dict:
        if match[4].lower() != "predict":
            raise StatusError(UNIMPLEMENTED, f"{match[4]} is not imitated")
        spec = self._spec(match)
        return predict_by_json(self.models, spec, body, self.seconds)

    def log_message(self, *_):
        """Says nothing of each request."""


def _as_json(message) -> dict:
    return json_format.MessageToDict(
        message,
        preserving_proto_field_name=True,
        always_print_fields_with_no_presence=True,
    )


# === The program ===


class _HTTPServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def serve(options: argparse.Namespace) -> None:
    """Answers until it is ended."""
    models = Models(
        options.model_config_file,
        options.allow_version_labels_for_unavailable_models,
    )
    arguments = {"grpc.max_receive_message_length": 2**31 - 1}
    for pair in filter(None, options.grpc_channel_arguments.split(",")):
        key, _, value = pair.partition("=")
        arguments[key] = int(value) if value.isdecimal() else value
    server = grpc.server(
        ThreadPoolExecutor(WORKERS), options=list(arguments.items())
    )
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        PredictionService(models), server
    )
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(
        ModelService(models), server
    )
    port = server.add_insecure_port(f"127.0.0.1:{options.port}")
    server.start()
    Handler.models = models
    Handler.seconds = options.rest_api_timeout_in_ms / 1000
    rest = _HTTPServer(("127.0.0.1", options.rest_api_port), Handler)
    threading.Thread(target=rest.serve_forever, daemon=True).start()
    print(f"gRPC {port} REST {rest.server_port}", flush=True)
    while True:
        time.sleep(options.model_config_file_poll_wait_seconds or 3600)
        if not options.model_config_file_poll_wait_seconds:
            continue
        try:
            models.reload()
        except (StatusError, text_format.ParseError) as error:
            # It goes on with what it has.
            print(f"not reloaded: {error}", file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Server:
    """A server in a process of its own.

    Attributes:
        grpc: str, its address.
        rest: str, its address.
        process: subprocess.Popen.
    """

    grpc: str
    rest: str
    process: subprocess.Popen


@contextlib.contextmanager
def running(config: Path, *flags: str) -> Iterator[Server]:
    """Starts a server on free ports, and ends it.

    Raises:
        RuntimeError: It does not start.
    """
    command = [sys.executable, __file__, "--model_config_file", str(config)]
    command += ["--port", "0", "--rest_api_port", "0", *flags]
    with (
        open(config.with_suffix(".log"), "w+b") as log,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, text=True
        ) as process,
    ):
        try:
            ports = process.stdout.readline().split()
            if not ports:
                log.seek(0)
                raise RuntimeError(log.read().decode(errors="replace"))
            yield Server(
                f"127.0.0.1:{ports[1]}", f"127.0.0.1:{ports[3]}", process
            )
        finally:
            process.kill()


def main(arguments: list[str] | None = None) -> None:
    """Reads TensorFlow Serving's flags, and serves."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model_config_file", type=Path, required=True)
    # 0: any that is free.
    parser.add_argument("--port", type=int, default=8500)
    parser.add_argument("--rest_api_port", type=int, default=8501)
    parser.add_argument("--rest_api_timeout_in_ms", type=int, default=30000)
    parser.add_argument(
        "--model_config_file_poll_wait_seconds", type=float, default=0
    )
    parser.add_argument(
        "--allow_version_labels_for_unavailable_models",
        type=lambda text: text.lower() in ("true", "1"),
        default=False,
    )
    parser.add_argument("--grpc_channel_arguments", default="")
    options = parser.parse_args(arguments)
    try:
        serve(options)
    except (StatusError, text_format.ParseError) as error:
        sys.exit(f"Failed to start server. Error: {error}")


if __name__ == "__main__":
    main()
