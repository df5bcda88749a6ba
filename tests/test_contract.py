"""What holds for every architecture with every objective.

The pairs come from the registries: a new entry is covered as soon as its file
is there.
"""

import itertools
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework.config import disable_op_determinism

from kcolor import models, objectives
from kcolor.color import LARGEST_AB
from kcolor.colorizer import Colorizer
from kcolor.errors import UserError
from kcolor.evaluation.metrics import COLOUR_METRICS
from kcolor.settings import settings
from kcolor.training.supervised import Supervised

pytestmark = pytest.mark.usefixtures("fresh_keras")

SIZE = 32
# Every architecture and every loss is in a pair of the default suite, all pairs
# are in the slow one.
USUAL = {"arch": "cnn", "loss": "l2"}
SMALL = {
    "width": 0.0625,
    "filters": 4,
    "hidden": 16,
    "depth": 3,
    "blocks": 2,
    "attention": True,
}
# Of the photos that the contract is tested with: architectures classify them if
# they do.
CLASSES = 3


def pair(arch, loss, usual=USUAL):
    is_usual = arch == usual["arch"] or loss == usual.get("loss")
    marks = [] if is_usual else [pytest.mark.slow]
    return pytest.param(arch, loss, marks=marks)


PAIRS = itertools.starmap(
    pair, itertools.product(models.names(), objectives.names())
)
EVERY_PAIR = pytest.mark.parametrize(("arch", "loss"), list(PAIRS))
# XLA compiles for long: by default one architecture, with every loss.
XLA_PAIRS = pytest.mark.parametrize(
    ("arch", "loss"),
    [
        pair(arch, loss, {"arch": USUAL["arch"]})
        for arch, loss in itertools.product(models.names(), objectives.names())
    ],
)


def small(arch):
    """Returns an architecture at the least size that still has all parts."""
    kind = models.get(arch)
    if arch == "cnn":
        return kind()  # the poster's, which is small but for its dense head
    names = [field.name for field in settings(kind)]
    return kind(**{name: SMALL[name] for name in names if name in SMALL})


def colorizer_of(arch, loss, histogram, image_size=SIZE):
    keras.utils.set_random_seed(0)
    objective = objectives.get(loss)().adapt(histogram)
    return Colorizer(small(arch), objective, image_size, CLASSES)


def loss_of(colorizer, lightness, ab):
    """Returns the loss of a step of training."""
    scheme = Supervised(colorizer)
    labels = np.arange(len(ab)) % CLASSES
    losses = scheme.losses_of(lightness, ab, labels, training=True)
    return float(losses["loss"])


def batch(height=SIZE, width=SIZE, count=4):
    """Returns lightness and an ab that can be told from it."""
    random = np.random.default_rng(0)
    rows = np.linspace(20, 80, height).reshape(1, -1, 1, 1)
    noise = random.uniform(-20, 20, (count, height, width, 1))
    lightness = (rows + noise).astype("float32")
    ab = np.concatenate([50 - lightness, lightness - 30], -1)
    return lightness, ab


def refusal_of(arch, loss, image_size):
    """Returns why a pair does not take the size, or nothing."""
    try:
        architecture, objective = small(arch), objectives.get(loss)()
        architecture.check(image_size, objective.channels)
        objective.check(image_size, architecture.stride)
    except UserError as refusal:
        return str(refusal)


def losses_of_training(colorizer, steps, optimizer, **options):
    """Returns each step's loss on one batch, and the scheme."""
    scheme = Supervised(colorizer)
    scheme.compile(optimizer, **options)
    lightness, ab = batch()
    labels = np.arange(len(ab)) % CLASSES
    more = {"labels": labels}
    photos = tf.data.Dataset.from_tensor_slices((lightness, ab, more))
    history = scheme.fit(
        photos.batch(len(ab), drop_remainder=True), epochs=steps, verbose=0
    ).history
    assert set(history) == set(scheme.logged)
    for values in history.values():
        assert np.isfinite(values).all()
    return history["loss"]


@pytest.mark.parametrize("loss", objectives.names())
def test_the_best_epoch_is_chosen_by_something_measured(loss):
    objective = objectives.get(loss)()
    assert "loss" in objective.logged
    assert objective.monitor in {*objective.logged, *COLOUR_METRICS}


@EVERY_PAIR
def test_photos_become_ab_of_their_size(arch, loss, histogram):
    colorizer = colorizer_of(arch, loss, histogram)
    lightness, ab = batch()
    channels = colorizer.objective.channels
    grid = SIZE // colorizer.architecture.stride
    planes = np.zeros((*ab.shape[:-1], colorizer.objective.planes), "float32")
    outputs = colorizer.forward(lightness)(planes)
    assert outputs.shape == (len(ab), grid, grid, channels)
    predicted = colorizer(lightness)
    assert predicted.shape == ab.shape
    assert keras.backend.standardize_dtype(predicted.dtype) == "float32"


@EVERY_PAIR
def test_an_untrained_colorizer_stays_within_the_ab_plane(
    arch, loss, histogram
):
    colorizer = colorizer_of(arch, loss, histogram)
    extremes = np.zeros((3, SIZE, SIZE, 1), "float32")
    extremes[1] = 100  # black, white and a chequerboard
    extremes[2, ::2, 1::2] = extremes[2, 1::2, ::2] = 100
    decoded = colorizer.objective.predict(colorizer.forward(extremes))
    assert np.isfinite(decoded).all()
    assert np.abs(colorizer(extremes)).max() <= LARGEST_AB


