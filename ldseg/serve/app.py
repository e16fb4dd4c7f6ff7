"""The server put together, and run."""

from __future__ import annotations

import logging
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.middleware.cors import CORSMiddleware
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from ldseg.errors import ConfigError, LDSegError, no_memory
from ldseg.serve import monailabel, routes
from ldseg.serve.datastore import NotThere
from ldseg.serve.guard import Guard
from ldseg.serve.results import Shelf
from ldseg.serve.settings import ServeSettings
from ldseg.serve.state import State
from ldseg.serve.uploads import room
from ldseg.serve.worker import Busy, UnknownWeights, Worker, weights_by_name
from ldseg.version import __version__

logger = logging.getLogger(__name__)


def create_app(settings: ServeSettings | None = None) -> FastAPI:
    """The server as an ASGI application.

    Args:
        settings: what it is told.

    Raises:
        ConfigError: two weights have the same name.
        WeightsError: some of the weights cannot be used.
    """
    settings = settings or ServeSettings()
    worker = Worker(weights_by_name(settings.weights), waiting=settings.waiting, engine=settings.engine)

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        with room() as folder:
            app.state.ldseg = State(settings=settings, folder=folder, worker=worker, shelf=Shelf(settings.kept))
            try:
                yield
            finally:
                worker.close()

    # Its pages of documentation would be loaded from elsewhere; /openapi.json is there.
    app = FastAPI(title="LDSeg", version=__version__, lifespan=life, docs_url=None, redoc_url=None)
    app.include_router(routes.router)
    app.include_router(monailabel.router)
    if settings.origins:
        app.add_middleware(CORSMiddleware, allow_origins=list(settings.origins), allow_methods=["*"], allow_headers=["*"])
    app.add_middleware(Guard, settings=settings)
    app.add_exception_handler(LDSegError, _told)
    app.add_exception_handler(Busy, _told)
    app.add_exception_handler(HTTPException, _told)
    app.add_exception_handler(Exception, _told)
    return app


def _told(request: Request, error: Exception) -> JSONResponse:
    """Every error as JSON with one line."""
    if isinstance(error, HTTPException):
        line = error.detail if error.status_code != 404 or error.detail != "Not Found" else f"{request.url.path}: not found"
        return JSONResponse({"error": line}, error.status_code, headers=error.headers)
    if isinstance(error, Busy):
        return JSONResponse({"error": str(error)}, 503, headers={"retry-after": "5"})
    if isinstance(error, LDSegError):
        unknown = isinstance(error, UnknownWeights | NotThere)
        return JSONResponse({"error": " ".join(str(error).split())}, 404 if unknown else 422)
    if no_memory(error):
        return JSONResponse({"error": "not enough memory to segment the image"}, 507)
    logger.error("%s %s", request.method, request.url.path, exc_info=error)
    return JSONResponse({"error": f"this is a fault of LDSeg, told in its log: {type(error).__name__}"}, 500)


def run(settings: ServeSettings, ready: Callable[[str], None]) -> None:
    """Serve until interrupted.

    Args:
        settings: what the server is told.
        ready: is told the address when it can be asked.

    Raises:
        LDSegError: the server cannot start.
    """
    import uvicorn

    app = create_app(settings)
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # Bound here, so that a port that is taken is an error in one line, and port 0 takes a free one.
    listener = socket.socket(family)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"--host, --port: {settings.host}:{settings.port} cannot be listened on: {error.strerror or error}"
        ) from error
    shown = f"[{settings.host}]" if ":" in settings.host else settings.host
    ready(f"http://{shown}:{listener.getsockname()[1]}/")
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=5)
    try:
        uvicorn.Server(config).run(sockets=[listener])
    finally:
        listener.close()
