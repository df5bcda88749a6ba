"""Tests for `kcolor.searching.space` and `kcolor.searching.ranges`."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from kcolor.errors import UserError
from kcolor.searching import oracles
from kcolor.searching.ranges import read_range
from kcolor.searching.space import read_space

SHIPPED = sorted(Path("configs/search").glob("*.yaml"))


@pytest.fixture
def read(tmp_path):
    def read(text: str, **changes):
        file = tmp_path / "space.yaml"
        file.write_text(text)
        return read_space(file, **changes)

    return read


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nope: 1", "unknown key 'nope'"),
        ("[1]", "holds no settings"),
        ("tuner: random", "name the settings to search"),
        ("space: {lerning_rate: [1]}", "did you mean 'learning_rate'"),
        ("space: {loss: []}", "loss: the choice is empty"),
        ("space: {loss: [l2, l2]}", "'l2' is there twice"),
        ("space: {loss: boolean}", "unknown loss 'False'"),
        ("space: {arch: {int: [1, 2]}}", "list the names"),
        ("space: {epochs: {int: [5, 2]}}", "from 5 to 2 is empty"),
        ("space: {epochs: {int: [1, 2.5]}}", "'2.5' is no whole number"),
        ("space: {epochs: {int: [1]}}", "two numbers"),
        ("space: {epochs: {int: [1, 9], step: 0}}", "step must be above 0"),
        ("space: {dropout: {float: [0, 0.5], log: true}}", "above 0, not 0"),
        ("space: {dropout: {float: [0, .nan]}}", "'nan' is no number"),
        ("space: {dropout: {flat: [0, 1]}}", "is no range"),
        ("space: {dropout: {float: [0, 1], stp: 3}}", "no 'stp'"),
        ("space: {dropout: {float: [0.0, 1.5]}}", "'1.5' is not allowed"),
        ("space: {epochs: [2, two]}", "'two' is not allowed"),
        (
            "{experiment: {loss: l2}, space: {ce.temperature: [0.3]}}",
            "the experiment has loss l2",
        ),
        ("space: {c.temperature: [0.3]}", "unknown part 'c'"),
        (
            "space: {arch: [unet, cnn], filters: [3, 4]}",
            "belongs to --arch pix2pix or --arch resnet or --arch unet",
        ),
        (
            "space: {loss: [l2, l1], ce.temperature: [0.3]}",
            "loss is never 'ce'",
        ),
        (
            "space: {epochs: [1, 2], batch_size: {int: [1, 2], when: "
            "{optimizer: adam}}}",
            "unknown setting in when",
        ),
        (
            "space: {epochs: {int: [1, 2]}, batch_size: {int: [1, 2], when: "
            "{epochs: 1}}}",
            "only a choice can decide",
        ),
        (
            "space: {epochs: {choice: [1], when: {steps: 1}}, steps: "
            "{choice: [1], when: {epochs: 1}}}",
            "wait for each other",
        ),
        ("{objective: loss, space: {loss: [l2]}}", "unknown objective"),
        ("{objective: colorfulness, space: {loss: [l2]}}", "unknown objective"),
        ("{tuner: tpe, space: {loss: [l2]}}", "give random, bayesian"),
        ("{factor: 3, space: {loss: [l2]}}", "of hyperband, not of random"),
        ("{trials: 0, space: {loss: [l2]}}", "trials: '0' is not allowed"),
        ("{budget: {hours: 3}, space: {loss: [l2]}}", "unknown budget"),
        ("{budget: {steps: -3}, space: {loss: [l2]}}", "'-3' is not allowed"),
        ("space: {monitor: [rmse_ab, auc]}", "the objective decides"),
        (
            "{budget: {steps: 9}, space: {epochs: [1, 2]}}",
            "the budget decides",
        ),
        (
            "space: {temperature: [0.3], ce.temperature: [0.9]}",
            "temperature is searched, too",
        ),
        (
            "space: {loss: [l2], epochs: {choice: [1], when: {loss: []}}}",
            "name the values",
        ),
        ("{experiment: {1: 2}, space: {loss: [l2]}}", "unknown setting '1'"),
        (
            "{tuner: hyperband, budget: {steps: 8}, space: {loss: [l2]}}",
            "give 9 at least",
        ),
        ("{tuner: hyperband, rungs: 9, space: {loss: [l2]}}", "'9' is not"),
        ("{budget: 3, space: {loss: [l2]}}", "give one of epochs or steps"),
        ("{experiment: nope.yaml}", "cannot be read"),
        ("{experiment: {loss: l3}, space: {epochs: [1]}}", "unknown loss"),
    ],
)
def test_a_space_with_a_mistake_is_refused_in_one_line(read, text, words):
    with pytest.raises(UserError) as refused:
        read(text)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_any_trial_of_a_shipped_space_can_be_trained(path):
    space = read_space(path)
    oracle = oracles.make(space)
    for _ in range(100):
        values = oracle._random_values()
        if values is None:  # all combinations were drawn
            break
        experiment = space.experiment(space.settings(values))
        assert experiment.monitor == space.objective


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_written_space_needs_no_other_file_and_is_the_same(path, read):
    space = read_space(path)
    assert read(space.to_yaml()) == space


def test_there_are_spaces_for_the_posters_questions():
    names = {path.stem for path in SHIPPED}
    assert names >= {"losses", "cnn", "unet", "cgan", "architectures"}


def test_a_setting_of_a_part_is_searched_only_with_that_part(read):
    space = read("space: {loss: [l2, ce], ce.temperature: [0.3, 0.5]}")
    oracle = oracles.make(space)
    for _ in range(3):
        settings = space.settings(oracle._random_values())
        assert ("ce.temperature" in settings) == (settings["loss"] == "ce")
        oracle._seed_state += 1
    assert space.experiment({"loss": "ce", "ce.temperature": 0.5}).objective
    experiment = space.experiment({"loss": "ce", "ce.temperature": 0.5})
    assert experiment.temperature == 0.5


@pytest.mark.parametrize(
    "ranges",
    [
        # Two conditions; one of them of its own part; one conditional itself.
        "depth: {int: [1, 2], when: {optimizer: adam, loss: ce}}",
        "ce.temperature: {choice: [0.3, 0.7], when: {optimizer: adam}}",
        "ce.labels: [soft, hard], batch_size: {choice: [4, 8], when: "
        "{ce.labels: soft}}",
        "attention: {choice: [true, false], when: {loss: ce}}, batch_size: "
        "{choice: [4, 8], when: {attention: true, optimizer: adam}}",
    ],
)
@pytest.mark.parametrize("tuner", ["random", "grid"])
def test_conditions_can_be_combined(read, ranges, tuner):
    space = read(
        f"{{tuner: {tuner}, trials: 40, experiment: {{arch: unet}}, "
        f"space: {{loss: [l2, ce], optimizer: [adam, adamw], {ranges}}}}}"
    )
    oracle = oracles.make(space)
    of_name = {setting.name: setting for setting in space.searched}

    def is_searched(name, settings):
        return all(
            settings.get(other) in values and is_searched(other, settings)
            for other, values in of_name[name].when.items()
        )

    seen = set()
    for _ in range(40):
        settings = space.settings(oracle._random_values())
        for name in of_name:
            assert (name in settings) == is_searched(name, settings)
        seen |= settings.keys()
        space.experiment(settings)
    assert seen == of_name.keys()
    assert tuner != "grid" or oracles.planned(oracle).total() < 16


def test_what_the_start_says_of_a_part_that_is_replaced_is_left_out(read):
    space = read(
        "{experiment: {arch: unet, depth: 2, filters: 8, epochs: 7, "
        "loss: l2, chroma_gap: 0.5}, space: {arch: [unet, cnn], "
        "loss: [l2, ce]}}"
    )
    kept = space.experiment({"arch": "unet", "loss": "l2"})
    assert (kept.depth, kept.filters, kept.epochs) == (2, 8, 7)
    replaced = space.experiment({"arch": "cnn", "loss": "ce"})
    # The CNN's own depth is no U-Net's; terms are any loss's.
    assert (replaced.depth, replaced.epochs) == (6, 7)
    assert replaced.chroma_gap == 0.5


def test_a_config_may_be_the_start_and_be_changed(tmp_path, read):
    (tmp_path / "start.yaml").write_text("{loss: l2, epochs: 3}")
    space = read(
        "{experiment: {config: start.yaml, epochs: 4}, space: {dropout: [0.1]}}"
    )
    assert space.start == {"loss": "l2", "epochs": 4}
    assert read("{experiment: start.yaml, space: {dropout: [0.1]}}").start == {
        "loss": "l2",
        "epochs": 3,
    }


def test_the_command_s_changes_win(read):
    space = read("{trials: 3, space: {loss: [l2]}}", trials=5, data="photos")
    assert space.trials == 5
    assert space.start["data"] == "photos"


@pytest.mark.parametrize(
    ("objective", "direction"), [("rmse_ab", "min"), ("auc", "max")]
)
def test_the_objective_says_what_is_better(read, objective, direction):
    space = read(f"{{objective: {objective}, space: {{loss: [l2]}}}}")
    assert space.direction == direction


def test_values_of_different_types_can_be_chosen_from(read):
    space = read("space: {learning_rate: [auto, 1e-3, 1e-2], jit: [auto]}")
    oracle = oracles.make(space)
    seen = set()
    for _ in range(30):
        hyperparameters = oracle.hyperparameters.copy()
        for range_ in hyperparameters.space:
            oracle._seed_state += 1
            hyperparameters.values[range_.name] = range_.random_sample(
                oracle._seed_state
            )
        seen.add(space.settings(hyperparameters.values)["learning_rate"])
    assert seen == {"auto", 1e-3, 1e-2}


@given(
    st.floats(1e-6, 1e3),
    st.floats(1.0, 1e3),
    st.floats(0, 1),
    st.booleans(),
)
def test_a_number_stays_in_its_range_and_is_read_with_ease(low, by, at, log):
    range_ = read_range({"float": [low, low * by], "log": log})
    value = range_.plain(low + at * (low * by - low))
    assert low <= value <= low * by
    assert value in (low, low * by) or len(f"{value:.4g}") >= len(f"{value:g}")


@pytest.mark.parametrize(
    "written",
    [
        ["l2", "ce"],
        [1, 2, 4],
        "boolean",
        {"int": [1, 9], "step": 2},
        {"float": [0.1, 1.0], "log": True},
    ],
)
def test_a_range_is_read_as_it_was_written(written):
    range_ = read_range(written)
    assert (
        read_range(yaml.safe_load(yaml.safe_dump(range_.written()))) == range_
    )
