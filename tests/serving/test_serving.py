"""An export in a server, and everything a deployer is given."""

import base64
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import grpc
import numpy as np
import ovmsclient
import photos
import pytest
import tensorflow as tf
from c_api import SavedModel, StatusError
from conformance import array_of, proto_of, running
from exports import EXPORT, compose, config_of
from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    message_factory,
    text_format,
    wrappers_pb2,
)
from PIL import Image
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_log_pb2,
    prediction_service_pb2_grpc,
)
from tensorflow_serving.config import model_server_config_pb2

LIGHTNESS = np.linspace(0, 100, 2 * 12 * 9, dtype=np.float32)
LIGHTNESS = LIGHTNESS.reshape(2, 12, 9, 1)
GOOD = [photos.GOOD, photos.GOOD_JPEG]
CLIENTS = EXPORT / "clients"
DOORS = pytest.mark.parametrize("door", ["grpc", "rest"])


class Refused(Exception):
    """An error that is an answer: its code and what it says."""


class Doors:
    """The two ways into a server, asked for the same.

    Args:
        server: Server.
    """

    def __init__(self, server):
        self.server = server
        channel = grpc.insecure_channel(
            server.grpc, [("grpc.max_receive_message_length", 2**28)]
        )
        self.predictions = prediction_service_pb2_grpc.PredictionServiceStub(
            channel
        )
        self.models = model_service_pb2_grpc.ModelServiceStub(channel)

    def http(self, path: str, body=None, raw: bytes | None = None) -> dict:
        """Returns the JSON that a GET, or a POST of a body, is answered."""
        data = raw if body is None else json.dumps(body).encode()
        url = f"http://{self.server.rest}/v1/models/{path}"
        try:
            with urllib.request.urlopen(url, data, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise Refused(error.code, json.load(error)["error"]) from error

    def predict(
        self, inputs, signature="", *, version=None, label="", outputs=()
    ):
        """Returns the response to a PredictRequest of tensors or arrays."""
        request = predict_pb2.PredictRequest(output_filter=outputs)
        request.model_spec.name = "kcolor"
        request.model_spec.signature_name = signature
        if version is not None:
            request.model_spec.version.value = version
        if label:
            request.model_spec.version_label = label
        for name, value in inputs.items():
            if isinstance(value, np.ndarray | list):
                value = tf.make_tensor_proto(value)
            request.inputs[name].CopyFrom(value)
        try:
            return self.predictions.Predict(request, 60)
        except grpc.RpcError as error:
            raise Refused(error.code(), error.details()) from error

    def colorize(self, door: str, files: list[bytes]) -> list[bytes]:
        """Returns the photos of version 1."""
        if door == "grpc":
            response = self.predict(
                {"image_bytes": files}, "colorize", version=1
            )
            return list(tf.make_ndarray(response.outputs["photo_bytes"]))
        rows = [{"image_bytes": as_base64(file)} for file in files]
        body = {"signature_name": "colorize", "instances": rows}
        answer = self.http("kcolor/versions/1:predict", body)
        return [base64.b64decode(p["b64"]) for p in answer["predictions"]]

    def ab(self, door: str, lightness: np.ndarray) -> np.ndarray:
        """Returns the colours of version 1."""
        if door == "grpc":
            response = self.predict({"L": lightness}, version=1)
            return tf.make_ndarray(response.outputs["ab"])
        body = {"instances": lightness.tolist()}
        answer = self.http("kcolor/versions/1:predict", body)
        return np.array(answer["predictions"], np.float32)


def as_base64(data: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(data).decode()}


@pytest.fixture(scope="module")
def doors(server):
    return Doors(server)


@pytest.fixture(scope="module")
def right(doors):
    """What good requests are answered as long as nothing else happens."""
    return SimpleNamespace(
        photos=doors.colorize("grpc", GOOD), ab=doors.ab("grpc", LIGHTNESS)
    )


@pytest.fixture
def undisturbed(doors, right):
    """Asks for good answers during and after a test, and compares them."""
    ended = threading.Event()

    def another():
        answered = 0
        while not ended.is_set() or not answered:
            assert doors.colorize("grpc", GOOD) == right.photos
            assert doors.colorize("rest", GOOD) == right.photos
            np.testing.assert_array_equal(doors.ab("grpc", LIGHTNESS), right.ab)
            answered += 1

    with ThreadPoolExecutor(1) as other:
        working = other.submit(another)
        yield
        ended.set()
        working.result()
    assert doors.colorize("rest", GOOD[:1]) == right.photos[:1]
    np.testing.assert_array_equal(doors.ab("grpc", LIGHTNESS), right.ab)


# === The runtime ===


def test_an_export_runs_where_neither_kcolor_nor_keras_is(versions):
    script = f"""
import sys
for name in ("kcolor", "keras", "tf_keras", "tensorflow.python"):
    sys.modules[name] = None  # cannot be imported
sys.path.insert(0, {str(Path(__file__).parent)!r})
import c_api
c_api.leave_out_python()
import numpy as np
model = c_api.SavedModel({str(versions / "1")!r})
ab = model.run("serving_default", {{"L": np.ones((1, 5, 4, 1), np.float32)}})
assert ab["ab"].shape == (1, 5, 4, 2)
files = np.array([open(0, "rb").read()], object)
photo = model.run("colorize", {{"image_bytes": files}})["photo_bytes"][0]
assert photo.startswith(b"\\x89PNG")
"""
    subprocess.run(
        [sys.executable, "-c", script], input=photos.GOOD, check=True
    )


def test_the_runtime_says_what_is_wrong(versions, tmp_path):
    model = SavedModel(versions / "1")
    with pytest.raises(StatusError, match="float but double") as refused:
        model.run("serving_default", {"L": LIGHTNESS.astype(np.float64)})
    assert refused.value.code == 3
    with pytest.raises(StatusError, match="Could not find SavedModel"):
        SavedModel(tmp_path)


def test_tensors_become_protos_and_arrays_again():
    arrays = [
        np.float32([[1.5, -2, np.nan]]),
        np.array([1, 2**40], np.int64),
        np.array([[True], [False]]),
        np.array(7, np.uint8),
        np.zeros((0, 3), np.float32),
        np.array([b"", b"\0\xff"], object),
    ]
    for array in arrays:
        for proto in (proto_of(array), tf.make_tensor_proto(array)):
            np.testing.assert_array_equal(array_of(proto, ""), array)
            np.testing.assert_array_equal(tf.make_ndarray(proto), array)


# === gRPC ===


def test_tensors_of_any_size_are_answered(doors):
    for shape in ((1, 1, 1, 1), (3, 7, 30, 1), (1, 65, 33, 1)):
        lightness = np.full(shape, 50, np.float32)
        ab = doors.ab("grpc", lightness)
        assert ab.shape == (*shape[:3], 2)
        assert ab.dtype == np.float32
        np.testing.assert_array_equal(doors.ab("rest", lightness), ab)


def test_an_answer_says_who_gave_it(doors):
    response = doors.predict({"L": LIGHTNESS}, label="stable")
    assert response.model_spec.name == "kcolor"
    assert response.model_spec.version.value == 1
    assert response.model_spec.signature_name == "serving_default"
    only = doors.predict({"L": LIGHTNESS}, outputs=["ab"])
    assert list(only.outputs) == ["ab"]


def test_without_a_version_the_greatest_answers(doors):
    greatest, second, canary, first = (
        doors.predict({"L": LIGHTNESS}, **which).outputs["ab"]
        for which in ({}, {"version": 2}, {"label": "canary"}, {"version": 1})
    )
    assert greatest == second == canary
    assert greatest != first


def test_metadata_gives_the_signatures(doors):
    request = get_model_metadata_pb2.GetModelMetadataRequest(
        metadata_field=["signature_def"]
    )
    request.model_spec.name = "kcolor"
    response = doors.predictions.GetModelMetadata(request)
    found = get_model_metadata_pb2.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(found)
    shapes = {
        f"{name}.{key}": [d.size for d in info.tensor_shape.dim]
        for name in ("serving_default", "colorize")
        for side in ("inputs", "outputs")
        for key, info in getattr(found.signature_def[name], side).items()
    }
    assert shapes == {
        "serving_default.L": [-1, -1, -1, 1],
        "serving_default.ab": [-1, -1, -1, 2],
        "colorize.image_bytes": [-1],
        "colorize.photo_bytes": [-1],
    }


def test_status_gives_the_versions(doors):
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "kcolor"
    response = doors.models.GetModelStatus(request)
    available = get_model_status_pb2.ModelVersionStatus.AVAILABLE
    assert [(s.version, s.state) for s in response.model_version_status] == [
        (1, available),
        (2, available),
    ]


# === REST ===


def test_rows_and_columns_are_answered_alike(doors):
    path, rows = "kcolor/labels/stable:predict", LIGHTNESS.tolist()
    ab = doors.ab("grpc", LIGHTNESS)
    bodies = {
        "predictions": [
            {"instances": rows},
            {"instances": [{"L": row} for row in rows]},
            {"signature_name": "serving_default", "instances": rows},
        ],
        "outputs": [{"inputs": rows}, {"inputs": {"L": rows}}],
    }
    for key, asked in bodies.items():
        for body in asked:
            answer = doors.http(path, body)
            assert list(answer) == [key]
            np.testing.assert_array_equal(np.float32(answer[key]), ab)


def test_files_are_base64_in_rows_and_columns(doors, right):
    path = "kcolor/versions/1:predict"
    files = [as_base64(file) for file in GOOD]
    rows = [{"image_bytes": file} for file in files]
    expected = [as_base64(photo) for photo in right.photos]
    for key, body in (
        ("predictions", {"instances": files}),
        ("predictions", {"instances": rows}),
        ("outputs", {"inputs": files}),
        ("outputs", {"inputs": {"image_bytes": files}}),
    ):
        answer = doors.http(path, {"signature_name": "colorize", **body})
        assert answer == {key: expected}


def test_rest_describes_a_model_as_grpc_does(doors):
    status = doors.http("kcolor")["model_version_status"]
    assert [(s["version"], s["state"]) for s in status] == [
        ("1", "AVAILABLE"),
        ("2", "AVAILABLE"),
    ]
    assert status[0]["status"] == {"error_code": "OK", "error_message": ""}
    (canary,) = doors.http("kcolor/labels/canary")["model_version_status"]
    assert canary["version"] == "2"
    metadata = doors.http("kcolor/versions/1/metadata")
    assert metadata["model_spec"]["version"] == "1"
    signatures = metadata["metadata"]["signature_def"]["signature_def"]
    assert signatures["colorize"]["inputs"]["image_bytes"]["dtype"] == (
        "DT_STRING"
    )


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("kcolor:predict", {"inputs": [], "instances": []}, 400),
        ("kcolor:predict", {"instances": []}, 400),
        ("kcolor:predict", {"instances": {"L": 1}}, 400),
        ("kcolor:predict", {}, 400),
        ("kcolor:predict", [], 400),
        ("kcolor:predict", {"signature_name": 1, "inputs": []}, 400),
        ("kcolor:predict", {"signature_name": "no", "inputs": []}, 400),
        ("kcolor:predict", {"instances": [[[[1.0]]], [[[1.0, 2.0]]]]}, 400),
        ("kcolor:predict", {"instances": [1.0, 2.0]}, 400),
        ("kcolor:predict", {"inputs": [[1.0]]}, 400),
        ("kcolor:predict", {"inputs": 1.0}, 400),
        ("kcolor:predict", {"inputs": [[[[1.0, 2.0, 3.0]]]]}, 400),
        ("kcolor:predict", {"instances": [[[["1.0"]]]]}, 400),
        ("kcolor:predict", {"instances": [[[[True]]]]}, 400),
        ("kcolor:predict", {"instances": [[[[1e300]]]]}, 400),
        ("kcolor:predict", {"instances": [{"l": [[[1.0]]]}]}, 400),
        ("kcolor:predict", {"instances": [[[[1.0]]], {"L": [[[1.0]]]}]}, 400),
        ("kcolor:predict", {"inputs": {"l": [[[[1.0]]]]}}, 400),
        ("kcolor/labels/none:predict", {"inputs": [[[[1.0]]]]}, 400),
        ("kcolor/versions/9:predict", {"inputs": [[[[1.0]]]]}, 404),
        ("kcolor/versions/x:predict", {"inputs": [[[[1.0]]]]}, 400),
        ("another:predict", {"inputs": [[[[1.0]]]]}, 404),
        ("kcolor:colour", {"inputs": [[[[1.0]]]]}, 400),
        ("kcolor/versions/9", None, 404),
        ("another", None, 404),
        ("another/metadata", None, 404),
    ],
)
def test_malformed_requests_are_refused_by_their_code(
    doors, undisturbed, path, body, code
):
    with pytest.raises(Refused) as refused:
        doors.http(path, body)
    assert refused.value.args[0] == code
    assert refused.value.args[1]


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"inputs": [1' + b"]}"]
)
def test_bodies_that_are_no_request_are_refused(doors, raw):
    with pytest.raises(Refused) as refused:
        doors.http("kcolor:predict", raw=raw)
    assert refused.value.args[0] == 400


