"""The page about what was measured, and its table."""

import csv
import html.parser
import re
import shlex

import numpy as np
import pytest
from PIL import Image

from kcolor.errors import UserError
from kcolor.evaluation import charts
from kcolor.evaluation.evaluate import evaluate, examine
from kcolor.evaluation.measure import SHOWN
from kcolor.evaluation.report import EXTREMES, _extremes, _rows, _shown, report
from kcolor.page import plots

SIZE = 16
NAMES = ["one", "two", "grey", "shuffled", "broken"]


class Page(html.parser.HTMLParser):
    """The words, the elements and the addresses of a page."""

    def __init__(self, text: str):
        super().__init__()
        self.text, self.tags, self.addresses = "", [], []
        self._is_code = False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self._is_code = tag in ("script", "style")
        self.addresses += [
            value
            for name, value in attributes
            if name in ("src", "srcset", "data")
            or (tag, name) == ("link", "href")
        ]

    def handle_endtag(self, tag):
        self._is_code = False

    def handle_data(self, data):
        if not self._is_code:
            self.text += f"{data} "


@pytest.fixture(scope="module")
def page(reported):
    return Page(reported.html)


def figure(value: float, low=0.0, high=0.0, **more) -> dict:
    return {"value": value, "low": low, "high": high, "n": 9, **more}


# === The page ===


def test_the_page_needs_no_other_file_and_no_network(page):
    assert "img" in page.tags
    for address in page.addresses:
        assert not address or address.startswith("data:"), address


def test_the_page_brings_plotly_once(reported):
    assert reported.html.count("* plotly.js v") == 1


def test_the_page_tells_what_was_measured(page, reported):
    for word in (str(reported.data), "test", "16 × 16", *NAMES, *SHOWN):
        assert word in page.text.replace("\u200b", ""), word


def test_the_page_tells_the_command_that_makes_it_again(page, reported):
    (command,) = re.findall("kcolor-report .*", page.text)
    words = shlex.split(command)
    assert words[1 : 1 + len(NAMES)] == reported.targets
    assert words[1 + len(NAMES) :] == [
        *("--out", str(reported.page.parent)),
        *("--domains", "classes", "--photos", "3"),
    ]


def test_what_is_no_number_is_told_as_such(page):
    assert "nan" in page.text
    assert "'broken' gave what is no number for 12 of 12 photos" in page.text


def test_names_that_look_like_html_stay_names(reported, page):
    assert reported.classes[1] not in reported.html
    assert f"{reported.classes[1]}/13.png" in page.text


def test_photos_are_shown_in_grey_by_each_target_and_in_truth(reported):
    assert reported.html.count('<tr class="row"') == 3
    row = reported.html.split('<tr class="row"')[1].split("</tr>")[0]
    assert re.findall('data-title="(.*?)"', row) == [
        "grey photo",
        *NAMES,
        "truth",
    ]


def test_only_settings_that_differ_are_told(reported, page):
    settings = reported.html.split('<table class="settings">')[1]
    settings = Page(settings.split("</table>")[0]).text.split()
    assert "smooth_l1" in settings
    assert "delta" in settings
    assert "epochs" not in settings


def test_a_target_may_be_called_as_the_true_photos_are(reported, tmp_path):
    folder = tmp_path / "truth"
    for path in (reported.data / "test").rglob("*.png"):
        copy = folder / path.relative_to(reported.data / "test")
        copy.parent.mkdir(parents=True, exist_ok=True)
        Image.open(path).convert("L").convert("RGB").save(copy)
    evaluation = examine(
        ["grey", str(folder)],
        str(reported.data),
        image_size=SIZE,
        keep=True,
    )
    (shown,) = _shown(evaluation, [0], ["grey", "truth"])
    grey, first, second, truth = shown["pictures"]
    assert [p["title"] for p in shown["pictures"][2:]] == ["truth", "truth"]
    assert second["address"] != truth["address"]
    assert first["error"] == second["error"] != truth["error"] == ""


def test_references_alone_need_no_plot(reported, tmp_path):
    path = report(["grey", "mean"], tmp_path, str(reported.data), image_size=16)
    text = path.read_text()
    assert len(text) < 10**6
    assert "plotly" not in text
    assert "Best and worst" not in text
    assert "Settings" not in text


# === The table ===


def test_the_table_holds_what_evaluate_returns(reported):
    with reported.table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    found = evaluate(reported.targets, domains="classes")
    assert len(rows) == len(NAMES) * len(SHOWN) * 3
    for row in rows:
        expected = found[row["target"]][row["metric"]]
        if row["domain"]:
            expected = expected["domains"][row["domain"]]
        elif row["target"] != "one":
            difference = expected["difference"]["low"]
            assert float(row["difference_low"]) == pytest.approx(
                difference, nan_ok=True
            )
        for name in ("value", "low", "high"):
            assert float(row[name]) == pytest.approx(
                expected[name], rel=1e-4, nan_ok=True
            )


# === Rows ===


def test_rows_stand_best_first_by_the_first_metric_and_nan_last():
    measured = {
        "lost": {"auc": figure(np.nan), "mae_ab": figure(np.nan)},
        "poor": {"auc": figure(80.0), "mae_ab": figure(9.0)},
        "good": {"auc": figure(90.0), "mae_ab": figure(8.0)},
    }
    rows = _rows(measured, ["auc", "mae_ab"])
    assert list(rows) == ["good", "poor", "lost"]
    assert [cells[0]["text"] for cells in rows.values()] == [
        "90.00",
        "80.00",
        "nan",
    ]
    best = [[cell["is_best"] for cell in cells] for cells in rows.values()]
    assert best == [[True, True], [False, False], [False, False]]


