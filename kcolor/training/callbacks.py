"""What happens beside the training steps."""

from __future__ import annotations

import math
import signal
import sys
import time
from collections.abc import Iterable

import keras
from tqdm import tqdm

from kcolor.errors import UserError
from kcolor.training.experiment import Experiment

MONITOR = "val_rmse_ab"
LINE_EVERY = 60.0  # seconds between lines where there is no terminal


class Signals:
    """Notes SIGINT and SIGTERM while a training is in its `with` block.

    The training looks at `received` between steps. A second signal does what
    it always does.
    """

    def __init__(self):
        self.received = 0
        self._previous = {}

    def __enter__(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_):
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}

    def _note(self, number, _):
        self.received = number
        self.__exit__()


class StopOnNaN(keras.callbacks.Callback):
    """Ends the training at the first loss that is no number."""

    def on_train_batch_end(self, batch, logs=None):
        if not math.isfinite(logs["loss"]):
            raise UserError(
                f"the loss is {float(logs['loss'])} at step {batch + 1}: the "
                "checkpoint before it is kept; lower --learning-rate or set "
                "--clip-norm"
            )


class Progress(keras.callbacks.Callback):
    """Shows how far the training is: a bar on a terminal, lines elsewhere.

    Args:
        epochs: How many there will be.
        steps_per_epoch: Optimizer steps an epoch.
        total_steps: Optimizer steps in all.
        batch_size: Photos a step.
    """

    def __init__(self, epochs, steps_per_epoch, total_steps, batch_size):
        super().__init__()
        self.epochs = epochs
        self.steps_per_epoch = steps_per_epoch
        self.total_steps = total_steps
        self.batch_size = batch_size

    def on_train_begin(self, logs=None):
        self._seen = 0
        self._busy = 0.0  # seconds of steps, without validation

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch
        self._began = self._spoke = time.monotonic()
        self._bar = None

    def on_train_batch_end(self, batch, logs=None):
        now = time.monotonic()
        self._seen += 1
        if self._seen == 1:
            # The first step compiles: it tells nothing of the others.
            self._began = now
            self._timed = -1
        self._timed = self._seen - 1
        rate = self._timed / max(self._busy + now - self._began, 1e-9)
        left = (self.total_steps - batch - 1) / rate if self._timed else 0.0
        text = (
            f"epoch {self._epoch + 1}/{self.epochs}  loss "
            f"{float(logs['loss']):.4g}  {rate * self.batch_size:.1f} images/s"
            f"  {duration(left)} left"
        )
        done = batch + 1 - self._epoch * self.steps_per_epoch
        if sys.stderr.isatty():
            if self._bar is None:
                self._bar = tqdm(
                    total=self.steps_per_epoch,
                    initial=done - 1,
                    leave=False,
                    bar_format="{l_bar}{bar:20}| {n}/{total}",
                )
            self._bar.set_description_str(text, refresh=False)
            self._bar.update()
        elif now - self._spoke > LINE_EVERY:
            self._spoke = now
            say(f"{text}  (step {done}/{self.steps_per_epoch})")

    def on_epoch_end(self, epoch, logs=None):
        if self._bar is not None:
            self._bar.close()
        figures = "  ".join(
            f"{name} {float(logs[name]):.4g}"
            for name in ("loss", MONITOR, "val_auc", "images_per_second")
            if name in logs
        )
        say(f"epoch {epoch + 1}/{self.epochs}  {figures}")

    def on_test_begin(self, logs=None):
        self._busy += time.monotonic() - self._began
        self._began = time.monotonic()

    def on_test_end(self, logs=None):
        self._began = time.monotonic()


def progress(items: Iterable, total: int, what: str) -> Iterable:
    """Yields the items, and shows on a terminal how far they are."""
    return tqdm(
        items, what, total, leave=False, disable=not sys.stderr.isatty()
    )


def say(line: str) -> None:
    """Prints a line at once, so that a log can be followed."""
    print(line, flush=True)


def duration(seconds: float) -> str:
    """Returns a span of time as people say it.

    Example:

    >>> duration(42), duration(200), duration(4000)
    ('42 s', '3 min', '1 h 07 min')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def schedules(experiment: Experiment) -> list[keras.callbacks.Callback]:
    """Returns the callbacks that look at the validation metric."""
    chosen = []
    if experiment.schedule == "plateau":
        chosen.append(
            keras.callbacks.ReduceLROnPlateau(
                MONITOR,
                factor=0.1,
                patience=experiment.patience,
                min_lr=experiment.learning_rate / 10,
                mode="min",
                min_delta=0.0,
            )
        )
    if experiment.early_stopping:
        chosen.append(
            keras.callbacks.EarlyStopping(
                MONITOR, patience=experiment.early_stopping, mode="min"
            )
        )
    return chosen


def states(callbacks: list[keras.callbacks.Callback]) -> list[dict]:
    """Returns the plain numbers that callbacks keep, to be saved."""
    return [
        {
            name: float(value) if isinstance(value, float) else value
            for name, value in vars(callback).items()
            if type(value) in (int, bool) or isinstance(value, float)
        }
        for callback in callbacks
    ]


def restore_states(
    callbacks: list[keras.callbacks.Callback], saved: list[dict]
) -> None:
    """Brings back what `states` returned."""
    for callback, state in zip(callbacks, saved, strict=True):
        vars(callback).update(state)
