"""A process of Beam's on this machine, without its notes on the terminal.

What it logs goes to the process that started it, which shows the errors.
"""

import logging
import signal
import sys

from kcolor.cli.shell import load_tensorflow

if __name__ == "__main__":
    # Ctrl-C is for the process that started it, which then ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Were there no handler, the first warning would bring one that prints.
    logging.getLogger().addHandler(logging.NullHandler())
    load_tensorflow()
    from apache_beam.runners.worker import sdk_worker_main

    sdk_worker_main.main(sys.argv)
