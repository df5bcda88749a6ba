"""The folder of a study."""

import json
from collections import Counter

import numpy as np
import pytest

from kcolor.errors import UserError
from kcolor.study.design import LEFT, RIGHT, other
from kcolor.study.folder import MANIFEST, PAIRS, Study


def test_a_study_is_read_as_it_was_written(build):
    study = build()
    assert Study.open(study.path) == study


def test_halves_are_the_true_and_the_recoloured_photo(build):
    study = build()
    for pair in study.pairs.values():
        true, fake = study.halves(pair)
        np.testing.assert_array_equal(fake, 255 - true)


def test_a_mirrored_pair_has_its_fake_on_the_other_side(build):
    study = build()
    for file, pair in study.pairs.items():
        assert study.fake_side(file, mirrored=False) == pair.fake
        assert study.fake_side(file, mirrored=True) == other(pair.fake)


def test_practice_photos_are_used_for_nothing_else(build):
    study = build()
    uses: dict[str, set] = {}
    for pair in study.pairs.values():
        uses.setdefault(pair.photo, set()).add(pair.use)
    assert all(len(use) == 1 for use in uses.values())
    for participant in range(1, 20):
        for trial, pair in study.plan(participant):
            assert pair.use == ("practice" if trial.number <= 2 else "test")
            assert pair.method == trial.method


def test_the_fake_is_seen_on_both_sides_as_often(build):
    study = build()
    sides = Counter(
        study.fake_side(pair.file, trial.mirrored)
        for participant in range(1, 400)
        for trial, pair in study.plan(participant)
    )
    assert sides[LEFT] / sides.total() == pytest.approx(0.5, abs=0.04)
    assert set(sides) == {LEFT, RIGHT}


def changed(path, change):
    found = json.loads((path / MANIFEST).read_text())
    change(found)
    (path / MANIFEST).write_text(json.dumps(found))


def tell(found):
    found["pairs"][0]["fake"] = other(found["pairs"][0]["fake"])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (tell, "has changed since the study was made"),
        (lambda f: f["design"].update(trials=3), "has changed"),
        (lambda f: f.update(methods=["bold", "nope"]), "has changed"),
        (lambda f: f.update(methods=[]), "has changed"),
        (lambda f: f.update(image_size="abc"), "has changed"),
        (lambda f: f.update(format=True), "has changed"),
        (lambda f: f["made"].update(data="else"), "has changed"),
        (lambda f: f["design"].update(trials="x"), "is damaged"),
        (lambda f: f["design"].update(trials=-3), "is damaged"),
        (lambda f: f.pop("design"), "is damaged"),
        (lambda f: f["pairs"][0].pop("sha256"), "is damaged"),
        (lambda f: f.update(pairs=3), "is damaged"),
        (lambda f: f.update(format=2), "is a study of format 2"),
        (lambda f: f.update(format=None), "is a study of format None"),
    ],
)
def test_a_manifest_that_is_not_as_it_was_made_is_refused(build, change, told):
    study = build()
    changed(study.path, change)
    with pytest.raises(UserError, match=told) as caught:
        Study.open(study.path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content", ["", "[]", "null", "{", "\0", "3", "[" * 200_000]
)
def test_what_is_no_manifest_is_damaged(build, content):
    study = build()
    (study.path / MANIFEST).write_text(content)
    with pytest.raises(UserError, match="is damaged"):
        Study.open(study.path)


def test_pairs_that_changed_or_are_gone_are_named(build):
    study = build()
    first, second, *_ = study.pairs
    (study.path / PAIRS / second).unlink()
    with pytest.raises(UserError, match=f"{second}.*cannot be read"):
        Study.open(study.path)
    path = study.path / PAIRS / first
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(UserError, match=f"{first}.*has changed"):
        Study.open(study.path)


def test_a_folder_without_a_study_says_how_to_make_one(tmp_path):
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(UserError, match="holds no study.*make"):
            Study.open(path)
