"""What the demo takes from whoever opens its page, and where it may listen."""
import ipaddress
import socket
from collections.abc import Iterable
from dataclasses import dataclass

from mmpartref.apis.photo_reading import MAX_SIDE


@dataclass(frozen=True)
class Limits:
    """Limits of one request, and of how many may wait.

    Attributes:
        max_pixels: a photo with more is refused before it is decoded.
        max_bytes: size of the photo's file.
        max_expressions, max_characters: how many expressions at once, and how long each may be.
        max_waiting: requests in the queue, beyond which new ones are refused; one is answered at a time.
    """
    max_pixels: int = 25_000_000
    max_bytes: int = 20 * 2**20
    max_expressions: int = 16
    max_characters: int = 200
    max_waiting: int = 16

    def __post_init__(self) -> None:
        if not 0 < self.max_pixels <= MAX_SIDE**2:
            raise ValueError(f'--max-pixels {self.max_pixels} should be from 1 to {MAX_SIDE**2:,}')


def expressions_of(text: str, chosen: Iterable[str], limits: Limits) -> list[str]:
    """Return what is asked: the chosen part names, then one expression per line that is not blank, each once.

    Raises:
        ValueError: there is none, there are too many, or one is too long.
    """
    lines = [line.strip() for line in text.splitlines()]
    asked = list(dict.fromkeys([*chosen, *(line for line in lines if line)]))
    if not asked:
        raise ValueError('Nothing is asked: type an expression, e.g. "car tire", or choose a part name.')
    if len(asked) > limits.max_expressions:
        raise ValueError(f'{len(asked)} expressions are more than the {limits.max_expressions} that are answered at '
                         'once; leave some out.')
    for each in asked:
        if len(each) > limits.max_characters:
            raise ValueError(f'The expression "{each[:30]}..." has {len(each)} characters, more than the '
                             f'{limits.max_characters} allowed; make it shorter.')
    return asked


def check_host(host: str, allow_remote: bool) -> None:
    """Refuse an address that other machines reach, unless it is allowed.

    Raises:
        ValueError: it is no address of this machine's own, and ``allow_remote`` is false.
    """
    try:
        own = ipaddress.ip_address(host).is_loopback
    except ValueError:
        own = host == 'localhost'
    if not own and not allow_remote:
        raise ValueError(f'--host {host} would let other machines use the model and this one without a password; add '
                         '--allow-remote if that is meant, or leave --host out for 127.0.0.1')


def check_port(host: str, port: int) -> None:
    """Refuse a port that does not exist or cannot be listened on, before a model is trained or loaded for it.

    Raises:
        ValueError: it is so.
    """
    if not 0 < port < 65536:
        raise ValueError(f'--port {port} should be from 1 to 65535')
    family = socket.AF_INET6 if ':' in host else socket.AF_INET
    with socket.socket(family) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port))
        except OSError as error:
            raise ValueError(f'cannot listen on --host {host} --port {port}: {error.strerror}; give another') from None