@EVERY_PAIR
def test_draws_are_photos_ab_and_differ_where_the_loss_can_be_sampled(
    arch, loss, histogram
):
    colorizer = colorizer_of(arch, loss, histogram)
    lightness, ab = batch()
    one, same, other = (
        np.array(colorizer.sample(lightness, seed)) for seed in (1, 1, 2)
    )
    assert one.shape == ab.shape
    assert np.isfinite(one).all()
    np.testing.assert_array_equal(one, same)
    assert np.array_equal(one, other) != objectives.get(loss).can_sample


@EVERY_PAIR
def test_ten_steps_on_one_batch_move_every_weight_and_lower_the_loss(
    arch, loss, histogram
):
    colorizer = colorizer_of(arch, loss, histogram)
    before = colorizer.network.get_weights()
    losses = losses_of_training(
        colorizer, 11, keras.optimizers.Adam(1e-3), run_eagerly=True
    )
    assert losses[-1] < losses[0]
    after = colorizer.network.get_weights()
    unmoved = [
        weight.path
        for weight, old, new in zip(
            colorizer.network.weights, before, after, strict=True
        )
        if np.array_equal(old, new) and "seed_generator" not in weight.path
    ]
    assert not unmoved


@EVERY_PAIR
def test_a_saved_colorizer_loads_as_the_same(arch, loss, histogram, tmp_path):
    colorizer = colorizer_of(arch, loss, histogram)
    # Statistics of normalisation have to be kept, too.
    losses_of_training(
        colorizer, 1, keras.optimizers.SGD(1e-3), run_eagerly=True
    )
    colorizer.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.architecture == colorizer.architecture
    assert loaded.objective == colorizer.objective
    lightness, _ = batch()
    np.testing.assert_allclose(
        loaded(lightness), colorizer(lightness), atol=1e-4
    )
    json.dumps(colorizer.get_config())


@XLA_PAIRS
# Or Keras would go on without XLA, and compare losses with themselves.
@pytest.mark.filterwarnings("error:.*jit_compile")
def test_xla_computes_the_same_losses(arch, loss, histogram, same_draws):
    plain, compiled = (
        losses_of_training(
            colorizer_of(arch, loss, histogram),
            2,
            # Unlike Adam's, its steps do not turn rounding into signs.
            keras.optimizers.SGD(1e-2, global_clipnorm=1.0),
            **mode,
        )
        for mode in ({"run_eagerly": True}, {"jit_compile": True})
    )
    # The second loss is after a step: the gradients agree, too. Normalisation
    # over a few pixels, deep down, magnifies rounding.
    np.testing.assert_allclose(compiled, plain, rtol=2e-3)


@pytest.mark.slow
@pytest.mark.parametrize("arch", models.names())
@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.filterwarnings("error:.*jit_compile")
def test_xla_trains_in_mixed_precision(arch, precision, histogram):
    disable_op_determinism()
    keras.config.set_dtype_policy(precision)
    losses = losses_of_training(
        colorizer_of(arch, "ce", histogram),
        20,  # larsson sees few pixels at a time
        keras.optimizers.Adam(1e-3),
        jit_compile=True,
    )
    assert losses[-1] < losses[0]


@EVERY_PAIR
@pytest.mark.parametrize(
    "precision",
    ["mixed_bfloat16", pytest.param("mixed_float16", marks=pytest.mark.slow)],
)
def test_mixed_precision_trains_on_nearly_the_same_loss(
    arch, loss, precision, histogram
):
    lightness, ab = batch()
    whole = colorizer_of(arch, loss, histogram)
    expected = loss_of(whole, lightness, ab)

    keras.config.set_dtype_policy(precision)
    mixed = colorizer_of(arch, loss, histogram)
    assert mixed.network.compute_dtype == precision.removeprefix("mixed_")
    losses = losses_of_training(
        mixed, 2, keras.optimizers.Adam(1e-3), run_eagerly=True
    )
    # Batches of one pixel a photo, deep down, magnify rounding.
    assert losses[0] == pytest.approx(expected, rel=0.1)
    for weight in mixed.weights:
        assert np.isfinite(weight).all(), weight.path


@EVERY_PAIR
@pytest.mark.parametrize("image_size", [1, 9, 33])
def test_a_size_works_or_is_refused_in_one_line(
    arch, loss, image_size, histogram
):
    refusal = refusal_of(arch, loss, image_size)
    if refusal:
        assert "\n" not in refusal
        assert str(image_size) in refusal
        assert image_size < SIZE  # larger ones are no rare thing
        return
    colorizer = colorizer_of(arch, loss, histogram, image_size)
    lightness, ab = batch(image_size, image_size, count=1)
    assert colorizer(lightness).shape == ab.shape
    assert np.isfinite(loss_of(colorizer, lightness, ab))
    if colorizer.network.input_shape[1] is None:
        lightness, ab = batch(image_size, image_size + 2, count=1)
        assert colorizer(lightness).shape == ab.shape