@pytest.mark.parametrize(
    "value",
    ["not base64", "", {"b64": "%%%%"}, {"b64": 1}, {"b64": "", "x": 1}, None],
)
def test_what_is_not_base64_is_refused(doors, value, undisturbed):
    body = {"signature_name": "colorize", "inputs": [value]}
    with pytest.raises(Refused) as refused:
        doors.http("kcolor:predict", body)
    assert refused.value.args[0] == 400


# === Hostile ===


INVALID = {"grpc": grpc.StatusCode.INVALID_ARGUMENT, "rest": 400}


def answer_or_none(door: str, ask):
    """Returns what is answered, unless the request is called invalid."""
    try:
        return ask()
    except Refused as refused:
        if refused.args[0] != INVALID[door]:
            raise
        return None


@DOORS
@pytest.mark.parametrize("name", photos.UNUSUAL)
def test_unusual_photos_keep_their_size(doors, undisturbed, door, name):
    data, size = photos.UNUSUAL[name]
    (photo,) = doors.colorize(door, [data])
    assert photos.size_of(photo) == size


@DOORS
@pytest.mark.parametrize("name", photos.BROKEN)
def test_broken_photos_fail_alone(doors, undisturbed, door, name):
    with pytest.raises(Refused) as refused:
        doors.colorize(door, [photos.BROKEN[name]])
    assert refused.value.args[0] == INVALID[door]


