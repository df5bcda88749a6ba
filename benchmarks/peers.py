"""The training steps of kcolor beside PyTorch's, on the same photos.

    python benchmarks/peers.py [--cases unet zhang] [--data FOLDER]

The same networks and losses in both (`torch_networks.py`, `torch_training.py`),
which `peers_check.py` shows.

First each setting of PyTorch is tried, and the fastest is kept. Then a process
of ours and one of PyTorch's wait for their turns and take them in alternation,
ours first, PyTorch's first, and so on: one works while the other sleeps. Both
are given photos that are prepared already, and read the loss of each step. Ours
is as `kcolor-train` has it by default, deterministic; PyTorch is not asked to
be. Needs the extra `peers`. Run it on a quiet machine: PyTorch's threads wait
for each other, and lose far more than their share to a third process. What
others took of the processor is in the tables.
"""

import argparse
import contextlib
import itertools
import multiprocessing
import os
import platform
import resource
import statistics
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from importlib.metadata import version
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil
from processes import in_own_process

# Neither TensorFlow nor PyTorch is imported here: the two processes of a pair
# begin by importing this file.

BATCHES = 8  # that both train on, over and over
HISTOGRAM_PHOTOS = 500
WARM_UP = 3  # steps: they compile, and fill what allocators keep
LEAST_STEPS = 3  # of a turn
LIMIT = 1200.0  # seconds after which a setting has failed


class Case(NamedTuple):
    """A training step: kcolor's settings, photos a step, PyTorch's scheme."""

    fields: dict
    batch: int
    scheme: str = "supervised"
    has_instance_norm: bool = False


CASES = {
    "cnn": Case({"arch": "cnn", "loss": "l2"}, 200),
    "zhang": Case({"arch": "zhang", "loss": "ce"}, 64),
    "unet": Case({"arch": "unet", "loss": "l2"}, 64),
    "cgan": Case(
        {"arch": "unet", "loss": "l1", "scheme": "cgan"}, 64, "cgan", True
    ),
    "cyclegan": Case(
        {"arch": "resnet", "loss": "rgb", "scheme": "cyclegan"},
        16,
        "cyclegan",
        True,
    ),
    "cyclegan-exact": Case(
        {"arch": "unet", "loss": "l1", "scheme": "cyclegan", "pool": 64},
        64,
        "exact",
        True,
    ),
}
USUAL = [name for name in CASES if name != "cyclegan-exact"]


class Setting(NamedTuple):
    """How a step is computed; of ours, precision and memory alone.

    `float32_rounded` keeps float32 and lets products round their factors.
    Memory that is `kept` is never given back to the system, so that its pages
    need not be cleared again: what tcmalloc and jemalloc do, too.
    """

    precision: str
    memory: str = "returned"
    layout: str = "contiguous"
    mode: str = "eager"  # or a mode of torch.compile
    norm: str = ""  # of networks that normalise each photo by itself

    def __str__(self):
        memory = "memory kept" if self.memory == "kept" else ""
        parts = [self.precision, self.layout, self.mode, self.norm, memory]
        return ", ".join(filter(None, parts)).replace("default", "compiled")


OURS = [
    Setting(precision, memory, "", "")
    for precision, memory in (
        ("float32", "returned"),
        ("mixed_bfloat16", "returned"),
        ("mixed_bfloat16", "kept"),
    )
]


def settings_of(case: Case) -> list[Setting]:
    """Returns the settings of PyTorch that are tried first."""
    found = []
    for precision, layout, mode in itertools.product(
        ("float32", "float32_rounded", "bfloat16"),
        ("contiguous", "channels_last"),
        ("eager", "default"),
    ):
        norms = [""]
        if case.has_instance_norm:
            norms = ["InstanceNorm2d"]
        if case.has_instance_norm and precision == "bfloat16":
            norms.append("GroupNorm")
        for norm in norms:
            found.append(Setting(precision, "returned", layout, mode, norm))
    return found


def more_settings(best: Setting) -> list[Setting]:
    """Returns what is tried with the fastest of the first settings."""
    # The more parts a step is computed in, the more memory it asks for.
    kept = best._replace(memory="kept")
    modes = ("eager", "default", "max-autotune-no-cudagraphs")
    return [kept._replace(mode=mode) for mode in modes]


class Failed(Exception):
    """A worker could not do what it was asked to."""


# === The photos ===


