"""One HTTP request and its reply: limits of size and error replies."""
import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

try:
    from starlette.formparsers import MultiPartException
except ImportError:  # of the extras `demo` and `label-studio`; the programs that serve say so

    class MultiPartException(Exception):  # type: ignore[no-redef]
        """Stands in for Starlette's where nothing can be served."""

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Message, Receive, Send], Awaitable[None]]

# Of a body that is read before the app gets it.
BODY_SECONDS = 60.0
# Limits for reading the rest of a rejected request: bytes, seconds, seconds without data.
DRAIN_BYTES, DRAIN_SECONDS, DRAIN_PAUSE = 2**28, 10.0, 1.0


class RequestError(Exception):
    """A request that is rejected.

    Attributes:
        status: HTTP status, 400 to 599.
        sentence: message for the client.
    """

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status, self.sentence = status, sentence


class Exchange:
    """One request and its reply: counts the bytes received, and removes headers for other origins from the reply.

    Attributes:
        scope: the ASGI scope.
        reply_given: a reply other than a server error has begun.
    """

    def __init__(self, scope: Message, receive: Receive, send: Send) -> None:
        self.scope, self._receive, self._send = scope, receive, send
        self._limit: int | None = None
        self._taken = 0
        self._rejection: RequestError | None = None
        self._status = 0
        self._rejected = self._finished = False
        self._more = True

    @property
    def reply_given(self) -> bool:
        return self._rejected or 0 < self._status < 500

    def set_limit(self, limit: int) -> None:
        """Limit the request to ``limit`` bytes, by its header content-length and as they are counted.

        Raises:
            RequestError: the header is larger, or not a number.
        """
        self._limit = limit
        length = header(self.scope['headers'], b'content-length') or b'0'
        if not re.fullmatch(rb'\d{1,18}', length):
            raise RequestError(400, 'The header content-length must be a number of bytes.')
        if int(length) > limit:
            raise too_long(limit)

    async def receive(self) -> Message:
        """Return the next part of the request.

        Raises:
            MultiPartException: there are too many bytes, or the client disconnected. On this error Starlette deletes
                the stored part of an upload.
        """
        message = await self._receive()
        self._more = message.get('more_body', False)
        if self._limit is None:
            return message
        self._taken += len(message.get('body') or b'')
        if self._taken > self._limit:
            self._rejection = too_long(self._limit)
        elif message['type'] != 'http.request':
            self._rejection = RequestError(400, 'The request ended early.')
        if self._rejection:
            raise MultiPartException(self._rejection.sentence)
        if not message.get('more_body'):
            self._limit = None  # only the disconnection follows
        return message

    async def body(self) -> bytes:
        """Return the whole body of the request.

        Raises:
            RequestError: it is too long or too slow, or the client disconnected.
        """
        body, end = bytearray(), time.monotonic() + BODY_SECONDS
        try:
            while self._limit is not None:
                part = await asyncio.wait_for(self.receive(), max(0, end - time.monotonic()))
                body += part.get('body') or b''
        except asyncio.TimeoutError:
            raise RequestError(408, f'The request was not complete after {BODY_SECONDS:.0f} seconds.') from None
        except MultiPartException:
            raise self._rejection or RequestError(400, 'The request cannot be read.') from None
        return bytes(body)

    def replace_body(self, body: bytes) -> None:
        """Replace the body by other JSON."""
        ours = (b'content-length', b'content-type')
        headers = [each for each in self.scope['headers'] if each[0].lower() not in ours]
        headers += [(b'content-type', b'application/json'), (b'content-length', str(len(body)).encode())]
        self.scope = {**self.scope, 'headers': headers}
        later, parts = self._receive, [{'type': 'http.request', 'body': body, 'more_body': False}]

        async def receive() -> Message:
            return parts.pop() if parts else await later()

        self._receive = receive

    def error_in_place(self, status: int) -> RequestError | None:
        """Return the error to send in place of a reply of the app with this status; None to send the reply."""
        return None

    async def send(self, message: Message) -> None:
        """Send the app's reply, or an error message in place of a reply without one."""
        if message['type'] == 'http.response.start':
            self._status = message['status']
            message['headers'] = [(name, value) for name, value in message.get('headers', ())
                                  if not name.lower().startswith(b'access-control-')]
            if rejection := self._rejection or self.error_in_place(self._status):
                await self._send_error(rejection)
        if not self._rejected:
            self._finished = message['type'] == 'http.response.body' and not message.get('more_body')
            await self._send(message)

    async def reject(self, error: RequestError) -> None:
        """Send an error, unless a reply has begun."""
        if not self._status:
            await self._send_error(error)

    async def finish(self) -> None:
        """End a reply that the app did not end."""
        if not self._finished and not self._rejected:
            await self._send({'type': 'http.response.body', 'body': b''})

    async def _drain(self) -> None:
        """Read the rest of the request and drop it, as a client that still sends would not read the reply."""
        end, taken, more = time.monotonic() + DRAIN_SECONDS, 0, self._more
        while more and taken < DRAIN_BYTES and (left := end - time.monotonic()) > 0:
            try:
                message = await asyncio.wait_for(self._receive(), min(left, DRAIN_PAUSE))
            except asyncio.TimeoutError:
                break
            taken += len(message.get('body') or b'')
            more = message.get('more_body', False)
        self._more = False

    async def _send_error(self, error: RequestError) -> None:
        self._rejected = True
        await self._drain()
        content = json.dumps({'detail': error.sentence}).encode()
        headers = [(b'content-type', b'application/json'), (b'content-length', str(len(content)).encode()),
                   (b'connection', b'close')]
        await self._send({'type': 'http.response.start', 'status': error.status, 'headers': headers})
        await self._send({'type': 'http.response.body', 'body': content})


def header(headers: list[tuple[bytes, bytes]], name: bytes) -> bytes | None:
    """Return the value of a header, or None.

    Raises:
        RequestError: it occurs more than once.
    """
    values = [value for each, value in headers if each.lower() == name]
    if len(values) > 1:
        raise RequestError(400, f'The header {name.decode()} may occur only once.')
    return values[0] if values else None


def too_long(limit: int) -> RequestError:
    return RequestError(413, f'The request is longer than the limit of {limit:,} bytes; send less.')
