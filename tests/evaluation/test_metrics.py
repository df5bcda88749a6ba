"""Tests for `kcolor.evaluation.metrics`."""

import functools
import math
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from kcolor.color import lab_to_rgb, rgb_to_lab
from kcolor.evaluation.figures import color_weights, per_photo
from kcolor.evaluation.intervals import summarise
from kcolor.evaluation.metrics import COLOUR_METRICS, METRICS

# What a prediction equal to the truth scores; its colorfulness is the truth's.
PERFECT = {
    "rmse_ab": 0,
    "mae_ab": 0,
    "l2_ab": 0,
    "psnr_rgb": 10 * math.log10(12 * 255**2),
    "psnr_rgb_pooled": 10 * math.log10(12 * 255**2),
    "ssim_rgb": 1,
    "auc": 100,
    "auc_rebalanced": 100,
    "colorfulness_gap": 0,
    "accuracy_at_2": 100,
    "accuracy_at_5": 100,
}


def photos(count=6, height=17, width=14, seed=0):
    """Returns lightness, true ab and predicted ab of smooth random photos."""
    random = np.random.default_rng(seed)
    coarse = random.uniform(size=(count, 4, 4, 3))
    rgb = tf.image.resize(coarse, (height, width), "bicubic")
    lab = rgb_to_lab(tf.clip_by_value(rgb, 0, 1)).numpy()
    error = random.normal(0, 12, (count, height, width, 2))
    ab = lab[..., 1:]
    return lab[..., :1], ab, (0.8 * ab + error).astype("float32")


def figures_of(lightness, ab_true, ab_pred, function=per_photo):
    figures = function(lightness, ab_true, ab_pred)
    return {name: np.asarray(values) for name, values in figures.items()}


def joined(parts):
    return {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}


def values_of(figures):
    return {
        name: entry["value"]
        for name, entry in summarise(figures, resamples=1).items()
    }


@functools.cache
def figure_names():
    return tuple(figures_of(*photos(1)))


def made_up(values):
    """Returns figures that all have these values, one for each photo."""
    figures = dict.fromkeys(figure_names(), values)
    return {**figures, "pixels": np.ones_like(values)}


def seen(lightness, ab):
    """Returns 8-bit sRGB as lists of rows of pixels."""
    rgb = lab_to_rgb(np.concatenate([lightness, ab], axis=-1)).numpy()
    return np.clip(np.rint(255 * rgb), 0, 255).astype("float64")


def twin(lightness, ab_true, ab_pred):
    """Returns every metric but SSIM, the way its definition is told."""
    squared, absolute, distances, shares = [], [], [], []
    squared_rgb, psnrs, colorful, colorful_true = [], [], [], []
    farther = []
    for photo in range(len(lightness)):
        for p, t in zip(
            ab_pred[photo].reshape(-1, 2).tolist(),
            ab_true[photo].reshape(-1, 2).tolist(),
            strict=True,
        ):
            squared += [(p[0] - t[0]) ** 2, (p[1] - t[1]) ** 2]
            absolute += [abs(p[0] - t[0]), abs(p[1] - t[1])]
            farther.append(
                max(abs(round(x) - round(y)) for x, y in zip(p, t, strict=True))
            )
            distances.append(math.dist(p, t))
            within = [distances[-1] <= limit for limit in range(151)]
            shares.append(sum(within) / 151)
        pred = seen(lightness[photo], ab_pred[photo])
        true = seen(lightness[photo], ab_true[photo])
        squared_rgb.append(np.mean((pred - true) ** 2))
        psnrs.append(10 * math.log10(255**2 / squared_rgb[-1]))
        for found, rgb in ((colorful, pred), (colorful_true, true)):
            red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
            rg, yb = red - green, 0.5 * (red + green) - blue
            found.append(
                np.hypot(np.std(rg), np.std(yb))
                + 0.3 * np.hypot(np.mean(rg), np.mean(yb))
            )
    return {
        "rmse_ab": math.sqrt(np.mean(squared)),
        "mae_ab": np.mean(absolute),
        "l2_ab": np.mean(distances),
        "psnr_rgb": np.mean(psnrs),
        "psnr_rgb_pooled": 10 * math.log10(255**2 / np.mean(squared_rgb)),
        "auc": 100 * np.mean(shares),
        "auc_rebalanced": 100 * np.mean(shares),
        **{
            f"accuracy_at_{epsilon}": 100
            * np.mean([steps <= 2.2 * epsilon for steps in farther])
            for epsilon in (2, 5)
        },
        "colorfulness": np.mean(colorful),
        "colorfulness_gap": abs(np.mean(colorful) - np.mean(colorful_true)),
    }


@pytest.fixture
def half_precision():
    policy, floatx = keras.config.dtype_policy(), keras.config.floatx()
    keras.config.set_dtype_policy("mixed_float16")
    keras.config.set_floatx("float16")
    yield
    keras.config.set_dtype_policy(policy)
    keras.config.set_floatx(floatx)


def test_the_truth_scores_perfectly():
    lightness, ab, _ = photos()
    values = values_of(figures_of(lightness, ab, ab))
    assert values.pop("colorfulness") > 10
    assert values == pytest.approx(PERFECT, abs=1e-6)


