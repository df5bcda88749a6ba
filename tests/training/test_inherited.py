"""Tests for what a training takes over from whose weights it begins with."""

import pytest

from kcolor.colorizer import Colorizer
from kcolor.errors import UserError
from kcolor.models.unet import UNet
from kcolor.objectives.ce import CrossEntropy
from kcolor.training.experiment import Experiment, from_command_line

pytestmark = pytest.mark.usefixtures("fresh_keras")


@pytest.fixture(scope="module")
def model(tmp_path_factory, histogram):
    """A file of an unusual colorizer."""
    path = tmp_path_factory.mktemp("model") / "small.keras"
    objective = CrossEntropy(rebalance=0.25).adapt(histogram)
    colorizer = Colorizer(UNet(filters=4, depth=2), objective, image_size=24)
    colorizer.save(path)
    return str(path)


def commanded(*words):
    return from_command_line(list(words), "kcolor-train", "", {})[0]


def test_architecture_loss_and_size_are_taken_over(model):
    for made in (
        Experiment.of(init=model),
        commanded("--init", model),
    ):
        assert made.architecture == UNet(filters=4, depth=2)
        assert (made.loss, made.rebalance) == ("ce", 0.25)
        assert made.image_size == 24


def test_what_is_given_wins(model):
    made = commanded("--init", model, "--filters", "8", "--image-size", "32")
    assert made.architecture == UNet(filters=8, depth=2)
    assert made.image_size == 32


def test_another_loss_has_its_own_settings(model):
    made = commanded("--init", model, "--loss", "l2")
    assert made.architecture == UNet(filters=4, depth=2)
    assert made.loss == "l2"


def test_a_file_of_settings_wins_too(model, tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text(f"init: {model}\nrebalance: 0.75\n")
    made = commanded("--config", str(config))
    assert (made.arch, made.filters, made.rebalance) == ("unet", 4, 0.75)


def test_a_whole_experiment_needs_the_file_no_more(model, tmp_path):
    made = Experiment.of(init=model)
    config = tmp_path / "config.yaml"
    config.write_text(made.to_yaml().replace(model, "gone.keras"))
    assert commanded("--config", str(config)).filters == 4


@pytest.mark.parametrize("content", [None, b"", b"PK", b"no model"])
def test_what_is_no_model_is_refused_in_a_line(tmp_path, content):
    path = tmp_path / "other.keras"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"--init .*other.keras' is no"):
        Experiment.of(init=str(path))
