"""What the demo takes from whoever opens its page, and where it may listen."""
import ipaddress
import re
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mmpartref.errors import InputError
from mmpartref.images.read_image import MAX_SIDE

# Megabytes that a request takes in addition to the model, rounded up from what docs/demo.md measures: per megapixel
# of the image, per megapixel and expression, and per expression (its two pictures on the page).
PER_MEGAPIXEL, PER_MEGAPIXEL_EXPRESSION, PER_EXPRESSION = 35, 1, 12


@dataclass(frozen=True)
class Limits:
    """Limits of one request, and of how many may wait.

    Attributes:
        max_pixels: a photo with more is refused before it is decoded.
        max_bytes: size of the photo's file.
        max_expressions, max_characters: how many expressions at once, and how long each may be.
        max_waiting: requests in the queue, beyond which new ones are refused; one is answered at a time.
        max_stored: bytes of all uploads and results at a time; the oldest are deleted to make room for an upload.
        max_json: bytes of any other request.
    """
    max_pixels: int = 25_000_000
    max_bytes: int = 20 * 2**20
    max_expressions: int = 16
    max_characters: int = 200
    max_waiting: int = 16
    max_stored: int = 2 * 2**30
    max_json: int = 256 * 2**10

    def __post_init__(self) -> None:
        if not 0 < self.max_pixels <= MAX_SIDE**2:
            raise InputError(f'--max-pixels {self.max_pixels} should be from 1 to {MAX_SIDE**2:,}')

    @property
    def max_upload(self) -> int:
        """Bytes of an upload request: all its files, and what the form adds to them."""
        return self.max_bytes + 64 * 2**10


def expressions_of(text: str, chosen: Iterable[str], limits: Limits) -> list[str]:
    """Return what is asked: the chosen part names, then one expression per line that is not blank, each once.

    Raises:
        ValueError: there is none, there are too many, or one is too long.
    """
    lines = [line.strip() for line in text.splitlines()]
    asked = list(dict.fromkeys([*chosen, *(line for line in lines if line)]))
    if not asked:
        raise InputError('Nothing is asked: type an expression, e.g. "car tire", or choose a part name.')
    if len(asked) > limits.max_expressions:
        raise InputError(f'{len(asked)} expressions are more than the {limits.max_expressions} that are answered at '
                         'once; leave some out.')
    for each in asked:
        if len(each) > limits.max_characters:
            raise InputError(f'The expression "{each[:30]}..." has {len(each)} characters, more than the '
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
        raise InputError(f'--host {host} would let other machines use the model and this one without a password; add '
                         '--allow-remote if that is meant, or leave --host out for 127.0.0.1')


def check_port(host: str, port: int) -> None:
    """Refuse a port that does not exist or cannot be listened on, before a model is trained or loaded for it.

    Raises:
        ValueError: it is so.
    """
    if not 0 < port < 65536:
        raise InputError(f'--port {port} should be from 1 to 65535')
    family = socket.AF_INET6 if ':' in host else socket.AF_INET
    with socket.socket(family) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port))
        except OSError as error:
            raise InputError(f'cannot listen on --host {host} --port {port}: {error.strerror}; give another') from None


def allowed_hosts(host: str, names: Sequence[str] = (), allow_remote: bool = False) -> list[str]:
    """Return the names under which a browser may open the page: this machine's own, ``host`` and ``names``.

    Any other name in a request's ``Host`` header is rejected: a foreign page can have its own name lead here (DNS
    rebinding).

    Raises:
        ValueError: a name is not a host name, or ``names`` are given without ``allow_remote``.
    """
    if names and not allow_remote:
        raise InputError('--allowed-host is for other machines; add --allow-remote if they may use the page')
    for name in names:
        if not re.fullmatch(r'(\*\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*|\[?[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*\]?', name):
            raise InputError(f'--allowed-host {name!r} should be a host name or an address alone, without http:// and '
                             'port, e.g. gpu1.example.org or *.example.org')
    given = [each for each in (host, *names) if each not in ('0.0.0.0', '::')]
    literal = [f'[{each}]' if ':' in each and not each.startswith('[') else each for each in given]
    return list(dict.fromkeys(['localhost', '127.0.0.1', '[::1]', *literal]))


def memory_needed(limits: Limits) -> float:
    """Return the gigabytes that the largest request takes in addition to the model."""
    megapixels, expressions = limits.max_pixels / 1e6, limits.max_expressions
    each = PER_MEGAPIXEL_EXPRESSION * megapixels + PER_EXPRESSION
    return (PER_MEGAPIXEL * megapixels + each * expressions) / 1000


def memory_notice(limits: Limits) -> str:
    """Return a sentence for the page."""
    return (f'One request takes up to {memory_needed(limits):.1f} GB of memory in addition to the model: '
            f'{PER_MEGAPIXEL} MB per megapixel of the image, and for each expression {PER_EXPRESSION} MB and '
            f'{PER_MEGAPIXEL_EXPRESSION} MB per megapixel. One request runs at a time.')
