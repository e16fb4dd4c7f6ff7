"""The page, and the plain requests behind it."""

from __future__ import annotations

import shutil
from importlib import resources
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, JSONResponse, Response

from ldseg.base.options import FUSIONS
from ldseg.config.sections import SamplerConfig
from ldseg.diffusion import SAMPLERS
from ldseg.errors import ConfigError
from ldseg.serve.drawing import STEP_KINDS, png
from ldseg.serve.forms import SETTINGS, form_of, wish_of
from ldseg.serve.results import Kept
from ldseg.serve.state import State
from ldseg.serve.worker import facts_of
from ldseg.version import __version__
from ldseg.writers.table import WRITERS

router = APIRouter()

PAGE = {"": ("index.html", "text/html"), "page.css": ("page.css", "text/css"), "page.js": ("page.js", "text/javascript")}
"""Files of the page, by the path under which they are asked for."""

_FIELDS = {
    "files": {"type": "array", "items": {"type": "string", "format": "binary"}},
    "weights": {"type": "string"},
    "output": {"type": "string", "enum": ["json", *WRITERS]},
    "formats": {"type": "string"},
    "masks": {"type": "string", "enum": ["classes", "instances"]},
    **{name: {"type": "string", "description": kind} for name, kind in SETTINGS.items()},
}
_SEGMENT = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {"schema": {"type": "object", "properties": _FIELDS, "required": ["files"]}},
        },
    }
}


def state_of(request: Request) -> State:
    """The server that a request came to."""
    return request.app.state.ldseg


@router.get("/", include_in_schema=False)
@router.get("/{name}.css", include_in_schema=False)
@router.get("/{name}.js", include_in_schema=False)
def page(request: Request) -> Response:
    """A file of the page."""
    found = PAGE.get(request.url.path.lstrip("/"))
    if found is None:
        raise HTTPException(404, f"{request.url.path}: no such page")
    name, kind = found
    content = (resources.files("ldseg.serve") / "page" / name).read_bytes()
    return Response(content, media_type=f"{kind}; charset=utf-8")


@router.get("/weights", summary="What can be segmented, and how")
def weights(request: Request) -> dict[str, Any]:
    """The weights of this server, with the steps and samples that they take unless told otherwise; other settings."""
    found = state_of(request).worker.descriptions
    usual = SamplerConfig()
    return {
        "version": __version__,
        "weights": [facts_of(name, description) for name, description in found.items()],
        "samplers": list(SAMPLERS),
        "fusions": list(FUSIONS),
        "defaults": {name: getattr(usual, name) for name in ("flips", "seed", "sampler", "fusion")},
    }


@router.post("/segment", summary="Segment an image", openapi_extra=_SEGMENT)
async def segment(request: Request) -> Response:
    """Segment one image, volume or video: what comes of it as JSON, or, with ``output``, a file of that format alone."""
    state = state_of(request)
    with state.worker.place():
        async with form_of(request) as form:
            output = form.fields.get("output") or "json"
            if output != "json" and output not in WRITERS:
                raise ConfigError(f"output: expected json or one of {', '.join(WRITERS)}, got {output!r}")
            wish = wish_of(form.fields, tuple(state.worker.weights), () if output == "json" else (output,))
            uploads = form.uploads("files", "file")
            if output == "json":
                return JSONResponse(dict((await state.kept(uploads, wish)).facts))
            files, folder = await state.files(uploads, wish)
    return sent(files[output], folder)


def sent(path: Path, folder: Path) -> FileResponse:
    """A file, whose folder is removed when it was sent."""
    gone = BackgroundTask(shutil.rmtree, folder, ignore_errors=True)
    return FileResponse(path, filename=path.name, media_type=_kind(path), background=gone)


def _kind(path: Path) -> str:
    kinds = {
        ".png": "image/png", ".csv": "text/csv", ".geojson": "application/geo+json", ".dcm": "application/dicom",
        ".zip": "application/zip",
    }  # fmt: skip
    return kinds.get(path.suffix, "application/octet-stream")


def _kept(request: Request, key: str) -> Kept:
    try:
        return state_of(request).shelf.get(key)
    except KeyError:
        raise HTTPException(404, "there is no such result, or none any more: segment the image again") from None


@router.get("/results/{key}", summary="What there is to tell of a result")
def result(request: Request, key: str) -> dict[str, Any]:
    """What ``POST /segment`` told."""
    return dict(_kept(request, key).facts)


@router.delete("/results/{key}", summary="Remove a result")
def remove(request: Request, key: str) -> dict[str, str]:
    """Remove a result and its files."""
    _kept(request, key)
    state_of(request).shelf.drop(key)
    return {"removed": key}


@router.get("/results/{key}/files/{name}", summary="A file of a result")
def file(request: Request, key: str, name: str) -> FileResponse:
    """The file of a format."""
    found = _kept(request, key).files
    if name not in found:
        raise HTTPException(404, f"files: expected one of {', '.join(found)}, got {name!r}")
    return FileResponse(found[name], filename=found[name].name, media_type=_kind(found[name]))


@router.get("/results/{key}/pictures/{kind}", summary="A picture of a plane, or of a step of the diffusion")
async def picture(request: Request, key: str, kind: str, plane: str = "0", step: str = "0") -> Response:
    """``image``, ``overlay``, ``mask`` or ``uncertainty`` of a plane; ``latent`` or ``step`` of a step."""
    kept = _kept(request, key)
    if not (plane.isdecimal() and step.isdecimal()):
        raise ConfigError(f"plane, step: expected whole numbers, got {plane[:20]!r} and {step[:20]!r}")

    def draw() -> bytes:
        try:
            shown = kept.shown
        except (KeyError, OSError):
            _kept(request, key)  # not there any more, where it was removed meanwhile
            raise
        found = shown.step(kind, int(step), int(plane)) if kind in STEP_KINDS else shown.plane(kind, int(plane))
        return png(found)

    return Response(await run_in_threadpool(draw), media_type="image/png")
