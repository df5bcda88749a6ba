"""What happens beside the training steps."""

import json
import math
import sys
import time

import keras
import pytest

from kcolor.errors import UserError
from kcolor.training import callbacks
from kcolor.training.experiment import Experiment

# === Two networks that no longer teach each other ===


def told_by(capsys, *epochs, gan_loss="vanilla") -> list[str]:
    """Returns what is said of epochs, each (real, fake, colorfulness)."""
    watch = callbacks.WarnOnCollapse(gan_loss)
    names = ("real_accuracy", "fake_accuracy", "val_colorfulness")
    for number, epoch in enumerate(epochs):
        watch.on_epoch_end(number, dict(zip(names, epoch, strict=True)))
    return capsys.readouterr().out.splitlines()


def test_a_discriminator_that_has_won_is_told_once(capsys):
    (told,) = told_by(capsys, (0.7, 0.8, 30.0), *2 * [(1.0, 0.999, 30.0)])
    assert "--discriminator-rate" in told


@pytest.mark.parametrize(
    "epoch",
    [
        (0.7, 0.8, 30.0),
        (1.0, 0.5, 30.0),  # calls everything real
        (math.nan, math.nan, 0.0),  # before there is a discriminator
    ],
)
def test_a_game_that_goes_on_is_told_nothing_of(capsys, epoch):
    assert told_by(capsys, epoch) == []


def test_the_critic_of_wasserstein_s_loss_may_tell_all_photos_apart(capsys):
    assert told_by(capsys, (1.0, 1.0, 30.0), gan_loss="wgan_gp") == []


def test_colour_that_has_gone_is_told_once(capsys):
    grey = 2 * [(0.7, 0.8, 0.5)]
    (told,) = told_by(capsys, (0.7, 0.8, 30.0), *grey)
    assert "all is grey" in told


def test_colour_that_has_not_come_yet_is_no_collapse(capsys):
    assert told_by(capsys, (0.7, 0.8, 0.5), (0.7, 0.8, 1.5)) == []


# === Losses that are no numbers ===


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_no_number_ends_training_and_names_the_step(loss):
    watch = callbacks.StopOnNaN()
    watch.on_train_batch_end(40, {"loss": 1e30})
    with pytest.raises(UserError, match="step 42:") as refused:
        watch.on_train_batch_end(41, {"loss": loss})
    text = str(refused.value)
    assert str(loss) in text
    assert "--learning-rate" in text
    assert "--clip-norm" in text
    assert "\n" not in text


# === Progress ===


@pytest.fixture
def progress():
    """The progress of 3 epochs of 4 steps."""
    return callbacks.Progress(
        epochs=3,
        steps_per_epoch=4,
        total_steps=12,
        batch_size=8,
        shown=["val_rmse_ab"],
    )


def go(progress, epoch: int, steps: int = 4) -> None:
    progress.on_epoch_begin(epoch)
    for step in range(4 * epoch, 4 * epoch + steps):
        progress.on_train_batch_begin(step)
        progress.on_train_batch_end(step, {"loss": 0.5})


def end(progress, epoch: int) -> None:
    logs = {"loss": 0.5, "val_rmse_ab": 12.345, "images_per_second": 67.89}
    progress.on_epoch_end(epoch, logs)


def test_an_epoch_is_one_line_where_there_is_no_terminal(progress, capsys):
    go(progress, epoch=1)
    end(progress, epoch=1)
    told = capsys.readouterr()
    assert told.err == ""
    (line,) = told.out.splitlines()
    assert line.startswith("epoch 2/3")
    for part in ("loss 0.5", "val_rmse_ab 12.3", "images_per_second 67.89"):
        assert part in line


def test_a_long_epoch_tells_its_pace_and_the_time_left(
    progress, capsys, monkeypatch
):
    now = iter(range(0, 10**6, 50))  # each look at the clock 50 s later
    monkeypatch.setattr(callbacks.time, "monotonic", lambda: float(next(now)))
    go(progress, epoch=1, steps=3)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[-1].startswith("epoch 2/3")
    assert "(step 3/4)" in lines[-1]
    assert "images/s" in lines[-1]
    # 8 photos in 50 s; 5 of 12 steps are left, of 50 s each.
    assert "0.2 images/s" in lines[-1]
    assert "4 min left" in lines[-1]


