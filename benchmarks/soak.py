"""Whether a server's memory grows as it answers, good requests and bad.

    python benchmarks/soak.py --model models/kcolor [--requests 3000]

The server of the tests, in a process of its own, is sent photos, tensors and
what `tests/serving/photos.py` has of broken files, over gRPC and REST, by
several at once. Its resident memory is sampled as it goes; every good answer
must be, bit for bit, the first one.
"""

import argparse
import base64
import collections
import json
import random
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "serving"))

import photos
from conformance import Server, array_of, proto_of, running
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

CONFIG = """
model_config_list {{
  config {{
    name: "kcolor"
    base_path: "{}"
    model_platform: "tensorflow"
  }}
}}
"""


class Client:
    """Sends one request after the other, whichever way.

    Args:
        server: Server.
    """

    def __init__(self, server: Server):
        self.url = f"http://{server.rest}/v1/models/kcolor:predict"
        self.stub = prediction_service_pb2_grpc.PredictionServiceStub(
            grpc.insecure_channel(server.grpc)
        )

    def by_grpc(self, signature: str, name: str, value: np.ndarray):
        """Returns the output, or nothing where it is refused."""
        request = predict_pb2.PredictRequest()
        request.model_spec.name = "kcolor"
        request.model_spec.signature_name = signature
        request.inputs[name].CopyFrom(proto_of(value))
        try:
            (output,) = self.stub.Predict(request, 60).outputs.values()
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.INVALID_ARGUMENT:
                raise
            return None
        return (
            array_of(output, "").tobytes()
            if name == "L"
            else list(output.string_val)
        )

    def by_rest(self, signature: str, name: str, value: np.ndarray):
        """Returns the output, or nothing where it is refused."""
        rows = value.tolist()
        if name != "L":
            rows = [{"b64": base64.b64encode(row).decode()} for row in rows]
        body = json.dumps({"signature_name": signature, "instances": rows})
        try:
            with urllib.request.urlopen(self.url, body.encode(), 60) as answer:
                found = json.load(answer)["predictions"]
        except urllib.error.HTTPError as error:
            if error.code != 400:
                raise
            return None
        if name == "L":
            return np.array(found, np.float32).tobytes()
        return [base64.b64decode(row["b64"]) for row in found]


def mix() -> list[tuple[str, str, str, np.ndarray, bool]]:
    """Returns what is sent: its name, signature, input, value, whether good."""
    several = [photos.encoded(photos.pixels(30 * n, 20 * n)) for n in (1, 4, 9)]
    good = {
        **{name: [data] for name, (data, _) in photos.UNUSUAL.items()},
        "several": several,
        "a large one": [photos.encoded(photos.pixels(900, 700), "JPEG")],
    }
    bad = {name: [data] for name, data in photos.BROKEN.items()}
    bad["a bomb"] = [photos.bomb()]
    bad["one broken of several"] = [*several, photos.BROKEN["text"]]
    files = "colorize", "image_bytes"
    sent = [
        (name, *files, np.array(data, object), name in good)
        for name, data in (good | bad).items()
    ]
    for height, width in ((1, 1), (64, 64), (50, 130)):
        tensor = np.full((2, height, width, 1), 50, np.float32)
        name = f"L of {height}x{width}"
        sent.append((name, "serving_default", "L", tensor, True))
    wrong = np.zeros((3, 3), np.float32)
    return [*sent, ("rank 2", "serving_default", "L", wrong, False)]


def soak(server: Server, requests: int, threads: int) -> tuple[list, dict]:
    """Sends the requests.

    Returns:
        The server's MiB at each of some 200 moments, and how many requests were
        answered and refused.

    Raises:
        AssertionError: An answer is not the one it was before.
    """
    process, sent = psutil.Process(server.process.pid), mix()
    clients = [Client(server) for _ in range(threads)]
    lock, first, memory = threading.Lock(), {}, []
    counts = collections.Counter()

    def one(number: int) -> None:
        chance = random.Random(number)
        # As many good as bad.
        good = bool(chance.getrandbits(1))
        name, signature, key, value, _ = chance.choice(
            [each for each in sent if each[-1] == good]
        )
        client = clients[number % threads]
        ask = chance.choice([client.by_grpc, client.by_rest])
        answer = ask(signature, key, value)
        with lock:
            if (answer is not None) != good:
                raise AssertionError(f"{name}: {good=}, {answer=}")
            if first.setdefault(name, answer) != answer:
                raise AssertionError(f"{name}: another answer than before")
            counts["answered" if good else "refused"] += 1
            if number % max(1, requests // 200) == 0:
                memory.append(process.memory_info().rss / 2**20)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(one, range(requests)))
    return memory, dict(counts)


def main() -> None:
    """Prints what the server's memory did."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--requests", type=int, default=3000)
    parser.add_argument("--threads", type=int, default=4)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "models.config")
        config.write_text(CONFIG.format(options.model.resolve()))
        with running(config) as server:
            began = time.perf_counter()
            memory, counts = soak(server, options.requests, options.threads)
            seconds = time.perf_counter() - began
    print(f"{counts} in {seconds:.0f} s, none other than before")
    print(
        f"MiB: first {memory[0]:.0f}, last {memory[-1]:.0f}, "
        f"most {max(memory):.0f}"
    )
    for part in (0, 1 / 4, 1 / 2):
        kept = memory[int(part * len(memory)) :]
        slope = np.polyfit(np.linspace(0, 1, len(kept)), kept, 1)[0]
        per = slope / ((1 - part) * options.requests / 1000)
        print(f"trend without the first {part:.0%}: {per:+.2f} MiB/1000")


if __name__ == "__main__":
    main()
