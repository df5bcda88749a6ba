"""The command `kcolor-colorize-archive`, as it is called."""

import importlib.util
import subprocess
import sys
import time

import pytest

from kcolor.cli import colorize_archive as command

COMMAND = "from kcolor.cli.colorize_archive import main; main()"


def called(*words, code=COMMAND, **options) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, words)],
        capture_output=True,
        text=True,
        timeout=120,
        **options,
    )


def test_help_waits_neither_for_beam_nor_for_tensorflow():
    code = (
        "import atexit, sys; atexit.register(lambda: print("
        "{'tensorflow', 'keras', 'apache_beam'} & set(sys.modules))); "
    )
    began = time.monotonic()
    done = called("--help", code=code + COMMAND)
    assert time.monotonic() - began < 15
    assert done.returncode == 0
    assert done.stdout.startswith("usage: kcolor-colorize-archive MODEL")
    assert done.stdout.splitlines()[-1] == "set()"


def test_without_beam_a_line_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setattr(
        sys, "argv", ["kcolor-colorize-archive", "a", "b", "-oc"]
    )
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == 2
    assert capsys.readouterr().err == (
        "kcolor-colorize-archive: an archive needs Apache Beam: "
        'pip install "kcolor[beam]", in a clone ".[beam]"\n'
    )


@pytest.mark.skipif(
    importlib.util.find_spec("apache_beam") is None,
    reason='needs pip install "kcolor[beam]"',
)
def test_processes_colour_an_archive_and_only_kcolor_speaks(data, tmp_path):
    import keras

    from kcolor.colorizer import Colorizer
    from kcolor.models.cnn import CNN
    from kcolor.objectives.l2 import L2

    keras.utils.set_random_seed(0)
    model = tmp_path / "l2.keras"
    Colorizer(CNN(head="conv", depth=2), L2(), image_size=16).save(model)
    (tmp_path / "broken.png").write_bytes(b"no")
    done = called(
        *(model, data, tmp_path / "*.png", "-o", tmp_path / "out"),
        "--direct_running_mode=multi_processing",
    )
    first, fault, last = done.stderr.splitlines()
    assert first == "colouring: 13 photos"
    assert fault.startswith(f"'{tmp_path / 'broken.png'}': ")
    assert last.startswith("12 coloured (")
    assert last.endswith("), 1 failed")
    assert done.returncode == 1
    assert done.stdout == ""
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert written == sorted([f"{n}.png" for n in range(12)] + ["failed.csv"])


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["model", "photos"],
        ["model", "photos*", "-o", "out", "--skip-existing", "--overwrite"],
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(words, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["kcolor-colorize-archive", *words])
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
