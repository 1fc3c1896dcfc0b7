"""What follows the pointer, asked in a way of its own: `POST live/{exhibit}/{function}`.

Gradio's way to a server function costs about as much processor time as the models do, and works on
forty calls at once, which push each other's weights out of the cache. Here two are worked on, and
the others wait their turn: `python -m benchmarks.load` asks both ways.
"""

import json
from collections.abc import Iterable

import anyio
import gradio as gr
from anyio import to_thread
from gradio.routes import ORJSONResponse
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from vae_demo.ui.exhibit import ServerFunction

# Hundreds of steps a second; a container often counts processors that are not its own.
AT_ONCE = 2
PHOTO_BYTES = 2**16  # longer requests carry photos, which take longer: no pen waits for them
# By exhibit; each takes milliseconds. What may take longer would keep the others waiting.
FUNCTIONS = {
    "draw": {"reconstruct"},
    "sample": {"sample"},
    "interpolate": {"interpolate", "sheet", "place"},
    "map": {"digit", "place", "locate"},
}

LiveFunctions = dict[tuple[str, str], ServerFunction]


def live_functions(exhibits: Iterable[gr.HTML]) -> LiveFunctions:
    """Those server functions of exhibits that follow the pointer, by the names of both."""
    return {
        (name, function.__name__): function
        for name, exhibit in ((str(exhibit.elem_id), exhibit) for exhibit in exhibits)
        for function in exhibit.server_fns
        if function.__name__ in FUNCTIONS[name]
    }


def live_route() -> Route:
    """The route to `Blocks.live`, for the app that serves it. JSON in, JSON out, as the functions
    take and answer it; 404 where there is none."""
    pens, photos = anyio.CapacityLimiter(AT_ONCE), anyio.CapacityLimiter(AT_ONCE)

    def answer(function: ServerFunction, body: bytes) -> Response:
        try:
            payload = json.loads(body)
        except (ValueError, RecursionError):
            payload = None  # no request: refused as others are
        return ORJSONResponse(function(payload))

    async def live(request: Request) -> Response:
        names = request.path_params["exhibit"], request.path_params["function"]
        function = request.app.get_blocks().live.get(names)
        if function is None:
            return JSONResponse({"detail": "There is no such function."}, 404)
        body = await request.body()
        lane = photos if len(body) > PHOTO_BYTES else pens
        return await to_thread.run_sync(answer, function, body, limiter=lane)

    return Route("/live/{exhibit}/{function}", live, methods=["POST"])
