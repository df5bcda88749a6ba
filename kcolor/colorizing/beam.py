"""Archives larger than one machine, coloured by workers of Apache Beam.

Each photo is coloured as `kcolor-colorize` does it. Here is only what a
pipeline adds: files of any file system that Beam knows, workers that load the
model once, and a list of what failed.
"""

from __future__ import annotations

import contextlib
import csv
import glob
import io
import json
import mimetypes
import os
import re
import shlex
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import apache_beam as beam
from apache_beam.io.filesystem import BeamIOError
from apache_beam.io.filesystems import FileSystems
from apache_beam.metrics import Metrics
from apache_beam.options.pipeline_options import (
    DirectOptions,
    PipelineOptions,
    StandardOptions,
)
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.runner import PipelineState, create_runner
from apache_beam.transforms.environments import SubprocessSDKEnvironment
from apache_beam.utils.shared import Shared

from kcolor.colorizing import files
from kcolor.colorizing.files import Outcome, Task
from kcolor.colorizing.painter import Look, Painter
from kcolor.errors import UserError, first_line
from kcolor.terminal import LINE_EVERY

FAILED = "failed.csv"  # name and fault of photos, in OUT


@dataclass(frozen=True)
class ArchivedTask(Task):
    """A photo in an archive, and where its colourings go.

    Attributes:
        source: Path or URL of the file.
        targets: The same of each colouring.
        suffix: The format they are written in.
    """

    source: str
    targets: tuple[str, ...]
    suffix: str

    def pixels(self) -> int:
        """Returns 0: photos of an archive are coloured one by one.

        So its colours do not depend, in their last bits, on who came with it,
        and a photo that is coloured twice is the same both times.
        """
        return 0

    def read(self) -> bytes:
        """Returns the content of the file."""
        with FileSystems.open(self.source) as file:
            return file.read()

    def exists(self, target: str) -> bool:
        """Returns whether one of the targets is there."""
        return FileSystems.exists(target)

    def write(self, target: str, content: bytes) -> None:
        """Writes one of the targets whole, also where another does so now."""
        kind = mimetypes.guess_type(target)[0] or "application/octet-stream"
        folder = target.rpartition("/")[0]
        temporary = f"{folder}/.{uuid.uuid4().hex}.tmp"
        try:
            with FileSystems.create(temporary, mime_type=kind) as file:
                file.write(content)
            _replace(temporary, target)
        except BaseException:
            with contextlib.suppress(OSError):
                FileSystems.delete([temporary])
            raise


class ColourPhotos(beam.DoFn):
    """Colours photos, and gives name and fault of those that cannot be.

    Args:
        model: As `kcolor.colorize` takes it; each worker reads it.
        look: How the colours are to look.
        compare: Whether to put the grey photo to the left of the coloured one.
        keep: Whether files that are there stay as they are.
    """

    def __init__(self, model: str, look: Look, compare: bool, keep: bool):
        self._model, self._look = model, look
        self._compare, self._keep = compare, keep
        self._shared = Shared()
        self._counters = {
            name: Metrics.counter("kcolor", name)
            for name in ("coloured", "failed")
        }

    def load(self) -> Painter:
        """Returns the model, of which a process holds one for its threads."""
        return self._shared.acquire(lambda: Painter(self._model, self._look))

    def setup(self):
        """Loads the model: it does not travel with what is pickled."""
        self._painter = self.load()
        self._done, self._spoke = 0, time.monotonic()

    def process(self, line: str) -> Iterator[tuple[str, str]]:
        """Colours one photo.

        Args:
            line: A task, as `_write_list` wrote it.

        Yields:
            Its name and its fault, if it has one.
        """
        source, targets, suffix = json.loads(line)
        task = ArchivedTask(source, tuple(targets), suffix)
        ((_, fault),) = files.coloured(
            self._painter, [task], self._compare, self._keep
        )
        self._counters["failed" if fault else "coloured"].inc()
        self._done += 1
        if time.monotonic() - self._spoke > LINE_EVERY:
            self._spoke = time.monotonic()
            # To the terminal, or to the log that the runner keeps of a worker.
            print(f"a worker is at {self._done} photos", file=sys.stderr)
        if fault:
            yield task.name, fault


