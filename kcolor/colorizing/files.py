"""Photo files in, coloured photo files out."""

from __future__ import annotations

import contextlib
import dataclasses
import glob
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
import tensorflow as tf
from PIL import Image

from kcolor.colorizing.painter import Look, Painter
from kcolor.data import originals, photos
from kcolor.data.originals import Original
from kcolor.errors import Interrupted, UserError, first_line, unknown
from kcolor.files import check_writable, whole
from kcolor.signals import Signals

STANDARD = "-"  # stdin or stdout
COLOURED = "coloured"  # how what nobody named is called
# Photos at once, and their pixels: memory does not grow with the folder.
BATCH, BATCH_PIXELS = 32, 12_000_000
# Pictures that cameras and scanners write and kcolor does not read.
UNREAD = {
    ".heic",
    ".heif",
    ".avif",
    ".jp2",
    ".jxl",
    ".psd",
    ".pdf",
    ".dng",
    ".cr2",
    ".cr3",
    ".nef",
    ".arw",
    ".raf",
    ".orf",
    ".rw2",
}
# What one photo can be wrong with, and the others not.
_FAULTS = (
    photos.BrokenPhoto,
    UserError,
    OSError,
    MemoryError,
    tf.errors.OpError,
)


@dataclass(frozen=True)
class Task:
    """A photo file and where its colourings go.

    Attributes:
        source: The file; None for stdin.
        targets: One file for each colouring; none for stdout.
        suffix: The format they are written in; None for that of the photo.
    """

    source: Path | None
    targets: tuple[Path, ...]
    suffix: str | None

    @property
    def name(self) -> str:
        """What it is called in errors."""
        return str(self.source or "stdin")

    def suffix_for(self, original: Original) -> str:
        """Returns the suffix that says how a photo is to be written."""
        kinds = originals.WRITABLE.items()
        own = (suffix for suffix, kind in kinds if kind == original.format)
        return self.suffix or next(own, ".png")

    def pixels(self) -> int:
        """Returns how many pixels the file declares, or its bytes."""
        if self.source is None or not self.source.is_file():
            return BATCH_PIXELS
        try:
            with Image.open(self.source) as image:
                return image.width * image.height
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            return self.source.stat().st_size  # a rare TIFF, or no photo

    def read(self) -> bytes:
        """Returns the content of the file."""
        if self.source is None:
            if sys.stdin is None:
                raise UserError("stdin is closed")
            return sys.stdin.buffer.read()
        return self.source.read_bytes()

    def exists(self, target: Path) -> bool:
        """Returns whether one of the targets is there."""
        return target.exists()

    def write(self, target: Path | None, content: bytes) -> None:
        """Writes one of the targets whole; None for stdout."""
        if target is None:
            if sys.stdout is None:
                raise UserError("stdout is closed")
            sys.stdout.buffer.write(content)
            sys.stdout.buffer.flush()
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        with whole(target) as path:
            path.write_bytes(content)


@dataclass
class Outcome:
    """What became of all photos.

    Attributes:
        coloured: How many were.
        skipped: How many had been before.
        failed: Name and fault of each that could not be.
        seconds: What it took.
        out: Where they went, where nobody said it.
    """

    coloured: int = 0
    skipped: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)
    seconds: float = 0.0
    out: str | None = None

    def __str__(self) -> str:
        rate = self.coloured / max(self.seconds, 1e-9)
        line = f"{self.coloured} coloured"
        if self.coloured > 1:
            line += f" ({rate:.1f} photos/s)"
        if self.skipped:
            line += f", {self.skipped} skipped that exist"
        if self.failed:
            line += f", {len(self.failed)} failed"
        if self.coloured and self.out not in (None, STANDARD):
            line += f": see '{self.out}'"
        return line


