"""What browsers ask of the server of a study."""

import concurrent.futures
import http.client
import re
import signal
import socket
import time

import pytest

from kcolor.errors import UserError
from kcolor.study.answers import Answers, read
from kcolor.study.server import IN_MEMORY, application, serve_study


def consent(study) -> dict:
    return {"study": study.id, "consent": True, "vision": "normal"}


@pytest.fixture
def served(opened):
    """The study, its answers, a client, and what the server told."""
    study, answers = opened
    told = []
    app = application(study, answers, say=told.append)
    return study, answers, app.test_client(), told


def as_(token: str) -> dict:
    return {"Authorization": f"Bearer {token}"}


def joined(client, study) -> str:
    return client.post("/join", json=consent(study)).json["token"]


def answer(number: int, chosen: str) -> dict:
    return {
        "number": number,
        "chosen": chosen,
        "shown_ms": 1000,
        "frame_ms": 16.7,
        "reaction_ms": 500,
    }


def test_a_whole_session_tells_of_practice_alone_and_the_score_at_the_end(
    served, clock
):
    study, answers, client, told = served
    token = joined(client, study)
    session = client.get("/session", headers=as_(token)).json
    assert [trial["number"] for trial in session["left"]] == list(range(1, 8))
    assert [t["practice"] for t in session["left"]] == [True] * 2 + [False] * 5
    assert session["score"] is None
    for trial in session["left"]:
        number = trial["number"]
        reply = client.post(
            "/show", json={"number": number}, headers=as_(token)
        )
        assert reply.json == {}
        clock.seconds += 5
        fake = study.fake_side(trial["pair"], trial["mirrored"])
        reply = client.post(
            "/answer", json=answer(number, fake), headers=as_(token)
        )
        assert reply.status_code == 200
        assert reply.json == ({"found": True} if number <= 2 else {})
        middle = client.get("/session", headers=as_(token)).json["score"]
        assert (middle is None) == (number < 7)
    assert middle == {"found": 4, "answered": 4}
    assert told == []


def test_what_the_browser_gets_tells_nothing_of_the_truth(served):
    study, _, client, _ = served
    token = joined(client, study)
    session = client.get("/session", headers=as_(token))
    page = client.get("/")
    for text in (session.text, page.text):
        for word in (*study.methods, "shuffled", "fake", "vigilance", "noise"):
            assert not re.search(rf"\b{word}\b", text.lower()), word
    keys = {key for trial in session.json["left"] for key in trial}
    assert keys == {"number", "pair", "mirrored", "practice"}
    # What it does get is as often on either side.
    sides = {
        (mirrored, study.fake_side(file, mirrored))
        for file in study.pairs
        for mirrored in (False, True)
    }
    assert len(sides) == 4
    names = [re.fullmatch("[0-9a-f]{16}\\.png", name) for name in study.pairs]
    assert all(names)


def test_a_pair_comes_as_it_was_written_and_may_be_kept(served):
    study, _, client, _ = served
    for name in study.pairs:
        reply = client.get(f"/pairs/{name}")
        assert reply.data == (study.path / "pairs" / name).read_bytes()
        assert reply.mimetype == "image/png"
        assert "max-age" in reply.headers["Cache-Control"]


@pytest.mark.parametrize(
    "path",
    [
        "/pairs/none.png",
        "/pairs/../study.json",
        "/pairs/%2e%2e/study.json",
        "/pairs/..%2fstudy.json",
        "/pairs/",
        "/study.json",
        "/answers.sqlite",
        "/page/../server.py",
        "/page/%2e%2e/design.py",
    ],
)
def test_no_other_file_is_given_out(served, path):
    _, _, client, _ = served
    reply = client.get(path)
    assert reply.status_code == 404
    assert list(reply.json) == ["error"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"3",
        b"\xff\xfe",
        b'{"number": 1' + b" " * 99,
        b"[" * 9000,
        b'{"number": NaN}',
        b'{"number": "1"}',
        b'{"number": [1]}',
        b'{"number": 1e999}',
        b"{}",
    ],
)
def test_what_is_malformed_is_refused_in_one_line(served, body):
    study, _, client, told = served
    token = joined(client, study)
    for path in ("/show", "/answer", "/join"):
        reply = client.post(path, data=body, headers=as_(token))
        assert reply.status_code in (400, 410)
        assert list(reply.json) == ["error"]
        assert "\n" not in told.pop()
        assert told == []
    left = client.get("/session", headers=as_(token)).json["left"]
    assert left[0]["number"] == 1


