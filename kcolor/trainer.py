"""Training one experiment: the whole story, top to bottom."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import functools
import math
import textwrap
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.framework.config import (  # not in TensorFlow's own API
    disable_op_determinism,
    is_op_determinism_enabled,
)

from kcolor import initial, pictures
from kcolor.color import LARGEST_AB
from kcolor.colorizer import Colorizer
from kcolor.data.pipeline import ab_histogram, batches
from kcolor.data.prepare import TRAIN, VALIDATION, Data, load
from kcolor.errors import Interrupted, UserError, first_line, unknown
from kcolor.evaluation import measure, references, tables
from kcolor.evaluation.figures import color_weights
from kcolor.evaluation.metrics import METRICS, RANKING_METRICS
from kcolor.files import whole
from kcolor.signals import Signals
from kcolor.strict_json import to_json
from kcolor.terminal import progress, say
from kcolor.training import callbacks as calls
from kcolor.training import features
from kcolor.training.distribution import Distribution, open_distribution
from kcolor.training.experiment import Experiment
from kcolor.training.optimizers import Adam, AdamW
from kcolor.training.rates import Following, Lowered, SecondHalf
from kcolor.training.run import Checkpoints, Run, open_run
from kcolor.training.supervised import Supervised

SAMPLES = 12  # photos in the picture grids
DRAWS = 4  # of each, where the objective can be sampled
TITLES = ("grey", "ours", "truth")
FINE_TUNING = 0.1  # of the learning rate, for weights that know something
LOSS_SCALE = 2.0**13  # in float16 at the start, for losses in ab units
SKIPPED_SHOWN = 20  # broken files named on the screen


def train(
    experiment: Experiment,
    run: str | Path | None = None,
    resume: bool = False,
    checkpoint_minutes: float = 10.0,
    devices: int = 1,
    data: Data | None = None,
) -> Run:
    """Trains an experiment and measures it on the test photos.

    Args:
        experiment: What to train.
        run: The folder to write; None for a new one in `runs/`.
        resume: Go on with the run in that folder, from where it was stopped.
        checkpoint_minutes: Minutes between checkpoints, beside those at the end
            of each epoch and at a signal.
        devices: How many GPUs of this machine share each batch. The environment
            variable TF_CONFIG names other machines that do so, too: `run` must
            be a folder that all of them see, and the training goes on with what
            is in it.
        data: The experiment's photos, where `decoded` has read them already.

    Returns:
        The run.

    Raises:
        UserError: The experiment, its data or its run folder cannot be used,
            or the loss is no number.
        WorkerLost: Another machine is gone.
        Interrupted: SIGINT or SIGTERM; the checkpoint is written.
    """
    experiment.check()
    # Weights that it begins with have the encoder's among them.
    if not resume and experiment.init == Experiment.init:
        experiment.architecture.require()
    distribution = open_distribution(devices)
    path = Path(run) if run is not None else None
    with distribution.watched(), distribution.together():
        distribution.check(experiment.batch_size)
        experiment = resolve(experiment, distribution.replicas)
        if distribution.workers > 1 and path is None:
            raise UserError(
                "several workers need --run DIR, a folder that all see"
            )
    with (
        _prepared_keras(experiment),
        distribution.watched(),
        contextlib.ExitStack() as stack,
    ):
        if distribution.workers > 1:
            # Started again by whoever watches it, a worker goes on.
            resume = Run(path).config.exists()
        with distribution.chief_first():
            if distribution.is_chief:
                opening = open_run(path, experiment, resume)
                opened = stack.enter_context(opening)
            else:
                opened = Run(path)
        with distribution.together():
            if data is None:
                data = decoded(
                    experiment.data,
                    experiment.image_size,
                    experiment.validation_share,
                )
            _check_data(experiment, data)
        with distribution.chief_first():
            if not distribution.is_chief:
                opened.check_settings(experiment)
            if resume or not distribution.is_chief:
                opened.check_fingerprint(data.fingerprint)
            else:
                opened.begin(experiment, data)
        if distribution.is_chief:
            _tell(experiment, data, opened)
        try:
            histogram = ab_histogram(data.train.pixels)
            weights = color_weights(histogram)
            _fit(
                experiment,
                data,
                opened,
                distribution,
                checkpoint_minutes * 60,
                histogram,
                weights,
            )
            if distribution.is_chief:
                _report(data, opened, weights)
        except tf.errors.ResourceExhaustedError as error:
            raise UserError(
                f"memory or disk is full ({first_line(error)}): make room, "
                "then go on with --resume, or begin a new --run with less than "
                f"--batch-size {experiment.batch_size} or a smaller --arch"
            ) from error
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            raise UserError(
                f"run '{opened.path}': the disk is full: make room, then go on "
                "with --resume"
            ) from error
    return opened


def decoded(source: str, image_size: int, validation_share: float) -> Data:
    """Returns the photos of a source, and shows how far it is.

    Args:
        source: What `--data` names.
        image_size: Height and width of the photos, in pixels.
        validation_share: Share of the training photos kept for validation.

    Raises:
        UserError: The source cannot be opened, or holds too few usable photos.
    """
    return load(
        source,
        image_size,
        validation_share,
        lambda items, total: progress(items, total, "decoding"),
    )


def pace(experiment: Experiment, data: Data, seconds: float) -> float:
    """Returns how many optimizer steps a second an experiment makes here.

    Args:
        experiment: What would be trained.
        data: Its photos.
        seconds: How long to try, once all is compiled.

    Raises:
        UserError: The experiment cannot be trained on the photos.
    """
    experiment = resolve(experiment)
    with _prepared_keras(experiment):
        _check_data(experiment, data)
        classes = _classes(experiment, data)
        labels = _numbers(data.train.domains, classes)
        histogram = ab_histogram(data.train.pixels)
        steps = 1_000_000
        scheme = compiled(experiment, histogram, len(classes), steps, steps)
        scheme.begin_epoch(experiment.epochs - 1)
        stream = iter(_batches(experiment, data, labels, 0, 0).repeat())
        for _ in range(2):  # compiles
            float(scheme.train_function(stream)["loss"])
        steps, began = 0, time.monotonic()
        while time.monotonic() - began < seconds:
            float(scheme.train_function(stream)["loss"])
            steps += 1
        return steps / (time.monotonic() - began)


def resolve(experiment: Experiment, replicas: int = 1) -> Experiment:
    """Returns the experiment with every "auto" decided for this machine.

    Args:
        experiment: What is to be trained.
        replicas: How many devices share each batch.

    Raises:
        UserError: XLA, or the metric to monitor, cannot be had.
    """
    on_gpu = bool(tf.config.list_physical_devices("GPU"))
    precision, jit = experiment.precision, experiment.jit
    if precision == "auto":
        precision = "mixed_bfloat16" if _computes_bfloat16() else "float32"
    if jit == "auto":
        jit = on_gpu and replicas == 1 and not experiment.deterministic
    if jit and replicas > 1:
        # What replicas tell each other cannot stand in what XLA compiles.
        raise UserError(
            f"--jit true compiles for one device, not for {replicas}: give "
            "--jit false"
        )
    if jit and experiment.deterministic:
        # Keras would warn and go on without XLA.
        raise UserError(
            "--jit true cannot promise the same weights each time: add "
            "--deterministic false"
        )
    learning = experiment.learning
    rate, beta_1 = experiment.learning_rate, experiment.beta_1
    if rate == "auto":
        rate = learning.learning_rate
        if experiment.init != Experiment.init:
            rate *= FINE_TUNING
    if beta_1 == "auto":
        beta_1 = learning.beta_1
    monitor = experiment.monitor
    if monitor == "auto":
        monitor = learning.monitor or experiment.objective.monitor
    ema = experiment.ema
    if ema == "auto":
        ema = experiment.objective.ema
    # The spread of energy is best neither high nor low.
    known = {*experiment.objective.logged, *RANKING_METRICS} - {"spread"}
    if experiment.architecture.classifies:
        known.add("class_loss")
    if monitor not in known:
        raise unknown("metric to monitor", monitor, known)
    return dataclasses.replace(
        experiment,
        precision=precision,
        jit=jit,
        learning_rate=rate,
        beta_1=beta_1,
        monitor=monitor,
        ema=ema,
    )


def _computes_bfloat16() -> bool:
    """Whether the GPU, or else the processor, multiplies bfloat16 itself."""
    for device in tf.config.list_physical_devices("GPU"):
        details = tf.config.experimental.get_device_details(device)
        return details.get("compute_capability", (0, 0)) >= (8, 0)
    flags = Path("/proc/cpuinfo")
    if not flags.exists():
        return False
    words = set(flags.read_text().split())
    return not words.isdisjoint({"avx512_bf16", "amx_bf16", "bf16"})


@contextlib.contextmanager
def _prepared_keras(experiment: Experiment) -> Iterator[None]:
    """Sets what Keras and TensorFlow keep for all, and takes it back."""
    policy = keras.config.dtype_policy()
    was_deterministic = is_op_determinism_enabled()
    keras.utils.set_random_seed(experiment.seed)
    keras.config.set_dtype_policy(experiment.precision)
    try:
        _set_determinism(experiment.deterministic)
        yield
    finally:
        _set_determinism(was_deterministic)
        keras.config.set_dtype_policy(policy)


def _set_determinism(wanted: bool) -> None:
    if wanted:
        tf.config.experimental.enable_op_determinism()
    else:
        disable_op_determinism()


def _check_data(experiment: Experiment, data: Data) -> None:
    if experiment.monitor == "class_loss" and not _classes(experiment, data):
        raise UserError(
            f"'{experiment.data}' has no classes to monitor: give photos in "
            "one folder a class, or another --monitor"
        )
    count = _photos_an_epoch(experiment, data)
    if not count:
        raise UserError(
            f"{experiment.scheme} needs two different training photos at least:"
            " add photos"
        )
    if experiment.batch_size > count:
        what = "training photos"
        if experiment.learning.is_unpaired:
            what = f"photos in a half of the {len(data.train)} {what}"
        raise UserError(
            f"batch size {experiment.batch_size} is more than the {count} "
            f"{what}: lower --batch-size"
        )


def _tell(experiment: Experiment, data: Data, run: Run) -> None:
    """Says what is about to be trained, and on what."""
    say(
        f"{experiment.data}: {len(data.train)} photos to train, "
        f"{len(data.validation)} to validate, {len(data.test)} to test; "
        f"{data.near_grey} near-grey dropped, {len(data.skipped)} broken"
    )
    for note in data.notes:
        say(note)
    for name, fault in data.skipped[:SKIPPED_SHOWN]:
        say(f"skipped '{name}': {fault}")
    if len(data.skipped) > SKIPPED_SHOWN:
        say(f"all that were skipped: '{run.environment}'")
    classes = _classes(experiment, data)
    if classes:
        names = [name or "no folder" for name in classes]
        names = textwrap.shorten(", ".join(names), 100, placeholder=" ...")
        say(f"{len(classes)} classes to learn, too: {names}")
    say(
        f"{experiment.arch} + {experiment.loss}, {experiment.scheme}, "
        f"{experiment.precision}, run '{run.path}'"
    )


def _fit(
    experiment: Experiment,
    data: Data,
    run: Run,
    distribution: Distribution,
    save_every: float,
    histogram: np.ndarray,
    weights: np.ndarray,
) -> None:
    """Trains until the last epoch, from the newest checkpoint if any.

    Keras' own `fit` cannot begin in the middle of an epoch; its step and its
    callbacks are used as they are.
    """
    steps_per_epoch = _photos_an_epoch(experiment, data) // (
        experiment.batch_size
    )
    total_steps = min(
        experiment.epochs * steps_per_epoch, experiment.steps or 10**12
    )

    # === Model and optimizer ===
    classes = _classes(experiment, data)
    labels = {
        split: _numbers(photos.domains, classes)
        for split, photos in (
            (TRAIN, data.train),
            (VALIDATION, data.validation),
        )
    }
    with distribution.strategy.scope():
        scheme = compiled(
            experiment, histogram, len(classes), total_steps, steps_per_epoch
        )
    colorizer = scheme.colorizer
    predict = _predictor(colorizer, experiment)

    # === Callbacks ===
    higher = (
        experiment.monitor in METRICS
        and METRICS[experiment.monitor].better == "higher"
    )
    watching = calls.schedules(experiment, mode="max" if higher else "min")
    speaking = []
    if distribution.is_chief:
        speaking = [
            calls.Progress(
                experiment.epochs,
                steps_per_epoch,
                total_steps,
                experiment.batch_size,
                shown=dict.fromkeys(
                    (f"val_{experiment.monitor}", "val_rmse_ab", "val_auc")
                ),
            ),
            keras.callbacks.TensorBoard(run.tensorboard, write_graph=False),
            *experiment.learning.callbacks(),
        ]
    every = keras.callbacks.CallbackList(
        [calls.StopOnNaN(), *watching, *speaking], model=scheme
    )

    # === Where to begin ===
    checkpoints = Checkpoints(run.checkpoints, _variables(scheme))
    every.on_train_begin()
    state = None
    if distribution.is_chief:
        state = checkpoints.restore(warn=say)
    (found,) = distribution.from_chief([-1 if state is None else state["step"]])
    if not distribution.is_chief and found >= 0:
        state = checkpoints.restore(warn=say, step=int(found))
    if state is None:
        step, best = 0, None
        initial.begin(experiment, colorizer, warn=say)
    else:
        step, best = state["step"], state["best"]
        calls.restore_states(watching, state["callbacks"])
        scheme.stop_training = state["stop"]
        say(f"resumed at step {step} of {total_steps}")
    history = run.read_history(epochs=step // steps_per_epoch)

    # === What the encoder says, if it stays as it is ===
    views = None
    frozen = experiment.unfreeze_at or experiment.epochs
    if experiment.views and step < frozen * steps_per_epoch:
        views = features.views(
            data.train,
            colorizer,
            experiment.views,
            experiment.seed,
            experiment.faults,
            data.fingerprint,
            lambda items, total: progress(items, total, "encoding"),
            say,
        )

    def photos(
        epoch: int, first: int, parts: tuple[Sequence[int], int] = ((0,), 1)
    ) -> tf.data.Dataset:
        if views is not None and epoch < frozen:
            return views.batches(
                experiment.batch_size, (experiment.seed, epoch), first, parts
            )
        return _batches(experiment, data, labels[TRAIN], epoch, first, parts)

    def save() -> None:
        if not _is_finite(scheme):
            raise calls.diverged("a weight is no finite number", step)
        if not distribution.is_chief:
            return
        checkpoints.save(
            step,
            {
                "step": step,
                "best": best,
                "stop": bool(scheme.stop_training),
                "callbacks": calls.states(watching),
            },
        )

    # === The loop ===
    with Signals() as signals, distribution.watched(signals):
        while step < total_steps and not scheme.stop_training:
            epoch, first = divmod(step, steps_per_epoch)
            if first == 0:
                scheme.reset_metrics()
            scheme.begin_epoch(epoch)
            every.on_epoch_begin(epoch)
            began = saved = time.monotonic()
            seen = step
            stream = distribution.iterate(
                functools.partial(photos, epoch, first)
            )
            last = min((epoch + 1) * steps_per_epoch, total_steps)
            while step < last:
                every.on_train_batch_begin(step)
                logs = scheme.train_function(stream)
                every.on_train_batch_end(step, logs)
                step += 1
                stopped = distribution.largest(signals.received)
                if stopped and step < last:
                    save()
                    raise _interrupted(run, stopped)
                if time.monotonic() - saved > save_every and step < last:
                    save()
                    saved = time.monotonic()
            seconds = time.monotonic() - began

            # === Validation ===
            logs = {name: float(value) for name, value in logs.items()}
            rate = scheme.optimizer.learning_rate
            logs["learning_rate"] = float(keras.ops.convert_to_numpy(rate))
            logs["seconds"] = seconds
            logs["images_per_second"] = (
                (step - seen) * experiment.batch_size / seconds
            )
            every.on_test_begin()
            with _averaged(scheme, experiment.ema):
                found = {experiment.monitor: 0.0}
                if distribution.is_chief:
                    found = _validate(
                        scheme, predict, data, labels[VALIDATION], weights
                    )
                # What schedules look at must be the same number for all.
                (value,) = distribution.from_chief([found[experiment.monitor]])
                logs |= {f"val_{name}": value for name, value in found.items()}
                logs[f"val_{experiment.monitor}"] = value
                # A monitor that is no number, nan, is never the better one.
                if (
                    best is None
                    or math.isnan(best)
                    or (value > best if higher else value < best)
                ):
                    best = value
                    if distribution.is_chief:
                        with whole(run.model) as path:
                            colorizer.save(path)
                if distribution.is_chief:
                    _log_pictures(run, predict, data, step)
            every.on_test_end()
            every.on_epoch_end(epoch, logs)
            if distribution.is_chief:
                history.append({"epoch": epoch + 1, "step": step, **logs})
                run.write_history(history)
                with whole(run.curves) as path:
                    pictures.save_curves(path, history)
            save()
            stopped = distribution.largest(signals.received)
            if stopped:
                raise _interrupted(run, stopped)
    every.on_train_end()


def compiled(
    experiment: Experiment,
    histogram: np.ndarray,
    classes: int,
    steps: int,
    steps_per_epoch: int,
) -> Supervised:
    """Returns what trains an experiment, ready to.

    Args:
        experiment: No "auto" is left in it.
        histogram: Counts of the training photos' colours.
        classes: How many classes they are labelled with.
        steps: How many optimizer steps there will be.
        steps_per_epoch: How many of them are an epoch.
    """
    colorizer = Colorizer(
        experiment.architecture,
        experiment.objective.adapt(histogram),
        experiment.image_size,
        classes,
        experiment.learning.generator_noise,
    )
    scheme = experiment.learning.build(colorizer, experiment.seed)
    scheme.compile(
        **_optimizers(experiment, steps, steps_per_epoch),
        jit_compile=experiment.jit,
    )
    encoder = experiment.architecture.encoder_of(colorizer.network)
    if experiment.freeze_encoder:
        scheme.freeze(encoder, experiment.unfreeze_at)
        # The optimizer needs a place for all that will ever learn.
        encoder.trainable = experiment.unfreeze_at > 0
    scheme.build_optimizers()
    scheme.make_train_function()
    return scheme


def _photos_an_epoch(experiment: Experiment, data: Data) -> int:
    if experiment.learning.is_unpaired:
        return min(map(len, data.train.halves()))
    return len(data.train)


def _batches(
    experiment: Experiment,
    data: Data,
    labels: np.ndarray | None,
    epoch: int,
    first: int,
    parts: tuple[Sequence[int], int] = ((0,), 1),
) -> tf.data.Dataset:
    """Returns an epoch's batches, from one of them on, or parts of each.

    (L, ab), and labels if any; or, unpaired, (L of one half, L of the other,
    its ab): the colours of the first half's photos end here.
    """

    def stream(rows: np.ndarray | None) -> tf.data.Dataset:
        return batches(
            data.train.pixels,
            experiment.batch_size,
            rows=rows,
            labels=labels,
            image_size=experiment.image_size,
            shuffle=(experiment.seed, epoch),
            start=first,
            parts=parts,
            faults=experiment.faults,
        )

    if not experiment.learning.is_unpaired:
        return stream(None)
    halves = map(stream, data.train.halves())
    return tf.data.Dataset.zip(*halves).map(
        lambda grey, coloured: (grey[0], *coloured)
    )


def _validate(
    scheme: Supervised,
    predict: measure.Predictor,
    data: Data,
    labels: np.ndarray | None,
    weights: np.ndarray,
) -> dict[str, float]:
    """Returns the losses and the metrics of the validation photos."""
    pixels = data.validation.pixels
    losses = scheme.validate(
        batches(pixels, measure.batch_size(pixels), labels=labels)
    )
    return losses | measure.values(predict, pixels, weights)


def _classes(experiment: Experiment, data: Data) -> list[str]:
    """Returns the photos' classes, if they have some and the network cares."""
    wanted = experiment.architecture.classifies and len(data.classes) > 1
    return data.classes if wanted else []