@DOORS
def test_a_broken_photo_fails_its_own_request_whole(doors, undisturbed, door):
    with pytest.raises(Refused):
        doors.colorize(door, [photos.GOOD, photos.BROKEN["text"]])


@DOORS
def test_a_photo_that_would_fill_the_memory_is_not_decoded(
    doors, undisturbed, door
):
    bomb = photos.bomb()
    assert len(bomb) < 200_000
    began = time.monotonic()
    with pytest.raises(Refused) as refused:
        doors.colorize(door, [bomb])
    assert refused.value.args[0] == INVALID[door]
    # Decoding it takes many times as long.
    assert time.monotonic() - began < 2


def _tensor(shape, dtype=np.float32, value=1):
    return tf.make_tensor_proto(np.full(shape, value, dtype))


TENSORS = {
    "rank 2": ("", {"L": _tensor((4, 4))}),
    "rank 3": ("", {"L": _tensor((1, 4, 4))}),
    "rank 5": ("", {"L": _tensor((1, 4, 4, 1, 1))}),
    "a scalar": ("", {"L": _tensor(())}),
    "two channels": ("", {"L": _tensor((1, 4, 4, 2))}),
    "three channels": ("", {"L": _tensor((1, 4, 4, 3))}),
    "doubles": ("", {"L": _tensor((1, 4, 4, 1), np.float64)}),
    "integers": ("", {"L": _tensor((1, 4, 4, 1), np.int32)}),
    "strings": ("", {"L": _tensor((1, 4, 4, 1), object, b"1")}),
    "no input": ("", {}),
    "another input": ("", {"l": _tensor((1, 4, 4, 1))}),
    "an input too many": (
        "",
        {"L": _tensor((1, 4, 4, 1)), "M": _tensor((1,))},
    ),
    "no file": ("colorize", {}),
    "numbers for files": ("colorize", {"image_bytes": _tensor((2,))}),
    "one bare file": (
        "colorize",
        {"image_bytes": tf.make_tensor_proto(photos.GOOD)},
    ),
    "a table of files": (
        "colorize",
        {"image_bytes": tf.make_tensor_proto([[photos.GOOD]])},
    ),
    "fewer bytes than its shape": (
        "",
        {
            "L": tensor_pb2.TensorProto(
                dtype=1,
                tensor_shape=tf.TensorShape([1, 4, 4, 1]).as_proto(),
                tensor_content=b"\0" * 5,
            )
        },
    ),
    "a shape below zero": (
        "",
        {
            "L": tensor_pb2.TensorProto(
                dtype=1,
                tensor_shape=tf.TensorShape([None, 4, 4, 1]).as_proto(),
                float_val=[1.0],
            )
        },
    ),
}


