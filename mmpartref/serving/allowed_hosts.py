"""Who may send requests: the address to listen on, the host names it is opened by, and the origin of a request."""
import argparse
import ipaddress
import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from mmpartref.arguments import text_argument
from mmpartref.errors import InputError
from mmpartref.serving.exchange import RequestError, header
from mmpartref.serving.http_server import listen

SAME_SITE = (b'same-origin', b'none')
FOREIGN = 'Requests from other pages are rejected: open the page at its own address.'


def add_address_arguments(parser: argparse.ArgumentParser, port: int, allow_remote: str, allowed_host: str) -> None:
    """Add --host, --port, --allow-remote and --allowed-host.

    Args:
        parser: of the program.
        port: the default one.
        allow_remote, allowed_host: help of these options.
    """
    parser.add_argument('--host', type=text_argument, default='127.0.0.1',
                        help='address to listen on; other than local ones need --allow-remote')
    parser.add_argument('--port', type=int, default=port, help='port to listen on')
    parser.add_argument('--allow-remote', action='store_true', help=allow_remote)
    parser.add_argument('--allowed-host', type=text_argument, action='append', default=[], metavar='NAME',
                        help=f'with --allow-remote: {allowed_host}; may be repeated')


def check_address(args: argparse.Namespace) -> list[str]:
    """Check the options of ``add_address_arguments``, and return the host names of ``allowed_hosts``.

    Raises:
        InputError: the address or a name is not allowed, or the port cannot be listened on.
    """
    check_host(args.host, args.allow_remote)
    hosts = allowed_hosts(args.host, args.allowed_host, args.allow_remote)
    listen(args.host, args.port).close()
    return hosts


def check_host(host: str, allow_remote: bool) -> None:
    """Check that only this machine can reach an address, unless ``allow_remote`` is true.

    Raises:
        InputError: other machines can reach it.
    """
    try:
        own = ipaddress.ip_address(host).is_loopback
    except ValueError:
        own = host == 'localhost'
    if not own and not allow_remote:
        raise InputError(f'--host {host} would let other machines use this one without a password; add --allow-remote '
                         'to allow that, or remove --host for 127.0.0.1')


def allowed_hosts(host: str, names: Sequence[str] = (), allow_remote: bool = False) -> list[str]:
    """Return the host names by which a browser may open the page: those of this machine, ``host`` and ``names``.

    Requests with another ``Host`` header are rejected, as a foreign page can make its own name resolve to this machine
    (DNS rebinding).

    Raises:
        InputError: a name is not a host name, or ``names`` are given without ``allow_remote``.
    """
    if names and not allow_remote:
        raise InputError('--allowed-host is for other machines; add --allow-remote to let them use the page')
    for name in names:
        if not re.fullmatch(r'(\*\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*|\[?[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*\]?', name):
            raise InputError(f'--allowed-host {name!r} must be a host name or an address without http:// and port, '
                             ' e.g. gpu1.example.org or *.example.org')
    others = [each for each in (host, *names) if each not in ('0.0.0.0', '::')]
    others = [f'[{each}]' if ':' in each and not each.startswith('[') else each for each in others]
    return list(dict.fromkeys(['localhost', '127.0.0.1', '[::1]', *others]))


def check_origin(headers: list[tuple[bytes, bytes]], method: str) -> None:
    """Reject a request that a page of another origin sends from a browser; programs send no origin.

    Raises:
        RequestError: the origin is another one.
    """
    origin, site = header(headers, b'origin'), header(headers, b'sec-fetch-site')
    host = (header(headers, b'host') or b'').decode('latin-1')
    if origin is not None:
        try:
            parts = urlsplit(origin.decode('latin-1'))
            port = {'http': ':80', 'https': ':443'}[parts.scheme]
            own = parts.netloc.lower().removesuffix(port) == host.lower().removesuffix(port)
        except (KeyError, ValueError):
            own = False
        if not own:
            raise RequestError(403, FOREIGN)
    if method not in ('GET', 'HEAD') and site is not None and site.lower() not in SAME_SITE:
        raise RequestError(403, FOREIGN)
