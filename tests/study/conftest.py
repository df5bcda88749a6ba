"""Studies that are made in no time, and people who answer by the dice."""

import http.client
import json
import re
import subprocess
import sys

import numpy as np
import pytest

from kcolor.study.answers import Answer, Answers
from kcolor.study.design import (
    LEFT,
    PRACTICE,
    RIGHT,
    SHUFFLED,
    TEST,
    Design,
    other,
)
from kcolor.study.folder import PAIRS, Pair, Study, write_pair

METHODS = ("bold", "shy")
COMMAND = "from kcolor.cli.study import main; main()"


@pytest.fixture
def build(tmp_path):
    """Builds a study of noise: `build(name, photos, size, **design)`."""

    def build(name="study", photos=9, size=8, methods=METHODS, **design):
        given = {"seed": 3, "practice": 2, "trials": 5, "vigilance": 0.2}
        design = Design(**given | design)
        random = np.random.default_rng(design.seed)
        folder = tmp_path / name
        (folder / PAIRS).mkdir(parents=True)
        shown = {PRACTICE: methods, TEST: (*methods, SHUFFLED)}
        counts = {PRACTICE: design.practice, TEST: photos}
        pairs = []
        for use, count in counts.items():
            for number in range(count):
                true = random.integers(0, 256, (size, size, 3), np.uint8)
                for method in shown[use]:
                    file = f"{random.bytes(8).hex()}.png"
                    side = (LEFT, RIGHT)[random.integers(2)]
                    sha = write_pair(folder, file, true, 255 - true, side)
                    photo = f"{use}-{number}.jpg"
                    pairs.append(Pair(file, photo, method, side, use, sha))
        made = {"kcolor": "0", "on": "today", "data": "noise", "targets": ""}
        return Study.write(folder, made, design, methods, size, pairs)

    return build


class Clock:
    """A clock that a test moves."""

    def __init__(self):
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock():
    return Clock()


def said(number: int, chosen: str, **times) -> Answer:
    given = {"shown_ms": 1000.0, "frame_ms": 16.7, "reaction_ms": 700.0}
    return Answer(number, chosen, **given | times)


def take(study, answers, clock, fooled, stop=None, reaction_ms=700.0) -> str:
    """Takes part, fooled where `fooled(method)` is true; returns the token."""
    token = answers.join("normal")
    for trial in answers.session(token).left[:stop]:
        answers.show(token, trial["number"])
        clock.seconds += 5
        fake = study.fake_side(trial["pair"], bool(trial["mirrored"]))
        is_fooled = fooled(study.pairs[trial["pair"]].method)
        chosen = other(fake) if is_fooled else fake
        answers.answer(
            token, said(trial["number"], chosen, reaction_ms=reaction_ms)
        )
    return token


@pytest.fixture
def people():
    """What tests do as participants: `people.said`, `people.take`."""

    class People:
        said = staticmethod(said)
        take = staticmethod(take)

    return People


@pytest.fixture
def opened(build, clock):
    """A study with its answers: `study, answers`."""
    study = build()
    answers = Answers(study, clock=clock)
    yield study, answers
    answers.close()


class Server:
    """The command `kcolor-study serve` as a process."""

    def __init__(self, study, port=0):
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-c", COMMAND, "serve", study.path),
                *("--port", str(port)),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.line = self.process.stdout.readline()
        assert self.line, self.process.communicate()[1]
        self.port = int(re.search(r":(\d+)/", self.line)[1])

    def ask(self, method, path, said=None, token=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        body = None if said is None else json.dumps(said)
        try:
            connection.request(method, path, body, headers)
            reply = connection.getresponse()
            return reply.status, json.loads(reply.read())
        finally:
            connection.close()


@pytest.fixture
def started():
    """Starts servers: `started(study, port)`."""
    servers = []

    def start(study, port=0):
        servers.append(Server(study, port))
        return servers[-1]

    yield start
    for server in servers:
        server.process.kill()
        server.process.communicate()
