"""Tests for flow matching on coarse ab."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kcolor.forward import Forward
from kcolor.models.architecture import Architecture
from kcolor.objectives.flow import Flow

pytestmark = pytest.mark.usefixtures("fresh_keras")


class Straight:
    """A network that knows the truth, and the velocity that leads there."""

    def __init__(self, truth):
        self.truth = truth
        self.lightness = []

    def __call__(self, inputs, training=False):
        lightness, between, time = tf.split(inputs, [1, 2, 1], axis=-1)
        self.lightness.append(lightness)
        return (self.truth - between) / tf.maximum(1 - time, 1e-3)


def test_a_flow_ends_where_true_velocities_lead(random):
    truth = np.broadcast_to(np.float32([1.5, -0.5]), (2, 9, 12, 2))
    lightness = random(2, 9, 12, 1)
    flow = Flow(grid=4, flow_steps=32)
    network = Straight(truth)
    forward = Forward(network, Architecture(), lightness)
    ends = (flow.predict(forward), flow.sample(forward, 1))
    for end in ends:
        np.testing.assert_allclose(end, 16 * truth, atol=1.5)
    # Each step asks about the true lightness, never a noised one.
    assert len(network.lightness) == 2 * 2 * 32
    for seen in network.lightness:
        np.testing.assert_array_equal(seen, lightness)


def test_a_flow_that_knows_the_velocities_has_next_to_no_loss(random):
    truth = np.broadcast_to(np.float32([1.5, -0.5]), (64, 8, 8, 2))
    flow = Flow(grid=4)
    forward = Forward(Straight(truth), Architecture(), random(64, 8, 8, 1))
    seeds = keras.random.SeedGenerator(0)
    known = flow.train_losses(forward, 16 * truth, seeds)["loss"]
    wrong = flow.train_losses(forward, 16 * truth + 16, seeds)["loss"]
    assert float(known) < 0.02 < float(wrong)


def test_the_graph_of_a_flow_does_not_grow_with_its_steps():
    def size(steps):
        def end(lightness):
            network = Straight(tf.ones((1, 8, 8, 2)))
            forward = Forward(network, Architecture(), lightness)
            return Flow(flow_steps=steps).predict(forward)

        signature = tf.TensorSpec((1, 8, 8, 1))
        graph = tf.function(end).get_concrete_function(signature).graph
        return len(graph.as_graph_def().node)

    assert size(40) == size(4)


def test_the_coarse_grid_of_a_flow_lies_on_the_photo_s_own_squares():
    flow, lightness = Flow(grid=4, flow_steps=1), np.zeros((1, 10, 8, 1))
    asked = []

    def network(inputs, training=False):
        asked.append(np.array(inputs)[..., 1:3])
        return np.zeros((1, 10, 8, 2), "float32")

    flow.sample(Forward(network, Architecture(), lightness), 0)
    for start in (0, 4, 8):
        square = asked[0][0, start : start + 4, :4]
        assert (square == square[0, 0]).all()
