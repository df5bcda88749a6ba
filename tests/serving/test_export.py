"""Tests for `kcolor-export`: what is written, and how it is compared."""

import json
import shutil
import signal
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf
from exports import SIZE, small_colorizer
from photos import decoded, encoded, pixels
from tensorflow_serving.apis import prediction_log_pb2

import kcolor
from kcolor import models, objectives
from kcolor.cli import export as command
from kcolor.color import rgb_to_lightness
from kcolor.colorizer import Colorizer
from kcolor.errors import UserError
from kcolor.models.cnn import CNN
from kcolor.serving import export as exporting
from kcolor.serving import parity, saved_model
from kcolor.serving.parity import Parity, Tolerance
from kcolor.serving.signatures import MOST_LIGHTNESS, Signatures
from kcolor.settings import settings

SMALL = {"width": 0.0625, "filters": 4, "hidden": 16, "depth": 3, "blocks": 2}


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    for number in range(12):
        path = folder / ("train" if number % 2 else "test") / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(encoded(pixels(40, 36, number)))
    return folder


def bold(architecture, objective, size=SIZE):
    """Returns a colorizer that has learnt nothing and paints boldly."""
    keras.utils.set_random_seed(0)
    colorizer = Colorizer(architecture, objective, size)
    random = np.random.default_rng(0)
    for weight in colorizer.network.weights[-2:]:
        weight.assign(random.normal(0, 0.3, weight.shape))
    return colorizer


@pytest.fixture(scope="session")
def everything(data, tmp_path_factory):
    """A model, and its exports in all formats."""
    folder = tmp_path_factory.mktemp("everything")
    colorizer = bold(CNN(head="conv", depth=2), objectives.get("l2")())
    colorizer.save(folder / "net.keras")
    found = kcolor.export(folder / "net.keras", folder / "out", data=data)
    return colorizer, folder / "out" / "net", found


def test_every_format_is_there_under_its_name_and_nothing_else(everything):
    _, folder, found = everything
    assert sorted(path.name for path in folder.iterdir()) == [
        ".lock",
        "1",
        "net-1-float16.tflite",
        "net-1-int8.tflite",
        "net-1.json",
        "net-1.tflite",
    ]
    assert {path for path, _ in found.values()} == {
        folder / "1",
        *folder.glob("*.tflite"),
    }


def test_what_was_found_is_kept_beside_it_and_within_tolerance(everything):
    _, folder, found = everything
    report = json.loads((folder / "net-1.json").read_text())
    assert report["image_size"] == SIZE
    for chosen, tolerance in exporting.TOLERANCES.items():
        kept = report["formats"][chosen]
        assert kept["max_ab"] == found[chosen][1].max_ab
        assert not found[chosen][1].fault(tolerance)
        assert kept["bytes"] > 1000
        assert all(time > 0 for time in kept["milliseconds"].values())
    assert report["formats"]["savedmodel"]["levels"] <= 1
    assert report["formats"]["tflite-int8"]["rmse_ab"] > 0


def test_exports_colour_photos_as_their_model_does(everything):
    colorizer, folder, _ = everything
    photo = pixels(61, 45)
    expected = kcolor.colorize(photo, colorizer).astype(int)
    for path, most in (
        (folder, 1),  # its newest version
        (folder / "1", 1),
        (folder / "net-1.tflite", 1),
        (folder / "net-1-float16.tflite", 3),
        (folder / "net-1-int8.tflite", 20),
    ):
        away = np.abs(kcolor.colorize(photo, path) - expected)
        assert away.max() <= most, path


def test_a_tflite_file_says_what_it_is_and_still_runs(everything):
    _, folder, _ = everything
    for path in folder.glob("*.tflite"):
        with zipfile.ZipFile(path) as archive:
            notes = json.loads(archive.read("kcolor.json"))
        assert (notes["image_size"], notes["fixed_size"]) == (SIZE, False)


@pytest.mark.slow
def test_int8_is_smaller_than_half_floats_than_floats(data, tmp_path):
    colorizer = bold(CNN(head="conv", depth=5), objectives.get("l2")())
    colorizer.save(tmp_path / "net.keras")
    formats = ("tflite", "tflite-float16", "tflite-int8")
    found = kcolor.export(
        tmp_path / "net.keras", tmp_path, formats=formats, data=data
    )
    whole, half, quarter = (found[chosen][1].bytes for chosen in formats)
    assert whole > 1.6 * half
    assert half > 1.3 * quarter


