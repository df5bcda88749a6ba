"""The command `kcolor-study`."""

import argparse
from pathlib import Path

from kcolor.cli.shell import (
    Parser,
    end_on_sigterm,
    load_tensorflow,
    shell,
)

DESCRIPTION = """A colorization Turing test: people see a photo twice, in the
colours it was taken with and in those that a method gave it, and say which is
which. make writes the pairs, serve shows them to people on a web page, analyse
sums up what they said, play is for yourself."""

EXAMPLES = """examples:
  kcolor-study make runs/one runs/two theirs/ --data photos --out studies/first
  kcolor-study play studies/first
  kcolor-study serve studies/first --host 0.0.0.0
  kcolor-study serve studies/first --game
  kcolor-study analyse studies/first
  kcolor-report runs/one runs/two --study studies/first --out reports/first"""


@shell
def main(argv: list[str]) -> None:
    """Does with a study what the command line says."""
    options = vars(_parser().parse_args(argv))
    options.pop("command")(options)


def _parser() -> Parser:
    parser = Parser(
        prog="kcolor-study",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(
        required=True, metavar="make | serve | analyse | play"
    )
    _add_make(commands)
    _add_serve(commands)
    _add_analyse(commands)
    _add_play(commands)
    return parser


# === make ===


def _add_make(commands) -> None:
    parser = commands.add_parser(
        "make",
        help="write the pairs of a study",
        description="""Writes a study: test photos, each beside itself as every
        method colours it, at random sides and under names that tell nothing,
        and what each participant is asked. Look at DIR/overview.png.""",
    )
    parser.set_defaults(command=_make)
    parser.add_argument(
        "targets",
        nargs="+",
        metavar="METHOD",
        help="Run, folder of runs, .keras file, pretrained, export, folder of "
        "photos that "
        "another tool has coloured, grey or mean.",
    )
    parser.add_argument(
        "--out",
        required=True,
        type=Path,
        metavar="DIR",
        help="Folder to write.",
    )
    parser.add_argument(
        "--data",
        help="Where the photos come from, as for kcolor-train (default: what "
        "the first run was trained on, or demo).",
    )
    parser.add_argument(
        "--all-photos",
        action="store_true",
        help="Draw from the training photos, too: of data that no method was "
        "trained on.",
    )
    parser.add_argument(
        "--photos",
        type=parser.whole_number,
        metavar="N",
        help="How many photos the study draws from (default: 100, or all that "
        "have colour).",
    )
    parser.add_argument(
        "--image-size",
        type=parser.whole_number,
        metavar="SIZE",
        help="Height and width of the photos, in pixels (default: those of the "
        "first model's). In larger ones, colours are brought up along edges.",
    )
    parser.add_argument(
        "--practice",
        type=int,
        default=10,
        metavar="N",
        help="Trials with feedback, which do not count (default: 10).",
    )
    parser.add_argument(
        "--trials",
        type=int,
        default=40,
        metavar="N",
        help="Trials without, vigilance trials among them (default: 40).",
    )
    parser.add_argument(
        "--vigilance",
        type=float,
        default=0.1,
        metavar="SHARE",
        help="Share of the trials that show another photo's colours, to see "
        "who looks (default: 0.1).",
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=1.0,
        help="How long the two photos are shown (default: 1).",
    )
    parser.add_argument(
        "--least-vigilance",
        type=float,
        default=0.75,
        metavar="SHARE",
        help="Who finds a lesser share of the vigilance trials does not count "
        "(default: 0.75).",
    )
    parser.add_argument(
        "--fastest",
        type=float,
        default=200.0,
        metavar="MS",
        help="Answers that took less milliseconds do not count (default: 200).",
    )
    parser.add_argument(
        "--seed",
        type=int,
        help="Of photos, sides and order (default: one that nobody knows; it "
        "is written down).",
    )


def _make(options: dict) -> None:
    load_tensorflow()
    from kcolor.study.make import OVERVIEW, make_study
    from kcolor.terminal import progress, say

    end_on_sigterm("what was made so far is gone: run it again")
    study = make_study(**options, progress=progress)
    design = study.design
    say(
        f"{', '.join(study.methods)}: {len(study.pairs)} pairs; each "
        f"participant: {design.practice} practice and {design.trials} trials, "
        f"{design.vigilance_trials} of them vigilance"
    )
    say(f"look at '{study.path / OVERVIEW}'")
    say(f"let people take it: kcolor-study serve '{study.path}'")


# === serve ===


def _add_serve(commands) -> None:
    parser = commands.add_parser(
        "serve",
        help="show a study to people, on a web page",
        description="""Serves the page of a study. Answers are kept in
        DIR/answers.sqlite as they come; a server that was stopped goes on where
        it was.""",
    )
    parser.set_defaults(command=_serve)
    _add_study(parser)
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="Address to listen at: this machine alone (default), or 0.0.0.0 "
        "for all who can reach it.",
    )
    parser.add_argument(
        "--port",
        type=int,
        default=8000,
        help="Port to listen at, 0 for any (default: 8000).",
    )
    parser.add_argument(
        "--about",
        type=Path,
        metavar="FILE",
        help="Text of the first page: who asks, and whom to ask back.",
    )
    parser.add_argument(
        "--game",
        action="store_true",
        help="Name that fake, for a talk: every answer is told at once, photos "
        "stay until then, and nothing is kept.",
    )


def _serve(options: dict) -> None:
    from kcolor.study.server import serve_study
    from kcolor.terminal import say

    serve_study(options.pop("study"), **options, say=say)


# === analyse ===


def _add_analyse(commands) -> None:
    parser = commands.add_parser(
        "analyse",
        help="sum up what people said",
        description="""Writes what people's answers say: OUT/index.html, a page
        to look at, OUT/results.json, OUT/methods.csv and OUT/photos.csv.""",
    )
    parser.set_defaults(command=_analyse)
    _add_study(parser)
    parser.add_argument(
        "--out",
        type=Path,
        metavar="OUT",
        help="Folder to write (default: DIR/results, which is replaced).",
    )


def _analyse(options: dict) -> None:
    from kcolor.study.analyse import analyse_study
    from kcolor.terminal import say

    say(analyse_study(options["study"], options["out"]))


# === play ===


def _add_play(commands) -> None:
    parser = commands.add_parser(
        "play",
        help="name that fake, in this terminal",
        description="""Shows pairs of a study in the terminal, asks which one
        was recoloured and tells. Nothing is kept. The terminal must know 24-bit
        colours.""",
    )
    parser.set_defaults(command=_play)
    _add_study(parser)
    parser.add_argument(
        "--rounds",
        type=parser.whole_number,
        default=10,
        metavar="N",
        help="How many pairs (default: 10).",
    )


def _play(options: dict) -> None:
    from kcolor.study.play import play

    play(options["study"], options["rounds"])


def _add_study(parser: Parser) -> None:
    parser.add_argument("study", type=Path, metavar="DIR", help="The study.")
