"""Tests for `kcolor.data.sources`."""

import hashlib
import importlib.util
import io
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from kcolor.data import sources
from kcolor.data.photos import SUFFIXES, decode
from kcolor.data.sources import Files, open_source
from kcolor.errors import UserError

needs_demo = pytest.mark.skipif(
    any(
        importlib.util.find_spec(name) is None
        for name in ("mvtbdata", "skimage", "sklearn")
    ),
    reason="the demo's photos are not installed: pip install 'kcolor[demo]'",
)


def contents(files: Files) -> list[bytes]:
    return [
        files.read(element) for element in files.dataset.as_numpy_iterator()
    ]


def refusal(data: str) -> str:
    """The one line that refuses a source."""
    with pytest.raises(UserError) as caught:
        open_source(data)
    text = str(caught.value)
    assert len(text.splitlines()) == 1
    return text


def write(path: Path, content: bytes | None = None) -> bytes:
    """Writes a file, of its own name by default: sources decode nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = os.fsencode(path.name) if content is None else content
    path.write_bytes(content)
    return content


# === Demo ===


@needs_demo
def test_the_demo_has_54_photos_for_training_and_7_for_test():
    source = open_source("demo")
    assert (len(source.train), len(source.test)) == (54, 7)
    assert len(contents(source.train)) == 54
    assert len(contents(source.test)) == 7


@needs_demo
def test_no_two_photos_of_the_demo_are_the_same():
    source = open_source("demo")
    digests = {
        hashlib.sha256(decode(content).tobytes()).digest()
        for files in (source.train, source.test)
        for content in contents(files)
    }
    assert len(digests) == 54 + 7


@needs_demo
def test_every_photo_of_the_demo_has_a_name_of_its_own():
    source = open_source("demo")
    names = source.train.names + source.test.names
    assert len(set(names)) == len(names) == 54 + 7


@needs_demo
def test_only_the_photos_of_the_demo_are_cut_into_many(tmp_path):
    write(tmp_path / "photo.png")
    assert open_source("demo").crops
    assert not open_source(str(tmp_path)).crops


@pytest.mark.parametrize("absent", ["mvtbdata", "skimage", "sklearn"])
def test_a_demo_that_is_not_installed_says_how_to_install_it(
    monkeypatch, absent
):
    present = importlib.util.find_spec("PIL")
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name: None if name == absent else present,
    )
    text = refusal("demo")
    assert absent in text
    assert 'pip install "kcolor[demo]"' in text


# === Folders ===


def test_a_folder_of_train_and_test_keeps_them_apart(tmp_path):
    train = [write(tmp_path / "train" / f"a{n}.png") for n in range(3)]
    test = [write(tmp_path / "test" / f"b{n}.png") for n in range(2)]
    write(tmp_path / "beside.png")
    source = open_source(str(tmp_path))
    assert contents(source.train) == train
    assert contents(source.test) == test


@pytest.mark.parametrize("inside", [".", "train", "test", "holiday"])
def test_any_other_folder_has_no_test_photos_of_its_own(tmp_path, inside):
    written = [write(tmp_path / inside / f"{n}.png") for n in range(3)]
    source = open_source(str(tmp_path))
    assert contents(source.train) == written
    assert source.test is None


def test_a_file_called_test_beside_train_is_no_split(tmp_path):
    write(tmp_path / "train" / "photo.png")
    write(tmp_path / "test")
    assert open_source(str(tmp_path)).test is None


def test_a_class_folder_is_the_domain_of_all_that_is_in_it(tmp_path):
    domains = {
        "beside.png": "",
        "cats/grey/old.png": "cats",
        "cats/one.png": "cats",
        "dogs/one.png": "dogs",
    }
    for name in domains:
        write(tmp_path / name)
    train = open_source(str(tmp_path)).train
    assert dict(zip(train.names, train.domains, strict=True)) == domains


def test_class_folders_may_be_inside_of_train_and_test(tmp_path):
    for name in ("train/cats/a.png", "train/dogs/b.png", "test/cats/c.png"):
        write(tmp_path / name)
    source = open_source(str(tmp_path))
    assert source.train.domains == ["cats", "dogs"]
    assert source.test.domains == ["cats"]


@pytest.mark.parametrize("suffix", sorted(SUFFIXES))
def test_suffixes_may_be_in_capitals(tmp_path, suffix):
    for name in ("a" + suffix, "b" + suffix.upper(), "c" + suffix.title()):
        write(tmp_path / name)
    assert len(open_source(str(tmp_path)).train) == 3


def test_files_of_other_suffixes_and_folders_are_passed_over(tmp_path):
    write(tmp_path / "album.jpg" / "inside.png")
    for name in ("notes.txt", "clip.mp4", "png", "photo.png.part", "a.svg"):
        write(tmp_path / name)
    assert contents(open_source(str(tmp_path)).train) == [b"inside.png"]


def test_the_order_of_a_folder_is_that_of_its_names(tmp_path):
    names = ["c/1.png", "a.png", "b/2.png", "b/1.png", "Z.png"]
    for name in names:
        write(tmp_path / name)
    train = open_source(str(tmp_path)).train
    assert train.names == sorted(names, key=Path)
    assert contents(train) == [
        os.fsencode(Path(name).name) for name in train.names
    ]


@pytest.mark.parametrize(
    "name", ["two words.png", "fjällräven 東京 📷.png", "a\nb.png", "%s{}'.png"]
)
def test_photos_may_have_any_name(tmp_path, name):
    write(tmp_path / name, b"content")
    train = open_source(str(tmp_path)).train
    assert train.names == [name]
    assert contents(train) == [b"content"]


@pytest.mark.skipif(sys.platform != "linux", reason="names are Unicode here")
def test_photos_may_have_names_that_are_no_unicode(tmp_path):
    name = os.fsdecode(b"caf\xe9.png")
    write(tmp_path / name, b"content")
    train = open_source(str(tmp_path)).train
    assert train.names == [name]
    assert contents(train) == [b"content"]


def test_a_tilde_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path / "photos" / "one.png")
    assert open_source("~/photos").train.names == ["one.png"]


@pytest.mark.parametrize("others", [[], ["notes.txt", "clip.mp4"]])
def test_a_folder_without_photos_says_what_is_looked_for(tmp_path, others):
    for name in others:
        write(tmp_path / name)
    text = refusal(str(tmp_path))
    assert str(tmp_path) in text
    assert all(suffix in text for suffix in SUFFIXES)


@pytest.mark.parametrize("empty", ["train", "test"])
def test_an_empty_split_of_a_folder_is_named(tmp_path, empty):
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
        if split != empty:
            write(tmp_path / split / "photo.png")
    assert str(tmp_path / empty) in refusal(str(tmp_path))


def test_a_folder_that_does_not_exist_is_named(tmp_path):
    missing = str(tmp_path / "missing")
    text = refusal(missing)
    assert missing in text
    assert "does not exist: check the path" in text


def test_a_file_is_answered_with_the_advice_to_give_its_folder(tmp_path):
    file = tmp_path / "photo.png"
    write(file)
    text = refusal(str(file))
    assert str(file) in text
    assert "give the folder" in text


@pytest.mark.parametrize(
    ("mistyped", "meant"),
    [
        ("cifar1O", "cifar10"),
        ("imagnet64", "imagenet64"),
        ("imagenet-32", "imagenet32"),
        ("Demo", "demo"),
    ],
)
def test_a_mistyped_name_is_answered_with_the_one_meant(
    tmp_path, monkeypatch, mistyped, meant
):
    monkeypatch.chdir(tmp_path)
    text = refusal(mistyped)
    assert mistyped in text
    assert f"did you mean '{meant}'?" in text


def test_a_name_like_no_other_is_answered_with_all_there_are(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    text = refusal("xyzzy")
    assert "did you mean" not in text
    for known in ("demo", *sources.TFDS_NAMES, "tfds:NAME", "FOLDER"):
        assert known in text


def test_an_empty_name_is_refused_rather_than_read_as_this_folder(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "photo.png")
    refusal("")


# === TensorFlow Datasets ===

LABELS = ["apple", "pear", "plum"]
IMAGE = tfds.features.Image(shape=(None, None, 3), encoding_format="png")


def tinted(label: int, number: int) -> np.ndarray:
    """Noise whose first pixel tells its label and number."""
    pixels = np.random.default_rng([label, number]).integers(
        0, 256, (4 + number, 5, 3), np.uint8
    )
    pixels[0, 0] = label, number, 0
    return pixels


def labelled(count: int, label: int | None = None) -> list[dict]:
    """Examples of a photo and a label each."""
    labels = [n % len(LABELS) if label is None else label for n in range(count)]
    return [
        {"image": tinted(max(label, 0), n), "label": label}
        for n, label in enumerate(labels)
    ]


class TinyPhotos(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """A dataset of what a test puts in it."""

    VERSION = tfds.core.Version("1.0.0")

    def __init__(self, features, splits, **options):
        self._features, self._splits = features, splits
        super().__init__(**options)

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict(self._features)
        )

    def _split_generators(self, dl_manager):
        return {
            split: enumerate(examples)
            for split, examples in self._splits.items()
        }

    def _generate_examples(self):
        raise NotImplementedError


@pytest.fixture
def tfds_folder(tmp_path, monkeypatch):
    """Where TensorFlow Datasets keeps what it has prepared."""
    # The variable TFDS_DATA_DIR is read once, on import.
    monkeypatch.setattr(tfds.core.constants, "DATA_DIR", str(tmp_path))
    tfds.disable_progress_bar()
    return tmp_path


@pytest.fixture
def prepared(tfds_folder):
    """Prepares the dataset `tiny_photos`."""

    def prepare(splits, features=None, shards=1):
        if features is None:
            label = tfds.features.ClassLabel(names=LABELS)
            features = {"image": IMAGE, "label": label}
        TinyPhotos(
            features, splits, data_dir=str(tfds_folder)
        ).download_and_prepare(
            download_config=tfds.download.DownloadConfig(num_shards=shards)
        )

    return prepare


def photos_and_domains(files: Files) -> dict[bytes, str]:
    decoded = [decode(content).tobytes() for content in contents(files)]
    assert len(decoded) == len(files) == len(set(files.names))
    return dict(zip(decoded, files.domains, strict=True))


def written(examples: list[dict]) -> dict[bytes, str]:
    return {
        example["image"].tobytes(): LABELS[example["label"]]
        for example in examples
    }


@pytest.mark.parametrize("shards", [1, 3])
def test_a_dataset_yields_the_pixels_and_the_label_names_written_to_it(
    prepared, shards
):
    splits = {"train": labelled(12), "test": labelled(5, label=2)}
    prepared(splits, shards=shards)
    source = open_source("tfds:tiny_photos")
    assert photos_and_domains(source.train) == written(splits["train"])
    assert photos_and_domains(source.test) == written(splits["test"])
    assert not source.crops


def test_a_dataset_is_read_in_the_same_order_each_time(prepared):
    prepared({"train": labelled(12)}, shards=3)
    train = open_source("tfds:tiny_photos").train
    assert contents(train) == contents(train)
    assert contents(open_source("tfds:tiny_photos").train) == contents(train)


def test_a_dataset_may_be_named_with_its_version(prepared):
    prepared({"train": labelled(3)})
    assert len(open_source("tfds:tiny_photos:1.0.0").train) == 3


def test_validation_photos_stand_in_for_a_test_split_that_is_missing(prepared):
    splits = {"train": labelled(3), "validation": labelled(4, label=1)}
    prepared(splits)
    source = open_source("tfds:tiny_photos")
    assert photos_and_domains(source.test) == written(splits["validation"])


def test_the_test_split_goes_before_the_validation_split(prepared):
    prepared(
        {
            "train": labelled(3),
            "validation": labelled(4, label=1),
            "test": labelled(5, label=2),
        }
    )
    assert len(open_source("tfds:tiny_photos").test) == 5


def test_a_dataset_of_one_split_has_no_test_photos_of_its_own(prepared):
    prepared({"train": labelled(3)})
    assert open_source("tfds:tiny_photos").test is None


def test_photos_without_a_label_have_no_domain(prepared):
    images = [{"image": example["image"]} for example in labelled(3)]
    prepared({"train": images}, {"image": IMAGE})
    assert open_source("tfds:tiny_photos").train.domains == [""] * 3


def test_photos_whose_label_is_withheld_have_no_domain(prepared):
    prepared({"train": labelled(3, label=0), "test": labelled(2, label=-1)})
    assert open_source("tfds:tiny_photos").test.domains == [""] * 2


def test_photos_whose_label_is_no_class_have_no_domain(prepared):
    features = {"image": IMAGE, "label": tfds.features.Scalar(np.int64)}
    prepared({"train": labelled(3)}, features)
    assert open_source("tfds:tiny_photos").train.domains == [""] * 3


def test_a_dataset_without_images_is_refused(prepared):
    prepared(
        {"train": [{"text": "a"}, {"text": "b"}]},
        {"text": tfds.features.Text()},
    )
    text = refusal("tfds:tiny_photos")
    assert "tfds:tiny_photos" in text
    assert "'image'" in text


def test_a_dataset_without_a_split_for_training_is_refused(prepared):
    prepared({"test": labelled(3)})
    text = refusal("tfds:tiny_photos")
    assert "tfds:tiny_photos" in text
    assert "'train'" in text


def test_a_dataset_that_does_not_exist_is_refused(tfds_folder):
    text = refusal("tfds:no_such_photos")
    assert "tfds:no_such_photos" in text
    assert "catalog" in text


@pytest.mark.parametrize(
    "name", ["cifar10/no_such_config", "cifar10:99.0.0", "", "no one's"]
)
def test_a_dataset_name_with_a_mistake_in_it_is_refused(tfds_folder, name):
    assert f"tfds:{name}" in refusal(f"tfds:{name}")


@pytest.mark.parametrize("data", ["cifar10", "tfds:cifar10"])
@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ConnectionError("no route to host\nand more"), "no route to host"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (RuntimeError(), "RuntimeError"),
    ],
    ids=["network", "disk", "wordless"],
)
def test_a_dataset_that_cannot_be_downloaded_is_refused(
    tfds_folder, monkeypatch, data, error, reason
):
    def download_and_prepare(self):
        raise error

    monkeypatch.setattr(
        tfds.core.DatasetBuilder, "download_and_prepare", download_and_prepare
    )
    text = refusal(data)
    assert "cifar10" in text
    assert reason in text
    assert str(tfds_folder) in text
    assert "TFDS_DATA_DIR" in text


def test_the_short_names_are_datasets_that_exist(tfds_folder, monkeypatch):
    asked = []

    def download_and_prepare(self):
        asked.append(self.info.full_name)
        raise ConnectionError

    monkeypatch.setattr(
        tfds.core.DatasetBuilder, "download_and_prepare", download_and_prepare
    )
    for name in sources.TFDS_NAMES:
        refusal(name)
    names = [name.rsplit("/", 1)[0] for name in asked]
    assert names == [
        "cifar10",
        "downsampled_imagenet/32x32",
        "downsampled_imagenet/64x64",
    ]


def test_encoded_images_are_handed_on_as_they_are(prepared):
    file = io.BytesIO()
    Image.fromarray(tinted(0, 20)).save(file, "JPEG", quality=90)
    jpeg = file.getvalue()
    prepared(
        {"train": [{"image": io.BytesIO(jpeg)}]},
        {"image": tfds.features.Image(encoding_format="jpeg")},
    )
    assert contents(open_source("tfds:tiny_photos").train) == [jpeg]
