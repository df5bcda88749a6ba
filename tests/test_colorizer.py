"""Tests for `kcolor.colorizer`."""

import subprocess
import sys
from dataclasses import dataclass

import keras
import numpy as np
import pytest

from kcolor.colorizer import Colorizer
from kcolor.errors import UserError
from kcolor.models.architecture import Architecture
from kcolor.models.cnn import CNN
from kcolor.models.zhang import Zhang
from kcolor.objectives.ce import CrossEntropy
from kcolor.objectives.flow import Flow
from kcolor.objectives.l2 import L2
from kcolor.objectives.mdn import MixtureDensity
from kcolor.objectives.objective import Objective

pytestmark = pytest.mark.usefixtures("fresh_keras")


@dataclass(frozen=True)
class Copying(Architecture):
    """Its outputs are what it sees, in the precision that is set."""

    name = "copying"

    def build(self, image_size, planes, channels):
        inputs = keras.Input((None, None, planes))
        x = keras.layers.Conv2D(
            channels, 1, use_bias=False, kernel_initializer="ones"
        )(inputs)
        outputs = keras.layers.Activation("linear", dtype="float32")(x)
        return keras.Model(inputs, outputs)


@dataclass(frozen=True)
class Adding(Objective):
    """Decodes to the outputs plus 1, to tell the two apart."""

    name = "adding"
    channels = 2

    def decode(self, outputs):
        return outputs + 1


def random_lightness(shape=(2, 20, 24, 1)):
    random = np.random.default_rng(0)
    return random.uniform(0, 100, shape).astype("float32")


def adapted_colorizer(histogram):
    """Returns a colorizer without a single default, weights included."""
    objective = CrossEntropy(bins=261, rebalance=0.7, temperature=0.5)
    colorizer = Colorizer(
        CNN(head="conv", dropout=0.25),
        objective.adapt(histogram),
        image_size=16,
        name="mine",
    )
    random = np.random.default_rng(0)
    for weight in colorizer.weights:
        values = random.normal(0, 0.1, weight.shape)
        weight.assign(abs(values) if "variance" in weight.path else values)
    return colorizer


def test_lightness_reaches_the_network_between_minus_one_and_one():
    colorizer = Colorizer(Copying(), Adding(), image_size=8)
    lightness = np.linspace(0, 100, 5, dtype="float32").reshape(1, 1, 5, 1)
    outputs = np.array(colorizer.forward(lightness)())
    np.testing.assert_allclose(
        outputs[0, 0], np.repeat([[-1], [-0.5], [0], [0.5], [1]], 2, -1)
    )


def test_a_call_decodes_the_outputs():
    colorizer = Colorizer(Copying(), Adding(), image_size=8)
    lightness = random_lightness()
    outputs = np.array(colorizer.forward(lightness)())
    np.testing.assert_array_equal(colorizer(lightness), outputs + 1)
    np.testing.assert_allclose(
        colorizer.predict(lightness, verbose=0), outputs + 1, atol=1e-6
    )


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_does_not_round_lightness(precision):
    keras.config.set_dtype_policy(precision)
    colorizer = Colorizer(Copying(), Adding(), image_size=8)
    # bfloat16 has no number between 50 and 50.25: all of these would be 0.
    lightness = np.float32([50.02, 50.05, 50.1]).reshape(1, 1, 3, 1)
    for outputs in (colorizer.forward(lightness)(), colorizer(lightness) - 1):
        np.testing.assert_allclose(
            np.array(outputs)[0, 0, :, 0], [0.0004, 0.001, 0.002], rtol=0.01
        )


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("objective", [L2(), CrossEntropy()], ids=["l2", "ce"])
def test_mixed_precision_gives_float32_from_a_network_of_its_own_precision(
    precision, objective
):
    keras.config.set_dtype_policy(precision)
    colorizer = Colorizer(CNN(head="conv"), objective, image_size=16)
    lightness = random_lightness()
    for given in (lightness, keras.ops.convert_to_tensor(lightness)):
        for result in (colorizer.forward(given)(), colorizer(given)):
            assert keras.backend.standardize_dtype(result.dtype) == "float32"
    convolution = colorizer.network.get_layer("conv1")
    assert convolution.compute_dtype == precision.removeprefix("mixed_")
    assert {weight.dtype for weight in colorizer.weights} == {"float32"}