def _numbers(domains: list[str], classes: list[str]) -> np.ndarray | None:
    """Returns the number of each photo's class, if there are any."""
    if not classes:
        return None
    number_of = {name: number for number, name in enumerate(classes)}
    return np.array([number_of[name] for name in domains], np.int32)


def _interrupted(run: Run, number: int) -> Interrupted:
    return Interrupted(
        number,
        f"the checkpoint is written, go on with --run '{run.path}' --resume",
    )


def _optimizers(
    experiment: Experiment, total_steps: int, steps_per_epoch: int
) -> dict[str, keras.optimizers.Optimizer]:
    """Returns the optimizers, by the names that the scheme takes them by."""
    highest = experiment.learning_rate
    rate = _rate(experiment, total_steps)
    if experiment.unfreeze_at:
        begin = experiment.unfreeze_at * steps_per_epoch
        rate = Lowered(rate, begin, experiment.unfrozen_rate)
    first = _optimizer(experiment, total_steps, rate, experiment.ema)
    others = {
        name: _optimizer(
            experiment, total_steps, Following(first, other / highest)
        )
        for name, other in experiment.learning.other_rates.items()
    }
    return {"optimizer": first, **others}


def _rate(
    experiment: Experiment, total_steps: int
) -> float | keras.optimizers.schedules.LearningRateSchedule:
    rate = experiment.learning_rate
    if experiment.schedule == "cosine":
        warmup = min(experiment.warmup_steps, total_steps - 1)
        return keras.optimizers.schedules.CosineDecay(
            0.0 if warmup else rate,
            decay_steps=total_steps - warmup,
            warmup_target=rate if warmup else None,
            warmup_steps=warmup,
        )
    if experiment.schedule == "linear":
        return SecondHalf(rate, total_steps)
    return rate