def test_nothing_scores_better_than_the_truth():
    values = values_of(figures_of(*photos()))
    for name, perfect in PERFECT.items():
        sign = {"lower": 1, "higher": -1}[METRICS[name].better]
        assert sign * values[name] > sign * perfect, name


def test_every_metric_equals_its_definition_told_in_loops():
    batch = photos()
    values = values_of(figures_of(*batch))
    del values["ssim_rgb"]
    assert values == pytest.approx(twin(*batch), rel=1e-5)


def test_auc_counts_a_distance_equal_to_a_threshold_as_within_it():
    lightness, ab = np.full((1, 11, 11, 1), 50.0), np.zeros((1, 11, 11, 2))
    for distance, thresholds in [
        (0, 151),
        (0.5, 150),
        (5, 146),
        (150, 1),
        (150.5, 0),
        (400, 0),
    ]:
        moved = ab + [0.6 * distance, 0.8 * distance]
        values = values_of(figures_of(lightness, ab, moved))
        assert values["auc"] == pytest.approx(100 * thresholds / 151)


@pytest.mark.parametrize("size", [(11, 11), (64, 64), (12, 33)])
def test_ssim_equals_that_of_tensorflow(size):
    lightness, ab_true, ab_pred = photos(5, *size)
    expected = tf.image.ssim(
        seen(lightness, ab_true).astype("float32"),
        seen(lightness, ab_pred).astype("float32"),
        max_val=255,
    )
    figures = figures_of(lightness, ab_true, ab_pred)
    assert (figures["ssim_rgb"] < 0.99).all()
    np.testing.assert_allclose(figures["ssim_rgb"], expected, atol=1e-4)


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("size", [(10, 16), (16, 10), (8, 8)])
def test_photos_smaller_than_the_window_have_no_ssim_but_all_else(
    size, jit_compile
):
    compiled = tf.function(per_photo, jit_compile=jit_compile)
    values = values_of(figures_of(*photos(3, *size), compiled))
    assert math.isnan(values.pop("ssim_rgb"))
    assert all(math.isfinite(value) for value in values.values())


def test_the_order_of_photos_does_not_change_the_summary():
    figures = figures_of(*photos(20))
    order = np.random.default_rng(1).permutation(20)
    shuffled = {name: x[order] for name, x in figures.items()}
    assert summarise(shuffled) == summarise(figures)


def test_intervals_do_not_depend_on_what_else_is_measured():
    figures = figures_of(*photos(20))
    told = np.random.default_rng(2).normal(size=20)
    more = {"lpips_alex": told, **figures}
    assert (
        summarise(more, ["lpips_alex", "rmse_ab"])["rmse_ab"]
        == summarise(figures)["rmse_ab"]
    )


def test_the_split_into_batches_does_not_change_the_summary():
    batch = photos(10)
    parts = [
        figures_of(*(x[start:stop] for x in batch))
        for start, stop in [(0, 1), (1, 7), (7, 10)]
    ]
    split, whole = summarise(joined(parts)), summarise(figures_of(*batch))
    for name in COLOUR_METRICS:
        assert split[name] == pytest.approx(whole[name], rel=1e-4), name


def test_photos_of_different_sizes_weigh_by_pixels_only_where_pixels_count():
    small, large = photos(1, 12, 12, seed=1), photos(1, 24, 36, seed=2)
    parts = [figures_of(*small), figures_of(*large)]
    both, first, second = map(values_of, (joined(parts), *parts))
    by_pixel, by_photo = (1 / 7, 6 / 7), (1 / 2, 1 / 2)
    for name, (share, rest) in {
        "mae_ab": by_pixel,
        "l2_ab": by_pixel,
        "auc": by_pixel,
        "psnr_rgb": by_photo,
        "ssim_rgb": by_photo,
        "colorfulness": by_photo,
    }.items():
        expected = share * first[name] + rest * second[name]
        assert both[name] == pytest.approx(expected), name
    for name, back in {
        "rmse_ab": np.square,
        "psnr_rgb_pooled": lambda decibel: 10 ** (-decibel / 10),
    }.items():
        expected = by_pixel[0] * back(first[name])
        expected += by_pixel[1] * back(second[name])
        assert back(both[name]) == pytest.approx(expected), name


def test_every_interval_contains_its_value():
    for count in (1, 2, 5, 20):
        for name, entry in summarise(figures_of(*photos(count))).items():
            assert entry["low"] <= entry["value"] <= entry["high"], name
            assert entry["n"] == count


def test_a_gap_near_0_lies_in_its_interval():
    figures = made_up(np.random.default_rng(0).normal(10, 1, 100))
    other = np.random.default_rng(1).normal(10, 1, 100)
    other += figures["colorfulness_pred"].mean() - other.mean() + 1e-6
    figures["colorfulness_true"] = other
    entry = summarise(figures)["colorfulness_gap"]
    assert entry["low"] <= entry["value"] < 1e-5 < entry["high"]


def test_with_one_photo_the_interval_is_the_value():
    for entry in summarise(figures_of(*photos(1))).values():
        assert entry["low"] == entry["value"] == entry["high"]


