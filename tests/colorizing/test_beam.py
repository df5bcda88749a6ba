"""Tests for `kcolor.colorizing.beam`."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("apache_beam", reason='needs pip install "kcolor[beam]"')

from apache_beam import Create, ParDo, Pipeline
from apache_beam.internal import pickler
from apache_beam.io.filesystems import FileSystems
from apache_beam.io.localfilesystem import LocalFileSystem
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from kcolor.colorizing import beam
from kcolor.colorizing.beam import ColourPhotos, colorize_archive
from kcolor.colorizing.files import colorize_files
from kcolor.colorizing.painter import Look
from kcolor.errors import UserError


@pytest.fixture
def archive(tmp_path):
    """A folder with folders of photos."""
    folder = tmp_path / "archive"
    random = np.random.default_rng(0)
    for name in (
        "a.png",
        "1931/b.PNG",
        "1931/c.gif",
        "1931/c.png",
        "1932/d.bmp",
    ):
        blocks = random.integers(40, 200, (5, 7), np.uint8)
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(blocks.repeat(8, 0).repeat(8, 1)).save(path)
    (folder / ".thumb.png").write_bytes((folder / "a.png").read_bytes())
    (folder / "notes.txt").write_text("Dear diary")
    return folder


def names(folder):
    paths = (path for path in folder.rglob("*") if path.is_file())
    return sorted(str(path.relative_to(folder)) for path in paths)


def run(model, sources, out, look=None, **options):
    """Returns what became of the photos."""
    words = [str(source) for source in sources]
    return colorize_archive(
        str(model), words, str(out), look or Look(), **options
    )


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(int)


THREADS = ("--direct_running_mode=multi_threading", "--direct_num_workers=2")


@pytest.mark.parametrize("flags", [(), THREADS], ids=["alone", "threads"])
@pytest.mark.parametrize("compare", [False, True])
def test_an_archive_is_coloured_as_a_folder_is(
    l2_file, archive, tmp_path, flags, compare
):
    plain, out = tmp_path / "plain", tmp_path / "out"
    colorize_files(l2_file, [str(archive)], str(plain), Look(), compare=compare)
    outcome = run(l2_file, [archive], out, flags=flags, compare=compare)
    assert (outcome.coloured, outcome.failed) == (5, [])
    assert names(out) == names(plain)
    assert len(list(out.iterdir())) == 3  # and nothing that was for the way
    for name in names(plain):
        # Its last bits know who was coloured with it.
        assert np.abs(pixels(plain / name) - pixels(out / name)).max() <= 1


def test_a_broken_photo_is_listed_and_the_others_are_coloured(
    l2_file, archive, tmp_path
):
    out = tmp_path / "out"
    (archive / "1931" / 'no "photo", this.png').write_bytes(b"no")
    (archive / "empty.jpg").write_bytes(b"")
    told = []
    outcome = run(l2_file, [archive], out, tell=told.append)
    assert outcome.coloured == 5
    assert str(outcome).endswith(", 2 failed")
    first, *faults = told
    assert first == "colouring: 7 photos"
    assert faults == [f"'{name}': {fault}" for name, fault in outcome.failed]
    with (out / "failed.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["photo", "fault"]
    assert sorted(map(tuple, rows)) == outcome.failed
    assert [Path(name).name for name, _ in outcome.failed] == [
        'no "photo", this.png',
        "empty.jpg",
    ]

    # Those are tried again, and are listed no longer when they are mended.
    for name, _ in outcome.failed:
        Path(name).write_bytes((archive / "a.png").read_bytes())
    outcome = run(l2_file, [archive], out, skip_existing=True)
    assert (outcome.coloured, outcome.skipped) == (2, 5)
    assert not (out / "failed.csv").exists()


def test_nothing_is_overwritten_unless_it_is_asked_for(
    l2_file, archive, tmp_path
):
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.png").write_text("mine")
    with pytest.raises(UserError, match=r"a\.png' exists: add --skip-existing"):
        run(l2_file, [archive], out)
    assert names(out) == ["a.png"]

    outcome = run(l2_file, [archive], out, skip_existing=True)
    assert (outcome.coloured, outcome.skipped) == (4, 1)
    assert (out / "a.png").read_text() == "mine"

    assert run(l2_file, [archive], out, overwrite=True).coloured == 5
    assert pixels(out / "a.png").shape == (40, 56, 3)


def test_a_photo_that_a_runner_tries_again_is_the_same(
    l2_file, archive, tmp_path
):
    (archive / "broken.png").write_bytes(b"no")
    once, again = tmp_path / "once", tmp_path / "again"
    run(l2_file, [archive], once)
    outcome = run(
        l2_file, [archive], again, flags=["--direct_runner_bundle_repeat=2"]
    )
    assert (outcome.coloured, len(outcome.failed)) == (5, 1)
    assert names(again) == names(once)
    for name in names(again):
        assert (again / name).read_bytes() == (once / name).read_bytes()


def test_runners_are_told_how_many_are_coloured(l2_file, archive, tmp_path):
    tasks = [
        [str(archive / name), [str(tmp_path / "out" / name)], ".png"]
        for name in ("a.png", "1931/c.png", "notes.txt")
    ]
    colour = ColourPhotos(str(l2_file), Look(), False, False)
    with Pipeline(FnApiRunner()) as pipeline:
        _ = pipeline | Create(map(json.dumps, tasks)) | ParDo(colour)
    counted = pipeline.result.metrics().query()["counters"]
    found = {one.key.metric.name: one.committed for one in counted}
    assert found == {"coloured": 2, "failed": 1}


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("archive/*", ["a.png"]),
        ("archive/19*/*.png", ["1931/c.png"]),
        ("archive/1931/**", ["b.PNG", "c.gif.png", "c.png"]),
        ("arch*/**.bmp", ["archive/1932/d.png"]),
        ("archive/1931/b.PNG", ["b.png"]),
    ],
)
def test_a_pattern_gives_photos_their_places_below_what_is_no_pattern(
    archive, tmp_path, monkeypatch, pattern, found
):
    monkeypatch.chdir(tmp_path)
    suffix = ".png" if len(found) == 1 else None
    tasks = beam._tasks([pattern], "out", suffix, None)
    targets = [target for task in tasks for target in task.targets]
    assert targets == [f"out/{name}" for name in found]


def test_what_cannot_be_coloured_as_a_whole_is_one_clear_error(
    l2_file, archive, tmp_path
):
    out = tmp_path / "out"
    for sources, options, words in [
        ([archive / "*.webp"], {}, r"pattern '.*' matches no photo"),
        ([archive / "nowhere"], {}, "does not exist"),
        (["nothere://a/b.png"], {}, "no file system of 'nothere://a/b.png'"),
        ([archive], {"suffix": ".psd"}, "unknown format"),
        ([archive], {"flags": ["--no_such_thing=1"]}, "unknown option --no_s"),
        ([archive], {"flags": ["--direct_num_workers=x"]}, "invalid int"),
        ([archive], {"flags": ["b.png"]}, "'b.png' is out of place"),
        ([archive], {"flags": ["--runner=Nope"]}, "runner: Nope"),
        ([archive], {"look": Look(samples=2)}, "knows one answer"),
    ]:
        with pytest.raises(UserError, match=words) as raised:
            run(l2_file, sources, out, **options)
        assert "\n" not in str(raised.value)
    with pytest.raises(UserError, match=r"a\.png' is a file: give a folder"):
        run(l2_file, [archive], archive / "a.png")
    with pytest.raises(UserError, match="would be overwritten"):
        run(l2_file, [archive], archive, overwrite=True)
    with pytest.raises(UserError, match="does not exist"):
        run(tmp_path / "nowhere", [archive], out)
    assert not out.exists()


def test_a_folder_inside_the_archive_is_not_coloured_again(l2_file, archive):
    run(l2_file, [archive], archive / "coloured")
    outcome = run(l2_file, [archive], archive / "coloured", skip_existing=True)
    assert (outcome.coloured, outcome.skipped) == (0, 5)


def test_a_worker_gets_the_name_of_the_model_and_loads_it_once(l2_file):
    colour = ColourPhotos(str(l2_file), Look(), False, False)
    painter = colour.load()
    pickled = pickler.dumps(colour)
    assert len(pickled) < 10_000
    assert pickler.loads(pickled).load() is painter


class Shelf(LocalFileSystem):
    """Files with URLs, which only Beam can open."""

    root = ""

    @classmethod
    def scheme(cls):
        return "shelf"

    def _path(self, url):
        return url.replace("shelf:/", self.root)

    def _list(self, folder):
        for file in super()._list(self._path(folder)):
            file.path = file.path.replace(self.root, "shelf:/")
            yield file

    def _path_open(self, path, *options):
        return super()._path_open(self._path(path), *options)

    def create(self, path, *options):
        Path(self._path(path)).parent.mkdir(parents=True, exist_ok=True)
        return self._path_open(path, "wb", *options)

    def exists(self, path):
        return super().exists(self._path(path))

    def metadata(self, path):
        file = super().metadata(self._path(path))
        file.path = path
        return file

    def rename(self, sources, targets):
        super().rename([*map(self._path, sources)], [*map(self._path, targets)])

    def delete(self, paths):
        LocalFileSystem(None).delete([*map(self._path, paths)])


def test_photos_are_where_only_beam_can_open_them(
    l2_file, archive, monkeypatch
):
    monkeypatch.setattr(Shelf, "root", str(archive.parent))
    outcome = run(l2_file, ["shelf://archive"], "shelf://out/new")
    assert (outcome.coloured, outcome.failed) == (5, [])
    assert FileSystems.exists("shelf://out/new/1931/c.gif.png")
    assert len(names(archive.parent / "out" / "new")) == 5
