"""Tests for the colorizer that comes with kcolor, and small ones like it."""

import json
import time
from pathlib import Path

import keras
import numpy as np
import pytest

import kcolor
from kcolor import shipped
from kcolor.colorizer import Colorizer
from kcolor.errors import UserError
from kcolor.models.unet import UNet
from kcolor.objectives.ce import CrossEntropy
from kcolor.objectives.l2 import L2
from kcolor.shipped import pack
from kcolor.trained import open_model
from kcolor.training.experiment import Experiment

pytestmark = pytest.mark.usefixtures("fresh_keras")
LIGHTNESS = np.random.default_rng(0).uniform(0, 100, (2, 32, 48, 1))


@pytest.fixture(scope="module")
def colorizer(histogram):
    keras.utils.set_random_seed(0)
    objective = CrossEntropy().adapt(histogram)
    return Colorizer(UNet(filters=4, depth=2), objective, image_size=24)


@pytest.fixture
def folder(tmp_path, colorizer):
    pack.pack(colorizer, tmp_path)
    return tmp_path


def refused(folder) -> str:
    with pytest.raises(UserError) as error:
        shipped.load(folder)
    text = str(error.value)
    assert "\n" not in text
    assert "install kcolor again" in text
    return text


# === The one that comes with kcolor ===


def test_it_colours_photos_of_any_size():
    ab = np.asarray(kcolor.pretrained()(LIGHTNESS))
    assert ab.shape == (2, 32, 48, 2)
    assert np.hypot(*np.moveaxis(ab, -1, 0)).mean() > 1


def test_it_is_small_and_loads_at_once():
    assert (shipped.FOLDER / shipped.WEIGHTS).stat().st_size < 25e6
    began = time.monotonic()
    kcolor.pretrained()
    assert time.monotonic() - began < 3 * 3  # this machine may be busy


def test_it_needs_no_encoder_s_package(monkeypatch):
    monkeypatch.setattr(UNet, "load_encoder", None)
    monkeypatch.setattr(UNet, "require", None)
    kcolor.pretrained()


def test_its_card_names_its_data_and_its_faults():
    card = (shipped.FOLDER / "CARD.md").read_text()
    for word in ("data", "terms", "kcolor-train", "fails"):
        assert word in card.lower()


def test_the_word_is_a_model_wherever_one_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = open_model("pretrained")
    assert model.name == "pretrained"
    made = Experiment.of(init="pretrained")
    assert made.architecture == model.colorizer.architecture
    grey = np.full((40, 60), 99, np.uint8)
    assert kcolor.colorize(grey).shape == (40, 60, 3)


def test_a_folder_called_so_changes_nothing_and_is_named_by_its_path(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pretrained").mkdir()
    assert open_model("pretrained").name == "pretrained"
    assert open_model("./pretrained") is None
    assert open_model(Path("pretrained")) is None
    assert Experiment.of(init="pretrained").arch == "unet"


# === Any ===


def test_what_is_packed_is_loaded(folder, colorizer):
    loaded = shipped.load(folder)
    assert loaded.get_config() == colorizer.get_config() | {
        "name": "pretrained"
    }
    away = abs(np.asarray(loaded(LIGHTNESS) - colorizer(LIGHTNESS)))
    assert away.max() < 0.5


def test_it_is_loaded_in_float32_whatever_the_precision(folder):
    keras.config.set_dtype_policy("mixed_bfloat16")
    loaded = shipped.load(folder)
    assert {w.dtype for w in loaded.weights} == {"float32"}
    assert keras.config.dtype_policy().name == "mixed_bfloat16"


@pytest.mark.parametrize("name", [shipped.ABOUT, shipped.WEIGHTS])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    assert name in refused(folder)


@pytest.mark.parametrize("place", [0, 1000, -1])
def test_a_single_wrong_bit_is_seen(folder, place):
    content = bytearray((folder / shipped.WEIGHTS).read_bytes())
    content[place] ^= 1
    (folder / shipped.WEIGHTS).write_bytes(content)
    assert "sha256" in refused(folder)


def test_a_file_cut_short_is_seen(folder):
    content = (folder / shipped.WEIGHTS).read_bytes()
    (folder / shipped.WEIGHTS).write_bytes(content[:-100])
    assert "sha256" in refused(folder)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"config": 1}',
        '{"config": {"architecture": 3}, "sha256": ""}',
    ],
)
def test_a_description_that_is_none_is_seen(folder, text):
    (folder / shipped.ABOUT).write_text(text)
    assert shipped.ABOUT in refused(folder)
    with pytest.raises(UserError, match=shipped.ABOUT):
        shipped.config(folder)


@pytest.mark.parametrize(
    "change",
    [{"filters": 8}, {"depth": 3}, {"name": "cnn"}, {"name": "other"}],
)
def test_weights_of_another_network_are_seen(folder, change):
    about = json.loads((folder / shipped.ABOUT).read_text())
    about["config"]["architecture"] |= change
    (folder / shipped.ABOUT).write_text(json.dumps(about))
    assert "does not fit" in refused(folder)


def test_what_is_packed_may_be_asked_otherwise(colorizer, tmp_path):
    other = colorizer.changed(32, temperature=0.1, rebalance=None)
    pack.pack(other, tmp_path)
    loaded = shipped.load(tmp_path)
    assert loaded.image_size == 32
    assert loaded.objective.temperature == 0.1
    assert loaded.objective.rebalance == colorizer.objective.rebalance


def test_what_half_precision_would_change_is_not_packed(tmp_path):
    colorizer = Colorizer(UNet(filters=4, depth=2), L2(), image_size=24)
    head = colorizer.network.get_layer("head")
    head.set_weights([1e6 * np.ones(w.shape) for w in head.weights])
    with (
        np.errstate(over="ignore"),
        pytest.raises(UserError, match="half precision"),
    ):
        pack.pack(colorizer, tmp_path)
    assert not list(tmp_path.iterdir())


def test_what_is_too_large_is_not_packed(tmp_path, colorizer, monkeypatch):
    monkeypatch.setattr(pack, "MOST_MEGABYTES", 0.01)
    with pytest.raises(UserError, match="train a smaller network"):
        pack.pack(colorizer, tmp_path)
    assert not list(tmp_path.iterdir())
