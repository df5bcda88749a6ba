"""Tests for `kcolor.registry` and the two registries made with it."""

from dataclasses import dataclass

import keras
import numpy as np
import pytest

from kcolor import models, objectives
from kcolor.colorizer import Colorizer
from kcolor.errors import UserError
from kcolor.models.architecture import Architecture
from kcolor.objectives.objective import Objective
from kcolor.registry import Registry
from kcolor.training.experiment import Experiment
from kcolor.training.supervised import Supervised

pytestmark = pytest.mark.usefixtures("fresh_keras")

REGISTRIES = pytest.mark.parametrize(
    ("registry", "base"),
    [(models, Architecture), (objectives, Objective)],
    ids=["models", "objectives"],
)


@pytest.fixture
def toys(own_registries):
    """Registers an architecture and an objective by their decorators alone."""

    @models.register("toy_arch")
    @dataclass(frozen=True)
    class ToyArchitecture(Architecture):
        """One layer.

        Args:
            kernel: Its size.
        """

        kernel: int = 3

        def build(self, image_size, planes, channels):
            inputs = keras.Input((None, None, planes))
            outputs = keras.layers.Conv2D(
                channels, self.kernel, padding="same", dtype="float32"
            )(inputs)
            return keras.Model(inputs, outputs)

    @objectives.register("toy_loss")
    @dataclass(frozen=True)
    class ToyObjective(Objective):
        """The fourth power of the error.

        Args:
            stretch: Of the outputs.
        """

        also_logged = ("largest",)
        stretch: float = 10.0

        @property
        def channels(self):
            return 2

        def losses(self, outputs, ab):
            errors = keras.ops.abs(self.decode(outputs) - ab)
            return {
                "loss": keras.ops.mean(errors**4),
                "largest": keras.ops.max(errors),
            }

        def decode(self, outputs):
            return self.stretch * outputs

    return ToyArchitecture, ToyObjective


@REGISTRIES
def test_names_are_sorted_and_stand_for_classes_that_know_theirs(
    registry, base
):
    names = registry.names()
    assert list(names) == sorted(set(names))
    assert names
    for name in names:
        assert registry.get(name).name == name
        assert issubclass(registry.get(name), base)


@REGISTRIES
def test_an_unknown_name_is_answered_by_the_nearest_right_one(registry, base):
    for name in registry.names():
        with pytest.raises(UserError) as caught:
            registry.get(f"{name}x")
        assert f"'{name}x'" in str(caught.value)
        assert f"did you mean '{name}'?" in str(caught.value)
        assert "\n" not in str(caught.value)


@REGISTRIES
def test_a_name_like_no_other_is_answered_by_all_known(registry, base):
    with pytest.raises(UserError) as caught:
        registry.get("@@@@@@@@")
    assert "did you mean" not in str(caught.value)
    for name in registry.names():
        assert name in str(caught.value)


def test_the_error_tells_architectures_from_losses():
    with pytest.raises(UserError, match="unknown architecture 'nothing'"):
        models.get("nothing")
    with pytest.raises(UserError, match="unknown loss 'nothing'"):
        objectives.get("nothing")


def test_a_new_file_in_the_package_is_a_new_entry(tmp_path, monkeypatch):
    package = tmp_path / "zoo_of_the_registry_test"
    package.mkdir()
    (package / "__init__.py").write_text(
        "from kcolor.registry import Registry\n"
        "registry = Registry('animal', __name__)\n"
    )
    for file, name in (("first", "wolf"), ("second", "ape")):
        (package / f"{file}.py").write_text(
            f"from {package.name} import registry\n"
            f"@registry.register('{name}')\n"
            "class Animal:\n"
            "    pass\n"
        )
    monkeypatch.syspath_prepend(tmp_path)
    registry = __import__(package.name).registry

    assert registry.names() == ("ape", "wolf")
    assert registry.get("wolf").__module__ == f"{package.name}.first"


def test_registering_returns_the_class_itself():
    class Entry:
        pass

    assert Registry("thing", __name__).register("entry")(Entry) is Entry
    assert Entry.name == "entry"


def test_a_registered_pair_trains_without_any_other_edit(toys):
    colorizer = Colorizer(
        models.get("toy_arch")(kernel=1),
        objectives.get("toy_loss")(),
        image_size=8,
    )
    scheme = Supervised(colorizer)
    scheme.compile(keras.optimizers.Adam(1e-2), run_eagerly=True)
    lightness = np.linspace(0, 100, 256, dtype="float32").reshape(4, 8, 8, 1)
    ab = np.concatenate([lightness / 10, -lightness / 10], -1)
    before = colorizer.network.get_weights()
    logs = scheme.fit(lightness, ab, epochs=5, verbose=0).history

    assert set(logs) == {"loss", "largest"}
    assert logs["loss"][-1] < logs["loss"][0]
    after = colorizer.network.get_weights()
    for old, new in zip(before, after, strict=True):
        assert not np.array_equal(old, new)


def test_a_registered_pair_is_saved_and_loaded_with_its_settings(
    toys, tmp_path
):
    architecture, objective = toys[0](kernel=5), toys[1](stretch=3.0)
    colorizer = Colorizer(architecture, objective, image_size=8)
    colorizer.save(tmp_path / "toy.keras")
    loaded = keras.models.load_model(tmp_path / "toy.keras")

    assert loaded.architecture == architecture
    assert loaded.objective == objective
    lightness = np.full((1, 8, 8, 1), 80, "float32")
    np.testing.assert_array_equal(loaded(lightness), colorizer(lightness))


def test_the_settings_of_a_registered_pair_are_settings_of_an_experiment(toys):
    experiment = Experiment.of(
        arch="toy_arch", loss="toy_loss", kernel=7, stretch=2.0
    )
    assert experiment.architecture == toys[0](kernel=7)
    assert experiment.objective == toys[1](stretch=2.0)
    with pytest.raises(UserError, match="kernel"):
        Experiment.of(arch="toy_arch", loss="toy_loss", kernel="wide")
