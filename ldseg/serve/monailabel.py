"""The REST interface of MONAI Label, as far as segmenting goes: its plugins for 3D Slicer, QuPath and OHIF call it.

Nothing is trained and no label is stored here: what a viewer corrects is saved by the viewer.
"""

from __future__ import annotations

import json
import secrets
import shutil
from pathlib import Path
from typing import IO, Any

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, JSONResponse, Response

from ldseg.config.sections import SamplerConfig
from ldseg.description import Description
from ldseg.errors import ConfigError
from ldseg.serve import datastore
from ldseg.serve.datastore import EXPIRY, NotThere, Session
from ldseg.serve.forms import Form, form_of, json_of, settings_of
from ldseg.serve.pathology import OUTPUTS as SLIDE_OUTPUTS
from ldseg.serve.pathology import Outlines, Region, as_json, asap, dsa, outlines
from ldseg.serve.results import Wish
from ldseg.serve.routes import sent, state_of
from ldseg.serve.state import State
from ldseg.serve.uploads import own_folder, save
from ldseg.version import __version__

router = APIRouter(tags=["MONAI Label"])

OUTPUTS = ("image", "json", "all", "dicom_seg")

Given = list[tuple[str, IO[bytes]]] | Path


def model_info(name: str, description: Description) -> dict[str, Any]:
    """What MONAI Label tells of a model; ``config`` comes back among the parameters of a request."""
    spec, classes, usual = description.spec, description.preprocessing.classes, SamplerConfig()
    return {
        "type": "segmentation",
        "labels": {label: number for number, label in enumerate(classes) if number},
        "dimension": len(spec.axes),
        "description": f"LDSeg {name}: {', '.join(classes[1:])}",
        "pathology": spec.axes == "YX",
        "nuclick": False,
        "config": {"steps": description.steps, "samples": description.samples, "flips": usual.flips, "seed": usual.seed},
    }


@router.get("/info/", summary="What there is")
def info(request: Request) -> dict[str, Any]:
    """Models, labels and images."""
    state = state_of(request)
    models = {name: model_info(name, found) for name, found in state.worker.descriptions.items()}
    return {
        "name": "LDSeg",
        "description": "Segmentation by latent diffusion",
        "version": __version__,
        "labels": list(dict.fromkeys(label for model in models.values() for label in model["labels"])),
        "models": models,
        "trainers": {},
        "strategies": {},
        "scoring": {},
        "train_stats": {},
        "datastore": datastore.status(state.settings.images),
    }


@router.put("/session/", summary="Send an image for several requests")
async def put_session(request: Request, expiry: str = "0", uncompress: str = "") -> dict[str, Any]:
    """Keep an image for a while; several files are the slices of a series."""
    state = state_of(request)
    if not expiry.isdecimal():
        raise ConfigError(f"expiry: expected seconds, got {expiry[:20]!r}")
    with state.worker.place():
        folder = own_folder(state.folder / "sessions")
        try:
            async with form_of(request) as form:
                inner = await run_in_threadpool(save, form.uploads("files", "file"), folder)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    files = [path for path in inner.iterdir() if path.is_file()]
    session = Session(
        folder=folder, image=files[0] if len(files) == 1 else inner, expiry=min(int(expiry) or EXPIRY, 24 * EXPIRY)
    )
    state.sessions.add(session)
    return {"session_id": folder.name, "session_info": session.to_json()}


@router.get("/session/{key}", summary="A session")
def get_session(request: Request, key: str, image: str = "") -> Response:
    """What there is to tell of it, or its image."""
    session = state_of(request).sessions.get(key)
    if image.lower() in ("true", "1"):
        if session.image.is_dir():
            raise ConfigError("image: expected a session of one file, this one has several")
        return FileResponse(session.image, filename=session.image.name)
    return JSONResponse(session.to_json())


@router.delete("/session/{key}", summary="End a session")
def delete_session(request: Request, key: str) -> dict[str, Any]:
    """Remove its image."""
    state = state_of(request)
    session = state.sessions.get(key)
    state.sessions.drop(key)
    return session.to_json()


@router.get("/datastore/", summary="The images of the folder of --images")
def get_datastore(request: Request, output: str = "stats") -> Any:
    """How many there are, or, with ``output=all``, which."""
    images = state_of(request).settings.images
    if output not in ("stats", "all", "train"):
        raise ConfigError(f"output: expected stats, all or train, got {output[:20]!r}")
    return [] if output == "train" else datastore.listed(images) if output == "all" else datastore.status(images)


@router.get("/datastore/image", summary="An image")
@router.head("/datastore/image", include_in_schema=False)
def get_image(request: Request, image: str) -> FileResponse:
    """The file of an image."""
    try:
        path = datastore.image_of(state_of(request).settings.images, image)
    except NotThere as error:
        raise HTTPException(404, str(error)) from error
    if path.is_dir():
        raise HTTPException(404, f"image: {image[:80]!r} is a folder of several files")
    return FileResponse(path, filename=path.name)