def test_large_bodies_are_refused(served):
    _, _, client, _ = served
    reply = client.post("/join", data=b"{" + b" " * 20_000)
    assert reply.status_code == 413
    assert list(reply.json) == ["error"]


@pytest.mark.parametrize("given", [False, None, "true", 1, "yes"])
def test_nobody_takes_part_without_consent(served, given):
    study, _, client, _ = served
    reply = client.post("/join", json=consent(study) | {"consent": given})
    assert reply.status_code == 400
    assert "consent" in reply.json["error"]


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (None, 401),
        ("", 401),
        ("Bearer", 401),
        ("Bearer ", 401),
        ("Basic eDp5", 401),
        ("Bearer someone", 403),
        ("Bearer ' OR 1 --", 403),
        ("Bearer " + "x" * 5000, 403),
    ],
)
def test_who_is_nobody_is_refused(served, header, status):
    _, _, client, _ = served
    headers = {} if header is None else {"Authorization": header}
    assert client.get("/session", headers=headers).status_code == status


def test_replayed_and_tampered_answers_change_nothing(served, clock):
    study, answers, client, told = served
    token = joined(client, study)
    client.post("/show", json={"number": 1}, headers=as_(token))
    clock.seconds += 5
    first = answer(1, "left")
    good = client.post("/answer", json=first, headers=as_(token))
    assert good.status_code == 200
    for said in (first, answer(1, "right"), answer(2, "left"), answer(99, "x")):
        reply = client.post("/answer", json=said, headers=as_(token))
        assert reply.status_code in (400, 409)
    assert len(told) == 4
    _, trials = read(study)
    assert trials["chosen"].tolist() == ["left"]


def test_a_page_of_another_study_is_told_so(served):
    study, _, client, _ = served
    for said in ({}, {"study": None}, {"study": "0123456789abcdef"}):
        reply = client.post(
            "/join", json={"consent": True, "vision": "normal"} | said
        )
        assert reply.status_code == 410


def test_times_that_cannot_be_have_a_status_of_their_own(served, clock):
    study, _, client, _ = served
    token = joined(client, study)
    client.post("/show", json={"number": 1}, headers=as_(token))
    clock.seconds += 5
    said = answer(1, "left") | {"shown_ms": 100}
    reply = client.post("/answer", json=said, headers=as_(token))
    assert reply.status_code == 422


def test_a_pair_tells_neither_when_it_was_written_nor_a_tag(served):
    study, _, client, _ = served
    reply = client.get(f"/pairs/{next(iter(study.pairs))}")
    assert not {"ETag", "Last-Modified"} & set(reply.headers.keys())


def test_what_is_told_of_a_request_moves_no_terminal(served):
    _, _, client, told = served
    client.get("/pairs/%1b%5b31mRED%0aopen%20evil" + "x" * 999)
    (line,) = told
    assert line.isprintable()
    assert len(line) < 200


def test_a_base_that_cannot_be_written_is_one_line_and_asked_again(
    served, clock
):
    study, answers, client, told = served
    token = joined(client, study)
    answers._base.execute("PRAGMA query_only = ON")  # as a full disk would
    shown = {"number": 1}
    reply = client.post("/show", json=shown, headers=as_(token))
    assert reply.status_code == 503
    assert len(told) == 1
    assert "\n" not in told[0]
    answers._base.execute("PRAGMA query_only = OFF")
    reply = client.post("/show", json=shown, headers=as_(token))
    assert reply.status_code == 200


