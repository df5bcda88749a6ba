"""Signals that ask to end, noted until there is time for them."""

import signal
import threading


class Signals:
    """Notes SIGINT and SIGTERM while what takes long is in its `with` block.

    It looks at `received` between steps. A second signal does what it always
    does.
    """

    def __init__(self):
        self.received = 0
        self._previous = {}

    def __enter__(self):
        if threading.current_thread() is not threading.main_thread():
            return self  # signals are for the main one
        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_):
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}

    def _note(self, number, _):
        self.received = number
        self.__exit__()
