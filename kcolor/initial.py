"""What a training begins with: weights of others, or of another training."""

from __future__ import annotations

from collections.abc import Callable

import keras

from kcolor.colorizer import Colorizer
from kcolor.errors import UserError
from kcolor.trained import open_model
from kcolor.training.experiment import Experiment
from kcolor.training.inherited import NONE, other_architecture


def begin(
    experiment: Experiment, colorizer: Colorizer, warn: Callable[[str], None]
) -> None:
    """Gives a colorizer the weights that its training begins with.

    Args:
        experiment: Says which.
        colorizer: Its weights are those of chance.
        warn: Is told what begins by chance, too.

    Raises:
        UserError: There are no such weights, or none that fit.
    """
    if experiment.init == NONE:
        experiment.architecture.load_encoder(colorizer.network)
        return
    model = open_model(experiment.init)
    if model is None:
        raise UserError(
            f"--init '{experiment.init}' is no run, no .keras file and not "
            "'pretrained'"
        )
    other = model.colorizer
    if other.architecture.name != colorizer.architecture.name:
        raise other_architecture(
            experiment.init, other.architecture.name, experiment.arch
        )
    left = copied(other.network, colorizer.network)
    if left:
        names = sorted({path.rpartition("/")[0] for path in left})
        warn(f"begins by chance, not with --init: {', '.join(names)}")


def copied(source: keras.Model, target: keras.Model) -> list[str]:
    """Copies the weights that have the same path and shape.

    Returns:
        The paths of the target's other weights.
    """
    found = {
        (weight.path, tuple(weight.shape)): weight for weight in source.weights
    }
    left = []
    for weight in target.weights:
        own = found.get((weight.path, tuple(weight.shape)))
        if own is None:
            left.append(weight.path)
        else:
            weight.assign(own)
    return left
