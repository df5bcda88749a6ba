"""What happens beside the training steps."""

from __future__ import annotations

import math
import sys
import time

import keras
from tqdm import tqdm

from kcolor.errors import UserError
from kcolor.terminal import LINE_EVERY, duration, say
from kcolor.training.experiment import Experiment

REMEMBERED = ("wait", "best", "cooldown_counter")  # by Keras' callbacks
SURE = 0.995  # of a discriminator: it has won
COLOURLESS = 2.0  # colorfulness of photos: the truth's is about 40


class StopOnNaN(keras.callbacks.Callback):
    """Ends the training at the first loss that is no number."""

    def on_train_batch_end(self, batch, logs=None):
        if not math.isfinite(logs["loss"]):
            raise diverged(f"the loss is {float(logs['loss'])}", batch + 1)


class WarnOnCollapse(keras.callbacks.Callback):
    """Says, once each, what has gone wrong between two networks.

    Args:
        gan_loss: Of the game. The critic of wgan_gp is meant to tell all photos
            apart.
    """

    def __init__(self, gan_loss: str):
        super().__init__()
        self._may_win = gan_loss == "wgan_gp"
        self._was_colourful = False
        self._has_told_grey = False

    def on_epoch_end(self, epoch, logs=None):
        if math.isnan(logs["real_accuracy"]):
            return  # there is no discriminator yet
        if (
            not self._may_win
            and min(logs["real_accuracy"], logs["fake_accuracy"]) > SURE
        ):
            self._may_win = True
            say(
                "warning: the discriminator tells all photos from coloured "
                "ones, so teaches little: lower --discriminator-rate, or set "
                "--spectral true or --r1 1"
            )
        color = logs["val_colorfulness"]
        if color < COLOURLESS and self._was_colourful:
            if not self._has_told_grey:
                say(
                    f"warning: colorfulness fell to {color:.1f}, all is grey: "
                    "give another --gan-loss or a lower --discriminator-rate"
                )
            self._has_told_grey = True
        self._was_colourful |= color > 2 * COLOURLESS


def diverged(what: str, step: int) -> UserError:
    """Returns the error for a training that is lost."""
    return UserError(
        f"{what} at step {step}: the last good checkpoint, if any, is kept; "
        "lower --learning-rate or set --clip-norm"
    )


class Progress(keras.callbacks.Callback):
    """Shows how far the training is: a bar on a terminal, lines elsewhere.

    Args:
        epochs: How many there will be.
        steps_per_epoch: Optimizer steps an epoch.
        total_steps: Optimizer steps in all.
        batch_size: Photos a step.
        shown: The validation metrics to name after each epoch.
    """

    def __init__(self, epochs, steps_per_epoch, total_steps, batch_size, shown):
        super().__init__()
        self.shown = shown
        self.epochs = epochs
        self.steps_per_epoch = steps_per_epoch
        self.total_steps = total_steps
        self.batch_size = batch_size
        self._steps, self._seconds = 0, 0.0  # but the first, which compiles
        self._is_first = True
        self._bar = None

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch
        self._spoke = time.monotonic()

    def on_train_batch_begin(self, batch, logs=None):
        self._began = time.monotonic()

    def on_train_batch_end(self, batch, logs=None):
        now = time.monotonic()
        if self._is_first:
            self._is_first = False
        else:
            self._steps += 1
            self._seconds += now - self._began
        done = batch + 1 - self._epoch * self.steps_per_epoch
        text = (
            f"epoch {self._epoch + 1}/{self.epochs}  "
            f"loss {float(logs['loss']):.4g}{self._speed(batch + 1)}"
        )
        if sys.stderr.isatty():
            if self._bar is None:
                self._bar = tqdm(
                    total=self.steps_per_epoch,
                    initial=done - 1,
                    leave=False,
                    bar_format="{desc} |{bar:20}| {n}/{total}",
                )
            self._bar.set_description_str(text, refresh=False)
            self._bar.update()
        elif now - self._spoke > LINE_EVERY:
            self._spoke = now
            say(f"{text}  (step {done}/{self.steps_per_epoch})")

    def on_epoch_end(self, epoch, logs=None):
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        figures = "  ".join(
            f"{name} {logs[name]:.4g}"
            for name in ("loss", *self.shown, "images_per_second")
        )
        say(f"epoch {epoch + 1}/{self.epochs}  {figures}")

    def _speed(self, step: int) -> str:
        if not self._steps:
            return ""
        pace = self._seconds / self._steps
        left = duration((self.total_steps - step) * pace)
        return f"  {self.batch_size / pace:.1f} images/s  {left} left"


def schedules(
    experiment: Experiment, mode: str
) -> list[keras.callbacks.Callback]:
    """Returns the callbacks that look at the validation metric.

    Args:
        experiment: What is trained, no "auto" left in it.
        mode: "min" or "max": which value of the monitor is the better one.
    """
    chosen = []
    monitor = f"val_{experiment.monitor}"
    if experiment.schedule == "plateau":
        chosen.append(
            keras.callbacks.ReduceLROnPlateau(
                monitor,
                factor=0.1,
                patience=experiment.patience,
                min_lr=experiment.learning_rate / 10,
                mode=mode,
                min_delta=0.0,
            )
        )
    if experiment.early_stopping:
        chosen.append(
            keras.callbacks.EarlyStopping(
                monitor, patience=experiment.early_stopping, mode=mode
            )
        )
    return chosen


def states(callbacks: list[keras.callbacks.Callback]) -> list[dict]:
    """Returns what the callbacks of `schedules` remember, to be saved."""
    return [
        {name: vars(callback).get(name) for name in REMEMBERED}
        for callback in callbacks
    ]


def restore_states(
    callbacks: list[keras.callbacks.Callback], saved: list[dict]
) -> None:
    """Brings back what `states` returned."""
    for callback, state in zip(callbacks, saved, strict=True):
        vars(callback).update(state)