def prepare(data: str, case: Case, path: Path) -> str:
    """Writes what both train on; returns the precision that suits us here."""
    from throughput import SIZE

    from kcolor.data.pipeline import batches
    from kcolor.data.prepare import load
    from kcolor.trainer import resolve
    from kcolor.training.experiment import Experiment

    photos = load(data, SIZE).train

    def stream(rows):
        return batches(
            photos.pixels,
            case.batch,
            rows=rows,
            image_size=SIZE,
            shuffle=(0, 0),
        ).repeat()

    if case.fields.get("scheme") == "cyclegan":
        pairs = zip(*map(stream, photos.halves()), strict=False)
        parts = ((grey[0], *coloured) for grey, coloured in pairs)
    else:
        parts = stream(None)
    taken = zip(*itertools.islice(parts, BATCHES), strict=True)
    arrays = {f"part{n}": np.stack(part) for n, part in enumerate(taken)}
    pixels = photos.pixels[:HISTOGRAM_PHOTOS]
    if case.fields["loss"] == "ce":
        arrays |= tables_of_ce(pixels)
    np.savez(path, pixels=pixels, **arrays)
    return resolve(Experiment.of(**case.fields)).precision


def tables_of_ce(pixels: np.ndarray) -> dict[str, np.ndarray]:
    """Returns what PyTorch's cross entropy looks up."""
    from kcolor.data.pipeline import ab_histogram
    from kcolor.objectives.ce import CrossEntropy, soft_encoding

    objective = CrossEntropy().adapt(ab_histogram(pixels))
    indices, shares = soft_encoding(objective.bins)
    weights = objective.class_weights()
    return {
        "table_indices": indices.astype(np.int64),
        "table_shares": shares,
        "table_weights": weights,
        "table_shift": np.float32(np.log(weights * objective.prior)),
    }


def parts_of(arrays: dict[str, np.ndarray], prefix: str) -> dict:
    """Returns arrays whose names begin so, by the rest of the name."""
    return {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if name.startswith(prefix)
    }


# === The two workers ===


def our_scheme(arrays, case: Case, precision: str):
    """Returns what trains a case in Keras."""
    import keras
    import tensorflow as tf
    from throughput import scheme_of

    keras.utils.set_random_seed(0)
    tf.config.experimental.enable_op_determinism()
    fields = case.fields | {"batch_size": case.batch}
    return scheme_of(arrays["pixels"], fields, precision)


def our_step(path: Path, case: Case, setting: Setting) -> Callable[[], float]:
    """Returns a function that takes a step in TensorFlow."""
    import tensorflow as tf

    arrays = dict(np.load(path))
    scheme = our_scheme(arrays, case, setting.precision)
    parts = tuple(parts_of(arrays, "part").values())
    photos = tf.data.Dataset.from_tensor_slices(parts).repeat()
    stream = iter(photos.prefetch(tf.data.AUTOTUNE))
    return lambda: float(scheme.train_function(stream)["loss"])


def their_training(arrays, case: Case, setting: Setting):
    """Returns what trains a case in PyTorch."""
    from torch_training import SCHEMES

    options = {"pool": case.fields["pool"]} if "pool" in case.fields else {}
    return SCHEMES[case.scheme](
        case.fields["arch"],
        case.fields["loss"],
        parts_of(arrays, "table_"),
        setting.precision,
        setting.layout,
        setting.mode,
        setting.norm or "InstanceNorm2d",
        **options,
    )


def their_step(path: Path, case: Case, setting: Setting) -> Callable[[], float]:
    """Returns a function that takes a step in PyTorch.

    Raises:
        Failed: The setting changes nothing on this processor.
    """
    import torch

    # As TensorFlow does: numbers next to 0 would take many times as long.
    torch.set_flush_denormal(True)
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    if setting.precision == "float32_rounded":
        round_products()
    arrays = dict(np.load(path))
    training = their_training(arrays, case, setting)
    batches = zip(*parts_of(arrays, "part").values(), strict=True)
    turns = itertools.cycle([training.tensors(batch) for batch in batches])
    return lambda: training.step(*next(turns))["loss"].item()


def round_products() -> None:
    """Lets PyTorch round the factors of float32 products to bfloat16.

    Raises:
        Failed: It does not, on this processor.
    """
    import torch

    image, layer = torch.rand(4, 32, 32, 32), torch.nn.Conv2d(32, 32, 3)
    exact = layer(image)
    torch.set_float32_matmul_precision("medium")
    torch.backends.mkldnn.conv.fp32_precision = "bf16"
    if torch.equal(exact, layer(image)):
        raise Failed("no such products on this processor")


