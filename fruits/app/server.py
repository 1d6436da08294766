"""The web application: one page and its three endpoints. It writes nothing, and takes no file names."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from typing import TypeVar

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response

from fruits.app.guard import Guard, own_host
from fruits.app.known import LakeView
from fruits.app.messages import chosen_from, refusal, spoken
from fruits.app.upload import Gate, Places, read_upload
from fruits.console import ERR
from fruits.identify.identifier import NotAPhotographError
from fruits.pages.rendering import environment, plot_script
from lakehouse.errors import LakehouseError

QUESTIONS = 64
"""Small pictures and maps that are waited for at once."""

_FILES = {"page.css": "text/css", "page.js": "text/javascript", "icon.svg": "image/svg+xml"}
T = TypeVar("T")


def make_app(known: LakeView, host: str) -> Guard:
    """The application over a lake, for the host that it listens on."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    uploads, questions = Places(), Gate(QUESTIONS)
    limits = known.limits
    # One thread for all that touches the lake, as LakeView asks; the loop stays free to refuse.
    thread = ThreadPoolExecutor(1, "lake")

    async def asked(question: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(thread, question)

    @app.post("/identify")
    async def identify(request: Request) -> Response:
        async with uploads.take(request.client.host if request.client else ""):
            content = await read_upload(request, limits.max_bytes)
            return JSONResponse(await asked(lambda: known.identify(content)))

    @app.get("/map")
    async def draw_map() -> Response:
        with questions.enter():
            told = await asked(known.map)
        return JSONResponse({**told, "max_bytes": limits.max_bytes, "formats": spoken(limits.formats)})

    @app.get("/photographs/{sha256}")
    async def photograph(sha256: str) -> Response:
        with questions.enter():
            picture = await asked(lambda: known.picture(sha256))
        if picture is None:
            raise HTTPException(404, "There is no such photograph in the lake.")
        return Response(picture, media_type="image/webp")

    @app.exception_handler(NotAPhotographError)
    async def refuse(_: Request, error: NotAPhotographError) -> Response:
        status, words = refusal(error.reason, limits)
        return JSONResponse({"error": words, "reason": error.reason}, status)

    @app.exception_handler(LakehouseError)
    async def admit(_: Request, error: LakehouseError) -> Response:
        ERR.print(f"Error: {error}", style="red", soft_wrap=True)  # it names places, which are nobody else's business
        return JSONResponse(
            {"error": "The lake cannot be asked at present. Try again in a moment; the terminal says why."}, 503
        )

    @app.exception_handler(HTTPException)
    async def explain(_: Request, error: HTTPException) -> Response:
        return JSONResponse({"error": error.detail}, error.status_code, error.headers)

    @app.exception_handler(ClientDisconnect)
    async def nobody_listens(_: Request, __: ClientDisconnect) -> Response:
        return Response(status_code=400)

    @app.exception_handler(Exception)
    async def fail(_: Request, __: Exception) -> Response:  # uvicorn prints the traceback
        return JSONResponse({"error": "Internal server error; the server's log says why."}, 500)

    page = environment("fruits.app").get_template("page.html").render(accept=chosen_from(limits.formats))
    app.add_api_route("/", _sent(page, "text/html"))
    app.add_api_route("/plot.js", _sent(plot_script(), "text/javascript"))
    for name, kind in _FILES.items():
        app.add_api_route(f"/{name}", _sent(files("fruits.app").joinpath(name).read_bytes(), kind))
    return Guard(app, own_host(host))


def _sent(content: str | bytes, kind: str) -> Callable[[], Response]:
    return lambda: Response(content, media_type=kind)
