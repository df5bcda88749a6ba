"""The cluster that TF_CONFIG describes, and its workers' first meeting."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Sequence

from kcolor.errors import UserError, first_line

VARIABLE = "TF_CONFIG"  # that TensorFlow, too, looks at
KINDS = ("chief", "worker")  # of machines that train
PAUSE = 0.5  # seconds before another worker is called again


def place() -> tuple[tuple[str, ...], int] | None:
    """Returns all workers' addresses and which this is; None if alone.

    Raises:
        UserError: The variable is malformed, or this worker is not in it.
    """
    text = os.environ.get(VARIABLE, "").strip()
    if not text:
        return None
    try:
        config = json.loads(text)
        cluster, task = config["cluster"], config["task"]
        kind, index = task["type"], task["index"]
        if type(index) is not int or not all(
            isinstance(found, list) for found in cluster.values()
        ):
            raise TypeError(
                "a list of addresses, or an index, is something else"
            )
        hosts = {
            name: [str(host) for host in cluster[name]] for name in cluster
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{VARIABLE} is malformed ({_fault(error)}): give "
            '{"cluster": {"worker": ["HOST:PORT", ...]}, '
            '"task": {"type": "worker", "index": 0}}'
        ) from error
    if kind not in KINDS or not 0 <= index < len(hosts.get(kind, ())):
        raise UserError(
            f"{VARIABLE}: there is no {kind} {index} that trains: the cluster "
            f"has {_told(hosts)}"
        )
    unknown = set(hosts) - set(KINDS)
    if unknown:
        raise UserError(
            f"{VARIABLE}: '{min(unknown)}' takes no part in this training: "
            f"leave it out of the cluster"
        )
    chiefs = hosts.get("chief", [])
    addresses = (*chiefs, *hosts.get("worker", []))
    worker = index + (len(chiefs) if kind == "worker" else 0)
    return None if len(addresses) == 1 else (addresses, worker)


def meet(addresses: Sequence[str], worker: int) -> None:
    """Waits until all workers have been at their addresses.

    TensorFlow, too, waits for them, but deaf to signals.

    Args:
        addresses: Of all workers, "HOST:PORT".
        worker: Which of them this is.

    Raises:
        UserError: An address is malformed, or this worker's port is in use.
    """
    places = []
    for address in addresses:
        host, _, port = address.rpartition(":")
        if not host or not port.isdecimal():
            raise UserError(
                f"{VARIABLE}: '{address}' is no address: give HOST:PORT"
            )
        places.append((host.strip("[]"), int(port)))
    port = places[worker][1]
    is_dual = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if is_dual else socket.AF_INET
    try:
        server = socket.create_server(
            ("", port), family=family, dualstack_ipv6=is_dual
        )
    except (OSError, OverflowError) as error:
        raise UserError(
            f"{VARIABLE}: port {port} cannot be listened at "
            f"({getattr(error, 'strerror', None) or error}): end what uses it, "
            "or give another"
        ) from error
    with server:
        for number, place in enumerate(places):
            while number != worker and not _answers(place):
                time.sleep(PAUSE)


def _answers(place: tuple[str, int]) -> bool:
    try:
        socket.create_connection(place, timeout=5).close()
    except OSError:
        return False
    return True


def _fault(error: Exception) -> str:
    """Returns what is wrong with a text that should describe a cluster."""
    if isinstance(error, KeyError):
        return f"{error} is missing"
    if isinstance(error, AttributeError):
        return "it is no object"
    return first_line(error)


def _told(hosts: dict[str, list[str]]) -> str:
    """Returns the numbers of all tasks that train, in words."""
    told = [
        f"{kind} {', '.join(map(str, range(len(hosts[kind]))))}"
        for kind in KINDS
        if hosts.get(kind)
    ]
    return " and ".join(told) or f"no {' or '.join(KINDS)}"
