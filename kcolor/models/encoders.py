"""Encoders: classifiers that others have trained, as features of lightness.

A network that tells a thousand things apart knows grass from water in grey,
too. Their weights are read once, when a training begins; a trained colorizer
has its own.
"""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable
from dataclasses import dataclass

from kcolor.errors import UserError, first_line, unknown
from kcolor.late import keras

NONE = "none"
LITE = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
# They learnt from photos of 224 pixels and more: small ones are enlarged.
SCALE = 2
# Pixels of the photo, along each side, to one of the features, by level.
STRIDES = (2, 4, 8, 16)
PROBE = 256  # at which a network's grids are looked at, in pixels


@dataclass(frozen=True)
class Encoder:
    """A classifier without its head.

    Attributes:
        name: Of the classifier.
        features: From grey samples, (N, H, W, 1), 0 to 255, to its features at
            strides 4, 8, 16 and 32.
        load: Gives a model that was built of them the published weights.
        require: Refuses, before anything is built, weights that are not there.
    """

    name: str
    features: Callable
    load: Callable[[keras.Model], None]
    require: Callable[[], None] = lambda: None

    def build(self, levels: int = len(STRIDES) - 1) -> keras.Model:
        """Returns a model from lightness, (N, H, W, 1), -1 to 1, to features.

        With the weights they begin with by chance.

        Args:
            levels: Below the first; each has the next of `STRIDES`.
        """
        from kcolor.layers import Enlarge, Grey

        lightness = keras.Input((None, None, 1), name="lightness")
        grey = Grey(name="grey")(Enlarge(name="enlarge")(lightness))
        features = self.features(grey)[: levels + 1]
        return keras.Model(lightness, features, name="encoder")


def check(name: str) -> None:
    """Refuses the name of no encoder.

    Raises:
        UserError: There is none.
    """
    if name not in LITE:  # or TensorFlow would be loaded to know
        get(name)


def get(name: str) -> Encoder:
    """Returns an encoder.

    Args:
        name: One of `LITE`, or a class of `keras.applications`.

    Raises:
        UserError: There is no such encoder.

    Example:

    >>> model = get("efficientnet_lite0").build()
    >>> [feature.shape[-1] for feature in model.outputs]
    [24, 40, 112, 320]
    """
    if name in LITE:
        return _lite(name)
    application = getattr(keras.applications, name, None)
    if not isinstance(application, Callable):
        known = [n for n in dir(keras.applications) if n[0].isupper()]
        raise unknown("encoder", name, [NONE, *LITE, *known])
    return _application(name, application)


def _lite(name: str) -> Encoder:
    from kcolor.borrowed import efficientnet_lite as lite

    variant = lite.VARIANTS[name]

    def features(grey):
        x = keras.layers.Rescaling(1 / lite.SPREAD, -lite.MEAN / lite.SPREAD)(
            grey
        )
        return lite.trunk(x, variant)[1:]

    def load(model: keras.Model) -> None:
        lite.assign(model, variant.weights())

    return Encoder(name, features, load, variant.find)


def _application(name: str, application: Callable) -> Encoder:
    def body(weights: str | None) -> keras.Model:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that no size is named
            whole = application(
                include_top=False, weights=weights, input_shape=(None, None, 3)
            )
        rows = _rows(name, application)
        return keras.Model(
            whole.input, [whole.layers[row].output for row in rows], name="body"
        )

    def features(grey):
        photos = keras.layers.Concatenate(name="photo")([grey] * 3)
        # Its normalisation keeps the statistics it came with.
        return body(None)(_prepared(name, photos), training=False)

    def load(model: keras.Model) -> None:
        try:
            published = body("imagenet")
        except Exception as error:  # what fetching raises is the network's
            raise UserError(
                f"the weights of {name} cannot be fetched "
                f"({first_line(error)}): use --encoder {LITE[0]}, or a machine "
                "with network"
            ) from error
        model.get_layer("body").set_weights(published.get_weights())

    return Encoder(name, features, load)


def _prepared(name: str, photos):
    """Returns photos as an application wants them."""
    modules = filter(inspect.ismodule, vars(keras.applications).values())
    module = next(module for module in modules if hasattr(module, name))
    return module.preprocess_input(photos)


@functools.cache
def _rows(name: str, application: Callable) -> list[int]:
    """Returns the numbers of the last layers of strides 4, 8, 16 and 32.

    Raises:
        UserError: A stride has no layer: its grids do not halve.
    """
    body = application(
        include_top=False, weights=None, input_shape=(PROBE, PROBE, 3)
    )
    last = {}
    for row, layer in enumerate(body.layers):
        if len(getattr(layer.output, "shape", ())) == 4:
            last[layer.output.shape[1]] = row
    sides = [PROBE // (SCALE * stride) for stride in STRIDES]
    if not all(side in last for side in sides):
        raise UserError(
            f"--encoder {name} does not fit: its features do not halve from "
            f"grid to grid: give another, e.g. {LITE[0]}"
        )
    return [last[side] for side in sides]
