"""The page: four exhibits around one zoo of models, and how Gradio is to serve it."""

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import gradio as gr
import torch
from starlette.middleware import Middleware

from vae_demo.projections import Projections
from vae_demo.ui.api import Blocks, add_endpoints
from vae_demo.ui.draw import draw_tab
from vae_demo.ui.exhibit import HERE, exhibit
from vae_demo.ui.interpolate import interpolate_tab
from vae_demo.ui.limits import EXCEPTION_HANDLERS, BodyLimit, KnownRoutes
from vae_demo.ui.live import live_functions, live_route
from vae_demo.ui.map import map_tab
from vae_demo.ui.map_points import points_route
from vae_demo.ui.sample import sample_tab
from vae_demo.zoo import Zoo

LANGUAGES = ("en", "ko")
STYLES = ("page", "draw", "sample", "interpolate", "map", "map_layers", "map_selection", "map_own")
# The fonts of the machine that shows the page: no download, and Hangul has a face everywhere.
FONTS = (
    "system-ui",
    "Apple SD Gothic Neo",
    "Malgun Gothic",
    "Noto Sans KR",
    "Noto Sans CJK KR",
    "sans-serif",
)
MAX_BODY_BYTES = 12 * 2**20  # a picture of 8 MB in base64
QUEUE_MAX = 200  # waiting calls of the HTTP API; each holds its body


def texts() -> dict[str, dict[str, str]]:
    """All words of the page, by language and key."""
    return {
        language: json.loads((HERE / "text" / f"{language}.json").read_text(encoding="utf-8"))
        for language in LANGUAGES
    }


def build_app(zoo: Zoo) -> gr.Blocks:
    """The page around a zoo; serve it with `.launch(**launch_options(zoo))`."""
    # After each queued call, Gradio makes statistics of so many of the last ones.
    os.environ.setdefault("GRADIO_ANALYTICS_MAX_EVENTS", "100")
    with Blocks(title=texts()["en"]["title"], analytics_enabled=False) as app:
        exhibit("header")
        app.projections = Projections()
        app.live = live_functions(
            [draw_tab(zoo), sample_tab(zoo), interpolate_tab(zoo), map_tab(zoo, app.projections)]
        )
        add_endpoints(zoo)
    return app.queue(max_size=QUEUE_MAX)


@asynccontextmanager
async def lifespan(app: Any) -> AsyncIterator[None]:
    """The server's, which takes the process of projections along when it stops."""
    yield
    app.get_blocks().projections.close()


def launch_options(zoo: Zoo) -> dict[str, Any]:
    """What `Blocks.launch` must know: theme, styles, scripts, limits."""
    digits = zoo.digits
    models = [
        {
            "name": name,
            "digits": len(digits.codes[name].mean),
            "latent_size": digits.codes[name].mean.shape[1],
            "weights": digits.card.get(f"{name}_weights_sha256"),
        }
        for name in zoo.names
    ]
    config = {"texts": texts(), "device": device_name(zoo.device), "models": models}
    # "</" would end the script element.
    shared = json.dumps(config, ensure_ascii=False).replace("</", "<\\/")
    script = (HERE / "page.js").read_text(encoding="utf-8")
    return {
        "theme": gr.themes.Base(font=FONTS, font_mono=("ui-monospace", "Consolas", "monospace")),
        "css_paths": [HERE / f"{name}.css" for name in STYLES],
        "head": f"<script>window.vaeDemoConfig = {shared};\n{script}</script>",
        "app_kwargs": {
            "routes": [points_route(zoo), live_route()],
            "lifespan": lifespan,
            "middleware": [
                Middleware(KnownRoutes),
                Middleware(BodyLimit, max_bytes=MAX_BODY_BYTES),
            ],
            "exception_handlers": EXCEPTION_HANDLERS,
        },
        "enable_monitoring": False,
        "show_error": True,  # else a call with too few arguments fails without a word
        "footer_links": ["api"],  # hidden; the masthead clicks it
        "ssr_mode": False,
    }


def device_name(device: torch.device) -> str:
    """How the page calls the processor it runs on."""
    if device.type == "cuda":
        return f"GPU: {torch.cuda.get_device_name(device)}"
    return {"cpu": "CPU", "mps": "GPU: Apple MPS"}.get(device.type, device.type)
