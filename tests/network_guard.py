"""Tests talk to this machine alone.

``tests/conftest.py`` loads this file once: from then on a connection to another machine, or a look-up of its name, is
blocked in this process and noted, and the test during which it happened fails even where the code handles the error.
"""
import ipaddress
import socket
from collections.abc import Callable
from typing import Any

import pytest

ATTEMPTS: list[str] = []


def is_here(host: Any) -> bool:
    """Return whether a host is this machine: a loopback address, ``localhost``, or None (any local address)."""
    if isinstance(host, bytes):
        host = host.decode()
    if host in (None, '', 'localhost', socket.gethostname()):
        return True
    try:
        address = ipaddress.ip_address(host.split('%')[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def block(what: str) -> None:
    ATTEMPTS.append(what)
    raise OSError(f'tests have no network: {what}')


def connecting(connect: Callable) -> Callable:

    def guarded(self: socket.socket, address: Any) -> Any:
        if self.family in (socket.AF_INET, socket.AF_INET6) and not is_here(address[0]):
            block(f'a connection to {address[0]}')
        return connect(self, address)

    return guarded


def looking_up(find: Callable) -> Callable:

    def guarded(host: Any, *args: Any, **kwargs: Any) -> Any:
        if not is_here(host):
            block(f'the address of {host!r}')
        return find(host, *args, **kwargs)

    return guarded


def shut() -> None:
    """Block connections from now on; one call is enough."""
    if socket.getaddrinfo.__module__ != __name__:
        for name in ('connect', 'connect_ex'):
            setattr(socket.socket, name, connecting(getattr(socket.socket, name)))
        socket.getaddrinfo = looking_up(socket.getaddrinfo)


@pytest.fixture(autouse=True)
def no_network():
    """Fail a test during which something reached for another machine."""
    ATTEMPTS.clear()
    yield
    assert not ATTEMPTS, f'reached for the network: {ATTEMPTS}'
