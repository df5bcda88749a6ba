"""A worker: does trials, one after another, for as long as there are any.

Started by a search on its own machine as `python -m kcolor.searching.worker DIR
PID`, its own process; on others `kcolor-search` becomes one where keras-tuner's
environment variables say so.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from pathlib import Path

from kcolor.errors import Interrupted, UserError
from kcolor.searching import space as spaces

BEAT_SECONDS = 2.0  # between signs of life
CHIEF = "chief"
SPACE = "space.yaml"  # in the folder of a search
WORKERS = "workers"  # there, too: signs of life, and logs


def is_worker() -> bool:
    """Whether the environment says that a chief elsewhere gives the trials.

    Raises:
        UserError: It says only half of it.
    """
    names = [f"KERASTUNER_{what}" for what in ("ORACLE_IP", "ORACLE_PORT")]
    own = "KERASTUNER_TUNER_ID"
    given = [name for name in (*names, own) if os.environ.get(name)]
    if not given:
        return False
    for name in (*names, own):
        if name not in given:
            raise UserError(f"{given[0]} is set but {name} is not: set it, too")
    return CHIEF not in os.environ[own]  # as keras-tuner tells them apart


def work(folder: Path, parent: int | None = None) -> None:
    """Does trials of a search until its chief has no more.

    Args:
        folder: The search's.
        parent: The process without which this one is to end, too.

    Raises:
        UserError: The folder is no search's, or nothing can be written there.
        Interrupted: SIGINT or SIGTERM while training; the checkpoint is
            written.
    """
    import grpc
    from keras_tuner.errors import FatalError

    from kcolor.searching.trials import Stopped, Trials

    space = folder / SPACE
    if not space.exists():
        raise UserError(
            f"'{folder}' holds no search: start its chief first, with the same "
            "--out on a disk that all machines share"
        )
    name = os.environ["KERASTUNER_TUNER_ID"]
    threading.Thread(
        target=_beat, args=(folder / WORKERS / name, parent), daemon=True
    ).start()
    try:
        Trials(spaces.read_space(space), folder).search()
    except Stopped as stopped:
        raise Interrupted(
            stopped.__cause__.number,
            "the checkpoint is written, the search goes on with it",
        ) from None
    except grpc.RpcError as error:
        raise UserError(
            f"the chief no longer answers ({error.code().name}): start it, "
            "then this again"
        ) from error
    except FatalError as error:
        raise UserError(f"{error}: make room, then start it again") from error


def _beat(file: Path, parent: int | None) -> None:
    """Shows that this process is alive, for as long as its parent is."""
    while parent in (None, os.getppid()):
        with contextlib.suppress(OSError):
            file.touch()
        time.sleep(BEAT_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    from kcolor.cli.shell import load_tensorflow, shell

    @shell
    def main(argv: list[str]) -> None:
        """Works for the search in a folder, for as long as a process lives."""
        folder, parent = argv
        load_tensorflow()
        work(Path(folder), int(parent))

    main()