def test_most_colour_is_not_marked_as_best():
    measured = {
        "loud": {"colorfulness": figure(90.0)},
        "mild": {"colorfulness": figure(40.0)},
    }
    rows = _rows(measured, ["colorfulness"])
    assert not any(cell["is_best"] for cells in rows.values() for cell in cells)


def test_a_difference_is_told_apart_where_its_interval_leaves_out_0():
    measured = {
        "first": {"auc": figure(80.0)},
        "more": {"auc": figure(82.0, difference=figure(2.0, 1.0, 3.0))},
        "same": {"auc": figure(79.0, difference=figure(-1.0, -2.0, 1.0))},
        "lost": {"auc": figure(np.nan, difference=figure(*[np.nan] * 3))},
    }
    rows = _rows(measured, ["auc"])
    cells = {name: cells[0] for name, cells in rows.items()}
    assert cells["first"]["difference"] == ""
    assert cells["more"]["difference"] == "+2.00"
    assert cells["more"]["is_apart"]
    assert not cells["same"]["is_apart"]
    assert cells["lost"]["difference"] == "nan"
    assert not cells["lost"]["is_apart"]


def test_the_best_and_worst_photos_are_those_of_least_and_most_error(reported):
    evaluation = examine([reported.targets[0]], keep=True)
    errors = np.sqrt(evaluation.figures["one"]["squared_ab"])
    names = [evaluation.photos.names[n] for n in np.argsort(errors)]
    found = _extremes(evaluation, "one")
    assert [s["name"] for s in found["best"]] == names[:EXTREMES]
    assert [s["name"] for s in found["worst"]] == names[::-1][:EXTREMES]
    shown = found["worst"][0]["pictures"][1]["error"]
    assert float(shown) == pytest.approx(errors.max(), abs=0.05)


# === Plots ===


def looks(names) -> dict:
    return {name: plots.look(number) for number, name in enumerate(names)}


def test_curves_run_over_epochs_and_over_the_seconds_so_far():
    rows = [
        {"epoch": "1", "seconds": "2.5", "val_auc": "80", "val_loss": "1"},
        {"epoch": "2", "seconds": "3.5", "val_auc": "nan", "val_loss": "1"},
    ]
    figure = charts.curves({"run": rows}, looks(["run"]))
    assert plots.choices(figure) == {
        "metric": ["auc"],
        "over": ["epoch", "seconds"],
    }
    by_epoch, by_seconds = figure.data
    assert list(by_epoch.x) == [1, 2]
    assert list(by_seconds.x) == [2.5, 6.0]
    assert by_epoch.y[0] == 80


def test_domains_stand_in_the_order_of_the_first_target():
    def found(values):
        domains = {str(n): figure(float(v)) for n, v in enumerate(values)}
        return {"auc": figure(80.0, domains=domains)}

    measured = {"one": found([70, 90, 80]), "two": found([1, 2, 3])}
    chart = charts.domains(measured, ["auc"], looks(measured))
    labels = chart.layout.meta["auc"]["yaxis.ticktext"]
    assert list(labels) == ["1 (9)", "2 (9)", "0 (9)"]
    assert list(chart.data[1].x) == [2, 3, 1]
    many = {"one": found(range(1000))}
    chart = charts.domains(many, ["auc"], looks(many))
    shown = list(chart.data[0].x)
    assert (shown[0], shown[-1]) == (999, 0)
    assert len(shown) == charts.DOMAINS_SHOWN


def test_no_label_stands_on_another_point_or_label():
    names = ["alpha", "beta", "gamma", "delta"]
    measured = {
        name: {"auc": figure(v, v - 0.1, v + 0.1)}
        for name, v in zip(names, [80.0, 80.1, 82.0, 82.1], strict=True)
    }
    paid = {"cost": dict(zip(names, [1.0, 1.05, 9.5, 10.0], strict=True))}
    chart = charts.costs(measured, ["auc"], paid, looks(names))
    places = {trace.name: trace.textposition for trace in chart.data}
    assert len({places["alpha"], places["beta"]}) == 2
    assert "right" in places["alpha"] or "center" in places["alpha"]
    assert "left" in places["delta"]


def test_costs_of_what_is_no_number_can_be_drawn():
    measured = {"lost": {"auc": figure(*[np.nan] * 3)}}
    chart = charts.costs(
        measured, ["auc"], {"cost": {"lost": 1.0}}, looks(["lost"])
    )
    assert chart.data[0].text == ("lost",)


def test_targets_beyond_the_colours_look_different_all_the_same():
    different = {tuple(plots.look(number).values()) for number in range(18)}
    assert len(different) == 18


# === Refusals ===


@pytest.mark.parametrize("name", ["index.html", "table.csv"])
def test_a_report_that_is_there_is_not_overwritten(tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(UserError, match="exists: give another --out"):
        report(["no such target"], tmp_path)
    assert (tmp_path / name).read_text() == "mine"


def test_a_file_is_no_folder_to_write_in(tmp_path):
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(UserError, match="is no folder"):
        report(["grey"], file)


def test_what_cannot_be_measured_leaves_no_folder(tmp_path):
    with pytest.raises(UserError):
        report(["no such target"], tmp_path / "out")
    assert not (tmp_path / "out").exists()