def work(connection: Connection, make: Callable, *args) -> None:
    """Makes a step, then takes steps for as long as it is asked to."""
    try:
        step = make(*args)
        for _ in range(WARM_UP):
            step()
        connection.send(None)
        while (seconds := connection.recv()) is not None:
            connection.send(timed(step, seconds))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        connection.send(peak / 1024**2)
    except Failed as failure:
        connection.send(str(failure))
    except Exception as error:  # any of them means that a setting fails
        traceback.print_exc()
        connection.send(f"{type(error).__name__}: {error}".splitlines()[0])


def timed(step: Callable[[], float], seconds: float) -> float:
    """Returns the median time of steps, in seconds."""
    step()  # the other process has used the caches
    times, began = [], time.perf_counter()
    while time.perf_counter() - began < seconds or len(times) < LEAST_STEPS:
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


class Turn(NamedTuple):
    """What came of a turn."""

    rate: float  # images/s
    others: float  # share of the processor that others took meanwhile


class Worker:
    """A process that takes training steps when it is asked to."""

    def __init__(self, make: Callable, path: Path, case: Case, setting):
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(
            target=work, args=(theirs, make, path, case, setting), daemon=False
        )
        with environment(KEPT if setting.memory == "kept" else {}):
            self.process.start()
        theirs.close()
        self.batch = case.batch

    def __enter__(self):
        try:
            self._answer()  # once it is warm
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.process.is_alive():
            self.process.terminate()
        self.process.join()

    def turn(self, seconds: float) -> Turn:
        """Takes steps for so many seconds."""
        began, busy = time.perf_counter(), self._others()
        self.connection.send(seconds)
        rate = self.batch / self._answer()
        passed = (time.perf_counter() - began) * psutil.cpu_count()
        return Turn(rate, max(0.0, (self._others() - busy) / passed))

    def _others(self) -> float:
        """Returns seconds of processor time that were not this process'."""
        times = psutil.cpu_times()
        own = psutil.Process(self.process.pid).cpu_times()
        idle = times.idle + getattr(times, "iowait", 0.0)
        guests = getattr(times, "guest", 0.0) + getattr(
            times, "guest_nice", 0.0
        )
        return sum(times) - guests - idle - own.user - own.system

    def end(self) -> float:
        """Ends the process; returns its peak memory, in GiB."""
        self.connection.send(None)
        peak = self._answer()
        self.process.join()
        return peak

    def _answer(self):
        if not self.connection.poll(LIMIT):
            raise Failed(f"no answer in {LIMIT:.0f} seconds")
        try:
            answer = self.connection.recv()
        except EOFError:
            self.process.join()
            code = self.process.exitcode
            raise Failed(f"the process ended with {code}") from None
        if isinstance(answer, str):
            raise Failed(answer)
        return answer


# What makes glibc keep memory. Read when a process begins.
KEPT = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**40)}


@contextlib.contextmanager
def environment(added: dict[str, str]) -> Iterator[None]:
    """Sets variables that processes started meanwhile inherit."""
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]


# === Trials and rounds ===


def tried(make, path, case, settings, seconds) -> dict[Setting, Turn | str]:
    """Returns images/s of each setting, or why it has none."""
    found = {}
    for setting in settings:
        try:
            with Worker(make, path, case, setting) as worker:
                found[setting] = worker.turn(seconds)
                worker.end()
        except Failed as failure:
            found[setting] = str(failure)
        say(f"  {setting}: {cell(found[setting])}")
    return found


def fastest(rates: dict[Setting, Turn | str]) -> Setting:
    """Returns the setting of the highest rate.

    Raises:
        Failed: All have failed.
    """
    working = {s: turn for s, turn in rates.items() if isinstance(turn, Turn)}
    if not working:
        raise Failed("no setting works")
    return max(working, key=lambda setting: working[setting].rate)


class Pair(NamedTuple):
    """What was measured of a case."""

    ours: list[Turn]
    theirs: list[Turn]
    setting: Setting
    peaks: tuple[float, float]  # GiB


def paired(path, case, our_setting, setting, rounds, seconds) -> Pair:
    """Returns the rates of ours and of PyTorch's, side by side."""
    with (
        Worker(our_step, path, case, our_setting) as ours,
        Worker(their_step, path, case, setting) as theirs,
    ):
        turns: dict[Worker, list[Turn]] = {ours: [], theirs: []}
        for number in range(rounds):
            order = (ours, theirs) if number % 2 == 0 else (theirs, ours)
            for worker in order:
                turns[worker].append(worker.turn(seconds))
            ratio = turns[ours][-1].rate / turns[theirs][-1].rate
            say(f"  round {number + 1}: {ratio:.2f}")
        peaks = ours.end(), theirs.end()
    return Pair(turns[ours], turns[theirs], setting, peaks)