@pytest.mark.parametrize("name", TENSORS)
def test_tensors_that_do_not_fit_are_refused(doors, undisturbed, name):
    signature, inputs = TENSORS[name]
    with pytest.raises(Refused) as refused:
        doors.predict(inputs, signature)
    assert refused.value.args[0] == INVALID["grpc"]


def test_signatures_and_outputs_that_are_not_there_are_refused(
    doors, undisturbed
):
    with pytest.raises(Refused) as refused:
        doors.predict({"L": LIGHTNESS}, "colour")
    assert refused.value.args[0] == grpc.StatusCode.FAILED_PRECONDITION
    with pytest.raises(Refused) as refused:
        doors.predict({"L": LIGHTNESS}, outputs=["ba"])
    assert refused.value.args[0] == INVALID["grpc"]


@DOORS
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30, -5, 200])
def test_lightness_that_is_none_does_not_spoil_others(
    doors, undisturbed, door, value
):
    lightness = LIGHTNESS.copy()
    lightness[0, 3, 3] = value
    ab = answer_or_none(door, lambda: doors.ab(door, lightness))
    if ab is not None:
        assert ab.shape == (*lightness.shape[:3], 2)
        # The other photo of the same batch.
        np.testing.assert_array_equal(ab[1], doors.ab(door, LIGHTNESS)[1])