def colorize_files(
    model: str | Path,
    sources: Sequence[str],
    out: str | None,
    look: Look,
    *,
    compare: bool = False,
    suffix: str | None = None,
    skip_existing: bool = False,
    overwrite: bool = False,
    progress: Callable = lambda items, *_: items,
    warn: Callable[[str], None] = lambda line: None,
) -> Outcome:
    """Colours photo files, at their own size and with all that they hold.

    Args:
        model: As `kcolor.colorize` takes it.
        sources: Files, folders, which are searched for photos, or "-" for
            stdin.
        out: Folder to write to, in which each photo keeps its name, and its
            place in its folder; for a single photo also a file, or "-" for
            stdout; None for what `beside` names.
        look: How the colours are to look.
        compare: Whether to put the grey photo to the left of the coloured one.
        suffix: Format to write, such as ".png"; None for that of each photo.
        skip_existing: Whether to leave out photos whose file is there.
        overwrite: Whether to replace files that are there.
        progress: Wraps the photos, to show how far it is.
        warn: Is told a line about each photo that fails.

    Raises:
        UserError: The model, a source or `out` cannot be used. What is wrong
            with a single photo is told in the outcome.
        Interrupted: By SIGINT or SIGTERM, after the photos at hand.
    """
    is_told = out is None
    out = beside(sources, suffix) if is_told else out
    tasks = _tasks(sources, out, suffix, look.samples)
    for line in passed_over(sources):
        warn(line)
    left = left_to_do(tasks, skip_existing, overwrite)
    # The first draw of a single photo stands for all.
    is_one = len(tasks) == 1 and tasks[0].targets
    shown = str(tasks[0].targets[0]) if is_one else out
    outcome = Outcome(
        skipped=len(tasks) - len(left), out=shown if is_told else None
    )
    if not left:
        return outcome
    if out != STANDARD:
        check_writable(left[0].targets[0])
    painter = Painter(model, look)
    began = time.monotonic()  # the rate is that of photos, not of loading
    results = coloured(painter, left, compare, keep=skip_existing)
    watched = progress(results, len(left), "colouring", " photos")
    with Signals() as signals, contextlib.closing(results):
        for task, fault in watched:
            if fault:
                outcome.failed.append((task.name, fault))
                warn(f"'{task.name}': {fault}")
            else:
                outcome.coloured += 1
            if signals.received:
                raise Interrupted(
                    signals.received,
                    f"at least {outcome.coloured} of {len(left)} photos are "
                    "coloured: "
                    "go on with --skip-existing",
                )
    outcome.seconds = time.monotonic() - began
    return outcome


# === What to colour, and where to ===


def beside(sources: Sequence[str], suffix: str | None) -> str:
    """Returns where photos go when nobody says it.

    Args:
        sources: As `colorize_files` takes them.
        suffix: What a single file is to end in; None for what its photo does.

    Example:

    >>> beside(["old/grandmother.jpg"], None), beside(["a.jpg", "b.jpg"], None)
    ('old/grandmother-coloured.jpg', 'coloured')
    """
    if len(sources) > 1:
        return COLOURED
    if sources[0] == STANDARD:
        return STANDARD
    source = Path(sources[0])
    if source.is_dir():
        source = source.resolve() if not source.name else source
        return str(source.with_name(f"{source.name}-{COLOURED}"))
    target = _written(source, suffix)
    return str(target.with_name(f"{target.stem}-{COLOURED}{target.suffix}"))


def _tasks(
    sources: Sequence[str], out: str, suffix: str | None, samples: int | None
) -> list[Task]:
    check_words(sources, out, suffix)
    folder = Path(out)
    named = folder.suffix.lower()
    # A year or a number after a dot ends no name of a file.
    is_file = named[1:].isalpha() and not (out.endswith("/") or folder.is_dir())
    is_single = len(sources) == 1 and not Path(sources[0]).is_dir()
    if out == STANDARD:
        if not is_single or samples is not None:
            raise UserError("-o - takes one photo, and one colouring of it")
        source = None if sources[0] == STANDARD else _file(sources[0])
        return [Task(source, (), suffix)]
    if STANDARD in sources and not (is_single and is_file):
        raise UserError("photo - needs -o FILE or -o -, and no other photo")
    if is_file and is_single:
        if named not in originals.WRITABLE:
            raise unknown("format", named, originals.WRITABLE)
        if suffix not in (None, named):
            raise UserError(
                f"-o '{out}' is no {suffix[1:]}: leave out --format"
            )
        source = None if sources[0] == STANDARD else _file(sources[0])
        return check([_task(source, folder, named, samples)])
    if folder.is_file() or (is_file and named in originals.WRITABLE):
        raise UserError(
            f"-o '{out}' is the name of a file: give a folder for many photos"
        )
    found = {
        path.resolve(): (path, name)
        for source in sources
        for path, name in _found(Path(source), folder)
    }.values()
    targets = targets_of([name for _, name in found], suffix)
    return check(
        [
            _task(path, folder / target, target.suffix, samples)
            for (path, _), target in zip(found, targets, strict=True)
        ]
    )


def check_words(sources: Sequence[str], out: str, suffix: str | None) -> None:
    """Refuses a format that is not written, and names that name nothing.

    Raises:
        UserError: There is one.
    """
    if suffix is not None and suffix.lower() not in originals.WRITABLE:
        raise unknown("format", suffix, originals.WRITABLE)
    if not out or not all(sources):
        raise UserError("a photo or -o has no name: '' names nothing")