def colorize_archive(
    model: str,
    sources: Sequence[str],
    out: str,
    look: Look,
    *,
    compare: bool = False,
    suffix: str | None = None,
    skip_existing: bool = False,
    overwrite: bool = False,
    flags: Sequence[str] = (),
    tell: Callable[[str], None] = lambda line: None,
) -> Outcome:
    """Colours the photos of an archive by a pipeline of Apache Beam.

    Paths are those of the local machine, or URLs such as gs://, s3:// and
    hdfs:// where Beam knows their file systems.

    Args:
        model: As `kcolor.colorize` takes it, where each worker finds it.
        sources: Files, folders, which are searched for photos, or patterns:
            `*` stands for any part of a name, `**` for folders, too.
        out: Folder to write to, in which each photo keeps its name, and its
            place in its folder, or below the part of the pattern before its
            first wildcard.
        look: How the colours are to look.
        compare: Whether to put the grey photo to the left of the coloured one.
        suffix: Format to write, such as ".png"; None for that of each photo.
        skip_existing: Whether to leave out photos whose file is there.
        overwrite: Whether to replace files that are there.
        flags: Options of Beam, such as `"--direct_num_workers=2"`.
        tell: Is told a line when it begins, and one about each photo that
            fails.

    Returns:
        What became of the photos. Its time is that of the pipeline, with the
        start of its workers.

    Raises:
        UserError: The model, a source, `out` or a flag cannot be used. What is
            wrong with a single photo stands in the outcome, and in
            `failed.csv` in `out`.
    """
    options = pipeline_options(flags)
    FileSystems.set_options(options)  # HDFS, for one, is found by them
    files.check_words(sources, out, suffix)
    out = out.rstrip("/") or "/"
    with _told():
        for path in (*sources, out):
            _check_known(path)
        if os.path.isfile(out):
            raise UserError(f"'{out}' is a file: give a folder")
        tasks = _tasks(sources, out, suffix, look.samples)
        # One list of what is there, where asking for each file would be slow.
        there = set(_listed(out))
    left = files.left_to_do(
        tasks, skip_existing, overwrite, exists=there.__contains__
    )
    outcome = Outcome(skipped=len(tasks) - len(left))
    if not left:
        return outcome
    colour = ColourPhotos(model, look, compare, keep=skip_existing)
    painter = colour.load()  # what is wrong with it is told before it begins
    tell(f"colouring: {len(left)} photos")
    began = time.monotonic()
    with _work_folder(out) as work:
        listing = _joined(work, "photos.jsonl")
        with _told():
            _write_list(left, listing)
        failed = _joined(work, FAILED)
        _run(listing, colour, failed, options)
        outcome.failed = _read_failed(failed)
        listed = _joined(out, FAILED)
        if outcome.failed:
            _replace(failed, listed)
        elif listed in there:  # of photos that were tried again
            FileSystems.delete([listed])
    del painter
    outcome.seconds = time.monotonic() - began
    outcome.coloured = len(left) - len(outcome.failed)
    for name, fault in outcome.failed:
        tell(f"'{name}': {fault}")
    return outcome


def pipeline_options(flags: Sequence[str]) -> PipelineOptions:
    """Returns Beam's options.

    Args:
        flags: Of the form `--name=value`.

    Raises:
        UserError: Beam does not know one of them, or its value.
    """
    for flag in flags:
        if not flag.startswith("--"):
            raise UserError(
                f"'{flag}' is out of place: give photos right after the model, "
                "and options of Beam as --name=value"
            )
    notes = io.StringIO()
    try:
        with contextlib.redirect_stderr(notes):
            options = PipelineOptions(list(flags))
            given = options.get_all_options(retain_unknown_options=True)
            known = PipelineOptions([]).get_all_options()
            # Beam itself asks for it only when all else is done.
            create_runner(
                options.view_as(StandardOptions).runner or "DirectRunner"
            )
    except SystemExit:  # of argparse, which has told why
        *_, reason = notes.getvalue().strip().splitlines()
        raise UserError(reason.partition("error: ")[2]) from None
    except (ValueError, ImportError) as error:
        raise UserError(first_line(error)) from error
    # Beam itself leaves out what it does not know.
    for name in given.keys() - known.keys():
        raise UserError(f"unknown option --{name}: neither kcolor's nor Beam's")
    return options


# === What to colour, and where to ===


def _tasks(
    sources: Sequence[str], out: str, suffix: str | None, samples: int | None
) -> list[ArchivedTask]:
    found = {
        _resolved(path): (path, name)
        for source in sources
        for path, name in _found(source, out)
    }.values()
    targets = files.targets_of([name for _, name in found], suffix)
    tasks = []
    for (path, _), target in zip(found, targets, strict=True):
        draws = files.draws_of(target, samples)
        written = tuple(_joined(out, draw.as_posix()) for draw in draws)
        tasks.append(ArchivedTask(path, written, target.suffix))
    return files.check(tasks, _resolved)


def _found(source: str, out: str) -> list[tuple[str, Path]]:
    """Returns the photo files that a source names, and their names."""
    is_pattern = glob.has_magic(source) and not FileSystems.exists(source)
    if is_pattern:
        root = re.match(r"([^*?[]*/)?", source).group()
        paths = _matched(source)
    else:
        root = f"{source.rstrip('/')}/"
        paths = _listed(root.removesuffix("/"))
        if not paths and FileSystems.exists(source):
            if os.path.isdir(source):
                raise files.no_photo(f"folder '{source}' holds")
            return [(source, Path(source.rpartition("/")[2]))]
        if not paths:
            raise UserError(f"photo '{source}' does not exist: check the path")
    beside, inside = (
        f"{_resolved(place).rstrip('/')}/" for place in (root, out)
    )
    is_inside = inside != beside and inside.startswith(beside)
    names = [
        (path, Path(path.removeprefix(root)))
        for path in sorted(paths)
        # What was coloured before is no photo to colour.
        if not (is_inside and _resolved(path).startswith(inside))
    ]
    names = [(path, name) for path, name in names if files.is_photo(name)]
    if not names:
        kind = "pattern" if is_pattern else "folder"
        verb = "matches" if is_pattern else "holds"
        raise files.no_photo(f"{kind} '{source}' {verb}")
    return names


