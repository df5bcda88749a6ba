"""Studies made of photos."""

import json

import keras
import numpy as np
import pytest
from PIL import Image

from kcolor.errors import UserError
from kcolor.study.design import LEFT, RIGHT, SHUFFLED
from kcolor.study.folder import PAIRS
from kcolor.study.make import make_study

SIZE = 16
FEW = {"practice": 2, "trials": 5, "vigilance": 0.2}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Nine colour photos for test, three grey ones, and one that is broken."""
    folder = tmp_path_factory.mktemp("data")
    random = np.random.default_rng(0)
    for split, count in (("train", 6), ("test", 9)):
        (folder / split).mkdir()
        for number in range(count):
            pixels = random.integers(0, 256, (SIZE, SIZE, 3), np.uint8)
            Image.fromarray(pixels).save(folder / split / f"{number}.png")
    for number in range(3):
        grey = random.integers(0, 256, (SIZE, SIZE), np.uint8)
        Image.fromarray(grey).save(folder / "test" / f"grey-{number}.png")
    (folder / "test" / "broken.png").write_bytes(b"nothing")
    return folder


@pytest.fixture
def theirs(tmp_path, data):
    """What another tool made of all test photos: their reds are greens."""
    folder = tmp_path / "theirs"
    folder.mkdir()
    for path in (data / "test").glob("[0-9]*.png"):
        lab = np.asarray(Image.open(path).convert("LAB")).copy()
        lab[..., 1] = 255 - lab[..., 1]
        Image.fromarray(lab, "LAB").convert("RGB").save(folder / path.name)
    return folder


def make(source, tmp_path, *targets, **options):
    given = {"data": str(source), "image_size": SIZE, "seed": 1, **FEW}
    return make_study(
        targets or ["grey", "mean"], tmp_path / "study", **given | options
    )


def test_each_pair_is_a_test_photo_and_what_a_method_made_of_it(data, tmp_path):
    study = make(data, tmp_path)
    assert study.methods == ("grey", "mean")
    assert len(study.pairs) == 2 * 2 + 7 * 3
    sides = set()
    for pair in study.pairs.values():
        true, fake = study.halves(pair)
        original = np.asarray(Image.open(data / "test" / pair.photo))
        np.testing.assert_array_equal(true, original)
        spread = np.ptp(fake.astype(int), axis=-1).max()
        assert (spread <= 1) == (pair.method == "grey")
        sides.add(pair.fake)
    assert sides == {LEFT, RIGHT}
    assert (study.path / "overview.png").exists()


def test_shuffled_colours_are_another_photos_at_its_own_lightness(
    data, tmp_path
):
    study = make(data, tmp_path)
    by_photo = {}
    for pair in study.pairs.values():
        if pair.method == SHUFFLED:
            true, fake = study.halves(pair)
            by_photo[pair.photo] = true, fake
            grey = [
                np.asarray(Image.fromarray(half).convert("L"), int)
                for half in (true, fake)
            ]
            assert np.abs(true.astype(int) - fake).mean() > 20
            assert np.abs(grey[0] - grey[1]).mean() < 20
    assert len(by_photo) == 7


def test_near_grey_and_broken_photos_are_left_out(data, tmp_path):
    study = make(data, tmp_path)
    assert {p.photo for p in study.pairs.values()} == {
        f"{number}.png" for number in range(9)
    }


def test_names_and_sizes_of_files_tell_nothing(data, tmp_path):
    study = make(data, tmp_path)
    files = sorted(path.name for path in (study.path / PAIRS).iterdir())
    assert files == sorted(study.pairs)
    order = list(study.pairs)
    assert order != sorted(order)
    for path in (study.path / PAIRS).iterdir():
        image = Image.open(path)
        assert image.size == (2 * SIZE, SIZE)
        assert image.format == "PNG"
        assert not image.info


def test_a_seed_makes_the_same_study_again_and_none_makes_another(
    data, tmp_path
):
    first, second, other, unknown = (
        make(data, tmp_path / name, seed=seed)
        for name, seed in (("1", 1), ("2", 1), ("3", 2), ("4", None))
    )
    assert first.pairs == second.pairs
    assert first.plan(7) == second.plan(7)
    assert not set(first.pairs) & {*other.pairs, *unknown.pairs}
    assert not set(other.pairs) & set(unknown.pairs)
    assert unknown.design.seed > 0


def test_photos_of_another_tool_are_shown_as_they_are(data, tmp_path, theirs):
    study = make(data, tmp_path, str(theirs))
    for pair in study.pairs.values():
        if pair.method == "theirs":
            _, fake = study.halves(pair)
            own = np.asarray(Image.open(theirs / pair.photo)).astype(int)
            # By way of the true lightness.
            assert np.abs(own - fake).mean() < 6


def test_a_folder_may_lack_photos_that_are_not_needed(data, tmp_path, theirs):
    for name in ("0.png", "5.png"):
        (theirs / name).unlink()
    study = make(data, tmp_path, str(theirs), "grey")
    shown = {pair.photo for pair in study.pairs.values()}
    assert shown == {f"{number}.png" for number in (1, 2, 3, 4, 6, 7, 8)}


def refused(source, tmp_path, *targets, **options) -> str:
    """Returns in what words a study is refused, which leaves nothing."""
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError) as caught:
        make(source, tmp_path, *targets, **options)
    assert sorted(tmp_path.rglob("*")) == before
    told = str(caught.value)
    assert "\n" not in told
    return told


def test_a_folder_with_fewer_photos_than_trials_is_named(
    data, tmp_path, theirs
):
    for number in range(4):
        (theirs / f"{number}.png").unlink()
    told = refused(data, tmp_path, "grey", str(theirs))
    assert told.startswith("'theirs' has 5 of the photos")
    assert "7 are needed (2 practice, 5 trials)" in told


def test_a_folder_of_other_photos_is_named(data, tmp_path, theirs):
    for path in theirs.iterdir():
        path.rename(theirs / f"other-{path.name}")
    told = refused(data, tmp_path, "grey", str(theirs))
    assert told.startswith("'theirs' has 0 of the photos")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"trials": 8}, "has 9 test photos with colour, 10 are needed"),
        ({"photos": 6}, "--photos 6 is not allowed: a participant sees 7"),
        ({"data": "nowhere"}, "nowhere"),
        ({"seconds": 0.0}, "--seconds 0.0"),
        ({"trials": 2, "vigilance": 0.5}, "too few for 2 methods"),
        ({"seed": -5}, "--seed -5"),
    ],
)
def test_what_makes_no_study_is_told(data, tmp_path, options, told):
    assert told in refused(data, tmp_path, **options)


@pytest.mark.parametrize(
    ("targets", "told"),
    [
        (["shuffled"], "is in every study already"),
        (["grey", "grey"], "two targets are called 'grey'"),
        (["gray"], "gray"),
    ],
)
def test_methods_that_cannot_be_told_apart_are_refused(
    data, tmp_path, targets, told
):
    assert told in refused(data, tmp_path, *targets)


def test_a_folder_that_is_there_is_left_alone(data, tmp_path):
    make(data, tmp_path)
    told = refused(data, tmp_path)
    assert "exists: give another --out" in told


def test_what_lies_beside_it_is_left_alone(data, tmp_path):
    (tmp_path / ".study.tmp").mkdir()
    (tmp_path / ".study.tmp" / "mine").write_text("precious")
    (tmp_path / ".study-").mkdir()
    make(data, tmp_path)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [".study-", ".study.tmp", "study"]
    assert (tmp_path / ".study.tmp" / "mine").exists()


def test_training_photos_are_used_where_that_is_asked_for(data, tmp_path):
    study = make(data, tmp_path, all_photos=True, trials=12)
    # Those for training have names of those for test.
    shown = {p.photo for p in study.pairs.values()}
    assert len(shown) == 15
    assert {"0.png", "0.png (2)"} & shown
    assert len({pair.photo for _, pair in study.plan(1)}) == 14


def test_nobody_sees_a_copy_of_a_photo(data, tmp_path):
    copies = tmp_path / "copies"
    for split in ("train", "test"):
        (copies / split).mkdir(parents=True)
        for path in (data / "test").glob("[0-9]*.png"):
            for name in (path.name, f"copy-{path.name}"):
                (copies / split / name).write_bytes(path.read_bytes())
    told = refused(copies, tmp_path, all_photos=True, trials=8)
    assert "has 9 photos with colour, 10 are needed" in told


def test_without_vigilance_there_are_no_shuffled_colours(data, tmp_path):
    study = make(data, tmp_path, vigilance=0.0)
    assert {p.method for p in study.pairs.values()} == {"grey", "mean"}


# === Models ===


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    from kcolor.colorizer import Colorizer
    from kcolor.models.unet import UNet
    from kcolor.objectives.l2 import L2

    keras.utils.set_random_seed(1)
    colorizer = Colorizer(UNet(filters=8, depth=2), L2(), image_size=SIZE)
    # An untrained net says next to nothing.
    weights = [1.2 * weight for weight in colorizer.get_weights()]
    colorizer.set_weights(weights)
    path = tmp_path_factory.mktemp("models") / "net.keras"
    colorizer.save(path)
    return path


def test_a_model_colours_photos_of_its_size_as_it_is_measured(
    data, tmp_path, model
):
    from kcolor.color import lab_to_rgb, rgb_to_lab
    from kcolor.trained import open_model

    study = make(data, tmp_path, str(model))
    predict = open_model(model).predict
    for pair in study.pairs.values():
        if pair.method != "net":
            continue
        true, fake = study.halves(pair)
        lab = np.asarray(rgb_to_lab(true[None] / np.float32(255)))
        ab = np.asarray(predict(lab[..., :1]))
        due = np.asarray(lab_to_rgb(np.concatenate([lab[..., :1], ab], -1)))
        inside = ((due > 0.02) & (due < 0.98)).all(-1)[0]
        off = np.abs(255 * due[0] - fake)[inside]
        assert inside.any()
        assert off.max() <= 1.5


def test_a_model_colours_larger_photos_along_their_edges(tmp_path, model):
    folder = tmp_path / "large"
    folder.mkdir()
    for number in range(8):
        random = np.random.default_rng(number)
        blobs = Image.fromarray(random.integers(0, 256, (4, 4, 3), np.uint8))
        blobs.resize((3 * SIZE, 3 * SIZE)).save(folder / f"{number}.png")
    study = make(
        folder,
        tmp_path,
        str(model),
        image_size=3 * SIZE,
        all_photos=True,
    )
    import kcolor

    assert study.image_size == 3 * SIZE
    (pair, *_) = (p for p in study.pairs.values() if p.method == "net")
    true, fake = study.halves(pair)
    np.testing.assert_array_equal(fake, kcolor.colorize(true, model))


def test_a_study_says_how_it_was_made(data, tmp_path):
    study = make(data, tmp_path)
    made = json.loads((study.path / "study.json").read_text())["made"]
    assert made["data"] == str(data)
    assert made["targets"] == "grey mean"