def targets_of(names: Sequence[Path], suffix: str | None) -> list[Path]:
    """Returns the names of the coloured files of photos.

    Args:
        names: Of all photos, with their places in their folders.
        suffix: What the files are to end in; None for what their photos do.
    """
    counts = Counter(_written(name, suffix) for name in names)
    return [_written(name, suffix, counts) for name in names]


def _written(
    name: Path, suffix: str | None, names: Counter | None = None
) -> Path:
    """Returns the name of a coloured file.

    Args:
        name: Of the photo.
        suffix: What it is to end in; None for its own.
        names: How often each name would be written: with those that more than
            one would be, the photo's own suffix stays in the name.
    """
    ending = suffix or originals.suffix_for(name)
    if name.suffix.lower() not in photos.SUFFIXES:
        return name.with_name(name.name + ending)
    target = name.with_suffix(ending)
    is_another = ending.lower() != name.suffix.lower()
    if names and names[target] > 1 and is_another:
        return name.with_name(name.name + ending)
    return target


def _task(
    source: Path | None, target: Path, suffix: str, samples: int | None
) -> Task:
    return Task(source, tuple(draws_of(target, samples)), suffix)


def draws_of(target: Path, samples: int | None) -> list[Path]:
    """Returns the name of each draw, or the one of the one answer."""
    if samples is None:
        return [target]
    return [
        target.with_name(f"{target.stem}-{draw}{target.suffix}")
        for draw in range(1, samples + 1)
    ]


def _file(source: str) -> Path:
    if not Path(source).exists():
        raise UserError(f"photo '{source}' does not exist: check the path")
    return Path(source)


def _found(source: Path, out: Path) -> Iterator[tuple[Path, Path]]:
    """Yields the photo files that a source names, and their names."""
    if not source.is_dir():
        yield _file(source), Path(source.name)
        return
    out = out.resolve()
    is_inside = source.resolve() in out.parents
    paths = [
        path
        for path in sorted(source.rglob("*"))
        if is_photo(path)
        and path.is_file()
        # What was coloured before is no photo to colour.
        and not (is_inside and out in path.resolve().parents)
        and not _is_beside(path)
    ]
    if not paths:
        raise no_photo(f"folder '{source}' holds")
    for path in paths:
        yield path, path.relative_to(source)


def _is_beside(path: Path) -> bool:
    """Returns whether a file is what `beside` names for a photo next to it."""
    stem, dash, ending = path.stem.rpartition(f"-{COLOURED}")
    draw = ending.removeprefix("-")
    if not dash or not (ending == "" or draw.isdecimal()):
        return False
    return any(map(is_photo, path.parent.glob(f"{glob.escape(stem)}.*")))


def passed_over(sources: Sequence[str]) -> list[str]:
    """Returns a line about what is left out of each folder, if anything is.

    Args:
        sources: As `colorize_files` takes them.
    """
    lines = []
    for source in filter(Path.is_dir, map(Path, sources)):
        paths = list(source.rglob("*"))
        counts = Counter(path.suffix.lower() for path in paths)
        before = sum(is_photo(path) and _is_beside(path) for path in paths)
        unread = [f"{counts[s]} {s}" for s in sorted(UNREAD) if counts[s]]
        if unread:
            lines.append(
                f"'{source}': passed over {', '.join(unread)}: kcolor does not "
                "read these, save them as JPEG or PNG"
            )
        links = sum(path.is_symlink() and path.is_dir() for path in paths)
        if links:
            lines.append(
                f"'{source}': passed over folders that are links, {links}: "
                "name them, too, to colour what they hold"
            )
        if before:
            lines.append(
                f"'{source}': passed over {before} that are named as photos "
                f"coloured before, NAME-{COLOURED}: rename them to colour them"
            )
    return lines


def is_photo(path: Path) -> bool:
    """Returns whether a file in a folder is taken for a photo, by its name."""
    suffix = path.suffix.lower()
    return suffix in photos.SUFFIXES and not path.name.startswith(".")


def no_photo(where: str) -> UserError:
    """Returns the error for a place that has none."""
    known = " ".join(sorted(photos.SUFFIXES))
    return UserError(f"{where} no photo: kcolor looks for {known}")


