"""kcolor: automatic colorization in Keras.

Example:

>>> import kcolor
>>> experiment = kcolor.Experiment.of(arch="cnn", loss="l2", epochs=1)
>>> run = kcolor.train(experiment, run="runs/first")  # doctest: +SKIP
"""

import importlib

import wrapt

__version__ = "0.1.0"

_PUBLIC = {
    "Colorizer": "kcolor.colorizer",
    "Experiment": "kcolor.training.experiment",
    "UserError": "kcolor.errors",
    "analyse_study": "kcolor.study.analyse",
    "colorize": "kcolor.colorizing.painter",
    "evaluate": "kcolor.evaluation.evaluate",
    "export": "kcolor.serving.export",
    "make_study": "kcolor.study.make",
    "pretrained": "kcolor.shipped",
    "report": "kcolor.evaluation.report",
    "search": "kcolor.searching.search",
    "serve_study": "kcolor.study.server",
    "train": "kcolor.trainer",
}
__all__ = list(_PUBLIC)


@wrapt.when_imported("keras")
def _register(_):
    # `keras.models.load_model` must know the colorizer by its name.
    importlib.import_module("kcolor.colorizer")


def __getattr__(name: str):
    # Late, so that `--help` of the commands does not wait for TensorFlow.
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'kcolor' has no attribute '{name}'")