@router.put("/datastore/", include_in_schema=False)
@router.put("/datastore/image", include_in_schema=False)
@router.put("/datastore/label", include_in_schema=False)
def put_datastore() -> None:
    """Refused: what viewers correct is saved by the viewer."""
    raise HTTPException(403, "this server stores no images and no labels: save them in the viewer, or send a session")


def _given(state: State, form: Form, image: str, session: str) -> Given:
    """What a request wants segmented: a file that it sends, the image of a session, or one of the folder of --images."""
    if files := form.uploads("file"):
        return files
    if session:
        return state.sessions.get(session).image
    if image:
        return datastore.image_of(state.settings.images, image)
    raise ConfigError("expected an image, a session_id or a file, got none of them")


@router.post("/infer/{model}", summary="Segment")
async def infer(request: Request, model: str, image: str = "", session_id: str = "", output: str = "") -> Response:
    """The mask (``image``), what is told of it (``json``), or both (``all``, as without ``output``)."""
    state = state_of(request)
    if output and output not in OUTPUTS:
        raise ConfigError(f"output: expected one of {', '.join(OUTPUTS)}, got {output[:20]!r}")
    kind = "dicomseg" if output == "dicom_seg" else "mask"
    with state.worker.place():
        description = state.worker.description(model)
        async with form_of(request) as form:
            settings = settings_of(json_of(form.fields.get("params", ""), "params"))
            wish = Wish(weights=model, settings=settings, formats=(kind,))
            files, folder = await state.files(_given(state, form, image, session_id), wish)
    if output in ("image", "dicom_seg"):
        return sent(files[kind], folder)
    told = {"label_names": model_info(model, description)["labels"], "model": model, "settings": settings}
    try:
        if output == "json":
            return JSONResponse(told)
        path = files[kind]
        parts = {"params": ("", json.dumps(told).encode(), "application/json"), "image": (path.name, path.read_bytes(), "")}
        content, boundary = multipart(parts)
        return Response(content, media_type=f"multipart/form-data; boundary={boundary}")
    finally:
        await run_in_threadpool(shutil.rmtree, folder, ignore_errors=True)


def multipart(parts: dict[str, tuple[str, bytes, str]]) -> tuple[bytes, str]:
    """A body of several parts, each with the name of a file, if any, its content and its kind; and what parts them."""
    boundary = secrets.token_hex(24)
    body = bytearray()
    for name, (file, content, kind) in parts.items():
        own = f'; filename="{file}"'.replace("\r", "").replace("\n", "") if file else ""
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{own}\r\n'
        body += f"{head}Content-Type: {kind or 'application/octet-stream'}\r\n\r\n".encode() + content + b"\r\n"
    return bytes(body) + f"--{boundary}--\r\n".encode(), boundary


@router.post("/infer/wsi_v2/{model}", summary="Outlines of a picture or a slide, sent or of the folder of --images")
async def infer_slide_v2(request: Request, model: str, image: str = "", session_id: str = "", output: str = "") -> Response:
    """A form with ``wsi``, JSON that says which region, and ``file``."""
    state = state_of(request)
    with state.worker.place():
        async with form_of(request) as form:
            values = json_of(form.fields.get("wsi", ""), "wsi")
            return await _outlined(state, model, values, _given(state, form, image, session_id), output)


@router.post("/infer/wsi/{model}", summary="Outlines of a picture or a slide of the folder of --images")
async def infer_slide(request: Request, model: str, image: str = "", session_id: str = "", output: str = "") -> Response:
    """JSON that says which region, as the body."""
    state = state_of(request)
    with state.worker.place():
        values = json_of((await request.body()).decode("utf-8", "replace"), "the body")
        form = Form(files={}, fields={})
        return await _outlined(state, model, values, _given(state, form, image, session_id), output)


async def _outlined(state: State, model: str, values: dict[str, Any], given: Given, output: str) -> Response:
    output = output or "dsa"
    if output not in SLIDE_OUTPUTS:
        raise ConfigError(f"output: expected one of {', '.join(SLIDE_OUTPUTS)}, got {output[:20]!r}")
    region, params = Region.of(values), values.get("params") or {}
    if not isinstance(params, dict):
        raise ConfigError(f"params: expected an object of JSON, got {str(params)[:60]!r}")
    settings = settings_of(params)

    def work(path: Path, folder: Path, networks: Any) -> Outlines:
        return outlines(path, folder, networks, region, model, settings)

    found = await state.with_image(given, Wish(weights=model, settings=settings), work)
    if output == "json":
        return JSONResponse(as_json(found))
    if output == "asap":
        return Response(asap(found), media_type="text/xml")
    return Response(dsa(found), media_type="application/json")
