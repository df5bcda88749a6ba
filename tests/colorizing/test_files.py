"""Tests for `kcolor.colorizing.files` and `kcolor-colorize`."""

import io
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps
from skimage.color import rgb2lab

from kcolor.cli import colorize as command
from kcolor.colorizing import files
from kcolor.colorizing.files import colorize_files
from kcolor.colorizing.painter import Look
from kcolor.errors import Interrupted, UserError


def grey(height=40, width=56, seed=0):
    random = np.random.default_rng(seed)
    blocks = random.integers(40, 200, (height // 8 + 1, width // 8 + 1))
    return np.kron(blocks, np.ones((8, 8)))[:height, :width].astype(np.uint8)


@pytest.fixture
def album(tmp_path):
    """A folder as people have them."""
    folder = tmp_path / "album"
    (folder / "1931").mkdir(parents=True)
    Image.fromarray(grey(seed=1)).save(folder / "a.jpg", quality=95)
    Image.fromarray(grey(seed=2)).save(folder / "1931" / "b.PNG")
    Image.fromarray(grey(seed=3)).save(folder / "1931" / "c.gif")
    Image.fromarray(grey(seed=4)).save(folder / ".thumb.jpg")
    (folder / "notes.txt").write_text("Dear diary")
    return folder


def names(folder):
    return sorted(
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file()
    )


def run(model, sources, out, look=None, **options):
    """Returns what became of the photos."""
    sources = [str(source) for source in sources]
    return colorize_files(model, sources, str(out), look or Look(), **options)


def test_a_folder_is_coloured_with_its_folders(l2, album, tmp_path):
    outcome = run(l2, [album], tmp_path / "out")
    assert names(tmp_path / "out") == ["1931/b.PNG", "1931/c.png", "a.jpg"]
    assert (outcome.coloured, outcome.failed) == (3, [])
    for path in (tmp_path / "out").rglob("*.*"):
        with Image.open(path) as image:
            assert image.size == (56, 40)
            levels = np.asarray(image.convert("RGB")).astype(int)
            assert np.ptp(levels, axis=-1).mean() > 5


def test_a_broken_photo_is_named_and_the_others_are_coloured(
    l2, album, tmp_path
):
    (album / "broken.jpg").write_bytes(b"\xff\xd8\xff no")
    (album / "empty.png").write_bytes(b"")
    whole = (album / "a.jpg").read_bytes()
    (album / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    told = []
    outcome = run(l2, [album], tmp_path / "out", warn=told.append)
    assert outcome.coloured == 3
    assert [Path(name).name for name, _ in outcome.failed] == [
        "broken.jpg",
        "cut.jpg",
        "empty.png",
    ]
    assert len(told) == 3
    assert names(tmp_path / "out") == ["1931/b.PNG", "1931/c.png", "a.jpg"]


@pytest.mark.parametrize("batch", [1, 2])
def test_photos_are_the_same_however_many_are_coloured_at_once(
    l2, album, tmp_path, monkeypatch, batch
):
    run(l2, [album], tmp_path / "many")
    monkeypatch.setattr(files, "BATCH", batch)
    run(l2, [album], tmp_path / "few")
    for name in names(tmp_path / "many"):
        many, few = (
            np.asarray(Image.open(tmp_path / out / name).convert("RGB"))
            for out in ("many", "few")
        )
        assert np.abs(many.astype(int) - few).max() <= 2


def test_nothing_is_overwritten_unless_it_is_asked_for(l2, album, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.jpg").write_text("mine")
    with pytest.raises(UserError, match=r"a\.jpg' exists: add --skip-existing"):
        run(l2, [album], out)
    assert names(out) == ["a.jpg"]

    outcome = run(l2, [album], out, skip_existing=True)
    assert (outcome.coloured, outcome.skipped) == (2, 1)
    assert (out / "a.jpg").read_text() == "mine"

    outcome = run(l2, [album], out, skip_existing=True)
    assert (outcome.coloured, outcome.skipped) == (0, 3)

    assert run(l2, [album], out, overwrite=True).coloured == 3
    assert Image.open(out / "a.jpg").size == (56, 40)


def test_a_photo_is_never_written_over_itself(l2, album):
    for overwrite in (False, True):
        with pytest.raises(UserError, match="would be overwritten"):
            run(l2, [album], album, overwrite=overwrite)


def test_two_photos_are_not_written_to_one_file(l2, album, tmp_path):
    folders = [album / "1931", tmp_path / "1932"]
    folders[1].mkdir()
    Image.fromarray(grey()).save(folders[1] / "b.PNG")
    with pytest.raises(UserError, match="would both be written"):
        run(l2, folders, tmp_path / "out")


def test_photos_that_would_get_one_name_keep_their_own_suffix(
    l2, album, tmp_path
):
    Image.fromarray(grey()).save(album / "1931" / "c.png")
    run(l2, [album, album / "a.jpg"], tmp_path / "out")  # one of them twice
    assert names(tmp_path / "out") == [
        "1931/b.PNG",
        "1931/c.gif.png",
        "1931/c.png",
        "a.jpg",
    ]
    (album / "Photo No.1").write_bytes((album / "a.jpg").read_bytes())
    run(l2, [album / "Photo No.1"], tmp_path / "one")
    assert names(tmp_path / "one") == ["Photo No.1.png"]


def test_photos_can_be_written_beside_their_folder(l2, album):
    run(l2, [album / "1931"], album)
    assert {"b.PNG", "c.png"} <= set(names(album))


@pytest.mark.parametrize("answer", [np.nan, np.inf])
def test_a_model_that_answers_no_number_has_coloured_nothing(
    album, tmp_path, l2, monkeypatch, answer
):
    painter = files.Painter

    class Broken(painter):
        def colours(self, photos):
            return [
                [ab * answer for ab in own] for own in super().colours(photos)
            ]

    monkeypatch.setattr(files, "Painter", Broken)
    outcome = run(l2, [album], tmp_path / "out")
    assert outcome.coloured == 0
    assert "no number" in outcome.failed[0][1]


def test_what_was_coloured_beside_a_photo_is_not_coloured_again(l2, album):
    run(l2, [album / "a.jpg"], album / "a-coloured.jpg")
    Image.fromarray(grey()).save(album / "a-coloured-2.png")
    Image.fromarray(grey()).save(album / "b-coloured.jpg")  # has no b
    lines = []
    outcome = run(l2, [album], album.parent / "out", warn=lines.append)
    assert outcome.coloured == 4
    assert "passed over 2" in lines[0]
    assert "b-coloured.jpg" in names(album.parent / "out")
    assert "a-coloured.jpg" not in names(album.parent / "out")


def test_a_link_to_a_folder_is_not_followed_and_told_of(l2, album, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (album / "link").symlink_to(other)
    (line,) = files.passed_over([str(album)])
    assert "folders that are links, 1" in line


def test_pictures_that_are_not_read_are_told_of(l2, album):
    (album / "1931" / "phone.HEIC").write_bytes(b"")
    (album / "scan.psd").write_bytes(b"")
    lines = []
    run(l2, [album], album.parent / "out", warn=lines.append)
    (line,) = lines
    assert "1 .heic, 1 .psd" in line
    assert "save them as JPEG" in line


def test_what_was_coloured_into_the_folder_is_not_coloured_again(l2, album):
    run(l2, [album], album / "coloured")
    outcome = run(l2, [album], album / "coloured", skip_existing=True)
    assert (outcome.coloured, outcome.skipped) == (0, 3)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".bmp"])
def test_one_photo_is_written_to_the_file_and_format_that_is_named(
    l2, album, tmp_path, suffix
):
    out = tmp_path / f"new{suffix}"
    run(l2, [album / "a.jpg"], out)
    with Image.open(out) as image:
        assert image.size == (56, 40)
        assert files.originals.WRITABLE[suffix] == image.format


def test_all_photos_are_written_in_the_format_that_is_asked_for(
    l2, album, tmp_path
):
    run(l2, [album], tmp_path / "out", suffix=".webp")
    assert names(tmp_path / "out") == ["1931/b.webp", "1931/c.webp", "a.webp"]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_stays_as_a_viewer_turns_it(l2, tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112], exif[0x0110] = orientation, "Box Brownie"
    Image.fromarray(grey()).save(tmp_path / "old.jpg", exif=exif, quality=98)
    run(l2, [tmp_path / "old.jpg"], tmp_path / "new.png")
    before, after = (
        ImageOps.exif_transpose(Image.open(tmp_path / name))
        for name in ("old.jpg", "new.png")
    )
    assert after.size == before.size
    assert after.getexif()[0x0110] == "Box Brownie"
    lightness = [
        rgb2lab(np.asarray(image.convert("RGB")))[..., 0]
        for image in (before, after)
    ]
    assert np.abs(lightness[0] - lightness[1]).max() < 0.6


def test_sixteen_bits_and_transparency_are_kept(l2, tmp_path):
    deep = grey().astype(np.uint16) * 257 + 100
    alpha = np.full_like(deep, 40_000)
    encoded = tf.io.encode_png(np.dstack([deep, alpha])).numpy()
    (tmp_path / "deep.png").write_bytes(encoded)
    run(l2, [tmp_path / "deep.png"], tmp_path / "new.png")
    new = tf.io.decode_png((tmp_path / "new.png").read_bytes(), dtype=tf.uint16)
    new = new.numpy()
    assert new.shape == (40, 56, 4)
    np.testing.assert_array_equal(new[..., 3], alpha)
    before = rgb2lab(np.dstack([deep] * 3) / 65535)[..., 0]
    after = rgb2lab(new[..., :3] / 65535)[..., 0]
    assert np.abs(before - after).max() < 0.02
    assert (new % 257 != 0).any()


def test_compare_puts_the_grey_photo_to_the_left(l2, tmp_path):
    alpha = np.full((40, 56), 128, np.uint8)
    Image.fromarray(np.dstack([grey(), alpha])).save(tmp_path / "old.png")
    run(l2, [tmp_path / "old.png"], tmp_path / "new.png", compare=True)
    new = np.asarray(Image.open(tmp_path / "new.png"))
    assert new.shape == (40, 112, 4)
    assert (new[..., 3] == 128).all()
    left = new[:, :56, :3].astype(int)
    np.testing.assert_allclose(left, np.dstack([grey()] * 3), atol=1)
    assert np.ptp(new[:, 56:, :3].astype(int), axis=-1).mean() > 5


def test_each_draw_is_a_file_of_its_own(ce, album, tmp_path):
    look = Look(samples=2)
    run(ce, [album / "a.jpg"], tmp_path / "new.png", look)
    assert {"new-1.png", "new-2.png"} <= {p.name for p in tmp_path.iterdir()}
    outcome = run(ce, [album], tmp_path / "out", look)
    assert outcome.coloured == 3
    assert len(names(tmp_path / "out")) == 6
    (tmp_path / "out" / "a-2.jpg").unlink()
    (tmp_path / "out" / "a-1.jpg").write_text("mine")
    outcome = run(ce, [album], tmp_path / "out", look, skip_existing=True)
    assert (outcome.coloured, outcome.skipped) == (1, 2)
    assert (tmp_path / "out" / "a-2.jpg").exists()
    assert (tmp_path / "out" / "a-1.jpg").read_text() == "mine"


@pytest.mark.parametrize(
    ("sources", "out", "reason"),
    [
        (["album"], "-", "-o - takes one photo"),
        (["-", "album/a.jpg"], "out", "photo - needs -o FILE"),
        (["-"], "out", "photo - needs -o FILE"),
        (["nothing.jpg"], "out", "does not exist"),
        (["album/a.jpg"], "new.gif", "unknown format '.gif'"),
        (["album"], "album/a.jpg", "is the name of a file"),
        (["album/a.jpg", "album/1931/b.PNG"], "two.jpg", "name of a file"),
        ([""], "out", "names nothing"),
        (["album"], "", "names nothing"),
        (["album/1931/../empty"], "out", "holds no photo"),
    ],
)
def test_a_mistake_is_told_in_one_line(
    l2, album, tmp_path, monkeypatch, sources, out, reason
):
    (album / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=reason) as refusal:
        run(l2, sources, out)
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "out").exists()


def test_a_signal_ends_it_after_whole_photos_and_it_goes_on(
    l2, album, tmp_path, monkeypatch
):
    monkeypatch.setattr(files, "BATCH", 1)

    def interrupted(items, *_):
        for item in items:
            signal.raise_signal(signal.SIGTERM)
            yield item

    with pytest.raises(Interrupted, match="1 of 3 photos") as stop:
        run(l2, [album], tmp_path / "out", progress=interrupted)
    assert stop.value.number == signal.SIGTERM
    assert len(names(tmp_path / "out")) < 3
    outcome = run(l2, [album], tmp_path / "out", skip_existing=True)
    assert names(tmp_path / "out") == ["1931/b.PNG", "1931/c.png", "a.jpg"]
    assert outcome.skipped >= 1


# === The command ===


def main(monkeypatch, *words):
    """Returns the exit code of the command."""
    monkeypatch.setattr(sys, "argv", ["kcolor-colorize", *map(str, words)])
    try:
        command.main()
    except SystemExit as end:
        return end.code
    return 0


def test_the_command_colours_a_folder_and_counts(
    l2_file, album, tmp_path, monkeypatch, capsys
):
    out = tmp_path / "out"
    assert main(monkeypatch, l2_file, album, "-o", out) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "3 coloured" in captured.err
    (album / "broken.jpg").write_bytes(b"no")
    words = (l2_file, album, "-o", out, "--skip-existing")
    assert main(monkeypatch, *words) == 1
    assert "broken.jpg': not a picture" in capsys.readouterr().err
    assert main(monkeypatch, l2_file, album, "-o", out) == 2
    assert "exists" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["--saturation", "lots"],
        ["--samples", "0"],
        ["--temperature", "0.5"],
        ["--format", "xcf"],
        ["--skip-existing", "--overwrite"],
        ["--upsample", "magic"],
        ["--seed", "-1"],
        ["--samples", "2", "--temperature", "1"],
    ],
)
def test_a_wrong_flag_ends_in_one_line(
    l2_file, album, tmp_path, monkeypatch, capsys, words
):
    code = main(monkeypatch, l2_file, album, "-o", tmp_path / "out", *words)
    assert code == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_photo_goes_through_a_pipe(l2_file):
    encoded = io.BytesIO()
    Image.fromarray(grey()).save(encoded, "JPEG")
    program = "from kcolor.cli.colorize import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, str(l2_file), "-", "-o", "-"],
        input=encoded.getvalue(),
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    with Image.open(io.BytesIO(done.stdout)) as image:
        assert (image.format, image.mode, image.size) == (
            "JPEG",
            "RGB",
            (56, 40),
        )
    assert done.stderr.decode() == "1 coloured\n"