@pytest.mark.parametrize("shape", [(0, 4, 4, 1), (1, 0, 4, 1), (1, 4, 0, 1)])
def test_tensors_without_a_pixel_are_answered_or_refused(
    doors, undisturbed, shape
):
    nothing = np.zeros(shape, np.float32)
    ab = answer_or_none("grpc", lambda: doors.ab("grpc", nothing))
    assert ab is None or ab.shape == (*shape[:3], 2)


def test_no_photo_is_no_answer(doors, undisturbed):
    none = tf.make_tensor_proto(np.zeros(0, object), tf.string, (0,))
    answer = doors.predict({"image_bytes": none}, "colorize")
    assert array_of(answer.outputs["photo_bytes"], "").shape == (0,)


@DOORS
def test_many_photos_at_once_are_answered(doors, undisturbed, door):
    assert len(set(doors.colorize(door, 32 * GOOD))) == 2


@DOORS
def test_a_batch_of_photos_of_different_sizes_is_each_alone(doors, door):
    files = [data for data, _ in photos.UNUSUAL.values() if len(data) < 1000]
    files += [photos.encoded(photos.pixels(97, 61, seed=3))]
    alone = [doors.colorize(door, [file])[0] for file in files]
    assert doors.colorize(door, files) == alone


def test_a_small_request_does_not_wait_for_a_large_one(doors, right):
    large = photos.encoded(photos.pixels(2000, 1500), "JPEG")
    with ThreadPoolExecutor(1) as other:
        working = other.submit(doors.colorize, "grpc", [large])
        while not working.running():
            pass
        assert doors.colorize("rest", GOOD) == right.photos
        assert not working.done()
        (photo,) = working.result()
    assert photos.size_of(photo) == (2000, 1500)