def test_with_more_photos_intervals_narrow_as_their_square_root():
    random = np.random.default_rng(0)

    def width(count):
        entry = summarise(made_up(random.normal(10, 1, count)))["mae_ab"]
        return entry["high"] - entry["low"]

    assert width(100) / width(10_000) == pytest.approx(10, rel=0.2)


def test_more_confidence_asks_for_wider_intervals():
    figures = made_up(np.random.default_rng(0).normal(10, 1, 100))
    sure, unsure = (
        summarise(figures, confidence=confidence)["l2_ab"]
        for confidence in (0.99, 0.5)
    )
    assert sure["low"] < unsure["low"] < unsure["high"] < sure["high"]


def test_intervals_hold_a_known_mean_about_95_times_in_100():
    random = np.random.default_rng(0)
    held = []
    for _ in range(400):
        values = random.lognormal(0, 0.5, 60)
        entry = summarise(made_up(values), resamples=300)["mae_ab"]
        held.append(entry["low"] <= math.exp(0.5**2 / 2) <= entry["high"])
    assert 0.9 < np.mean(held) < 0.98


def test_the_same_seed_gives_the_same_intervals():
    figures = figures_of(*photos(9))
    assert summarise(figures, seed=3) == summarise(figures, seed=3)
    assert summarise(figures, seed=3) != summarise(figures, seed=4)


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("channel", [0, 1])
def test_one_value_that_is_not_a_number_is_never_averaged_away(
    channel, jit_compile
):
    lightness, ab_true, ab_pred = photos(50)
    ab_pred[7, 3, 4, channel] = np.nan
    compiled = tf.function(per_photo, jit_compile=jit_compile)
    figures = figures_of(lightness, ab_true, ab_pred, compiled)
    for name, entry in summarise(figures, resamples=20).items():
        for key in ("value", "low", "high"):
            assert math.isnan(entry[key]), (name, key)


def test_grey_has_no_colorfulness():
    lightness, ab, _ = photos(4, 64, 64)
    # Not all grey of Lab rounds to the same level in all channels.
    values = values_of(figures_of(lightness, ab, 0 * ab))
    assert values["colorfulness"] == pytest.approx(0, abs=0.2)


def test_colorfulness_falls_with_chroma():
    lightness, ab, _ = photos()
    values = [
        values_of(figures_of(lightness, ab, scale * ab))["colorfulness"]
        for scale in (1, 0.8, 0.6, 0.4, 0.2, 0)
    ]
    assert values == sorted(values, reverse=True)
    assert len(set(values)) == len(values)


def test_compiled_by_xla_it_gives_the_same():
    batch = photos(4, 32, 32)
    eager = figures_of(*batch)
    compiled = figures_of(*batch, tf.function(per_photo, jit_compile=True))
    for name, values in eager.items():
        # Few colours lie so near to the middle of two 8-bit levels that they
        # round the other way.
        np.testing.assert_allclose(compiled[name], values, rtol=1e-3)


def test_shapes_known_only_at_run_time_give_the_same():
    batch = photos()
    at_run_time = tf.function(
        per_photo,
        input_signature=[
            tf.TensorSpec((None, None, None, channels), tf.float32)
            for channels in (1, 2, 2)
        ],
    )
    compiled = figures_of(*batch, at_run_time)
    for name, values in figures_of(*batch).items():
        np.testing.assert_allclose(compiled[name], values, rtol=1e-3)


def test_figures_are_float32_in_half_precision_too(half_precision):
    batch = photos()
    for name, values in per_photo(*batch).items():
        assert values.dtype == tf.float32, name
    values = values_of(figures_of(*batch))
    del values["ssim_rgb"]
    assert values == pytest.approx(twin(*batch), rel=1e-5)


def test_every_metric_can_be_told_in_a_table():
    assert list(summarise(figures_of(*photos(1)))) == list(COLOUR_METRICS)
    for name, metric in METRICS.items():
        assert metric.name == name
        assert metric.better in ("lower", "higher")
        assert metric.summary.__doc__


def test_importing_it_does_not_import_tensorflow():
    code = (
        "import sys, kcolor.evaluation.figures, kcolor.evaluation.intervals;"
        "sys.exit('tensorflow' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_rebalanced_auc_counts_pixels_by_the_rarity_of_their_colour():
    histogram = np.zeros((256, 256))
    histogram[128, 128], histogram[188, 128] = 99, 1  # grey, and a rare red
    weights = color_weights(histogram)
    assert weights[188, 128] > 20 * weights[128, 128]
    lightness = np.full((1, 11, 12, 1), 50.0)
    true = np.zeros((1, 11, 12, 2))
    true[:, :, 6:, 0] = 60
    grey_right = per_photo(lightness, true, 0 * true, weights)
    red_right = per_photo(lightness, true, true * 0 + [60, 0], weights)
    assert values_of(grey_right)["auc_rebalanced"] < 70
    assert values_of(grey_right)["auc"] > 75
    assert (
        values_of(red_right)["auc_rebalanced"]
        > values_of(grey_right)["auc_rebalanced"]
    )