def test_a_photo_may_begin_with_a_dash(l2_file, album, monkeypatch):
    monkeypatch.chdir(album)
    (album / "a.jpg").rename("-a.jpg")
    words = ["-o", "out.jpg", "--", l2_file, "-a.jpg"]
    assert main(monkeypatch, *words) == 0
    assert (album / "out.jpg").exists()


def test_no_flag_takes_what_follows_the_dashes(album, monkeypatch, capsys):
    monkeypatch.chdir(album)
    before = (album / "a.jpg").read_bytes()
    assert main(monkeypatch, "--overwrite", "a.jpg", "-o", "--", "a.jpg") == 2
    assert "expected one argument" in capsys.readouterr().err
    assert (album / "a.jpg").read_bytes() == before
    assert main(monkeypatch, "--overwrite") == 2
    assert "name a photo" in capsys.readouterr().err


def test_the_line_at_the_end_names_a_draw_that_is_there(ce, album, monkeypatch):
    monkeypatch.chdir(album)
    outcome = files.colorize_files(ce, ["a.jpg"], None, Look(samples=2))
    assert outcome.out == "a-coloured-1.jpg"
    assert (album / outcome.out).exists()


def test_a_closed_stdout_is_told_in_one_line(
    l2_file, album, monkeypatch, capsys
):
    monkeypatch.setattr(sys, "stdout", None)
    assert main(monkeypatch, l2_file, album / "a.jpg", "-o", "-") == 1
    assert "stdout is closed" in capsys.readouterr().err


