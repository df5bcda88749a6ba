"""Tests for the schemes: what they refuse, and what they take."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework.config import disable_op_determinism

from kcolor import models, objectives, schemes
from kcolor.colorizer import Colorizer
from kcolor.errors import UserError
from kcolor.schemes.adversarial import AdversarialScheme
from kcolor.schemes.cgan import ConditionalGAN
from kcolor.schemes.cyclegan import CycleGANScheme
from kcolor.settings import settings
from kcolor.training.experiment import Experiment
from kcolor.training.supervised import Supervised

pytestmark = pytest.mark.usefixtures("fresh_keras")

SIZE = 32
CLASSES = 3
SMALL = {
    "width": 0.0625,
    "filters": 4,
    "hidden": 16,
    "depth": 2,
    "blocks": 1,
    "discriminator_filters": 4,
}


def small(kind):
    """Returns a part with few filters."""
    names = [field.name for field in settings(kind)]
    return kind(**{name: SMALL[name] for name in names if name in SMALL})


def refusal_of(**fields):
    """Returns why an experiment is refused, before anything is built."""
    with pytest.raises(UserError) as refused:
        Experiment.of(**fields).check()
    return str(refused.value)


@pytest.mark.parametrize("scheme", ["cgan", "cyclegan"])
@pytest.mark.parametrize(
    ("fields", "named"),
    [
        # An answer that takes many questions, or one that has no gradient.
        ({"arch": "unet", "loss": "flow"}, "flow"),
        ({"arch": "unet", "loss": "ce", "temperature": 0}, "ce"),
        # Photos with less than a logit.
        ({"image_size": 12, "patch_layers": 2}, "patch"),
        ({"image_size": 30, "patch_layers": 3}, "patch"),
        ({"image_size": 18, "discriminator": "cnn"}, "cnn"),
    ],
)
def test_what_has_no_adversary_is_refused_in_one_line(scheme, fields, named):
    usual = {"arch": "cnn", "loss": "l1", "head": "conv", "image_size": SIZE}
    if fields.get("arch", "cnn") != "cnn":
        del usual["head"]
    refusal = refusal_of(**usual | {"scheme": scheme} | fields)
    assert "\n" not in refusal
    assert named in refusal


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        (
            {"scheme": "cgan", "noise": "dropout", "arch": "unet"},
            ["--noise dropout", "--dropout", "unet"],
        ),
        (
            {"scheme": "cgan", "noise": "dropout", "arch": "resnet"},
            ["--noise dropout", "resnet"],
        ),
        (
            {"scheme": "cyclegan", "pool": 7, "batch_size": 8, "arch": "unet"},
            ["--pool 7", "8"],
        ),
        ({"scheme": "cyclegan", "arch": "iizuka"}, ["cyclegan", "iizuka"]),
        (
            {"scheme": "cyclegan", "arch": "unet", "loss": "mdn"},
            ["cyclegan", "mdn", "draws"],
        ),
        (
            {"scheme": "cyclegan", "arch": "unet", "chroma_gap": 1.0},
            ["cyclegan", "l1", "terms"],
        ),
        (
            {"scheme": "cgan", "arch": "unet", "pretrain_epochs": 5},
            ["--pretrain-epochs 5", "5 epochs"],
        ),
    ],
)
def test_settings_that_do_not_fit_are_refused_in_one_line(fields, named):
    refusal = refusal_of(**{"loss": "l1", "image_size": SIZE} | fields)
    assert "\n" not in refusal
    for word in named:
        assert word in refusal


@pytest.mark.parametrize(
    "fields",
    [
        {"scheme": "cgan", "loss": "ce", "temperature": 0.1},
        {"scheme": "cgan", "patch_layers": 2, "image_size": 16},
        {"scheme": "cgan", "patch_layers": 3, "image_size": 32},
        {"scheme": "cgan", "discriminator": "cnn", "image_size": 20},
        {"scheme": "cgan", "noise": "dropout", "dropout": 0.5},
        {"scheme": "cyclegan", "pool": 8, "batch_size": 8},
        {"scheme": "cyclegan", "pool": 0, "batch_size": 8},
        {"scheme": "cyclegan", "loss": "rgb"},
        {"scheme": "supervised", "loss": "flow"},
    ],
)
def test_what_just_fits_is_taken(fields):
    usual = {"arch": "unet", "depth": 1, "loss": "l1", "image_size": SIZE}
    Experiment.of(**usual | fields).check()


@pytest.mark.parametrize("discriminator", ["patch", "pixel", "cnn"])
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_the_smallest_photos_a_discriminator_takes_have_a_logit(
    discriminator, layers
):
    scheme = ConditionalGAN(
        discriminator=discriminator,
        patch_layers=layers,
        discriminator_filters=2,
    )

    def is_taken(size):
        resnet, l1 = models.get("resnet")(), objectives.get("l1")()
        try:
            scheme.check(resnet, l1, size, batch_size=1, epochs=1)
        except UserError:
            return False
        return True

    least = next(size for size in range(1, 100) if is_taken(size))
    assert all(map(is_taken, range(least, least + 5)))
    built = scheme.build_discriminator(3, least, "discriminator")
    logits = built(np.zeros((2, least, least, 3), "float32"))
    assert min(logits.shape) >= 1


@pytest.mark.parametrize("spectral", [False, True])
@pytest.mark.parametrize("discriminator", ["patch", "pixel", "cnn"])
def test_the_smallest_photos_can_be_told_apart(discriminator, spectral):
    scheme = ConditionalGAN(discriminator=discriminator, spectral=spectral)
    least = {"patch": 16, "pixel": 1, "cnn": 19}[discriminator]
    built = scheme.build_discriminator(3, least, "discriminator")
    random = np.random.default_rng(0)
    photos = random.uniform(-1, 1, (4, least, least, 3)).astype("float32")
    logits = np.array(built(photos)).reshape(4, -1)
    assert (np.ptp(logits, axis=0) > 0).all()


def test_the_adversarial_loss_weighs_a_tenth_of_what_grey_photos_have():
    weights = {
        loss: ConditionalGAN().weight(objectives.get(loss)())
        for loss in ("l1", "l2", "ce")
    }
    # pix2pix: 1 to 100, where the loss of errors of half the range, 110, is 1.
    assert weights["l1"] == pytest.approx(110 / 100)
    assert weights["l2"] == pytest.approx(11**2 / 10)
    assert weights["ce"] == pytest.approx(0.3)


@pytest.mark.parametrize("loss", objectives.names())
def test_a_weight_that_is_given_is_taken(loss):
    objective = objectives.get(loss)()
    assert ConditionalGAN(gan_weight=0.25).weight(objective) == 0.25
    assert ConditionalGAN().weight(objective) > 0


@pytest.mark.parametrize(
    "setting",
    [
        {"gan_weight": -1.0},
        {"gan_weight": "some"},
        {"noise": "gauss"},
        {"discriminator_steps": 0},
        {"pretrain_epochs": -1},
        {"label_smoothing": 1.0},
        {"discriminator_rate": 0.0},
        {"patch_layers": 0},
        {"gan_loss": "wgan"},
        {"r1": -0.1},
    ],
)
def test_a_setting_out_of_its_range_is_refused(setting):
    with pytest.raises(UserError, match=next(iter(setting))):
        ConditionalGAN(**setting)


def test_only_schemes_with_a_discriminator_change_the_optimizer():
    for name in schemes.names():
        kind = schemes.get(name)
        is_adversarial = issubclass(kind, AdversarialScheme)
        expected = (2e-4, 0.5) if is_adversarial else (1e-3, 0.9)
        assert (kind.learning_rate, kind.beta_1) == expected
        assert kind.is_unpaired == (kind is CycleGANScheme)


def every_pair():
    for scheme in schemes.names():
        for arch in models.names():
            for jit in (False, True):
                is_usual = arch == "unet" or (arch == "cnn" and not jit)
                marks = [] if is_usual else [pytest.mark.slow]
                yield pytest.param(scheme, arch, jit, marks=marks)


@pytest.mark.filterwarnings("error:.*jit_compile")
@pytest.mark.parametrize(("scheme", "arch", "jit"), list(every_pair()))
def test_a_scheme_trains_an_architecture_or_refuses_it(scheme, arch, jit):
    disable_op_determinism()  # or Keras would go on without XLA
    scheme, architecture = small(schemes.get(scheme)), small(models.get(arch))
    objective = objectives.get("l1")()
    architecture.check(SIZE, objective.channels)
    objective.check(SIZE, architecture.stride)
    if (scheme.name, arch) == ("cyclegan", "iizuka"):
        with pytest.raises(UserError, match=r"\Acyclegan.*iizuka.*\Z"):
            scheme.check(architecture, objective, SIZE, batch_size=2, epochs=1)
        return
    scheme.check(architecture, objective, SIZE, batch_size=2, epochs=1)
    colorizer = Colorizer(
        architecture, objective, SIZE, CLASSES, scheme.generator_noise
    )
    training = scheme.build(colorizer, seed=0)
    assert isinstance(training, Supervised)
    count = 1 + isinstance(scheme, AdversarialScheme)
    training.compile(
        *(keras.optimizers.SGD(1e-3) for _ in range(count)),
        run_eagerly=not jit,
        jit_compile=jit,
    )
    training.build_optimizers()
    training.make_train_function()
    assert len(training.optimizers) == count
    before = [np.array(v) for v in training.generator_variables]

    random = np.random.default_rng(0)
    grey, lightness = np.float32(random.uniform(0, 100, (2, 2, SIZE, SIZE, 1)))
    ab = np.float32(random.normal(0, 20, (2, SIZE, SIZE, 2)))
    batch = (lightness, ab, {"labels": np.arange(2)})
    if scheme.is_unpaired:
        batch = (grey, lightness, ab)
    stream = iter(tf.data.Dataset.from_tensors(batch))
    figures = training.train_function(stream)
    assert set(figures) == set(training.logged)
    assert np.isfinite([float(value) for value in figures.values()]).all()
    changed = [
        not np.array_equal(old, new)
        for old, new in zip(before, training.generator_variables, strict=True)
    ]
    assert np.mean(changed) > 0.3
    for optimizer in training.optimizers:
        assert int(optimizer.iterations) == 1
