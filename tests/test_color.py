"""Tests for `kcolor.color`."""

import itertools
import subprocess
import sys
import warnings

import keras
import numpy as np
import pytest
import skimage.color
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from kcolor.color import gamut_bins, lab_to_rgb, rgb_to_lab

# Every 5th of 0..255 has both ends, so these include the cube's corners.
LEVELS = np.arange(0, 256, 5)
SAMPLED_CUBE = np.stack(
    np.meshgrid(LEVELS, LEVELS, LEVELS, indexing="ij"), axis=-1
).reshape(-1, 3)
CORNERS = np.array(list(itertools.product([0.0, 1.0], repeat=3)), "float32")
# Beyond 0..1 as a network's output may be; finite is all that is asked there.
OVERSHOOTS = np.array([[-1, -1, -1], [2, 2, 2], [-1, 0, 2]], "float32")
# L and ab far outside of the gamut, and a z below 0.
WILD_LAB = np.array(
    list(itertools.product([0, 1, 50, 100], [-110, 0, 110], [-110, 0, 110])),
    "float32",
)

CONVERSIONS = pytest.mark.parametrize(
    ("convert", "colors"),
    [
        (rgb_to_lab, np.concatenate([CORNERS, OVERSHOOTS])),
        (
            lab_to_rgb,
            np.concatenate([skimage.color.rgb2lab(CORNERS), WILD_LAB]),
        ),
    ],
    ids=["rgb_to_lab", "lab_to_rgb"],
)


def numpy_lab(rgb):
    return rgb_to_lab(rgb).numpy()


def numpy_rgb(lab):
    return lab_to_rgb(lab).numpy()


def skimage_rgb(lab):
    with warnings.catch_warnings():
        # It warns when it clips a negative z.
        warnings.simplefilter("ignore")
        return skimage.color.lab2rgb(np.asarray(lab, "float64"))


def nearest_bins(lab):
    return np.unique(10 * np.rint(lab[:, 1:] / 10), axis=0)


def as_pairs(bins):
    return {tuple(center) for center in np.asarray(bins).tolist()}


@pytest.fixture
def numerics():
    """Restores the global precision after a test that changes it."""
    policy, floatx = keras.config.dtype_policy(), keras.config.floatx()
    yield
    keras.config.set_dtype_policy(policy)
    keras.config.set_floatx(floatx)


def test_lab_agrees_with_scikit_image_over_the_8_bit_cube():
    rgb = SAMPLED_CUBE / 255
    np.testing.assert_allclose(
        numpy_lab(rgb), skimage.color.rgb2lab(rgb), rtol=0, atol=1e-3
    )


def test_lab_agrees_with_tensorflow_io():
    tfio = pytest.importorskip("tensorflow_io")
    rgb = (SAMPLED_CUBE / 255).astype("float32").reshape(1, -1, len(LEVELS), 3)
    np.testing.assert_allclose(
        numpy_lab(rgb), tfio.experimental.color.rgb_to_lab(rgb), atol=1e-3
    )


def test_rgb_agrees_with_scikit_image_in_and_out_of_the_gamut():
    random = np.random.default_rng(0)
    anywhere = random.uniform([0, -110, -110], [100, 110, 110], (50_000, 3))
    inside = skimage.color.rgb2lab(random.uniform(size=(50_000, 3)))
    for lab in (inside, anywhere, WILD_LAB):
        np.testing.assert_allclose(
            numpy_rgb(lab), skimage_rgb(lab), rtol=0, atol=1e-4
        )


@settings(deadline=None)
@given(st.tuples(*[st.floats(0, 1, width=32)] * 3))
def test_rgb_survives_the_way_to_lab_and_back(rgb):
    np.testing.assert_allclose(
        numpy_rgb(rgb_to_lab([rgb])), [rgb], rtol=0, atol=1e-4
    )


def test_every_8_bit_level_of_grey_has_its_own_lightness_and_no_chroma():
    grey = np.repeat(np.arange(256), 3).reshape(256, 3) / 255
    lab = numpy_lab(grey)
    assert (np.diff(lab[:, 0]) > 0).all()
    np.testing.assert_allclose(lab[[0, -1], 0], [0, 100], atol=1e-3)
    np.testing.assert_allclose(lab[:, 1:], 0, atol=0.01)


@settings(deadline=None)
@given(st.tuples(*[st.floats(-1000, 1000)] * 3))
def test_rgb_never_leaves_the_gamut(lab):
    rgb = numpy_rgb([lab])
    assert (rgb >= 0).all()
    assert (rgb <= 1).all()


@CONVERSIONS
def test_values_and_gradients_are_finite_everywhere(convert, colors):
    colors = tf.constant(colors, "float32")
    with tf.GradientTape() as tape:
        tape.watch(colors)
        converted = convert(colors)
    gradients = tape.batch_jacobian(converted, colors)
    assert np.isfinite(converted).all()
    assert np.isfinite(gradients).all()