def test_the_warm_up_asks_both_signatures_what_they_can_answer(everything):
    _, folder, _ = everything
    loaded = tf.saved_model.load(folder / "1")
    file = folder / "1" / "assets.extra" / "tf_serving_warmup_requests"
    asked = []
    for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
        log = prediction_log_pb2.PredictionLog.FromString(record)
        request = log.predict_log.request
        asked.append(request.model_spec.signature_name)
        loaded.signatures[asked[-1]](
            **{
                name: tf.constant(tf.make_ndarray(value))
                for name, value in request.inputs.items()
            }
        )
    assert asked == ["serving_default", "colorize"]


def test_each_export_is_the_next_version_and_none_is_replaced(
    everything, data, tmp_path
):
    colorizer, _, _ = everything
    colorizer.save(tmp_path / "net.keras")
    (tmp_path / "net" / "7").mkdir(parents=True)
    (tmp_path / "net" / "net-9-int8.tflite").write_text("mine")
    found = kcolor.export(
        tmp_path / "net.keras", tmp_path, formats=["tflite"], data=data
    )
    assert found["tflite"][0].name == "net-10.tflite"
    assert (tmp_path / "net" / "net-9-int8.tflite").read_text() == "mine"


def test_an_export_that_is_too_far_off_is_not_published(
    everything, data, tmp_path, monkeypatch
):
    colorizer, _, _ = everything
    colorizer.save(tmp_path / "net.keras")
    exact = Tolerance(rmse=1e-9)
    monkeypatch.setitem(exporting.TOLERANCES, "tflite-float16", exact)
    with pytest.raises(
        UserError, match=r"not exported: tflite-float16 .*rmse_ab"
    ):
        kcolor.export(
            tmp_path / "net.keras",
            tmp_path,
            formats=["tflite", "tflite-float16"],
            data=data,
        )
    names = {path.name for path in (tmp_path / "net").iterdir()}
    assert names == {".lock", "net-1.tflite", "net-1.json"}


@pytest.mark.parametrize(
    ("found", "tolerance", "fault"),
    [
        ({"max_ab": 0.5}, Tolerance(most=0.4), "0.5 ab off, 0.4 are allowed"),
        ({"max_ab": float("nan")}, Tolerance(most=0.4), "nan ab off"),
        ({"rmse_ab": 2.0}, Tolerance(rmse=1.0), "2 rmse_ab off"),
        ({"levels": 2}, Tolerance(), "2 of 255 levels off"),
        ({"max_ab": 0.4, "levels": 1}, Tolerance(most=0.4), ""),
    ],
)
def test_more_than_is_tolerated_is_a_fault(found, tolerance, fault):
    whole = {"max_ab": 0.0, "rmse_ab": 0.0, "levels": 0}
    compared = Parity(**whole | found, bytes=1, milliseconds={})
    assert fault in compared.fault(tolerance)
    assert bool(compared.fault(tolerance)) == bool(fault)


def test_an_export_that_does_not_run_is_refused_with_the_reason(
    everything, tmp_path
):
    colorizer, folder, _ = everything
    colorizer.save(tmp_path / "net.keras")
    model = exporting.open_model(tmp_path / "net.keras")
    photos = np.stack([pixels(SIZE, SIZE, seed) for seed in (1, 2)])
    reference = parity.Reference(model, photos)
    (tmp_path / "broken.tflite").write_bytes(b"no model at all")
    with pytest.raises(UserError, match=r"broken\.tflite' does not run"):
        reference.compare(tmp_path / "broken.tflite")


@pytest.mark.slow
def test_precision_that_is_set_for_training_is_no_matter(data, tmp_path):
    colorizer = bold(CNN(head="conv", depth=2), objectives.get("l2")())
    colorizer.save(tmp_path / "net.keras")
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        found = kcolor.export(
            tmp_path / "net.keras", tmp_path, formats=["tflite"], data=data
        )
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
    finally:
        keras.config.set_dtype_policy("float32")
    assert found["tflite"][1].max_ab < 1e-3


