"""Processes of their own: what benchmarks share."""

import multiprocessing
from collections.abc import Callable


def in_own_process(function: Callable, *args):
    """Returns what a function does, in a process whose memory is free after."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, args)
