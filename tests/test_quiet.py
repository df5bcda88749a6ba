"""Tests for `kcolor.quiet`."""

import os
import sys

import pytest

from kcolor.quiet import quietly


def test_what_native_code_writes_is_shown_only_if_the_block_fails(capfd):
    with quietly():
        os.write(2, b"note\n")
    assert capfd.readouterr().err == ""

    def fail():
        os.write(2, b"note\n")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), quietly():
        fail()
    assert capfd.readouterr().err == "note\n"


def test_a_closed_stderr_is_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    with quietly():
        assert sys.stderr is None