def test_on_a_terminal_a_bar_tells_the_steps(progress, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    progress.on_epoch_begin(0)
    for step in range(4):
        progress.on_train_batch_begin(step)
        time.sleep(0.11)  # the bar is not drawn more often
        progress.on_train_batch_end(step, {"loss": 0.5})
    end(progress, epoch=0)
    told = capsys.readouterr()
    assert "epoch 1/3" in told.err
    assert "images/s" in told.err
    assert "left" in told.err
    assert "4/4" in told.err
    assert len(told.out.splitlines()) == 1


# === Schedules ===


def watching(mode="min", **fields):
    """Returns the callbacks of an experiment, and the model they act on."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(1e-3), "mse")
    experiment = Experiment.of(monitor="rmse_ab", learning_rate=1e-3, **fields)
    chosen = callbacks.schedules(experiment, mode)
    for callback in chosen:
        callback.set_model(model)
        callback.on_train_begin()
    return chosen, model


def rates_of(chosen, model, values, first: int = 0) -> list[float]:
    """Returns the learning rate after each epoch."""
    rates = []
    for epoch, value in enumerate(values, start=first):
        for callback in chosen:
            callback.on_epoch_end(epoch, {"val_rmse_ab": value})
        rates.append(round(float(model.optimizer.learning_rate), 9))
    return rates


def test_plateau_divides_the_learning_rate_by_ten_once():
    chosen, model = watching(schedule="plateau", patience=2)
    values = [5, 4, 4, 4, 4, 4, 4, 4]
    assert rates_of(chosen, model, values) == [1e-3] * 3 + [1e-4] * 5


def test_plateau_waits_while_the_monitor_improves():
    chosen, model = watching(schedule="plateau", patience=2)
    values = [5, 5, 4.999999, 5, 4.999998, 5]
    assert rates_of(chosen, model, values) == [1e-3] * 6


def test_plateau_may_wait_for_a_metric_that_is_better_higher():
    chosen, model = watching("max", schedule="plateau", patience=2)
    assert rates_of(chosen, model, [1, 2, 3, 4]) == [1e-3] * 4
    chosen, model = watching("max", schedule="plateau", patience=2)
    assert rates_of(chosen, model, [4, 3, 2, 1]) == [1e-3] * 2 + [1e-4] * 2


@pytest.mark.parametrize("schedule", ["cosine", "linear", "constant"])
def test_other_schedules_do_not_look_at_the_monitor(schedule):
    chosen, model = watching(schedule=schedule)
    assert chosen == []


def test_early_stopping_ends_after_epochs_without_improvement():
    chosen, model = watching(schedule="constant", early_stopping=2)
    rates_of(chosen, model, [5, 4, 4])
    assert not model.stop_training
    rates_of(chosen, model, [4], first=3)
    assert model.stop_training


def test_schedules_go_on_from_what_they_remembered():
    fields = {"schedule": "plateau", "patience": 3, "early_stopping": 4}
    values = [5, 4, 4, 4.5, 4, 4, 4]
    chosen, model = watching(**fields)
    rates = rates_of(chosen, model, values[:3])
    assert not model.stop_training
    saved = json.loads(json.dumps(callbacks.states(chosen)))

    later, model = watching(**fields)
    callbacks.restore_states(later, saved)
    rates += rates_of(later, model, values[3:5], first=3)
    assert rates == [1e-3] * 4 + [1e-4]
    assert not model.stop_training
    rates_of(later, model, values[5:6], first=5)
    assert model.stop_training


def test_what_is_remembered_can_be_saved_before_the_first_epoch():
    chosen, _ = watching(schedule="plateau", early_stopping=2)
    saved = json.loads(json.dumps(callbacks.states(chosen)))
    callbacks.restore_states(chosen, saved)
    assert callbacks.states(chosen) == saved
    assert len(saved) == 2