def test_a_deadline_ends_a_request(doors):
    lightness = np.zeros((1, 500, 500, 1), np.float32)
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "kcolor"
    request.inputs["L"].CopyFrom(tf.make_tensor_proto(lightness))
    with pytest.raises(grpc.RpcError) as ended:
        doors.predictions.Predict(request, 0.005)
    assert ended.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED


# === Versions ===


def wait_until(said, seconds: float = 20) -> None:
    ends = time.monotonic() + seconds
    while not said():
        assert time.monotonic() < ends
        time.sleep(0.05)


def test_a_new_version_goes_out_by_its_label(versions, tmp_path):
    folder = tmp_path / "kcolor"
    shutil.copytree(versions / "1", folder / "1")
    config = tmp_path / "models.config"
    config.write_text(config_of(folder))
    flags = [flag for flag in compose()["command"] if "allow" in flag]
    flags += ["--model_config_file_poll_wait_seconds=0.2"]
    with running(config, *flags) as server:
        doors = Doors(server)

        def answers_of(label):
            response = doors.predict({"L": LIGHTNESS}, label=label)
            return response.model_spec.version.value

        def loaded():
            found = doors.http("kcolor")["model_version_status"]
            return [int(status["version"]) for status in found]

        assert loaded() == [1]
        shutil.copytree(versions / "2", folder / "2")
        config.write_text(config_of(folder, 1, 2))
        wait_until(lambda: loaded() == [1, 2])
        assert answers_of("canary") == 1
        config.write_text(config_of(folder, 1, 2, canary=2))
        wait_until(lambda: answers_of("canary") == 2)
        assert answers_of("stable") == 1
        config.write_text(config_of(folder, 1, 2, canary=2, stable=2))
        wait_until(lambda: answers_of("stable") == 2)
        # Not to what is not there.
        config.write_text(config_of(folder, 1, 2, canary=9, stable=9))
        time.sleep(1)
        assert answers_of("stable") == answers_of("canary") == 2
        # Back again.
        config.write_text(config_of(folder, 1, 2, canary=2, stable=1))
        wait_until(lambda: answers_of("stable") == 1)
        config.write_text(config_of(folder, 2, canary=2, stable=2))
        wait_until(lambda: loaded() == [2] and answers_of("stable") == 2)


def test_a_version_whose_warm_up_fails_is_not_served(versions, tmp_path):
    folder = tmp_path / "kcolor"
    shutil.copytree(versions / "1", folder / "1")
    path = folder / "1" / "assets.extra" / "tf_serving_warmup_requests"
    assert path.exists()
    log = prediction_log_pb2.PredictionLog()
    inputs = log.predict_log.request.inputs
    inputs["l"].CopyFrom(tf.make_tensor_proto([1.0]))
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(log.SerializeToString())
    config = tmp_path / "models.config"
    config.write_text(config_of(folder))
    with (
        pytest.raises(RuntimeError, match="warm-up request 0"),
        running(config, "--allow_version_labels_for_unavailable_models=true"),
    ):
        pass


def test_labels_need_their_flag_at_the_start(versions, tmp_path):
    config = tmp_path / "models.config"
    config.write_text(config_of(versions))
    with (
        pytest.raises(RuntimeError, match="assign label to version 1"),
        running(config),
    ):
        pass


# === Clients of others ===


@pytest.mark.parametrize("kind", ["grpc", "http"])
def test_ovmsclient_is_answered(server, right, kind):
    make = getattr(ovmsclient, f"make_{kind}_client")
    client = make(getattr(server, kind.replace("http", "rest")))
    status = client.get_model_status("kcolor", 1)[1]
    assert (status["state"], status["error_code"]) == ("AVAILABLE", 0)
    metadata = client.get_model_metadata("kcolor", 1)
    if kind == "http":  # it hands on what it was given
        assert metadata["model_spec"]["version"] == "1"
    else:
        assert metadata["inputs"]["L"]["shape"] == [-1, -1, -1, 1]
    ab = client.predict({"L": LIGHTNESS}, "kcolor", 1)
    ab = ab["ab"] if isinstance(ab, dict) else ab
    np.testing.assert_array_equal(np.float32(ab), right.ab)


