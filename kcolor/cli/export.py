"""The command `kcolor-export`."""

from pathlib import Path

from kcolor.cli.shell import (
    Parser,
    end_on_sigterm,
    load_tensorflow,
    shell,
)

DESCRIPTION = """Exports a run for programs that know neither kcolor nor Keras:
a SavedModel in the folder of its version, as TF Serving takes it, and TFLite
models of float32, of float16 weights and of int8. Each is loaded in a process
of its own and compared with the model on real photos; one that is too far from
it is not published, and the exit code is 2. What was found is printed and kept
in DIR/NAME/NAME-VERSION.json."""


@shell
def main(argv: list[str]) -> None:
    """Exports what the command line names."""
    parser = Parser(prog="kcolor-export", description=DESCRIPTION)
    parser.add_argument(
        "run", metavar="RUN", help="Run, .keras file, or pretrained."
    )
    parser.add_argument(
        "--out",
        required=True,
        type=Path,
        metavar="DIR",
        help="Folder of the exports: DIR/NAME/1, DIR/NAME/NAME-1.tflite, ...",
    )
    parser.add_argument(
        "--format",
        nargs="+",
        dest="formats",
        metavar="FORMAT",
        help="savedmodel, tflite, tflite-float16, tflite-int8 (default: all).",
    )
    parser.add_argument(
        "--name", help="What to call the model (default: as the run)."
    )
    parser.add_argument(
        "--data",
        help="Photos that int8 is calibrated on, and all are compared on, as "
        "for kcolor-train (default: those of the run, or demo).",
    )
    parser.add_argument(
        "--megapixels",
        type=parser.whole_number,
        default=50,
        metavar="N",
        help="Larger photos are refused by a server (default: 50).",
    )
    options = vars(parser.parse_args(argv))
    load_tensorflow()
    from kcolor.serving.export import FORMATS, export
    from kcolor.terminal import say

    end_on_sigterm("what was not finished is gone: run it again")
    export(**options | {"formats": options["formats"] or FORMATS}, say=say)
