"""The costs that docstrings of architectures tell are the measured ones."""

import re

import pytest
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import (
    convert_variables_to_constants_v2,
)

from kcolor import models

pytestmark = pytest.mark.usefixtures("fresh_keras")

TOLD = re.compile(
    r"Cost, with l2 at 64x64: ([\d.]+) M parameters, ([\d.]+) GFLOP a photo, "
    r"trained on [\d,]+ photos/s by two cores\."
)


def operations(network):
    """Returns the floating-point operations of one photo at 64x64."""
    traced = tf.function(lambda planes: network(planes, training=False))
    concrete = traced.get_concrete_function(tf.TensorSpec((1, 64, 64, 1)))
    options = tf.compat.v1.profiler.ProfileOptionBuilder
    counted = tf.compat.v1.profiler.profile(
        convert_variables_to_constants_v2(concrete).graph,
        options=options(options.float_operation()).with_empty_output().build(),
    )
    return counted.total_float_ops


def with_marks(arch):
    # Freezing 277.6 M parameters takes over a minute.
    return pytest.param(arch, marks=[pytest.mark.slow] if arch == "cnn" else [])


@pytest.mark.parametrize("arch", map(with_marks, models.names()))
def test_an_architecture_tells_its_parameters_and_operations(arch):
    told = TOLD.search(" ".join(models.get(arch).__doc__.split()))
    assert told, "its docstring tells no cost"
    network = models.get(arch)().build(64, planes=1, channels=2)
    parameters = network.count_params() / 1e6
    assert float(told[1]) == pytest.approx(parameters, abs=0.006)
    flops = operations(network) / 1e9
    assert float(told[2]) == pytest.approx(flops, abs=0.006)
