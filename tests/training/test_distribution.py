"""Several devices and several workers train as one does."""

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import keras
import numpy as np
import pytest
from patterns import save_blobs
from training_together import (
    SECONDS,
    ended,
    environments,
    free_ports,
    start,
)

import kcolor  # noqa: F401  registers the colorizer
from kcolor import replicas
from kcolor.data.pipeline import batches
from kcolor.errors import UserError
from kcolor.training.cluster import meet
from kcolor.training.distribution import Distribution, open_distribution

COMMON = {
    "image_size": 16,
    "batch_size": 8,
    "steps": 5,
    "epochs": 2,
    "precision": "float32",
}
ADVERSARIAL = {"loss": "l1", "patch_layers": 1, "discriminator_filters": 4}
UNET = {"arch": "unet", "filters": 4, "depth": 2}
# Together they hold all that replicas tell each other: batch statistics,
# clipped gradients, crops, dropout, noise, chosen pixels, a pool.
EXPERIMENTS = {
    "supervised": {**UNET, "loss": "l2", "dropout": 0.2, "clip_norm": 1.0},
    "cgan": {**UNET, **ADVERSARIAL, "scheme": "cgan", "noise": "planes"},
    "cyclegan": {
        "arch": "resnet",
        "filters": 4,
        "blocks": 1,
        **ADVERSARIAL,
        "scheme": "cyclegan",
        "pool": 9,
    },
    "sparse": {"arch": "larsson", "loss": "ce", "width": 0.05},
}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A folder of coloured blobs, larger than what is cropped of them."""
    folder = tmp_path_factory.mktemp("photos")
    save_blobs(folder, 48, blocks=3, size=(21, 19))
    return folder


@pytest.fixture(scope="module")
def trained(photos, tmp_path_factory):
    """Trains experiments together, and returns their weights and histories."""

    def by(names, **options):
        folder = tmp_path_factory.mktemp("runs")
        runs = {
            str(folder / name): {
                **COMMON,
                **EXPERIMENTS[name],
                "data": str(photos),
            }
            for name in names
        }
        for code, told in ended(start(runs, **options)):
            assert code == 0, told[-3000:]
        return [
            (
                keras.models.load_model(f"{run}/model.keras").get_weights(),
                np.genfromtxt(f"{run}/history.csv", names=True, delimiter=","),
            )
            for run in runs
        ]

    return by


@pytest.fixture(scope="module")
def assert_same_as_one(trained):
    """Compares trainings by several replicas with those by one."""
    alone = {}

    def check(names, **options):
        unknown = [name for name in names if name not in alone]
        alone.update(zip(unknown, trained(unknown), strict=True))
        for name, found in zip(names, trained(names, **options), strict=True):
            weights, history = found
            ours, theirs = alone[name]
            # Of larsson's last layers a batch has no more than eight numbers,
            # whose variance may be next to nothing.
            close = 1e-4 if name == "sparse" else 1e-5
            for weight, other in zip(weights, ours, strict=True):
                np.testing.assert_allclose(weight, other, close, close, name)
            for loss in ("loss", "val_loss"):
                np.testing.assert_allclose(history[loss], theirs[loss], 1e-4)

    return check


@pytest.mark.parametrize("how", [{"devices": 2}, {"workers": 2}])
def test_two_replicas_give_the_weights_of_one(assert_same_as_one, how):
    assert_same_as_one(["supervised"], **how)


@pytest.mark.slow
@pytest.mark.parametrize(
    "how",
    [
        {"devices": 2},
        {"workers": 2},
        {"workers": 4},
    ],
)
def test_several_replicas_give_the_weights_of_one(assert_same_as_one, how):
    assert_same_as_one([*EXPERIMENTS], **how)


# === What cannot be ===


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("{", ["malformed", "cluster"]),
        ("[]", ["malformed", "cluster"]),
        ("{}", ["'cluster' is missing"]),
        (
            {
                "cluster": {"worker": "a:1"},
                "task": {"type": "worker", "index": 0},
            },
            ["malformed", "list"],
        ),
        (
            {
                "cluster": {"worker": ["a:1", "b:1"]},
                "task": {"type": "worker", "index": 0.5},
            },
            ["malformed", "index"],
        ),
        ('{"cluster": {"worker": ["a:1", "b:1"]}}', ["malformed", "task"]),
        (
            {
                "cluster": {"worker": ["a:1"]},
                "task": {"type": "worker", "index": 1},
            },
            ["no worker 1"],
        ),
        (
            {"cluster": {"ps": ["a:1"]}, "task": {"type": "ps", "index": 0}},
            ["no ps 0", "chief or worker"],
        ),
        (
            {
                "cluster": {"worker": ["a:1"], "ps": ["b:1"]},
                "task": {"type": "worker", "index": 0},
            },
            ["'ps'", "leave it out"],
        ),
    ],
)
def test_a_cluster_that_cannot_train_is_told(monkeypatch, config, words):
    text = config if isinstance(config, str) else json.dumps(config)
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(UserError) as caught:
        open_distribution(1)
    for word in ["TF_CONFIG", *words]:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_cluster_of_one_is_no_cluster(monkeypatch):
    place = {
        "cluster": {"chief": ["a:1"]},
        "task": {"type": "chief", "index": 0},
    }
    monkeypatch.setenv("TF_CONFIG", json.dumps(place))
    found = open_distribution(1)
    assert (found.workers, found.replicas, found.is_chief) == (1, 1, True)
    assert found.from_chief([1.5, 2.0]) == [1.5, 2.0]
    assert found.largest(15) == 15


def test_more_devices_than_there_are_is_told():
    with pytest.raises(
        UserError, match=r"\A--devices 99: this machine has \d+"
    ):
        open_distribution(99)


class Strategy:
    def __init__(self, replicas):
        self.num_replicas_in_sync = replicas


@pytest.mark.parametrize(("size", "advice"), [(33, 32), (3, 4)])
def test_a_batch_that_cannot_be_shared_out_evenly_is_refused(size, advice):
    with pytest.raises(UserError, match=f"{size} .* 4 replicas.* {advice}$"):
        Distribution(Strategy(4)).check(size)
    Distribution(Strategy(4)).check(8)


# === Batches in parts ===


def test_parts_of_batches_are_the_batches():
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (20, 9, 9, 3), np.uint8)
    options = {"image_size": 6, "shuffle": (3, 1), "start": 1}
    labels = np.arange(20)

    def stream(parts):
        stream = batches(pixels, 6, labels=labels, parts=parts, **options)
        return [(*batch, more["labels"]) for *batch, more in stream]

    whole = stream(((0,), 1))
    first, others = stream(((0,), 3)), stream(((1, 2), 3))
    assert (len(whole), len(first), len(others)) == (2, 2, 4)
    for number, batch in enumerate(whole):
        parts = [first[number], *others[2 * number : 2 * number + 2]]
        for together, *apart in zip(batch, *parts, strict=True):
            np.testing.assert_array_equal(together, np.concatenate(apart))


def test_alone_a_replica_has_the_whole_batch():
    photos = keras.ops.arange(6)
    for function in (replicas.own, replicas.gathered, replicas.summed):
        np.testing.assert_array_equal(function(photos), photos)


# === Workers that end, and come back ===


@pytest.fixture
def workers(photos, tmp_path):
    """Starts kcolor-train in each of two workers, again as often as asked."""
    flags = (
        f"--data {photos} --run {tmp_path}/run --epochs 6 --arch unet "
        "--filters 4 --depth 2 --loss l2 --image-size 16 --batch-size 4 "
        "--precision float32"
    )
    program = Path(sys.executable).parent / "kcolor-train"
    command = [str(program), *flags.split()]
    places, running = environments(2), []

    def begin(number, *flags):
        told = (tmp_path / f"{number}-{len(running)}.txt").open("w+")
        running.append(
            subprocess.Popen(
                [*command, *flags],
                env=places[number],
                stdout=told,
                stderr=told,
            )
        )
        running[-1].told = told
        return running[-1]

    yield begin
    for process in running:
        process.kill()


def wait_for(folder, pattern):
    end = time.monotonic() + SECONDS
    while not list(folder.glob(pattern)):
        assert time.monotonic() < end
        time.sleep(0.05)


def said(process):
    process.told.seek(0)
    return process.told.read()


@pytest.mark.slow
@pytest.mark.parametrize("number", [0, 1])
def test_a_worker_that_dies_and_comes_back_goes_on(workers, tmp_path, number):
    first = [workers(0), workers(1)]
    wait_for(tmp_path / "run" / "checkpoints", "step-*")
    first[number].kill()
    again = workers(number)
    other = first[1 - number]
    assert (again.wait(SECONDS), other.wait(SECONDS)) == (0, 0), said(again)
    assert "another worker is gone: waiting for it" in said(other)
    assert "resumed at step" in said(again)
    assert (tmp_path / "run" / "metrics.json").exists()
    history = np.genfromtxt(
        tmp_path / "run" / "history.csv", names=True, delimiter=","
    )
    assert history["epoch"].tolist() == [1, 2, 3, 4, 5, 6]


@pytest.mark.slow
def test_a_signal_to_one_worker_ends_all_of_them(workers, tmp_path):
    running = [workers(0), workers(1)]
    wait_for(tmp_path / "run" / "checkpoints", "step-*")
    running[1].terminate()
    for process in running:
        assert process.wait(SECONDS) == 143, said(process)
        assert "stopped by SIGTERM: the checkpoint is written" in said(process)
    assert list((tmp_path / "run" / "checkpoints").glob("step-*"))


@pytest.mark.slow
def test_a_worker_that_waits_for_the_others_can_be_ended(workers):
    alone = workers(0)
    time.sleep(30)
    alone.terminate()
    assert alone.wait(30) in (-15, 143)
    assert said(alone) == "worker 1 of 2: waiting for the others\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "word"),
    [
        (["--learning-rate", "0.01"], "learning_rate is 0.001 there, 0.01"),
        (["--run", "another"], "'another' of the chief is not here"),
        (["--data", "nothing"], "'nothing'"),
    ],
)
def test_a_worker_unlike_the_chief_ends_all(workers, flags, word):
    running = [workers(0), workers(1, *flags)]
    assert [process.wait(SECONDS) for process in running] == [2, 2]
    assert "another worker has given up: see" in said(running[0])
    assert word in said(running[1])


@pytest.mark.slow
def test_a_signal_is_not_lost_with_another_worker(workers, tmp_path):
    running = [workers(0), workers(1)]
    wait_for(tmp_path / "run" / "checkpoints", "step-*")
    running[0].send_signal(signal.SIGSTOP)
    running[1].kill()
    running[0].terminate()
    running[0].send_signal(signal.SIGCONT)
    assert running[0].wait(SECONDS) == 143
    assert "waiting for it" not in said(running[0])


def test_workers_wait_until_all_have_been_there():
    ports = free_ports(3)
    addresses = [f"127.0.0.1:{port}" for port in ports]

    def work(number):
        meet(addresses, number)
        servers.append(socket.create_server(("", ports[number])))  # as TF does

    servers = []
    threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
    for thread in threads[1:]:
        thread.start()
    threads[1].join(1)
    assert threads[1].is_alive()
    assert threads[2].is_alive()
    threads[0].start()
    for thread in threads:
        thread.join(SECONDS)
    assert len(servers) == 3
    for server in servers:
        server.close()


def test_a_workers_port_in_use_is_told():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(UserError, match=rf"TF_CONFIG: port {port} .* use"):
            meet([f"127.0.0.1:{port}", "127.0.0.1:1"], 0)


@pytest.mark.parametrize("address", ["a", "a:b", ":1", "a:99999"])
def test_what_is_no_address_is_told(address):
    with pytest.raises(UserError, match="TF_CONFIG: "):
        meet([address, "a:1"], 0)