def test_mixed_precision_decodes_to_full_float32_numbers():
    keras.config.set_dtype_policy("mixed_bfloat16")
    colorizer = Colorizer(CNN(head="conv"), CrossEntropy(), image_size=16)
    ab = np.array(colorizer(random_lightness()))
    rounded = np.array(
        keras.ops.cast(keras.ops.cast(ab, "bfloat16"), "float32")
    )
    assert (ab != rounded).mean() > 0.9


def test_dropout_and_batch_statistics_are_off_unless_training():
    colorizer = Colorizer(CNN(head="conv", dropout=0.5), L2(), image_size=16)
    lightness = random_lightness()
    calm = [np.array(colorizer(lightness)) for _ in range(2)]
    np.testing.assert_array_equal(*calm)
    training = [np.array(colorizer(lightness, training=True)) for _ in range(2)]
    assert not np.array_equal(*training)


def test_weights_of_the_network_are_those_of_the_colorizer():
    colorizer = Colorizer(CNN(head="conv"), L2(), image_size=16)
    paths = [weight.path for weight in colorizer.network.weights]
    assert [weight.path for weight in colorizer.weights] == paths
    assert colorizer.built


def test_its_config_and_a_new_instance_from_it_are_equal(histogram):
    config = adapted_colorizer(histogram).get_config()
    assert Colorizer.from_config(config).get_config() == config


@pytest.fixture(scope="module")
def saved(tmp_path_factory, histogram):
    """Returns the folder of a saved colorizer, its input and its output."""
    folder = tmp_path_factory.mktemp("saved")
    colorizer = adapted_colorizer(histogram)
    colorizer.save(folder / "model.keras")
    np.save(folder / "lightness.npy", random_lightness())
    np.save(folder / "ab.npy", colorizer(random_lightness()))
    return folder


@pytest.mark.parametrize("imports", ["kcolor, keras", "keras, kcolor"])
def test_a_new_process_loads_the_same_colorizer(saved, imports):
    program = f"""
import {imports}
import numpy as np
colorizer = keras.models.load_model("model.keras")
ab = colorizer(np.load("lightness.npy"))
np.testing.assert_allclose(ab, np.load("ab.npy"), atol=1e-4)
assert np.ptp(ab) > 0.1, "nothing to compare"
assert colorizer.name == "mine"
assert isinstance(colorizer, kcolor.Colorizer)
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=saved,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_a_loaded_colorizer_keeps_every_setting_and_the_prior(saved, histogram):
    loaded = keras.models.load_model(saved / "model.keras")
    original = adapted_colorizer(histogram)
    assert loaded.architecture == original.architecture
    assert loaded.objective == original.objective
    assert loaded.image_size == original.image_size
    np.testing.assert_array_equal(
        loaded(random_lightness()), np.load(saved / "ab.npy")
    )


def test_weights_trained_in_mixed_precision_are_loaded_exactly(
    tmp_path, histogram
):
    keras.config.set_dtype_policy("mixed_bfloat16")
    colorizer = adapted_colorizer(histogram)
    colorizer.save(tmp_path / "model.keras")
    keras.config.set_dtype_policy("float32")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for ours, theirs in zip(colorizer.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    "shape", [(1, 8, 8), (1, 8, 8, 2), (8, 8), (1, 8, 8, 3)]
)
def test_lightness_of_another_shape_is_refused_in_words(shape):
    colorizer = Colorizer(CNN(head="conv"), L2(), image_size=16)
    with pytest.raises(ValueError, match=r"lightness must be \(N, H, W, 1\)"):
        colorizer.sample(np.zeros(shape, "float32"))


def test_a_seed_may_be_numpy_s_as_well_as_python_s():
    colorizer = Colorizer(CNN(head="conv"), MixtureDensity(), image_size=16)
    lightness = np.full((1, 16, 16, 1), 50, "float32")
    ours, theirs = (
        np.array(colorizer.sample(lightness, seed)) for seed in (3, np.int64(3))
    )
    np.testing.assert_array_equal(ours, theirs)


def test_parts_that_do_not_fit_each_other_are_refused():
    with pytest.raises(UserError, match="--grid 6"):
        Colorizer(Zhang(width=0.0625), Flow(grid=6), image_size=32)
