"""The web page of a study, and what it asks its server."""

from __future__ import annotations

import json
import signal
import socket
import sqlite3
from collections.abc import Callable
from pathlib import Path

import flask
from cheroot import wsgi
from werkzeug.exceptions import HTTPException

from kcolor.errors import Interrupted, UserError, first_line
from kcolor.study.answers import (
    OFF,
    OTHER_STUDY,
    SENSELESS,
    Answer,
    Answers,
    Refused,
)
from kcolor.study.design import PRACTICE
from kcolor.study.folder import PAIRS, Study

LARGEST_REQUEST = 10_000  # bytes
LONGEST_PATH = 100  # of what is told of a request
LARGEST_HEADER = 50_000  # bytes
ANSWERING = 3.5  # seconds that a pair takes beside those it is seen
# Each takes a request at a time: as many slow browsers may be on the way.
THREADS = 32
WAITING = 512  # connections that may wait to be taken
IN_MEMORY = ":memory:"
# What the page may load: itself, and nothing from elsewhere.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)


def application(
    study: Study,
    answers: Answers,
    game: bool = False,
    about: str = "",
    say: Callable[[str], None] = lambda line: None,
) -> flask.Flask:
    """Returns the web application of a study.

    Args:
        study: The study.
        answers: Where its answers are kept.
        game: Whether every answer is told at once and photos stay until then.
        about: Who asks, and whom to ask back: paragraphs of the first page.
        say: Is told of every request that is refused, in one line.
    """
    app = flask.Flask(
        __name__,
        template_folder=".",
        static_folder="page",
        static_url_path="/page",
    )
    app.config["MAX_CONTENT_LENGTH"] = LARGEST_REQUEST
    design = study.design

    @app.get("/")
    def page():
        facts = {
            "study": study.id,
            "game": game,
            "practice": 0 if game else design.practice,
            "trials": design.photos if game else design.trials,
            "seconds": design.seconds,
            "off": OFF,
            "size": study.image_size,
        }
        return flask.render_template(
            "page.html",
            facts=facts,
            about=[part for part in about.split("\n\n") if part.strip()],
            minutes=round(design.photos * (design.seconds + ANSWERING) / 60),
        )

    @app.get("/pairs/<name>")
    def pair(name: str):
        if name not in study.pairs:
            raise Refused(404, "no such pair")
        # Without the time it was written, which would tell the method.
        reply = flask.Response(
            (study.path / PAIRS / name).read_bytes(), mimetype="image/png"
        )
        # What a name stands for never changes.
        reply.headers["Cache-Control"] = "private, max-age=86400, immutable"
        return reply

    @app.post("/join")
    def join():
        said = _said()
        if said.get("study") != study.id:
            raise Refused(OTHER_STUDY, "that page is of another study")
        if said.get("consent") is not True:
            raise Refused(SENSELESS, "nobody takes part without consent")
        return {"token": answers.join(said.get("vision"))}

    @app.get("/session")
    def session():
        found = answers.session(_token())
        return {
            "left": [
                {
                    "number": trial["number"],
                    "pair": trial["pair"],
                    "mirrored": bool(trial["mirrored"]),
                    "practice": game or trial["kind"] == PRACTICE,
                }
                for trial in found.left
            ],
            # Only at the end: before, it would tell of the last pair.
            "score": None
            if found.left
            else {"found": found.found, "answered": found.answered},
        }

    @app.post("/show")
    def show():
        answers.show(_token(), _said().get("number"))
        return {}

    @app.post("/answer")
    def answer():
        token, said = _token(), Answer.of(_said())
        found = answers.answer(token, said, timed=not game)
        is_told = game or said.number <= design.practice
        return {"found": found} if is_told else {}

    @app.errorhandler(Refused)
    def refused(error: Refused):
        say(f"refused {_where()}: {error}")
        return {"error": str(error)}, error.status

    @app.errorhandler(OSError)
    @app.errorhandler(sqlite3.Error)
    def unable(error: Exception):
        # A full disk: the page asks again until there is room.
        say(f"cannot answer {_where()}: {error}")
        return {"error": "the server cannot write or read"}, 503

    @app.errorhandler(HTTPException)
    def failed(error: HTTPException):
        return {"error": error.description}, error.code

    @app.after_request
    def guarded(response: flask.Response):
        response.headers["Content-Security-Policy"] = _POLICY
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["X-Content-Type-Options"] = "nosniff"
        if not flask.request.path.startswith("/pairs/"):
            response.headers["Cache-Control"] = "no-store"
        return response

    return app


