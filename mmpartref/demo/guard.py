"""Check route, origin, size and content of each request before Gradio gets it."""
import asyncio
import json
import logging
import re

from mmpartref.demo.limits import Limits
from mmpartref.demo.requests import Functions
from mmpartref.demo.uploads import files_in_folder, make_room, uploaded_file
from mmpartref.serving.allowed_hosts import check_origin
from mmpartref.serving.exchange import App, Exchange, Message, Receive, RequestError, Send, header

LOGGER = logging.getLogger(__name__)
API = '/gradio_api'
UPLOAD, FILE, JOIN = f'{API}/upload', f'{API}/file=', f'{API}/queue/join'
CALL = re.compile(rf'{API}/call/(\w+)')
# Routes that the page and Gradio's Python client read. All others are closed: calls that bypass the queue (/run, /api),
# functions of components, proxies, recordings, the editor, histories, logins.
READABLE = re.compile(
    rf'/|/config|/theme\.css|/favicon\.ico|/robots\.txt|/manifest\.json|/(static|assets)/[^\\]*|'
    rf'{API}/(info|startup-events|theme\.css|queue/data|queue/status|upload_progress|heartbeat/[\w-]+|'
    rf'call/\w+/[\w-]+|file=.*)')
# The only headers that Gradio gets; it reads others (forwarded hosts, ranges, pages), some without a check.
HEADERS = (b'host', b'user-agent', b'accept', b'accept-encoding', b'content-type', b'content-length', b'if-none-match',
           b'if-modified-since')
WITH_QUERY = (UPLOAD, f'{API}/queue/data', f'{API}/upload_progress')
CLOSED = 'The page has no such address.'
BROKEN_UPLOAD = 'The upload cannot be read: send multipart/form-data with one image in the field "files".'


class GradioExchange(Exchange):
    """One request to Gradio and its reply."""

    def drop_unknown(self) -> None:
        """Remove the headers and the query that Gradio does not need."""
        self.scope = {**self.scope, 'headers': [each for each in self.scope['headers'] if each[0].lower() in HEADERS]}
        if self.scope['path'] not in WITH_QUERY:
            self.scope['query_string'] = b''

    def error_in_place(self, status: int) -> RequestError | None:
        """Return a sentence in place of Gradio's errors of a wrong request."""
        if status == 422:
            return RequestError(422, 'A value that this address needs is missing or of the wrong type.')
        if status == 500 and self.scope['path'] == UPLOAD:
            return RequestError(400, BROKEN_UPLOAD)
        return None


class RequestGuard:
    """ASGI middleware that accepts only the requests that the page needs, within their limits.

    Args:
        app: Gradio's app.
        functions: the page's functions and their arguments.
        limits: limits of sizes.
    """

    def __init__(self, app: App, functions: Functions, limits: Limits) -> None:
        self.app, self.functions, self.limits = app, functions, limits
        self.examples = files_in_folder()  # copied by Gradio when the page was built
        self.uploading = 0  # bytes that running uploads may still store

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope['type'] == 'lifespan':
            await self.app(scope, receive, send)
        elif scope['type'] == 'http':
            await self.http(scope, receive, send)
        else:
            await send({'type': 'websocket.close', 'code': 1008})

    async def http(self, scope: Message, receive: Receive, send: Send) -> None:
        """Process one request; reply to a rejected one with an error as JSON."""
        exchange = GradioExchange(scope, receive, send)
        reserved = self.size_of_upload(scope)
        self.uploading += reserved
        try:
            await self.check(exchange)
            await self.app(exchange.scope, exchange.receive, exchange.send)
        except RequestError as error:
            await exchange.reject(error)
        except Exception as error:
            if not exchange.reply_given:
                raise
            # Gradio ends a stream of events by an error if the session is unknown, after its reply to the client.
            LOGGER.debug('%s ended by %s', scope['path'], type(error).__name__)
            await exchange.finish()
        finally:
            self.uploading -= reserved

    def size_of_upload(self, scope: Message) -> int:
        """Return the bytes that a request may store: its content-length if it is an upload, else 0."""
        if scope['path'] != UPLOAD or scope['method'] != 'POST':
            return 0
        length = header(scope['headers'], b'content-length') or b''
        if header(scope['headers'], b'transfer-encoding') is not None:
            return self.limits.max_upload  # sent in chunks, so its content-length does not count
        return min(int(length) if length.isdigit() else self.limits.max_upload, self.limits.max_upload)

    async def check(self, exchange: GradioExchange) -> None:
        """Check a request, and replace its body by the checked one.

        Raises:
            RequestError: the request is rejected.
        """
        headers, method, path = exchange.scope['headers'], exchange.scope['method'], exchange.scope['path']
        check_origin(headers, method)
        if method in ('GET', 'HEAD'):
            self.check_reading(path)
        elif method != 'POST':
            raise RequestError(405, 'The page accepts only GET, HEAD and POST requests.')
        elif path == UPLOAD:
            exchange.set_limit(self.limits.max_upload)
            # Running uploads count as stored.
            room = self.limits.max_stored - self.uploading
            if room < 0 or await asyncio.to_thread(make_room, self.examples, room) > room:
                raise RequestError(503, 'The storage for uploads is full; try again in some minutes.')
        elif path == JOIN or CALL.fullmatch(path):
            exchange.set_limit(self.limits.max_json)
            name = CALL.fullmatch(path)
            try:
                content = self.functions.read(await exchange.body(), name[1] if name else None)
            except ValueError as error:
                raise RequestError(422, str(error)) from None
            exchange.replace_body(json.dumps(content).encode())
        else:
            raise RequestError(404, CLOSED)
        exchange.drop_unknown()

    def check_reading(self, path: str) -> None:
        """Reject an address that the page does not need, or a file outside the folder of uploads."""
        if not READABLE.fullmatch(path):
            raise RequestError(404, CLOSED)
        if path.startswith(FILE) and uploaded_file(path.removeprefix(FILE)) is None:
            raise RequestError(403, 'The page has no such file.')