def test_gradients_of_the_two_directions_are_inverse():
    rgb = tf.random.stateless_uniform((1000, 3), seed=(0, 0), minval=0.01)
    rgb = tf.concat([rgb, tf.fill((1, 3), 0.01)], axis=0)
    with tf.GradientTape() as tape:
        tape.watch(rgb)
        back = lab_to_rgb(rgb_to_lab(rgb))
    jacobians = tape.batch_jacobian(back, rgb).numpy()
    np.testing.assert_allclose(
        jacobians, np.broadcast_to(np.eye(3), jacobians.shape), atol=1e-2
    )


@CONVERSIONS
def test_compiled_by_xla_it_gives_the_same(convert, colors):
    compiled = tf.function(convert, jit_compile=True)(tf.constant(colors))
    np.testing.assert_allclose(compiled, convert(colors), rtol=0, atol=1e-3)


@CONVERSIONS
def test_in_a_dataset_and_in_a_model_it_gives_the_same(convert, colors):
    expected = convert(colors)
    dataset = tf.data.Dataset.from_tensors(colors).map(convert)
    inputs = keras.Input((3,))
    model = keras.Model(inputs, convert(inputs))
    for result in (dataset.get_single_element(), model(colors)):
        np.testing.assert_allclose(result, expected, rtol=0, atol=1e-3)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64", "uint8"])
@CONVERSIONS
def test_any_dtype_is_computed_in_float32(convert, colors, dtype):
    colors = tf.cast(tf.abs(colors), dtype)
    converted = convert(colors)
    assert converted.dtype == tf.float32
    np.testing.assert_array_equal(
        converted, convert(tf.cast(colors, tf.float32))
    )


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
@CONVERSIONS
def test_precision_policies_change_nothing(
    convert, colors, precision, numerics
):
    expected = convert(colors)
    keras.config.set_dtype_policy(f"mixed_{precision}")
    mixed = convert(colors)
    keras.config.set_floatx(precision)
    reduced = convert(colors)
    for converted in (mixed, reduced):
        assert converted.dtype == tf.float32
        np.testing.assert_array_equal(converted, expected)


def test_a_shape_known_only_at_run_time_will_do():
    anything = tf.TensorSpec(None, tf.float32)
    for convert in (rgb_to_lab, lab_to_rgb):
        at_run_time = tf.function(convert, input_signature=[anything])
        for shape in ((3,), (2, 5, 3)):
            colors = tf.fill(shape, 0.5)
            np.testing.assert_allclose(
                at_run_time(colors), convert(colors), rtol=0, atol=1e-3
            )


def test_importing_it_does_not_import_tensorflow():
    code = "import sys, kcolor.color; sys.exit('tensorflow' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("count", [261, 313])
def test_bins_are_distinct_sorted_and_on_a_grid_of_10(count):
    bins = gamut_bins(count)
    assert bins.shape == (count, 2)
    assert bins.dtype == np.float32
    assert (bins % 10 == 0).all()
    assert bins.tolist() == sorted(bins.tolist())
    assert len(as_pairs(bins)) == count


def test_bins_are_those_of_zhang_by_default():
    rows = """
        (-90,50,90)(-80,20,90)(-70,0,90)(-60,-20,90)(-50,-30,100)
        (-40,-40,100)(-30,-50,100)(-20,-50,100)(-10,-60,100)(0,-70,100)
        (10,-80,90)(20,-80,90)(30,-90,90)(40,-100,90)(50,-100,80)
        (60,-110,80)(70,-110,80)(80,-110,70)(90,-110,70)(100,-90,0)
    """
    expected = set()
    for row in rows.split(")")[:-1]:
        a, first, last = map(int, row.strip(" \n(").split(","))
        expected |= {(a, b) for b in range(first, last + 10, 10)}
    assert as_pairs(gamut_bins()) == expected


def test_the_261_bins_are_among_the_313():
    assert as_pairs(gamut_bins(261)) < as_pairs(gamut_bins(313))


def test_sampled_8_bit_colours_round_to_the_261_bins():
    sampled = as_pairs(nearest_bins(numpy_lab(SAMPLED_CUBE / 255)))
    assert sampled <= as_pairs(gamut_bins(261))


@pytest.mark.slow
def test_all_8_bit_colours_round_to_exactly_the_261_bins():
    levels = np.arange(256)
    green_blue = np.stack(np.meshgrid(levels, levels), -1).reshape(-1, 2)
    hit = set()
    for red in levels:
        rgb = np.insert(green_blue, 0, red, axis=1) / 255
        hit |= as_pairs(nearest_bins(numpy_lab(rgb)))
    assert hit == as_pairs(gamut_bins(261))


def test_bins_cannot_be_changed_by_a_caller():
    with pytest.raises(ValueError, match="read-only"):
        gamut_bins()[0] = 0


@pytest.mark.parametrize("count", [0, 262, 314])
def test_an_unknown_number_of_bins_is_refused(count):
    with pytest.raises(ValueError, match=f"313 or 261 gamut bins, not {count}"):
        gamut_bins(count)