def measured(case: Case, options) -> tuple[Pair, dict, dict]:
    """Returns a case's pair, and all trials of ours and of PyTorch's."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "photos.npz"
        precision = in_own_process(prepare, options.data, case, path)
        trial = path, case
        say(" kcolor")
        ours = tried(our_step, *trial, OURS, options.trial)
        say(" PyTorch")
        settings = [
            setting
            for setting in settings_of(case)
            if all(word in str(setting) for word in options.only)
        ]
        theirs = tried(their_step, *trial, settings, options.trial)
        more = more_settings(fastest(theirs))
        theirs |= tried(their_step, *trial, more, options.trial)
        pair = paired(
            *trial,
            Setting(precision, "returned", "", ""),
            fastest(theirs),
            options.rounds,
            options.seconds,
        )
    return pair, ours, theirs


# === The tables ===


def say(line: str) -> None:
    """Shows how far it is."""
    print(line, file=sys.stderr, flush=True)


def cell(turn: Turn | str) -> str:
    """Returns a turn, or why there is none, as tables have it."""
    if isinstance(turn, str):
        return f"{turn} | "
    return f"{turn.rate:.1f} | {turn.others:.0%}"


def row(name: str, case: Case, pair: Pair) -> str:
    """Returns the line of a case."""
    ratios = [
        ours.rate / theirs.rate
        for ours, theirs in zip(pair.ours, pair.theirs, strict=True)
    ]
    rates = (
        statistics.median(turn.rate for turn in turns)
        for turns in (pair.ours, pair.theirs)
    )
    others = max(turn.others for turn in (*pair.ours, *pair.theirs))
    cells = [
        name,
        str(case.batch),
        *(f"{rate:.1f}" for rate in rates),
        str(pair.setting),
        f"**{statistics.median(ratios):.2f}** "
        f"({min(ratios):.2f} to {max(ratios):.2f})",
        " and ".join(f"{peak:.1f}" for peak in pair.peaks),
        f"{others:.0%}",
    ]
    return f"| {' | '.join(cells)} |"


def processor() -> str:
    """Returns the processor's name and how much of it is ours."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(": ")[1] for line in lines if "model name" in line]
    name = names[0] if names else platform.processor()
    return f"{name}, {len(os.sched_getaffinity(0))} cores"


def parser_of(doc: str) -> argparse.ArgumentParser:
    """Returns a parser of what to compare, for the command that `doc` tells."""
    parser = argparse.ArgumentParser(
        description=doc.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--cases",
        nargs="+",
        choices=CASES,
        default=USUAL,
        help="training steps",
    )
    parser.add_argument("--data", default="demo", help="photos: a folder")
    return parser


def main() -> int:
    """Prints the tables."""
    parser = parser_of(__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="turns of each")
    parser.add_argument(
        "--seconds", type=float, default=8.0, help="of a turn, at least"
    )
    parser.add_argument(
        "--trial", type=float, default=5.0, help="seconds of a trial"
    )
    parser.add_argument(
        "--only",
        nargs="+",
        default=[],
        help="words that settings of PyTorch must have to be tried",
    )
    parser.add_argument("--out", type=Path, help="file of the tables")
    options = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    rows, trials = [], []
    for name in options.cases:
        say(name)
        try:
            pair, ours, theirs = measured(CASES[name], options)
        except Failed as failure:
            say(f"  {failure}")
            continue
        rows.append(row(name, CASES[name], pair))
        for label, rates in (("kcolor", ours), ("PyTorch", theirs)):
            trials += [
                f"| {name} | {label}, {setting} | {cell(rate)} |"
                for setting, rate in rates.items()
            ]
        text = "\n".join(
            [
                f"{processor()}; TensorFlow {version('tensorflow')}, Keras "
                f"{version('keras')}, PyTorch {version('torch')}; "
                f"{options.rounds} rounds",
                "",
                "| step | photos | kcolor, images/s | PyTorch, images/s | "
                "PyTorch's best setting | times PyTorch's (least to most) | "
                "peak GiB of each | others took at most |",
                "|---|---|---|---|---|---|---|---|",
                *rows,
                "",
                "| step | tried briefly | images/s | others took |",
                "|---|---|---|---|",
                *trials,
            ]
        )
        if options.out:  # after each case: hours may be lost otherwise
            options.out.write_text(text + "\n")
    if rows:
        print(text)
    return 0 if len(rows) == len(options.cases) else 1


if __name__ == "__main__":
    sys.exit(main())
