"""The HTTP side of the Label Studio backend: routes, limits, and who may send requests."""
import asyncio
import base64
import hmac
import importlib.util
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mmpartref.errors import InputError, MissingPackageError, MMPartRefError
from mmpartref.files.json_files import parse_json
from mmpartref.labelling.backend import LabelStudioBackend
from mmpartref.serving.allowed_hosts import check_origin
from mmpartref.serving.exchange import App, Exchange, Message, Receive, RequestError, Send, header
from mmpartref.text import shown

# Label Studio calls these: method of each path.
ROUTES = {'/health': 'GET', '/versions': 'GET', '/setup': 'POST', '/predict': 'POST', '/webhook': 'POST'}


@dataclass(frozen=True)
class BackendLimits:
    """Limits of requests.

    Attributes:
        max_body: bytes of a request for predictions; tasks come with their annotations.
        max_other: bytes of other requests.
        max_waiting: requests for predictions at a time; the next get HTTP status 503.
        max_connections: at a time; the next get HTTP status 503.
    """
    max_body: int = 64 * 2**20
    max_other: int = 2 * 2**20
    max_waiting: int = 16
    max_connections: int = 32


class BackendGuard:
    """ASGI middleware that accepts only the requests that Label Studio sends, within their limits.

    Args:
        app: the backend's app.
        limits: limits of sizes.
        credentials: ``'user:password'`` that each request must have, '' for none. Events have none: Label Studio sends
            them without.
    """

    def __init__(self, app: App, limits: BackendLimits, credentials: str = '') -> None:
        self.app, self.limits = app, limits
        self.token = b'Basic ' + base64.b64encode(credentials.encode()) if credentials else b''

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope['type'] == 'lifespan':
            await self.app(scope, receive, send)
        elif scope['type'] != 'http':
            await send({'type': 'websocket.close', 'code': 1008})
        else:
            exchange = Exchange(scope, receive, send)
            try:
                await self.check(exchange)
                await self.app(exchange.scope, exchange.receive, exchange.send)
            except RequestError as error:
                await exchange.reject(error)

    async def check(self, exchange: Exchange) -> None:
        """Check a request and read its body.

        Raises:
            RequestError: the request is rejected.
        """
        scope = exchange.scope
        method = ROUTES.get(scope['path'])
        if method is None:
            raise RequestError(404, f'The backend has no such address; it has {", ".join(ROUTES)}.')
        if scope['method'] != method:
            raise RequestError(405, f'{scope["path"]} takes {method} requests.')
        check_origin(scope['headers'], method)
        given = header(scope['headers'], b'authorization') or b''
        if self.token and scope['path'] != '/webhook' and not hmac.compare_digest(given, self.token):
            raise RequestError(401, 'The user or the password of the backend is wrong; correct it in the settings of '
                                    'the project, Model.')
        if method == 'POST':
            limits = self.limits
            exchange.set_limit(limits.max_body if scope['path'] == '/predict' else limits.max_other)
            exchange.replace_body(await exchange.body())


def check_packages() -> None:
    """Raise a MissingPackageError if a package of the extra ``label-studio`` is not installed."""
    for name in ('fastapi', 'uvicorn', 'defusedxml'):
        if importlib.util.find_spec(name) is None:
            raise MissingPackageError(f"the Label Studio backend needs {name}: pip install 'mmpartref[label-studio]'")


def build_app(backend: LabelStudioBackend, hosts: Sequence[str], limits: BackendLimits | None = None,
              credentials: str = '') -> Any:
    """Return the backend as an ASGI app.

    Args:
        backend: to serve.
        hosts: host names by which it may be called, from ``allowed_hosts``.
        limits: of requests.
        credentials: see ``BackendGuard``.

    Raises:
        MissingPackageError: FastAPI is not installed.
    """
    check_packages()
    from fastapi import FastAPI, Request
    from fastapi.responses import JSONResponse
    from starlette.middleware.trustedhost import TrustedHostMiddleware
    limits = limits or BackendLimits()
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    queue = PredictionQueue(backend, limits.max_waiting)

    async def error(request: Request, error: Exception) -> JSONResponse:
        status = error.status if isinstance(error, RequestError) else 422
        print(f'{request.url.path}: {error}', flush=True)
        return JSONResponse({'detail': str(error)}, status)

    async def predict(request: Request) -> JSONResponse:
        return JSONResponse(await queue.predict(await request.body(), request.is_disconnected))

    async def setup(request: Request) -> JSONResponse:
        return JSONResponse(backend.setup(body_of(await request.body())))

    async def webhook(request: Request) -> JSONResponse:
        return JSONResponse(backend.webhook(body_of(await request.body())))

    async def health() -> JSONResponse:
        return JSONResponse(backend.health())

    async def versions() -> JSONResponse:
        return JSONResponse(backend.versions())

    for name, function in (('health', health), ('versions', versions), ('setup', setup), ('predict', predict),
                           ('webhook', webhook)):
        app.add_api_route(f'/{name}', function, methods=[ROUTES[f'/{name}']], response_model=None)
    app.add_exception_handler(MMPartRefError, error)
    app.add_exception_handler(RequestError, error)
    return TrustedHostMiddleware(BackendGuard(app, limits, credentials), list(hosts), www_redirect=False)


class PredictionQueue:
    """Predicts task by task, so that the request of a user who waits comes before the rest of a long one.

    Args:
        backend: predicts.
        max_waiting: requests at a time.
    """

    def __init__(self, backend: LabelStudioBackend, max_waiting: int) -> None:
        self.backend, self.max_waiting = backend, max_waiting
        self.waiting = 0
        self._turn = asyncio.Lock()

    async def predict(self, content: bytes, disconnected: Callable[[], Awaitable[bool]]) -> dict[str, Any]:
        """Return the predictions for a request's tasks.

        A task that cannot be predicted is printed, and gets no prediction; that of a user who waits is an error.

        Raises:
            InputError: the request is of another form.
            RequestError: too many wait, or the client disconnected.
        """
        if self.waiting >= self.max_waiting:
            raise RequestError(503, f'{self.waiting} requests wait already; try again later.')
        self.waiting += 1
        results: list[Any] = []
        try:
            # In a thread: a large request would hold up /health, for which Label Studio waits one second.
            request = await asyncio.to_thread(lambda: self.backend.read_request(body_of(content)))
            for number, task in enumerate(request.tasks):
                try:
                    image = await asyncio.to_thread(self.backend.read_image, task, request)
                except MMPartRefError as error:
                    message = f'task {shown(task.get("id"))}: {error}'
                    if request.interactive:
                        raise InputError(message) from None
                    print(f'{message}; it gets no prediction', flush=True)
                    results.append([])
                    continue
                async with self._turn:
                    if await disconnected():
                        raise RequestError(400, f'the client disconnected after {number} of {len(request.tasks)} '
                                                'tasks; see ML_TIMEOUT_PREDICT in docs/label_studio.md')
                    results.append(await asyncio.to_thread(self.backend.predict, image, request))
        finally:
            self.waiting -= 1
        return {'results': results, 'model_version': self.backend.model_version}


def body_of(content: bytes) -> dict[str, Any]:
    """Return the JSON object of a request.

    Raises:
        InputError: it is not one.
    """
    body = parse_json(content, 'the request', hint='send a JSON object')
    if not isinstance(body, dict):
        raise InputError('the request is not a JSON object')
    return body
