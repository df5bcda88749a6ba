"""Are the networks and steps that `peers.py` compares the same?

    python benchmarks/peers_check.py [--cases unet zhang] [--data FOLDER]

Weights are copied from Keras to PyTorch, outputs and the losses of three
training steps compared. Ends with 1 if something differs.
"""

import os
import pickle
import sys
import tempfile
from pathlib import Path

import numpy as np
from peers import (
    CASES,
    Case,
    Setting,
    our_scheme,
    parser_of,
    parts_of,
    prepare,
    their_training,
)
from processes import in_own_process

CHECKED = 8  # photos
CHECKED_STEPS = 3
# Relative errors that are allowed. Adam begins by the signs of gradients, which
# rounding may turn: weights, and losses from the second step on, differ more.
SAME_OUTPUTS, SAME_LOSS, SAME_LATER_LOSSES = 1e-4, 1e-3, 1e-2
PARTS = ("network", "greying", "discriminator", "grey_discriminator")


def keras_twin(data: str, case: Case, path: Path) -> None:
    """Writes weights, outputs and losses of the networks in Keras."""
    import tensorflow as tf

    case = case._replace(batch=CHECKED)
    prepare(data, case, path)
    arrays = dict(np.load(path))
    scheme = our_scheme(arrays, case, "float32")
    networks = {"network": scheme.colorizer.network}
    networks |= {
        name: getattr(scheme, name)
        for name in PARTS[1:]
        if hasattr(scheme, name)
    }
    random = np.random.default_rng(0)
    twins = {}
    for name, network in networks.items():
        for weight in network.weights:
            if weight.shape.num_elements() < 1e7:  # biases, too, are to differ
                noise = random.normal(0, 0.02, weight.shape)
                weight.assign_add(noise)
        shape = (CHECKED, *arrays["part0"].shape[2:4], network.input_shape[-1])
        planes = np.float32(random.uniform(-1, 1, shape))
        twins[name] = {
            "weights": {
                layer.name: layer.get_weights()
                for layer in network.layers
                if layer.weights
            },
            "count": network.count_params(),
            "planes": planes,
            "outputs": network(planes, training=False).numpy(),
        }
    parts = tuple(parts_of(arrays, "part").values())
    stream = iter(tf.data.Dataset.from_tensor_slices(parts))
    losses = []
    for _ in range(CHECKED_STEPS):
        scheme.reset_metrics()
        logs = scheme.train_function(stream)
        losses.append({name: float(value) for name, value in logs.items()})
    with path.open("wb") as file:
        pickle.dump((arrays, twins, losses), file)


def torch_twin(case: Case, path: Path) -> list[str]:
    """Returns what differs between those and the same in PyTorch, in words."""
    import torch
    from torch_networks import load_keras

    case = case._replace(batch=CHECKED)
    with path.open("rb") as file:
        arrays, twins, their_losses = pickle.load(file)
    training = their_training(arrays, case, Setting("float32"))
    lines = []
    for name, twin in twins.items():
        network = training.networks[name]
        load_keras(network, twin["weights"])
        state = [*network.parameters(), *network.buffers()]
        count = sum(tensor.numel() for tensor in state if tensor.dim())
        (planes,) = training.tensors([twin["planes"]])
        with torch.inference_mode():
            outputs = network.eval()(planes).permute(0, 2, 3, 1).numpy()
        network.train()
        error = np.abs(outputs - twin["outputs"]).max()
        error /= np.abs(twin["outputs"]).max()
        is_same = error < SAME_OUTPUTS and count == twin["count"]
        lines.append(
            f"{'same' if is_same else 'DIFFERENT'}: {name}, {twin['count']:,} "
            f"and {count:,} parameters, outputs differ by {error:.1e}"
        )
    batches = zip(*parts_of(arrays, "part").values(), strict=True)
    for number, (expected, batch) in enumerate(
        zip(their_losses, batches, strict=False), start=1
    ):
        for name, loss in training.step(*training.tensors(batch)).items():
            # Of the conditional GAN, too, kcolor's `loss` is the objective's.
            found = loss.item()
            error = abs(found - expected[name]) / abs(expected[name])
            allowed = SAME_LOSS if number == 1 else SAME_LATER_LOSSES
            is_same = error < allowed
            lines.append(
                f"{'same' if is_same else 'DIFFERENT'}: {name} of step "
                f"{number}, {expected[name]:.6g} and {found:.6g}"
            )
    return lines


def main() -> int:
    """Says whether they are the same."""
    options = parser_of(__doc__).parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    is_same = True
    for name in options.cases:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "twins.npz"
            in_own_process(keras_twin, options.data, CASES[name], path)
            for line in in_own_process(torch_twin, CASES[name], path):
                print(f"{name}: {line}", flush=True)
                is_same = is_same and line.startswith("same")
    return 0 if is_same else 1


if __name__ == "__main__":
    sys.exit(main())