def _listed(folder: str) -> list[str]:
    """Returns the files in a folder and in its folders."""
    return _matched(_joined(glob.escape(folder), "**"))


def _matched(pattern: str) -> list[str]:
    """Returns the files that a pattern stands for."""
    # Beam looks into no folder that has no name.
    here = "" if "/" in re.match(r"[^*?[]*", pattern).group() else "./"
    (match,) = FileSystems.match([here + pattern])
    return [file.path.removeprefix(here) for file in match.metadata_list]


def _check_known(path: str) -> None:
    """Refuses a URL of a file system that Beam does not know here."""
    try:
        FileSystems.get_filesystem(path)
    except ValueError as error:
        raise UserError(
            f"Beam knows no file system of '{path}' here: gs:// needs "
            "apache-beam[gcp], s3:// apache-beam[aws]"
        ) from error


def _joined(folder: str, name: str) -> str:
    return f"{folder.rstrip('/')}/{name}"


def _resolved(path: str) -> str:
    """Returns the one name of a file; a URL is taken for it."""
    return path if "://" in path else os.path.realpath(path)


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Tells in a line what a file system cannot do."""
    try:
        yield
    except BeamIOError as error:
        raise UserError(first_line(error)) from error


# === The pipeline ===


def _run(
    listing: str, colour: ColourPhotos, failed: str, options: PipelineOptions
) -> None:
    """Runs the pipeline to its end.

    Args:
        listing: File with a line for each photo.
        colour: What is done to each.
        failed: File that is written if a photo fails.
        options: Beam's.

    Raises:
        UserError: It was cancelled.
    """
    stem, suffix = os.path.splitext(failed)
    with beam.Pipeline(_runner(options), options) as pipeline:
        _ = (
            pipeline
            | "List" >> beam.io.ReadFromText(listing)
            # Neighbours in the list may go to different workers.
            | "Spread" >> beam.Reshuffle()
            | "Colour" >> beam.ParDo(colour)
            | "Tell" >> beam.Map(_row)
            | "Write faults"
            >> beam.io.WriteToText(
                stem,
                file_name_suffix=suffix,
                shard_name_template="",
                header=_row(("photo", "fault")),
                skip_if_empty=True,
            )
        )
    state = pipeline.result.state
    if state != PipelineState.DONE:
        raise UserError(
            f"the pipeline ended as {state}: go on with --skip-existing"
        )


def _runner(options: PipelineOptions) -> FnApiRunner | None:
    """Returns Beam's direct runner, or None where another is asked for."""
    if options.view_as(StandardOptions).runner not in (None, "DirectRunner"):
        return None
    # Beam itself may take Prism for it, which is a program that it downloads,
    # and which knows no --direct_num_workers.
    direct = options.view_as(DirectOptions)
    if direct.direct_running_mode != "multi_processing":
        return FnApiRunner()
    direct.direct_running_mode = "in_memory"  # else Beam sets its own command
    command = f"{shlex.quote(sys.executable)} -m kcolor.colorizing.beam_worker"
    return FnApiRunner(SubprocessSDKEnvironment.from_command_string(command))


@contextlib.contextmanager
def _work_folder(out: str) -> Iterator[str]:
    """Yields the name of a folder in OUT that is removed in the end."""
    work = _joined(out, f".beam-{uuid.uuid4().hex}")
    try:
        yield work
    finally:
        # What is in it, where there are no folders, and the folder, where
        # there are.
        for name in (f"{work}/", work):
            with contextlib.suppress(OSError):
                FileSystems.delete([name])


def _write_list(tasks: Sequence[ArchivedTask], listing: str) -> None:
    """Writes what is to be done where workers read it, however much it is."""
    with FileSystems.create(listing) as file:
        for task in tasks:
            line = json.dumps([task.source, task.targets, task.suffix])
            file.write(f"{line}\n".encode())


def _row(cells: tuple[str, str]) -> str:
    """Returns a line of a CSV file."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(cells)
    # A name that is no UTF-8 is told, too.
    return line.getvalue().encode(errors="backslashreplace").decode()


def _read_failed(failed: str) -> list[tuple[str, str]]:
    if not FileSystems.exists(failed):
        return []
    with FileSystems.open(failed) as file:
        _, *rows = csv.reader(io.StringIO(file.read().decode(), newline=""))
    return sorted((name, fault) for name, fault in rows)


def _replace(source: str, target: str) -> None:
    """Renames a file; one that has the name already is replaced."""
    try:
        FileSystems.rename([source], [target])
    except BeamIOError:
        # HDFS, for one, renames to no name that is taken.
        if not FileSystems.exists(target):
            raise
        FileSystems.delete([target])
        FileSystems.rename([source], [target])