def _optimizer(
    experiment: Experiment,
    total_steps: int,
    rate: float | keras.optimizers.schedules.LearningRateSchedule,
    ema: float = 0.0,
) -> keras.optimizers.Optimizer:
    parts = tf.distribute.get_strategy().num_replicas_in_sync
    options = {
        "learning_rate": rate,
        "beta_1": experiment.beta_1,
        # Of each replica's part of the gradients: see `supervised.apply`.
        "global_clipnorm": experiment.clip_norm / parts or None,
        "use_ema": bool(ema),
        # So that a short training's average does not hold its beginning.
        "ema_momentum": min(ema, 1 - 1 / (1 + total_steps / 10)),
    }
    if experiment.optimizer == "adamw":
        optimizer = AdamW(weight_decay=experiment.weight_decay, **options)
    else:
        optimizer = Adam(**options)
    if experiment.precision == "mixed_float16":
        # Small gradients would vanish in float16.
        unit = experiment.objective.range_loss / (2 * LARGEST_AB)
        optimizer = keras.optimizers.LossScaleOptimizer(
            optimizer, initial_scale=LOSS_SCALE / max(unit, 1.0)
        )
    return optimizer


def _predictor(
    colorizer: Colorizer, experiment: Experiment
) -> measure.Predictor:
    compiled = tf.function(
        colorizer, jit_compile=experiment.jit, reduce_retracing=True
    )
    return lambda lightness: compiled(lightness, training=False)


