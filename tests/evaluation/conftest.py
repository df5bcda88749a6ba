"""A report that more than one test file looks at."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import kcolor
from kcolor import objectives
from kcolor.colorizer import Colorizer
from kcolor.evaluation.report import report
from kcolor.models.cnn import CNN

SIZE = 16
# A class that would end the script its name stands in.
CLASSES = ("dogs", "a<script>&'")


@pytest.fixture(scope="session")
def reported(tmp_path_factory):
    """Two runs, a model that gives nan, and the page about them."""
    folder = tmp_path_factory.mktemp("report")
    data = folder / "data"
    for number in range(24):
        random = np.random.default_rng(number)
        blobs = random.integers(0, 256, (3, 3, 3), np.uint8)
        split = "test" if number >= 12 else "train"
        path = data / split / CLASSES[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(blobs).resize((SIZE, SIZE)).save(path)
    runs = {}
    for name, loss in (("one", "l2"), ("two", "smooth_l1")):
        experiment = kcolor.Experiment.of(
            data=str(data),
            loss=loss,
            head="conv",
            image_size=SIZE,
            batch_size=4,
            epochs=3,
            precision="float32",
        )
        runs[name] = kcolor.train(experiment, folder / name)
    colorizer = Colorizer(CNN(head="conv"), objectives.get("l2")(), SIZE)
    colorizer.set_weights([np.nan * w for w in colorizer.get_weights()])
    colorizer.save(folder / "broken.keras")
    targets = [*(str(r.path) for r in runs.values()), "grey", "shuffled"]
    targets.append(str(folder / "broken.keras"))
    page = report(targets, folder / "out", domains="classes", photos=3)
    return SimpleNamespace(
        page=page,
        html=page.read_text(),
        table=page.with_name("table.csv"),
        classes=CLASSES,
        data=data,
        runs=runs,
        targets=targets,
    )
