"""What every request passes first: who may ask, and how much may be sent."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ldseg.serve.settings import LOOPBACK, ServeSettings

_SAFE = ("GET", "HEAD", "OPTIONS")
_HEADERS = {
    # The page loads nothing from elsewhere, and no other page may hold it in a frame.
    "content-security-policy": "default-src 'self'; img-src 'self' blob: data:; frame-ancestors 'none'; form-action 'self'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}


class Guard:
    """Lets in requests to this machine and from its own page, bounded in size.

    A server that only this machine hears still hears what web pages in its browser send. So the name that was asked for
    has to be one of this machine (another one that leads here is an attack by DNS), and what changes anything may not come
    from the page of another server.
    """

    def __init__(self, app: ASGIApp, settings: ServeSettings) -> None:
        self._app, self._settings = app, settings
        self._most = settings.upload << 20

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI calls it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refused = self._refused(scope["method"], Headers(scope=scope))
        if refused:
            status, line = refused
            await JSONResponse({"error": line}, status, headers=dict(_HEADERS))(scope, receive, send)
            return
        taken = 0

        async def bounded() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self._most:
                raise HTTPException(413, self._too_large())
            return message

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                _mark(MutableHeaders(scope=message), _HEADERS)
            await send(message)

        await self._app(scope, bounded, marked)

    def _refused(self, method: str, headers: Headers) -> tuple[int, str] | None:
        host = headers.get("host", "")
        name = urlsplit(f"//{host}").hostname or ""
        if self._settings.alone and name not in LOOPBACK:
            return 403, f"host: expected one of {', '.join(LOOPBACK)}, got {name[:60]!r}"
        origin = headers.get("origin", "")
        if origin and method not in _SAFE and urlsplit(origin).netloc != host and origin not in self._settings.origins:
            return 403, f"origin: the page {origin[:60]} may not ask this server; --origin would allow it"
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > self._most:
            return 413, self._too_large()
        return None

    def _too_large(self) -> str:
        return f"the upload is larger than the limit of {self._settings.upload} MiB (--upload)"


def _mark(headers: MutableHeaders, values: Mapping[str, str]) -> None:
    for name, value in values.items():
        headers.setdefault(name, value)
