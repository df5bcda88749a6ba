"""A study summed up: files and a page."""

import csv
import json
import math

import numpy as np
import pytest
from browsing import DESKTOP, PHONE, all_of, needs_chromium, resize

from kcolor.errors import UserError
from kcolor.evaluation import people as verdicts
from kcolor.study.analyse import analyse_study
from kcolor.study.answers import Answers
from kcolor.study.design import PRACTICE

RATES = {"<b>bold</b>": 0.5, "shy": 0.15}


@pytest.fixture
def taken(build, people, clock):
    """A study that twelve people took, two of them blindly."""
    study = build(
        methods=tuple(RATES), photos=12, trials=12, vigilance=0.25, seed=5
    )
    answers = Answers(study, clock=clock)
    random = np.random.default_rng(0)

    def chance(method):
        return random.random() < RATES.get(method, 0.0)

    for number in range(12):
        blind = number < 2
        people.take(
            study, answers, clock, (lambda m: True) if blind else chance
        )
    people.take(study, answers, clock, chance, stop=3)
    answers.close()
    return study


def test_figures_tables_and_a_page_are_written(taken):
    told = analyse_study(taken.path)
    out = taken.path / "results"
    assert "10 of 13 participants" in told
    assert str(out / "index.html") in told
    found = json.loads((out / "results.json").read_text())
    assert found["participants"] == {
        "joined": 13,
        "finished": 12,
        "counted": 10,
        "careless": 2,
        "unchecked": 1,
        "vision": {"normal": 13, "deficient": 0, "unknown": 0},
    }
    assert found["answers"]["given"] == 12 * 12 + 1
    assert set(found["methods"]) == {*RATES, "shuffled"}
    # Those who were blind are in the one and not in the other.
    for name, part in found["methods_before"].items():
        assert part["trials"] > found["methods"][name]["trials"]
        assert part["value"] > found["methods"][name]["value"]
    assert found["methods"]["shuffled"]["value"] == 0
    assert found["shown"]["within_a_frame"] == 1.0
    with (out / "methods.csv").open() as file:
        rows = {row["method"]: row for row in csv.DictReader(file)}
    assert float(rows["shy"]["value"]) == found["methods"]["shy"]["value"]
    with (out / "photos.csv").open() as file:
        photos = list(csv.DictReader(file))
    trials = sum(int(row["trials"]) for row in photos)
    assert trials == found["answers"]["counted"]
    assert PRACTICE not in (out / "photos.csv").read_text()
    page = (out / "index.html").read_text()
    assert "&lt;b&gt;bold" in page
    assert "<b>bold" not in page


def test_it_may_be_summed_up_again_while_people_answer(taken, people, clock):
    first = analyse_study(taken.path)
    answers = Answers(taken, clock=clock)
    people.take(taken, answers, clock, lambda method: False)
    second = analyse_study(taken.path)
    answers.close()
    assert "10 of 13" in first
    assert "11 of 14" in second


def test_results_elsewhere_are_not_written_over(taken, tmp_path):
    out = tmp_path / "elsewhere"
    analyse_study(taken.path, out)
    for name in ("index.html", "results.json", "methods.csv", "photos.csv"):
        other = tmp_path / f"with {name}"
        other.mkdir()
        (other / name).write_text("mine")
        with pytest.raises(UserError, match="exists: give another --out"):
            analyse_study(taken.path, other)
        assert [p.name for p in other.iterdir()] == [name]
        assert (other / name).read_text() == "mine"


def test_where_no_answer_counts_that_is_told(build, people, clock):
    study = build()
    answers = Answers(study, clock=clock)
    people.take(study, answers, clock, lambda method: True)
    answers.close()
    with pytest.raises(UserError, match="no answer.*counts yet: 1 part"):
        analyse_study(study.path)
    assert not (study.path / "results").exists()


@pytest.mark.parametrize(
    ("design", "methods", "count"),
    [
        ({"vigilance": 0.0}, ("one",), 3),
        ({"practice": 0, "trials": 2, "vigilance": 0.5}, ("one", "two"), 1),
        ({"trials": 9}, ("a", "b", "c", "d"), 4),
    ],
)
def test_studies_of_every_kind_can_be_summed_up(
    build, people, clock, design, methods, count
):
    study = build(methods=methods, **design)
    answers = Answers(study, clock=clock)
    for _ in range(count):
        people.take(study, answers, clock, lambda method: False)
    answers.close()
    analyse_study(study.path)
    text = (study.path / "results" / "results.json").read_text()
    found = json.loads(text, parse_constant=pytest.fail)
    assert all(part["value"] == 0 for part in found["methods"].values())
    page = (study.path / "results" / "index.html").read_text()
    assert ">nan" not in page


# === Beside what is computed ===


def test_fool_rates_stand_beside_other_metrics_with_their_difference(taken):
    analyse_study(taken.path)
    found = verdicts.read(taken.path)
    rates = verdicts.fool_rates(found, ["shy", "<b>bold</b>", "grey"])
    shy, bold, grey = rates.values()
    assert shy["value"] == 100 * found["methods"]["shy"]["value"]
    assert shy["low"] <= shy["value"] <= shy["high"]
    assert 0 < shy["n"] <= 12
    apart = bold["difference"]
    assert apart["value"] == pytest.approx(bold["value"] - shy["value"])
    assert apart["low"] <= apart["value"] <= apart["high"]
    assert grey["n"] == 0
    assert math.isnan(grey["value"])
    assert "difference" not in grey
    turned = verdicts.fool_rates(found, ["<b>bold</b>", "shy"])["shy"]
    assert turned["difference"]["value"] == pytest.approx(-apart["value"])
    assert turned["difference"]["low"] == pytest.approx(-apart["high"])


def test_a_study_without_figures_or_without_the_targets_is_told(taken):
    with pytest.raises(UserError, match="no figures yet.*analyse"):
        verdicts.read(taken.path)
    analyse_study(taken.path)
    found = verdicts.read(taken.path)
    with pytest.raises(UserError, match="none of the targets.*shy"):
        verdicts.fool_rates(found, ["grey"])
    file = taken.path / "results" / "results.json"
    for content in ("{", "[]", '{"format": 0}'):
        file.write_text(content)
        with pytest.raises(UserError, match="analyse"):
            verdicts.read(taken.path)
    for part in ({}, {"methods": 5}, {"methods": {"shy": 5}}):
        changed = {"format": 1, "differences": [], **part}
        with pytest.raises(UserError, match="changed by hand"):
            verdicts.fool_rates(changed, ["shy"])


# === The page in a browser ===


@needs_chromium
def test_the_page_shows_plots_and_never_scrolls_sideways(taken, browser):
    analyse_study(taken.path)
    address = (taken.path / "results" / "index.html").resolve().as_uri()
    for size in (DESKTOP, PHONE):
        resize(browser, size)
        browser.get(address)
        for details in all_of(browser, "details:not([open]) summary"):
            details.click()
        width = "return document.documentElement.scrollWidth"
        assert browser.execute_script(width) <= size[0]
    assert len(all_of(browser, "#plot-rates .scatterlayer .trace")) == 3
    assert len(all_of(browser, "#plot-reactions .boxlayer .trace")) == 3
    labels = [x.text for x in all_of(browser, "#plot-rates .ytick text")]
    assert labels[0] == "<b>bold</b>"
    assert browser.get_log("browser") == []