# === What a deployer copies ===


def batching_parameters():
    """Returns an empty BatchingParameters, which the stubs do not have."""
    wrapped = {
        "max_batch_size": "Int64Value",
        "batch_timeout_micros": "Int64Value",
        "max_enqueued_batches": "Int64Value",
        "num_batch_threads": "Int64Value",
        "thread_pool_name": "StringValue",
    }
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="batching.proto",
        package="tensorflow.serving",
        syntax="proto3",
        dependency=[wrappers_pb2.DESCRIPTOR.name],
    )
    message = file.message_type.add(name="BatchingParameters")
    for number, (name, kind) in enumerate(wrapped.items(), 1):
        message.field.add(
            name=name,
            number=number,
            label=field.LABEL_OPTIONAL,
            type=field.TYPE_MESSAGE,
            type_name=f".google.protobuf.{kind}",
        )
    message.field.add(
        name="allowed_batch_sizes",
        number=6,
        label=field.LABEL_REPEATED,
        type=field.TYPE_INT64,
    )
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.AddSerializedFile(file.SerializeToString())
    name = "tensorflow.serving.BatchingParameters"
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(name))()


def test_the_configs_are_what_the_server_reads():
    models = text_format.Parse(
        (EXPORT / "models.config").read_text(),
        model_server_config_pb2.ModelServerConfig(),
    )
    (model,) = models.model_config_list.config
    assert model.name == "kcolor"
    served = model.model_version_policy.specific.versions
    assert set(model.version_labels) == {"stable", "canary"}
    assert set(model.version_labels.values()) <= set(served)
    batching = text_format.Parse(
        (EXPORT / "batching.config").read_text(), batching_parameters()
    )
    sizes = list(batching.allowed_batch_sizes)
    assert sizes == sorted(sizes)
    assert sizes[-1] == batching.max_batch_size.value


def test_the_composed_server_is_given_files_that_are_there():
    service = compose()
    mounted = dict(v.split(":")[1::-1] for v in service["volumes"])
    assert mounted == {"/config": ".", "/models": "./models"}
    assert all(v.endswith(":ro") for v in service["volumes"])
    mentioned = re.findall(
        r"=/config/(\S+)", (EXPORT / "compose.yaml").read_text()
    )
    mentioned += re.findall(
        r"=/config/(\S+)", (EXPORT / "batching.config").read_text()
    )
    assert set(mentioned) == {"models.config", "batching.config"}
    assert all((EXPORT / name).is_file() for name in mentioned)
    ports = {port.rpartition(":")[2] for port in service["ports"]}
    assert ports == {"8500", "8501"}


def test_its_health_check_tells_a_server_from_none(server):
    kind, *command = compose()["healthcheck"]["test"]
    assert kind == "CMD"

    def check(port):
        asked = [part.replace("8501", port) for part in command]
        return subprocess.run(asked, capture_output=True).returncode

    assert check(server.rest.partition(":")[2]) == 0
    assert check("1") != 0


def client(name: str, *arguments) -> subprocess.CompletedProcess:
    command = [str(CLIENTS / name)]
    if name.endswith(".py"):
        command.insert(0, sys.executable)
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.run(
        [*command, *map(str, arguments)],
        capture_output=True,
        text=True,
        env=environment,
    )


def address(server, name: str) -> list[str]:
    """Returns how a client is told where the server is."""
    if name == "rest.sh":
        return [f"http://{server.rest}/v1/models/kcolor/labels/stable"]
    where = f"http://{server.rest}" if name == "rest.py" else server.grpc
    return ["--server", where, "--label", "stable"]


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(photos.GOOD_JPEG)
    return path


@pytest.mark.parametrize(
    "name",
    [
        "rest.py",
        "rest.sh",
        # Its stubs import TensorFlow, which takes seconds.
        pytest.param("grpc_client.py", marks=pytest.mark.slow),
    ],
)
def test_a_client_writes_the_photo_the_server_gives(
    server, right, photo, tmp_path, name
):
    out = tmp_path / "coloured.png"
    done = client(name, photo, out, *address(server, name))
    assert done.returncode == 0, done.stderr
    assert out.read_bytes() == right.photos[1]


