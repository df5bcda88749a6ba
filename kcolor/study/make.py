"""Making a study: the whole story, top to bottom."""

from __future__ import annotations

import dataclasses
import os
import secrets
import shlex
import shutil
import tempfile
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

import kcolor
from kcolor.colorizing.painter import Look, Painter
from kcolor.data.photos import is_near_grey
from kcolor.data.pipeline import batches
from kcolor.data.prepare import TEST as TEST_PHOTOS
from kcolor.data.prepare import TRAIN, Photos, sample
from kcolor.errors import UserError
from kcolor.evaluation.figures import as_seen
from kcolor.evaluation.judges import Progress
from kcolor.evaluation.measure import batch_size
from kcolor.evaluation.references import MOST_COUNTED
from kcolor.evaluation.targets import (
    Target,
    open_models,
    open_targets,
    with_runs,
)
from kcolor.files import check_writable
from kcolor.pictures import choose, save_grid
from kcolor.study.design import PRACTICE, SHUFFLED, SIDES, TEST, Design
from kcolor.study.folder import PAIRS, Pair, Study, write_pair

PHOTOS = 100  # that are asked about, where there are so many
OVERVIEW = "overview.png"
SHOWN = 12  # photos in it
TITLE = 20  # letters above a photo


def make_study(
    targets: Sequence[str],
    out: str | Path,
    data: str | None = None,
    image_size: int | None = None,
    photos: int | None = None,
    all_photos: bool = False,
    seed: int | None = None,
    progress: Progress = lambda items, *_: items,
    **design,
) -> Study:
    """Makes a study: pairs of true photos and what was made of them.

    Models see each photo at the size they were trained at; their colours are
    brought up to the photo's own size as `kcolor.colorize` does it.

    Args:
        targets: The methods that are compared: as `kcolor.evaluate` takes them,
            but for "shuffled", which is in every study.
        out: The folder to write.
        data: Where the photos come from, as in `kcolor.evaluate`.
        image_size: Height and width of the photos, in pixels; by default those
            of the first model's.
        photos: How many photos the study draws from, by default 100 or as many
            as there are. Those without colour are left out.
        all_photos: Whether it draws from the training photos, too: of data
            that no method was trained on.
        seed: Of everything random; by default one that nobody knows.
        progress: Wraps iterations, to show how far they are.
        **design: Fields of `kcolor.study.design.Design`.

    Raises:
        UserError: A target or the data cannot be used, there are fewer photos
            than a participant is to see, or the folder exists.
    """
    out = Path(out)
    if os.path.lexists(out):
        raise UserError(f"'{out}' exists: give another --out")
    check_writable(out)
    if seed is None:
        seed = secrets.randbits(63)
    design = Design(seed=seed, **design)
    random = np.random.default_rng(seed)

    # === Methods ===
    if not targets:
        raise UserError("nothing to compare: give a run, a model or a folder")
    targets = with_runs(targets)
    models, data, image_size = open_models(targets, data, image_size)
    methods = open_targets(targets, models, lambda: _train(data, image_size))
    names = [method.name for method in methods]
    if SHUFFLED in names:
        raise UserError(
            f"'{SHUFFLED}' is in every study already: leave it out, or rename "
            "what is called so"
        )

    tests = design.trials - design.vigilance_trials
    if tests < len(names):
        raise UserError(
            f"{tests} of {design.trials} trials are no vigilance trials, too "
            f"few for {len(names)} methods: give more --trials"
        )

    # === Photos ===
    most = photos or max(PHOTOS, design.photos)
    if most < design.photos:
        raise UserError(
            f"--photos {most} is not allowed: a participant sees "
            f"{design.photos}"
        )
    shown = _chosen(data, image_size, most, all_photos, methods, design, random)
    coloured = {
        method.name: _coloured(text, method, shown, progress)
        for text, method in zip(targets, methods, strict=True)
    }
    rows = {
        PRACTICE: np.arange(design.practice),
        TEST: np.arange(design.practice, len(shown)),
    }
    methods_of = {PRACTICE: names, TEST: names}
    if design.vigilance_trials:
        coloured[SHUFFLED] = _shuffled(shown, rows[TEST], random)
        methods_of[TEST] = [*names, SHUFFLED]

    # === The folder ===
    labels = _labels(shown.names)
    out.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        draft.chmod(0o755)  # as any folder, not as a temporary one
        (draft / PAIRS).mkdir()
        pairs = []
        planned = [
            (use, row, method)
            for use in (PRACTICE, TEST)
            for row in rows[use]
            for method in methods_of[use]
        ]
        for use, row, method in progress(
            planned, len(planned), "writing", " pairs"
        ):
            file = f"{random.bytes(8).hex()}.png"
            fake = SIDES[random.integers(2)]
            true = shown.pixels[row]
            sha256 = write_pair(draft, file, true, coloured[method][row], fake)
            pairs.append(Pair(file, labels[row], method, fake, use, sha256))
        picked = choose(rows[TEST], SHOWN)
        save_grid(
            draft / OVERVIEW,
            np.concatenate(
                [shown.pixels[picked], *(c[picked] for c in coloured.values())],
                axis=2,
            ),
            [textwrap.fill(name, TITLE) for name in ("true", *coloured)],
        )
        study = Study.write(
            draft,
            {
                "kcolor": kcolor.__version__,
                "on": datetime.now(UTC).isoformat(timespec="seconds"),
                "data": data,
                "targets": shlex.join(targets),
            },
            design,
            names,
            image_size,
            pairs,
        )
        os.rename(draft, out)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return dataclasses.replace(study, path=out)