def _variables(scheme: Supervised) -> dict[str, tf.Variable]:
    """Returns every variable that the next steps depend on, by its path."""
    parts = {
        "model": scheme.variables,
        "optimizer": [v for o in scheme.optimizers for v in o.variables],
        "metrics": scheme.metrics_variables,
    }
    return {
        f"{part} {number}": variable.value
        for part, variables in parts.items()
        for number, variable in enumerate(variables)
    }


def _is_finite(model: keras.Model) -> bool:
    return all(
        bool(tf.reduce_all(tf.math.is_finite(weight)))
        for weight in model.weights
        if keras.backend.is_float_dtype(weight.dtype)
    )


@contextlib.contextmanager
def _averaged(scheme: Supervised, ema: float):
    """Puts the averages of the weights in their place, and takes them back."""
    if not ema:
        yield
        return
    variables = scheme.generator_variables
    trained = [np.array(weight) for weight in variables]
    for weight, average in zip(variables, scheme.averaged(), strict=True):
        weight.assign(average)
    try:
        yield
    finally:
        for weight, value in zip(variables, trained, strict=True):
            weight.assign(value)


def _samples(predict: measure.Predictor, photos: np.ndarray) -> np.ndarray:
    chosen = pictures.choose(photos, SAMPLES)
    ((lightness, ab),) = batches(chosen, len(chosen))
    return pictures.strips(lightness, np.asarray(predict(lightness)), ab)