@pytest.mark.parametrize("name", ["rest.py", "rest.sh"])
def test_a_client_ends_in_one_line_that_says_why(server, photo, tmp_path, name):
    out = tmp_path / "coloured.png"
    text = tmp_path / "text.jpg"
    text.write_bytes(photos.BROKEN["text"])
    nobody = SimpleNamespace(rest="127.0.0.1:1", grpc="127.0.0.1:1")
    for asked, where, said in (
        (text, server, "refuses"),
        (tmp_path / "none.jpg", server, "none.jpg"),
        (photo, nobody, "no answer"),
    ):
        done = client(name, asked, out, *address(where, name))
        assert done.returncode == 1
        assert said in done.stderr
        assert len(done.stderr.splitlines()) == 1
        assert not out.exists()


@pytest.mark.slow
def test_the_grpc_client_sends_lightness_and_ends_in_one_line(
    server, photo, tmp_path
):
    out = tmp_path / "coloured.png"
    where = address(server, "grpc_client.py")
    done = client(
        "grpc_client.py", photo, out, *where, "--signature", "serving_default"
    )
    assert done.returncode == 0, done.stderr
    assert photos.size_of(out.read_bytes()) == (24, 17)
    photo.write_bytes(photos.BROKEN["text"])
    done = client("grpc_client.py", photo, out, *where)
    assert done.returncode == 1
    assert "INVALID_ARGUMENT" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("name", ["rest.py", "rest.sh", "tflite.py"])
def test_a_client_has_help(name):
    done = client(name, "--help")
    assert done.returncode == 0
    assert "usage" in done.stdout


@pytest.fixture
def tflite(tmp_path):
    """A model that paints everything in one colour."""

    @tf.function(input_signature=[tf.TensorSpec((1, 16, 16, 1))])
    def red(lightness):
        return tf.concat([0 * lightness + 60, 0 * lightness + 40], -1)

    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [red.get_concrete_function()]
    )
    path = tmp_path / "red.tflite"
    path.write_bytes(converter.convert())
    with zipfile.ZipFile(path, "a") as notes:
        notes.writestr(
            "kcolor.json", json.dumps({"image_size": 16, "fixed_size": False})
        )
    return path


def test_the_tflite_client_needs_no_server(tflite, photo, tmp_path):
    out = tmp_path / "coloured.png"
    Image.fromarray(photos.pixels(75, 40)).convert("L").save(photo)
    done = client("tflite.py", tflite, photo, out)
    assert done.returncode == 0, done.stderr
    coloured = photos.decoded(out.read_bytes()).astype(int)
    assert coloured.shape == (40, 75, 3)
    assert (coloured[..., 0] > coloured[..., 2]).all()
    out.unlink()
    for model, asked, said in (
        (photo, photo, "not a .tflite of kcolor-export"),
        (tflite, tflite, "cannot identify"),
        (tmp_path / "none.tflite", photo, "none.tflite"),
    ):
        done = client("tflite.py", model, asked, out)
        assert done.returncode == 1
        assert said in done.stderr.splitlines()[-1]
        assert not out.exists()


def test_the_clients_know_lab_as_kcolor_does():
    sys.path.insert(0, str(CLIENTS))
    try:
        import lab
    finally:
        sys.path.remove(str(CLIENTS))
    from kcolor.color import rgb_to_lab

    rgb = photos.pixels(40, 30)
    known = np.asarray(rgb_to_lab(rgb / 255.0))
    lightness = lab.lightness_of(rgb)
    np.testing.assert_allclose(lightness, known[..., 0], atol=0.01)
    again = lab.rgb_of(lightness, known[..., 1:])
    assert np.abs(again.astype(int) - rgb).max() <= 1


def test_the_readme_names_every_file_and_only_those():
    text = (EXPORT / "README.md").read_text()
    there = {p.name for p in (*EXPORT.iterdir(), *CLIENTS.iterdir())}
    there -= {"README.md", "clients", "__pycache__"}
    named = set(re.findall(r"\b[\w]+\.(?:config|yaml|py|sh)\b", text))
    assert named == there
