"""Keras and TensorFlow, imported when they are first used.

Settings of architectures and objectives become flags of the commands, so their
files are read for `--help`, which must not wait for TensorFlow to load.
"""

import importlib
import sys
import threading

from kcolor.quiet import quietly

_lock = threading.RLock()


class _Late:
    def __init__(self, module: str):
        self._module = module

    def __getattr__(self, name: str):
        with _lock:  # or another thread's silence would become ours
            if self._module not in sys.modules:
                with quietly():
                    importlib.import_module(self._module)
        return getattr(importlib.import_module(self._module), name)


keras = _Late("keras")
tf = _Late("tensorflow")