# === Networks of one size ===


@pytest.fixture(scope="session")
def fixed(data, tmp_path_factory):
    """A network with a dense head, and its exports."""
    folder = tmp_path_factory.mktemp("fixed")
    colorizer = bold(CNN(depth=2, width=0.25), objectives.get("l2")())
    colorizer.save(folder / "net.keras")
    found = kcolor.export(
        folder / "net.keras",
        folder / "out",
        formats=["savedmodel", "tflite"],
        data=data,
    )
    return colorizer, found


def test_a_network_of_one_size_is_exported_for_photos_of_any(fixed):
    colorizer, found = fixed
    path, compared = found["savedmodel"]
    assert set(compared.milliseconds) == {"64", "256"}
    signature = tf.saved_model.load(path).signatures["serving_default"]
    exact = np.random.default_rng(0).uniform(20, 80, (2, SIZE, SIZE, 1))
    exact = exact.astype("float32")
    np.testing.assert_allclose(
        signature(L=tf.constant(exact))["ab"], colorizer(exact), atol=1e-4
    )
    other = tf.constant(np.full((1, 30, 50, 1), 50, np.float32))
    assert signature(L=other)["ab"].shape == (1, 30, 50, 2)
    photo = pixels(50, 30)
    expected = kcolor.colorize(photo, colorizer).astype(int)
    for path, _ in found.values():
        assert np.abs(kcolor.colorize(photo, path) - expected).max() <= 1


@pytest.mark.slow
def test_a_tflite_of_one_size_refuses_another(fixed):
    _, found = fixed
    path, compared = found["tflite"]
    assert compared.milliseconds == {"64": None, "256": None}
    with pytest.raises(UserError, match="takes photos of 16 pixels alone"):
        kcolor.colorize(pixels(50, 30), path, image_size=32)


# === Signatures ===


