"""How fast a study is served to many at once.

    python benchmarks/study_load.py STUDY --participants 100

Starts the server, lets so many take part at once, each answering as soon as the
photos' time is over (a study made with --seconds 0.05 shows the most that the
server can do), and prints requests a second, the slowest, and
whether every answer that was acknowledged is kept. The study's own answers are
left alone: a copy is served.
"""

from __future__ import annotations

import argparse
import http.client
import json
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from kcolor.study.answers import read
from kcolor.study.folder import ANSWERS, Study


def main() -> None:
    """Asks, and prints what it took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", type=Path)
    parser.add_argument("--participants", type=int, default=100)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "study"
        shutil.copytree(
            options.study, path, ignore=shutil.ignore_patterns(f"{ANSWERS}*")
        )
        _measure(path, options.participants)


def _measure(path: Path, participants: int) -> None:
    study = Study.open(path)
    command = "from kcolor.cli.study import main; main()"
    server = subprocess.Popen(
        [sys.executable, "-c", command, "serve", path, "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
    )
    port = int(re.search(r":(\d+)/", server.stdout.readline())[1])
    taken: dict[str, list[float]] = {}
    acknowledged = [0] * participants
    faults: list[str] = []
    lock = threading.Lock()

    def participate(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        token = None

        def ask(method: str, place: str, said: dict | None = None) -> bytes:
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            body = None if said is None else json.dumps(said)
            began = time.perf_counter()
            connection.request(method, place, body, headers)
            reply = connection.getresponse()
            content = reply.read()
            spent = time.perf_counter() - began
            with lock:
                taken.setdefault(place.split("/")[1], []).append(spent)
                if reply.status != 200:
                    faults.append(f"{place}: {reply.status} {content!r}")
            return content

        ask("GET", "/")
        consent = {"study": study.id, "consent": True, "vision": "normal"}
        joined = ask("POST", "/join", consent)
        token = json.loads(joined)["token"]
        session = json.loads(ask("GET", "/session"))
        for trial in session["left"]:
            ask("GET", f"/pairs/{trial['pair']}")
        for trial in session["left"]:
            ask("POST", "/show", {"number": trial["number"]})
            time.sleep(study.design.seconds)
            said = {
                "number": trial["number"],
                "chosen": "left",
                "shown_ms": 1000 * study.design.seconds,
                "frame_ms": 16.7,
                "reaction_ms": 0,
            }
            before = len(faults)
            ask("POST", "/answer", said)
            acknowledged[number] += len(faults) == before

    threads = [
        threading.Thread(target=participate, args=(number,))
        for number in range(participants)
    ]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began
    server.terminate()
    server.wait()
    _, trials = read(study)
    kept = int(trials["answered"].notna().sum())
    every = np.concatenate(list(taken.values()))
    print(
        f"{participants} participants, {len(every)} requests, {seconds:.1f} s"
    )
    for place, times in taken.items():
        print(
            f"/{place:10} {len(times):6}  median {1e3 * np.median(times):7.1f} "
            f"ms  99 % {1e3 * np.quantile(times, 0.99):7.1f}  slowest "
            f"{1e3 * max(times):7.1f}"
        )
    print(f"{len(every) / seconds:.0f} requests/s, {len(faults)} refused")
    print(f"{sum(acknowledged)} answers acknowledged, {kept} kept")
    for fault in faults[:5]:
        print(fault)


if __name__ == "__main__":
    main()