def test_a_folder_called_pretrained_changes_nothing(album, monkeypatch):
    monkeypatch.chdir(album)
    (album / "pretrained").mkdir()
    assert command._model_and_sources(["a.jpg"]) == ("pretrained", ["a.jpg"])
    with pytest.raises(UserError, match=r"or '\./pretrained'"):
        command._model_and_sources(["pretrained"])


def test_without_a_model_the_one_that_comes_with_kcolor_colours(
    album, monkeypatch, capsys
):
    monkeypatch.chdir(album)
    assert main(monkeypatch, "a.jpg") == 0
    assert "see 'a-coloured.jpg'" in capsys.readouterr().err
    rgb = np.asarray(Image.open("a-coloured.jpg"))
    assert rgb.shape[:2] == np.asarray(Image.open("a.jpg")).shape[:2]
    # Flags may stand between.
    assert main(monkeypatch, "pretrained", "-o", "same.jpg", "a.jpg") == 0
    np.testing.assert_array_equal(np.asarray(Image.open("same.jpg")), rgb)
    assert main(monkeypatch, "a.jpg") == 2  # nothing is overwritten


def test_where_nobody_says_it_photos_go_beside_what_was_named(
    l2_file, album, monkeypatch, capsys
):
    monkeypatch.chdir(album.parent)
    assert main(monkeypatch, l2_file, album.name) == 0
    out = album.with_name(f"{album.name}-coloured")
    assert names(out) == ["1931/b.PNG", "1931/c.png", "a.jpg"]
    assert f"see '{out.name}'" in capsys.readouterr().err
    one, other = album / "a.jpg", album / "1931" / "b.PNG"
    assert main(monkeypatch, l2_file, one, other) == 0
    assert names(album.parent / "coloured") == ["a.jpg", "b.PNG"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nope.jpg"], "'nope.jpg' is neither a model nor a photo"),
        (["runs/nope", "a.jpg"], "'runs/nope' is neither"),
        (["pretrained"], "name photos after it"),
        (["a.jpg", "pretrained"], "name it before the photos"),
        (["gone.keras", "a.jpg"], "'gone.keras'"),
        ([""], "''"),
    ],
)
def test_what_is_neither_model_nor_photo_is_named(
    album, monkeypatch, capsys, words, said
):
    monkeypatch.chdir(album)
    assert main(monkeypatch, *words) == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1


def test_a_run_and_an_export_are_models_and_an_album_is_none(tmp_path):
    for name in (
        "run/config.yaml",
        "run/model.keras",
        "export/saved_model.pb",
        "album/a.jpg",
        "album/config.yaml",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    for name in ("run", "export"):
        words = [str(tmp_path / name), "a.jpg"]
        assert command._model_and_sources(words) == (words[0], ["a.jpg"])
    words = [str(tmp_path / "album"), "a.jpg"]
    assert command._model_and_sources(words) == ("pretrained", words)