def _draws(colorizer: Colorizer, photos: np.ndarray) -> np.ndarray:
    """Returns photos in grey, in several plausible colours, and in truth."""
    chosen = pictures.choose(photos, SAMPLES)
    ((lightness, ab),) = batches(chosen, len(chosen))
    seeds = keras.random.SeedGenerator(0)
    draws = [
        np.asarray(colorizer.sample(lightness, seeds)) for _ in range(DRAWS)
    ]
    return pictures.strips(lightness, *draws, ab)


def _log_pictures(
    run: Run, predict: measure.Predictor, data: Data, step: int
) -> None:
    writer = tf.summary.create_file_writer(str(run.tensorboard / "validation"))
    with writer.as_default(step):
        grids = _samples(predict, data.validation.pixels)
        tf.summary.image(" | ".join(TITLES), grids, max_outputs=SAMPLES)
    writer.close()


def _report(data: Data, run: Run, weights: np.ndarray) -> None:
    """Measures the best model of a run on the test photos."""
    # In float32, as it is for whoever loads it.
    keras.config.set_dtype_policy("float32")
    colorizer = keras.saving.load_model(run.model)
    predict = tf.function(colorizer, jit_compile=False, reduce_retracing=True)
    targets = {"grey": references.grey, "ours": predict}
    measured = measure.measure(targets, data.test.pixels, weights)
    with whole(run.samples) as path:
        rows = _samples(predict, data.test.pixels)
        pictures.save_grid(path, rows, TITLES, columns=min(2, len(rows)))
    written = [run.samples, run.curves]
    if colorizer.can_sample:
        written.append(run.draws)
        with whole(run.draws) as path:
            rows = _draws(colorizer, data.test.pixels)
            draws = [f"draw {number}" for number in range(1, DRAWS + 1)]
            pictures.save_grid(path, rows, ("grey", *draws, "truth"))
    with whole(run.metrics) as path:
        path.write_text(to_json(measured))
    say(f"\n{len(data.test)} test photos, 95 % intervals over photos:")
    say(tables.table(measured))
    say("\nlook at " + ", ".join(f"'{path}'" for path in written))