# === Photos ===


def _train(data: str, image_size: int) -> np.ndarray:
    """Returns the training photos that the mean colours are taken of."""
    return sample(data, image_size, {TRAIN: MOST_COUNTED})[TRAIN].pixels


def _chosen(
    data: str,
    image_size: int,
    most: int,
    all_photos: bool,
    methods: Sequence[Target],
    design: Design,
    random: np.random.Generator,
) -> Photos:
    """Returns the photos of a study in random order."""
    covered = dict.fromkeys([method.name for method in methods], 0)

    def wanted(name: str) -> bool:
        has = [method.covers(name) for method in methods]
        for method, is_there in zip(covered, has, strict=True):
            covered[method] += is_there
        return all(has)

    splits = [TEST_PHOTOS, TRAIN] if all_photos else [TEST_PHOTOS]
    # Twice as many, as some may have no colour.
    counts = dict.fromkeys(splits, 2 * most)
    needed = (
        f"{design.photos} are needed ({design.practice} practice, "
        f"{design.trials} trials)"
    )
    try:
        found = sample(data, image_size, counts, wanted)
    except UserError:
        if len(set(covered.values())) == 1:
            raise
        found = {}  # some of the methods have no photo of it
    usable, known = [], set()
    for part in found.values():
        for row, digest in enumerate(part.digests):
            if digest not in known and not is_near_grey(part.pixels[row]):
                usable.append((part, row))
                known.add(digest)  # nobody shall see a copy of it
    if len(usable) < design.photos:
        least = min(covered, key=covered.get)
        if covered[least] < min(design.photos, max(covered.values())):
            raise UserError(
                f"'{least}' has {covered[least]} of the photos of data "
                f"'{data}', {needed}: add photos, or give fewer --trials and "
                "--practice"
            )
        kind = "photos" if all_photos else "test photos"
        raise UserError(
            f"data '{data}' has {len(usable)} {kind} with colour, {needed}: "
            "give fewer --trials and --practice, --all-photos where no method "
            "was trained on them, or other --data"
        )
    picked = [usable[n] for n in random.permutation(len(usable))[:most]]
    return Photos(
        np.stack([part.pixels[row] for part, row in picked]),
        [part.names[row] for part, row in picked],
        [part.domains[row] for part, row in picked],
        [part.digests[row] for part, row in picked],
    )


def _labels(names: Sequence[str]) -> list[str]:
    """Returns names that differ: training and test photos may share some."""
    seen: Counter[str] = Counter()
    labels = []
    for name in names:
        seen[name] += 1
        labels.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return labels


def _coloured(
    text: str, method: Target, photos: Photos, progress: Progress
) -> np.ndarray:
    """Returns photos as a method colours them, uint8 (n, H, W, 3)."""
    size = batch_size(photos.pixels)
    count = -(-len(photos) // size)
    if method.kind in ("model", "export"):
        parts = _painted(text, photos.pixels, size)
    else:
        parts = (
            np.uint8(as_seen(lightness, np.asarray(ab)))
            for (lightness, _), ab in zip(
                batches(photos.pixels, size),
                method.colourings(photos),
                strict=True,
            )
        )
    try:
        shown = progress(parts, count, method.name, " batches")
        return np.concatenate(list(shown))
    except UserError as error:
        raise UserError(f"'{method.name}': {error}") from error


def _painted(text: str, pixels: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Yields photos that a model has coloured, a batch at a time."""
    painter = Painter(text, Look())
    for start in range(0, len(pixels), size):
        part = list(pixels[start : start + size])
        answers = painter.colours(part)
        yield np.stack(
            [
                painter.paint(photo, ab)
                for photo, (ab,) in zip(part, answers, strict=True)
            ]
        )


def _shuffled(
    photos: Photos, rows: np.ndarray, random: np.random.Generator
) -> np.ndarray:
    """Returns photos, those of some rows each in the colours of another."""
    if len(rows) < 2:
        raise UserError("vigilance trials need two photos at least: add photos")
    order = random.permutation(rows)
    shuffled, size = photos.pixels.copy(), batch_size(photos.pixels)
    own = batches(photos.pixels, size, rows=order)
    others = batches(photos.pixels, size, rows=np.roll(order, 1))
    shuffled[order] = np.concatenate(
        [
            np.uint8(as_seen(lightness, ab))
            for (lightness, _), (_, ab) in zip(own, others, strict=True)
        ]
    )
    return shuffled