def test_the_page_may_load_nothing_from_elsewhere(served):
    _, _, client, _ = served
    reply = client.get("/")
    assert "default-src 'none'" in reply.headers["Content-Security-Policy"]
    assert "http" not in reply.text
    assert reply.headers["Cache-Control"] == "no-store"


def test_in_a_game_every_answer_is_told_and_nothing_is_kept(build, clock):
    study = build()
    client = application(
        study, Answers(study, IN_MEMORY, clock), game=True
    ).test_client()
    token = joined(client, study)
    for trial in client.get("/session", headers=as_(token)).json["left"]:
        assert trial["practice"]
        number = {"number": trial["number"]}
        client.post("/show", json=number, headers=as_(token))
        said = answer(trial["number"], "left") | {"shown_ms": 0}
        found = client.post("/answer", json=said, headers=as_(token)).json
        fake = study.fake_side(trial["pair"], trial["mirrored"])
        assert found == {"found": fake == "left"}
    assert not study.answers.exists()


def test_about_is_told_on_the_first_page_and_is_no_markup(opened):
    study, answers = opened
    about = "Asked by <b>us</b>.\n\nWrite to us."
    app = application(study, answers, about=about)
    page = app.test_client().get("/").text
    assert "<p>Asked by &lt;b&gt;us&lt;/b&gt;.</p>" in page
    assert "<p>Write to us.</p>" in page


# === A real server ===


def test_every_acknowledged_answer_survives_a_kill_amid_fifty_participants(
    build, started
):
    study = build(photos=40, trials=30, vigilance=0.1, seconds=0.05)
    server = started(study)
    acknowledged = []

    def participate(_):
        kept = []
        acknowledged.append(kept)
        try:
            _, reply = server.ask("POST", "/join", consent(study))
            token = reply["token"]
            _, session = server.ask("GET", "/session", token=token)
            for trial in session["left"]:
                number = trial["number"]
                server.ask("POST", "/show", {"number": number}, token)
                said = answer(number, "left")
                said |= {"shown_ms": 50, "reaction_ms": 0}
                status, _ = server.ask("POST", "/answer", said, token)
                if status == 200:
                    kept.append((token, number))
        except (OSError, http.client.HTTPException):
            pass  # the server is gone

    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        running = [pool.submit(participate, n) for n in range(50)]
        until = time.monotonic() + 60
        while sum(map(len, acknowledged)) < 300:
            assert time.monotonic() < until
            time.sleep(0.01)
        server.process.kill()
        for one in running:
            one.result()
    total = sum(map(len, acknowledged))
    assert 300 <= total < 50 * 32

    again = started(study)
    for token, number in (pair for kept in acknowledged for pair in kept):
        status, reply = again.ask(
            "POST", "/answer", answer(number, "left"), token
        )
        assert (status, "is answered already" in reply["error"]) == (409, True)
    _, trials = read(study)
    assert trials["answered"].notna().sum() >= total
    # And who was in the middle goes on.
    token, number = max(acknowledged, key=len)[-1]
    _, session = again.ask("GET", "/session", token=token)
    assert session["left"][0]["number"] > number


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_server_and_says_where_the_answers_are(
    build, started, number
):
    study = build()
    server = started(study)
    assert server.ask("POST", "/join", consent(study))[0] == 200
    server.process.send_signal(number)
    _, told = server.process.communicate(timeout=20)
    assert server.process.returncode == 128 + number
    assert f"answers are in '{study.answers}'" in told
    assert len(told.splitlines()) == 1
    assert len(read(study)[0]) == 1


def test_a_port_that_is_taken_is_told(build):
    study = build()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(
            UserError, match=f"127.0.0.1:{port}.*in use.*--port"
        ):
            serve_study(study.path, port=port)


@pytest.mark.parametrize(
    "address",
    [
        {"host": "not.a.host.invalid"},
        {"port": 70_000},
        {"port": -1},
    ],
)
def test_an_address_that_is_none_is_told(build, address):
    with pytest.raises(UserError, match="cannot listen at|--port"):
        serve_study(build().path, **address)
