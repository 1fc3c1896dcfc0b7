"""What the server refuses in Gradio's place: large bodies, needless routes, malformed requests.

Gradio bounds uploads but not JSON, keeps routes open that this app has no use for (uploads that
stay on disk, recordings, a proxy for files of other hosts), and answers a request that lacks a part
with 500 and a traceback.
"""

import asyncio
import contextlib
import json
import logging

from gradio.route_utils import FnIndexInferError
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger(__name__)

# Below /gradio_api/: the page's events and server functions, the public API and its description.
ROUTES = (
    "app_id",
    "call/",
    "cancel",
    "component_server",
    "file=",
    "heartbeat/",
    "info",
    "login_check",
    "mcp",
    "openapi.json",
    "queue/",
    "startup-events",
    "theme.css",
)
BODIES = 4  # of the largest size, held at a time by all senders together
LINGER_S = 5.0
LINGER_BYTES = 256 * 2**20


class RefusedError(Exception):
    """The body went past a limit while it was being read."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


class BodyLimit:
    """ASGI middleware that bounds request bodies, whether or not they declare their length.

    A body larger than `max_bytes` is answered 413: at once if declared, else as soon as so much
    has come. Nor can many senders do what one may not: while four such bodies are being received
    or worked on, the next is answered 503. Responses and websockets pass untouched.

    Args:
        max_bytes: of one body.
    """

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self.app = app
        self.max_bytes = max_bytes
        self.held_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        declared = [value for key, value in scope["headers"] if key == b"content-length"]
        if not all(value.isdigit() and len(value) < 20 for value in declared):
            await refuse(send, 400, "Content-Length is no number; send the length of the body.")
            return
        if any(int(value) > self.max_bytes for value in declared):
            await refuse(send, 413, self.too_large(), receive)
            return
        received = 0
        started = False
        refused: RefusedError | None = None

        async def counted_receive() -> Message:
            nonlocal received, refused
            message = await receive()
            size = len(message.get("body", b""))
            received += size
            self.held_bytes += size
            if received > self.max_bytes:
                refused = RefusedError(413, self.too_large())
            elif self.held_bytes > BODIES * self.max_bytes:
                refused = RefusedError(
                    503, "Too much is being sent just now; try again in a moment."
                )
            if refused:
                raise refused
            return message

        async def watched_send(message: Message) -> None:
            nonlocal started
            # Whoever reads the body may take `RefusedError` for a broken body and answer that.
            if refused is None or started:
                started = True
                await send(message)

        try:
            await self.app(scope, counted_receive, watched_send)
        except RefusedError:
            pass
        finally:
            self.held_bytes -= received
        if refused and not started:
            await refuse(send, refused.status, refused.detail, receive)

    def too_large(self) -> str:
        limit = f"{self.max_bytes / 2**20:g} MB"
        return f"The request is larger than {limit}, all that is taken; send a smaller picture."


class KnownRoutes:
    """ASGI middleware that refuses what the app has no use for: routes (404), file forms (415)."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            if not known(scope["path"]):
                await refuse(send, 404, "This app has no such route.", receive)
                return
            content_type = dict(scope["headers"]).get(b"content-type", b"")
            if content_type.strip().lower().startswith(b"multipart/"):
                await refuse(send, 415, "This app takes no file uploads; send JSON.", receive)
                return
        await self.app(scope, receive, send)


def known(path: str) -> bool:
    """Whether the app uses this path. Files come from this machine only."""
    _, below, route = path.partition("/gradio_api/")
    if not below:
        return True
    return route.startswith(ROUTES) and not route.lower().startswith("file=http")


async def bad_request(request: Request, error: Exception) -> JSONResponse:
    """The answer where Gradio stumbles over a request: it looks parts up without asking."""
    log.warning("%s: %s", request.url.path, repr(error)[:200])
    return JSONResponse(
        {
            "detail": "A part of the request is missing or of the wrong kind "
            f"({str(error)[:200]}). See /gradio_api/info for what is expected."
        },
        400,
    )


# Whatever endpoints and server functions raise is answered before it gets here.
EXCEPTION_HANDLERS = dict.fromkeys(
    (AttributeError, FnIndexInferError, LookupError, TypeError, ValueError), bad_request
)


async def refuse(send: Send, status: int, detail: str, receive: Receive | None = None) -> None:
    """Answer with a JSON error at once, then read on for a moment.

    A connection closed with part of the body unread is reset, and the sender, still sending, never
    sees the answer. What is read on is thrown away.
    """
    body = json.dumps({"detail": detail}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": True})
    if receive is not None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER_S):
                read, more = 0, True
                while more and read < LINGER_BYTES:
                    message = await receive()
                    read += len(message.get("body", b""))
                    more = message.get("more_body", False)
    await send({"type": "http.response.body", "body": b""})
