"""Whole trainings by several workers or devices, each a process of its own.

    python training_together.py SPECIFICATION

A JSON object: experiments as {run: fields}, and how many devices.
"""

import json
import os
import socket
import subprocess
import sys

SECONDS = 300  # until workers that wait for each other are given up


def start(runs, workers=1, devices=1, gradients=True):
    """Starts the workers of a training.

    Args:
        runs: Fields of each experiment, by its run folder.
        workers: How many.
        devices: Processors that each pretends to have.
        gradients: Whether weights move by their gradients, not as Adam moves
            them: by its first steps' signs, which for a gradient that is 0 but
            for rounding are a matter of chance.
    """
    words = {"runs": runs, "devices": devices, "gradients": gradients}
    return [
        subprocess.Popen(
            [sys.executable, __file__, json.dumps(words)],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for environment in environments(workers)
    ]


def environments(workers):
    """Returns the environment of each worker's process."""
    alone = dict(os.environ, CUDA_VISIBLE_DEVICES="")
    if workers == 1:
        return [alone]
    cluster = {"worker": [f"localhost:{port}" for port in free_ports(workers)]}
    tasks = ({"type": "worker", "index": index} for index in range(workers))
    return [
        alone | {"TF_CONFIG": json.dumps({"cluster": cluster, "task": task})}
        for task in tasks
    ]


def ended(processes):
    """Waits for workers, and returns what they ended with."""
    try:
        told = [
            process.communicate(timeout=SECONDS)[1] for process in processes
        ]
    finally:
        for process in processes:
            process.kill()
    return [
        (process.returncode, text)
        for process, text in zip(processes, told, strict=True)
    ]


def free_ports(count):
    """Returns so many ports that nothing uses."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("localhost", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def main(words):
    import keras
    import tensorflow as tf

    from kcolor import trainer
    from kcolor.training.experiment import Experiment

    (processor,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(
        processor, [tf.config.LogicalDeviceConfiguration()] * words["devices"]
    )
    if words["gradients"]:
        of_experiment = trainer._optimizer

        def plain(*args):
            chosen = of_experiment(*args)
            return keras.optimizers.SGD(
                1e-3, momentum=0.9, global_clipnorm=chosen.global_clipnorm
            )

        trainer._optimizer = plain
    for run, fields in words["runs"].items():
        keras.utils.clear_session()
        trainer.train(Experiment.of(**fields), run, devices=words["devices"])


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