def test_a_request_for_more_pixels_than_memory_holds_is_refused():
    colorizer = small_colorizer(0)
    ask = tf.function(Signatures(colorizer, 10**6).ab)
    too_large = tf.zeros((2, MOST_LIGHTNESS // 2 + 1, 1, 1))
    with pytest.raises(tf.errors.InvalidArgumentError, match="more than"):
        ask(too_large)


def test_photos_of_the_graph_are_those_of_the_command(everything):
    colorizer, folder, _ = everything
    ask = tf.saved_model.load(folder / "1").signatures["colorize"]
    photo = pixels(50, 33)
    (png,) = ask(image_bytes=tf.constant([encoded(photo)]))[
        "photo_bytes"
    ].numpy()
    away = decoded(png).astype(int) - kcolor.colorize(photo, colorizer)
    assert np.abs(away).max() <= 1
    lightness = [
        np.asarray(rgb_to_lightness(rgb / 255)) for rgb in (photo, decoded(png))
    ]
    assert np.abs(lightness[0] - lightness[1]).max() < 100 / 255


# === The command ===


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["nothing"], "'nothing' not found"),
        (["text.txt"], "is no run and no .keras file"),
        (["net.keras", "--format", "onnx"], "unknown format 'onnx'"),
        (["net.keras", "--name", "../up"], "--name '../up' is no name"),
        (["net.keras", "--megapixels", "0"], "whole number above 0"),
        (["net.keras", "--data", "nowhere"], "unknown data 'nowhere'"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    tmp_path, monkeypatch, capsys, words, reason
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text("Dear diary")
    small_colorizer(0).save(tmp_path / "net.keras")
    monkeypatch.setattr(
        sys, "argv", ["kcolor-export", *words, "--out", "exports"]
    )
    with pytest.raises(SystemExit) as end:
        command.main()
    assert end.value.code == 2
    error = capsys.readouterr().err
    assert reason in error
    assert error.count("\n") == 1
    assert not (tmp_path / "exports").exists()


# === Every architecture and every objective ===


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arch", "loss"),
    [
        *((arch, "l2") for arch in models.names()),
        *(("unet", loss) for loss in objectives.names()),
    ],
)
def test_every_pair_is_exported_in_every_format(
    arch, loss, data, histogram, tmp_path
):
    kind = models.get(arch)
    names = [field.name for field in settings(kind)]
    small = {name: SMALL[name] for name in names if name in SMALL}
    objective = objectives.get(loss)().adapt(histogram)
    bold(kind(**small), objective, 32).save(tmp_path / "net.keras")
    found = kcolor.export(tmp_path / "net.keras", tmp_path, data=data)
    assert set(found) == set(exporting.FORMATS)


# === What does not go as it should ===


def test_a_tensor_of_another_shape_is_refused_and_ends_no_process(tmp_path):
    # Zhang's first convolution would end the process.
    kind = models.get("zhang")(width=SMALL["width"])
    colorizer = bold(kind, objectives.get("l2")(), 32)
    saved_model.write(colorizer, tmp_path / "1", 10**6, {})
    program = f"""
import numpy as np, tensorflow as tf
ask = tf.saved_model.load("{tmp_path / "1"}").signatures["serving_default"]
for shape in ((32, 32, 1), (1, 32, 32), (1, 32, 32, 2), (1, 32, 32, 1, 1), ()):
    try:
        ask(L=tf.zeros(shape))
    except tf.errors.InvalidArgumentError:
        print("refused")
print(ask(L=tf.zeros((1, 32, 32, 1)))["ab"].shape)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout == "refused\n" * 5 + "(1, 32, 32, 2)\n"


def test_the_mode_of_the_colours_is_exported_too(data, histogram, tmp_path):
    objective = objectives.get("ce")(temperature=0.0).adapt(histogram)
    bold(CNN(head="conv", depth=2), objective).save(tmp_path / "net.keras")
    found = kcolor.export(
        tmp_path / "net.keras", tmp_path, formats="tflite", data=data
    )
    assert set(found) == {"tflite"}


def test_a_format_that_fails_leaves_the_others_and_their_report(
    everything, data, tmp_path, monkeypatch
):
    colorizer, _, _ = everything
    colorizer.save(tmp_path / "net.keras")
    stale = tmp_path / "net" / ".export-old"
    stale.mkdir(parents=True)

    def full(*_):
        raise tf.errors.ResourceExhaustedError(None, None, "No space left")

    monkeypatch.setattr(saved_model, "write", full)
    with pytest.raises(UserError, match="not exported: savedmodel .*No space"):
        kcolor.export(
            tmp_path / "net.keras",
            tmp_path,
            formats=["tflite", "savedmodel"],
            data=data,
        )
    names = {path.name for path in (tmp_path / "net").iterdir()}
    assert names == {".lock", "net-1.tflite", "net-1.json"}


def test_a_signal_leaves_nothing_that_is_half_made(
    everything, data, tmp_path, monkeypatch
):
    colorizer, _, _ = everything
    colorizer.save(tmp_path / "net.keras")

    def interrupted(_, folder, *__):
        folder.mkdir()
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(saved_model, "write", interrupted)
    words = ["net.keras", "--out", "out", "--data", str(data)]
    monkeypatch.setattr(sys, "argv", ["kcolor-export", *words])
    monkeypatch.chdir(tmp_path)
    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(SystemExit) as end:
            command.main()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert end.value.code == 128 + signal.SIGTERM
    names = [path.name for path in (tmp_path / "out" / "net").iterdir()]
    assert names == [".lock"]


@pytest.mark.parametrize("megapixels", [0, -1, 0.5, 10**7, 10**20])
def test_a_limit_that_is_none_is_refused_at_once(megapixels, tmp_path):
    with pytest.raises(UserError, match="--megapixels .* is not allowed"):
        kcolor.export("nothing", tmp_path, megapixels=megapixels)


def test_folders_of_other_names_are_no_versions(everything, tmp_path):
    _, folder, _ = everything
    shutil.copytree(folder / "1", tmp_path / "net" / "1")
    for name in ("²", "٣", "20240101-backup", "9" * 20, "1.bak"):
        (tmp_path / "net" / name).mkdir()
    assert exporting._next_version(tmp_path / "net", "net") == 2
    photo = pixels(20, 20)
    assert kcolor.colorize(photo, tmp_path / "net").shape == (20, 20, 3)


def test_data_that_is_gone_is_told_with_the_way_out(tmp_path):
    model = exporting.Model("net", small_colorizer(0), None, "/nowhere/photos")
    with pytest.raises(UserError, match="does not exist.*--data"):
        exporting._photos(model, None)
