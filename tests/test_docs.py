"""The documentation says what is true of the code."""

import importlib.util
import re
from pathlib import Path

import pytest
import yaml

from kcolor import models, objectives, schemes
from kcolor.cli.train import RUN_FLAGS
from kcolor.searching.space import read_space
from kcolor.training.experiment import Experiment, from_command_line

ROOT = Path(__file__).parents[1]
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))
POSTER = [
    path
    for path in CONFIGS
    if yaml.safe_load(path.read_text())["arch"] == "cnn"
]
EVERY_CONFIG = pytest.mark.parametrize(
    "path", CONFIGS, ids=[path.stem for path in CONFIGS]
)
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
PAGES += sorted((ROOT / "docs").glob("*.md"))
EVERY_PAGE = pytest.mark.parametrize(
    "page", PAGES, ids=[page.name for page in PAGES]
)


def parse(words: list[str]) -> Experiment:
    return from_command_line(words, "kcolor-train", "Trains.", RUN_FLAGS)[0]


def test_the_pages_of_choices_and_metrics_are_what_the_code_says():
    page = ROOT / "docs" / "tables.py"
    spec = importlib.util.spec_from_file_location("tables", page)
    tables = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tables)
    for name, page in tables.PAGES.items():
        written = (tables.FOLDER / name).read_text()
        assert written == page(), "run: python docs/tables.py"


# === Configs ===


def test_every_architecture_scheme_and_loss_that_samples_has_a_config():
    configs = [yaml.safe_load(path.read_text()) for path in CONFIGS]
    assert {config["arch"] for config in configs} == set(models.names())
    given = {config.get("scheme", Experiment.scheme) for config in configs}
    assert given == set(schemes.names())
    sampled = {n for n in objectives.names() if objectives.get(n).can_sample}
    assert sampled <= {config["loss"] for config in configs}


def test_there_is_a_config_for_each_experiment_of_the_poster():
    experiments = {
        (config.data, config.loss, config.dropout > 0)
        for config in (parse(["--config", str(path)]) for path in POSTER)
    }
    assert experiments == {
        (data, loss, dropout)
        for data in ("cifar10", "imagenet64")
        for loss, dropout in (
            ("l2", False),
            ("l2", True),
            ("smooth_l1", False),
            ("ce", False),
        )
    }
    assert len(POSTER) == len(experiments)


@pytest.mark.parametrize("path", POSTER, ids=[path.stem for path in POSTER])
def test_a_config_has_the_recipe_of_the_poster(path):
    experiment = parse(["--config", str(path)])
    assert experiment.epochs == 100
    assert experiment.batch_size == 200
    assert experiment.optimizer == "adam"
    assert experiment.learning_rate == 1e-3
    assert experiment.schedule == "plateau"
    assert experiment.image_size == {"cifar10": 32, "imagenet64": 64}[
        experiment.data
    ]  # fmt: skip


@EVERY_CONFIG
def test_the_architecture_of_a_config_takes_its_image_size(path):
    experiment = parse(["--config", str(path)])
    experiment.architecture.check(
        experiment.image_size, experiment.objective.channels
    )


@EVERY_CONFIG
def test_a_config_is_named_after_what_is_in_it(path):
    config = yaml.safe_load(path.read_text())
    arch = "" if path in POSTER else f"{config['arch']}-"
    name = f"{config['data']}-{arch}{config['loss'].replace('_', '-')}"
    name += "-dropout" if config.get("dropout") else ""
    name += "-unweighted" if config.get("rebalance") == 0 else ""
    name += f"-{config['scheme']}" if "scheme" in config else ""
    name += f"-{config['discriminator']}" if "discriminator" in config else ""
    assert path.stem == name


@EVERY_CONFIG
def test_the_head_of_a_config_tells_its_command(path):
    head = path.read_text().partition("arch:")[0]
    assert all(line.startswith("#") for line in head.splitlines() if line)
    assert f"kcolor-train --config configs/{path.name}" in head


# === README ===


def lines_of_code(page: Path) -> list[str]:
    """Returns each line of a page's code, without its comment."""
    blocks = re.findall(r"```\n(.*?)```", page.read_text(), re.DOTALL)
    joined = [block.replace("\\\n", " ") for block in blocks]
    lines = [line for block in joined for line in block.splitlines()]
    return [line.split(" #")[0].strip() for line in lines]


def test_the_readme_opens_with_a_line_to_train_and_a_line_to_test():
    trains, tests = lines_of_code(ROOT / "README.md")[:2]
    assert trains.startswith("pip install ")
    assert trains.endswith("&& kcolor-train --arch cnn --loss ce")
    assert "demo" in trains
    assert tests.startswith("pip install ")
    assert tests.endswith("&& pytest")
    assert "dev" in tests


def test_the_readme_opens_with_its_picture_and_how_to_colour_a_photo():
    opening = (ROOT / "README.md").read_text().partition("```")[0]
    assert opening.index("![") < opening.index("`kcolor-colorize ")


@EVERY_PAGE
def test_every_command_of_a_page_is_understood(page, monkeypatch):
    monkeypatch.chdir(ROOT)
    for line in lines_of_code(page):
        command = line.split("&& ")[-1].split()
        if command and command[0] == "kcolor-train":
            words = [word for word in command[1:] if word != "--resume"]
            written = {"FILE", "searches/first/best.yaml"}  # by the reader
            words = [str(CONFIGS[0]) if w in written else w for w in words]
            if "--init" in words:  # a run of the reader's
                words[words.index("--init") + 1] = "pretrained"
            assert isinstance(parse(words), Experiment)
        if "kcolor-search" in command and "--space" in command:
            space = Path(command[command.index("--space") + 1])
            assert read_space(space).searched


@EVERY_PAGE
def test_every_link_of_a_page_leads_somewhere(page):
    links = re.findall(r"\]\(([^)#\s]+)", page.read_text())
    missing = [
        link
        for link in links
        if "://" not in link and not (page.parent / link).exists()
    ]
    assert missing == []