def check(tasks: list[Task], resolve: Callable = Path.resolve) -> list[Task]:
    """Refuses photos that would be written over each other, or themselves.

    Args:
        tasks: All of them.
        resolve: Gives the one name of a file that may be known by several.

    Returns:
        The tasks.

    Raises:
        UserError: Two photos have one target, or a target is a photo.
    """
    sources = {resolve(task.source) for task in tasks if task.source}
    taken: dict[Path, Task] = {}
    for task in tasks:
        for target in task.targets:
            if resolve(target) in sources:
                raise UserError(
                    f"'{target}' is a photo to colour and would be "
                    "overwritten: give another -o"
                )
            other = taken.setdefault(resolve(target), task)
            if other is not task:
                raise UserError(
                    f"'{other.name}' and '{task.name}' would both be written "
                    f"to '{target}': give each another -o"
                )
    return tasks


def left_to_do(
    tasks: list[Task],
    skip_existing: bool,
    overwrite: bool,
    exists: Callable = Path.exists,
) -> list[Task]:
    """Returns the tasks that are to be done.

    Args:
        tasks: All of them.
        skip_existing: Whether to leave out those whose files are there.
        overwrite: Whether to do those again.
        exists: Tells whether a target is there.

    Raises:
        UserError: A target is there, and neither was asked for.
    """
    if skip_existing:
        return [
            task
            for task in tasks
            if not task.targets or not all(map(exists, task.targets))
        ]
    for target in (target for task in tasks for target in task.targets):
        if not overwrite and exists(target):
            raise UserError(
                f"'{target}' exists: add --skip-existing to go on after it, "
                "--overwrite to replace it, or give another -o"
            )
    return tasks


# === From file to file ===


def coloured(
    painter: Painter, tasks: Sequence[Task], compare: bool, keep: bool
) -> Iterator[tuple[Task, str]]:
    """Yields each task when it is done, and its fault or nothing.

    Args:
        painter: The model, and how its colours are to look.
        tasks: At least one.
        compare: Whether to put the grey photo to the left of the coloured one.
        keep: Whether files that are there stay as they are.
    """
    # Pillow and TensorFlow both leave Python's lock.
    with ThreadPoolExecutor(psutil.cpu_count()) as pool:
        for batch in _batches(tasks):
            read = list(pool.map(_attempt(_read), batch))
            whole_ones = [
                (task, original)
                for task, original in zip(batch, read, strict=True)
                if isinstance(original, Original)
            ]
            colours = _colours(painter, [o.samples for _, o in whole_ones])

            def finish(item):
                (task, original), own = item
                if isinstance(own, str):
                    raise UserError(own)
                return _write(painter, task, original, own, compare, keep)

            items = zip(whole_ones, colours, strict=True)
            done = pool.map(_attempt(finish), items)
            for task, original in zip(batch, read, strict=True):
                fault = original if isinstance(original, str) else next(done)
                yield task, fault or ""


def _colours(painter: Painter, samples: list[np.ndarray]) -> list:
    """Returns the colours of each photo, or what is wrong with it."""
    try:
        return painter.colours(samples)
    except _FAULTS:  # of one of them
        attempt = _attempt(lambda photo: painter.colours([photo])[0])
        return [attempt(photo) for photo in samples]


def _attempt(function: Callable) -> Callable:
    """Returns a function that gives a fault, in a line, instead of raising."""

    def attempt(item):
        try:
            return function(item)
        except _FAULTS as error:
            return getattr(error, "strerror", None) or first_line(error)

    return attempt


def _batches(tasks: Sequence[Task]) -> Iterator[list[Task]]:
    """Yields photos that are coloured at once, few where they are large."""
    batch, pixels = [], 0
    for task in tasks:
        size = task.pixels()
        if batch and (len(batch) == BATCH or pixels + size > BATCH_PIXELS):
            yield batch
            batch, pixels = [], 0
        batch.append(task)
        pixels += size
    yield batch


def _read(task: Task) -> Original:
    return originals.read(task.read())


def _write(
    painter: Painter,
    task: Task,
    original: Original,
    colours: list[np.ndarray],
    compare: bool,
    keep: bool,
) -> None:
    """Writes each colouring of a photo; with `keep`, those not there yet."""
    shown = original
    if compare:
        grey = painter.paint(original.samples, np.zeros_like(colours[0]))
        if original.alpha is not None:
            alpha = np.concatenate([original.alpha] * 2, axis=1)
            shown = dataclasses.replace(original, alpha=alpha)
    for target, ab in zip(task.targets or (None,), colours, strict=True):
        if target is not None and keep and task.exists(target):
            continue
        rgb = painter.paint(original.samples, ab)
        if compare:
            rgb = np.concatenate([grey, rgb], axis=1)
        task.write(
            target, originals.encode(rgb, shown, task.suffix_for(original))
        )
