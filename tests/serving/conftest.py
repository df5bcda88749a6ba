"""Two versions of an export, and a server of both."""

import os

import pytest
from conformance import running
from exports import compose, config_of, exported
from filelock import FileLock


@pytest.fixture(scope="session")
def versions(tmp_path_factory):
    """Two versions that answer differently."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # of all workers: one exports
    with FileLock(folder / "kcolor.lock"):
        if not (folder / "kcolor").exists():
            exported(folder)
    return folder / "kcolor"


@pytest.fixture(scope="session")
def server(versions, tmp_path_factory):
    """A server of both, started as compose.yaml starts it."""
    config = tmp_path_factory.mktemp("config") / "models.config"
    config.write_text(config_of(versions, 1, 2, stable=1, canary=2))
    flags = [flag for flag in compose()["command"] if "_file=" not in flag]
    with running(config, *flags) as started:
        yield started