def serve_study(
    path: str | Path,
    host: str = "127.0.0.1",
    port: int = 8000,
    game: bool = False,
    about: str | Path | None = None,
    say: Callable[[str], None] = print,
) -> None:
    """Serves the page of a study until a signal ends it.

    Args:
        path: The study's folder.
        host: The address to listen at: by default this machine alone; 0.0.0.0
            for all that can reach it.
        port: The port; 0 for any that is free.
        game: Whether to play: each answer is told at once, photos stay until
            then, and nothing is kept.
        about: A text file for the first page, such as who asks and whom to ask
            back.
        say: Is told, line by line, where the page is and what is refused.

    Raises:
        UserError: There is no study, the text cannot be read, or the address
            cannot be listened at.
        Interrupted: By the signal that ended it.
    """
    study, text = Study.open(path), _text(about)
    answers = Answers(study, IN_MEMORY if game else None)
    app = application(study, answers, game, text, say)
    try:
        server = listen(app, host, port)
    except UserError:
        answers.close()
        raise
    say(f"open http://{_named(host)}:{server.bind_addr[1]}/ (Ctrl-C ends)")
    kept = "nothing was kept" if game else f"answers are in '{study.answers}'"

    def end(number, _):
        raise Interrupted(number, kept)

    previous = {
        n: signal.signal(n, end) for n in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        server.serve()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        server.stop()
        answers.close()


def listen(app: flask.Flask, host: str, port: int) -> wsgi.Server:
    """Returns a server that listens, and answers once it is told to `serve`.

    Args:
        app: What it serves.
        host: As in `serve_study`.
        port: As in `serve_study`. What it became is `bind_addr[1]`.

    Raises:
        UserError: The address cannot be listened at.
    """
    if not 0 <= port < 2**16:
        raise UserError(f"--port {port} is not allowed: give 0 to 65535")
    server = wsgi.Server(
        (host, port),
        app,
        numthreads=THREADS,
        request_queue_size=WAITING,
        server_name="kcolor",
    )
    server.max_request_header_size = LARGEST_HEADER
    # What is somewhat too large is refused by the application, in JSON.
    server.max_request_body_size = 100 * LARGEST_REQUEST
    try:
        server.prepare()
    except (OSError, UnicodeError) as error:
        raise UserError(
            f"cannot listen at {host}:{port} ({first_line(error)}): give "
            "another --port or --host"
        ) from error
    return server


def _text(file: str | Path | None) -> str:
    if file is None:
        return ""
    try:
        return Path(file).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"'{file}' is no text in UTF-8") from error


def _where() -> str:
    """Returns what was asked for, in letters that no terminal obeys."""
    path = ascii(flask.request.path)[1:-1]
    return f"{flask.request.method} {path[:LONGEST_PATH]}"


def _said() -> dict:
    """Returns what a browser sent."""
    try:
        said = json.loads(flask.request.get_data())
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        raise Refused(SENSELESS, "what was sent is no JSON object")
    return said


def _token() -> str:
    """Returns who a browser says it speaks for."""
    authorization = flask.request.authorization
    if authorization is None or not authorization.token:
        raise Refused(401, "say who you are: Authorization: Bearer TOKEN")
    return authorization.token


def _named(host: str) -> str:
    """Returns how a browser of this machine calls a host."""
    if host in ("0.0.0.0", "::", ""):
        return socket.gethostname()
    return f"[{host}]" if ":" in host else host
