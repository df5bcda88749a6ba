"""Signals that ask to end."""

import os
import signal

import pytest

from kcolor.errors import Interrupted
from kcolor.signals import Signals

NUMBERS = (signal.SIGINT, signal.SIGTERM)


@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_is_noted_and_interrupts_nothing(number):
    with Signals() as signals:
        assert signals.received == 0
        os.kill(os.getpid(), number)
        assert signals.received == number


def test_a_second_signal_does_what_it_always_does():
    # Started in the background, a process ignores SIGINT from its birth.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with Signals() as signals:
        os.kill(os.getpid(), signal.SIGINT)
        assert signals.received == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("interrupted", [False, True])
def test_signals_have_their_old_handlers_after_it(interrupted):
    before = [signal.getsignal(number) for number in NUMBERS]
    with Signals():
        assert [signal.getsignal(number) for number in NUMBERS] != before
        if interrupted:
            os.kill(os.getpid(), signal.SIGTERM)
    assert [signal.getsignal(number) for number in NUMBERS] == before


def test_an_interruption_is_no_error_of_the_code_it_comes_up_in():
    import tensorflow as tf

    @tf.function
    def traced():
        raise Interrupted(signal.SIGTERM, "run it again")

    with pytest.raises(Interrupted, match="SIGTERM: run it again"):
        traced()
