"""The page: four exhibits around one pair of twins, and how Gradio is to serve it."""

import json
from typing import Any

import gradio as gr
import torch
from starlette.middleware import Middleware

from vae_demo.twins import Twins
from vae_demo.ui.api import add_endpoints
from vae_demo.ui.draw import draw_tab
from vae_demo.ui.exhibit import HERE, Exhibit
from vae_demo.ui.limits import BodyLimit

LANGUAGES = ("en", "ko")
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


def texts() -> dict[str, dict[str, str]]:
    """All words of the page, by language and key."""
    return {
        language: json.loads((HERE / "text" / f"{language}.json").read_text(encoding="utf-8"))
        for language in LANGUAGES
    }


def build_app(twins: Twins) -> gr.Blocks:
    """The page around a pair of twins; serve it with `.launch(**launch_options(twins))`."""
    with gr.Blocks(title=texts()["en"]["title"], analytics_enabled=False) as app:
        Exhibit("header")
        draw_tab(twins)
        add_endpoints(twins)
    return app


def launch_options(twins: Twins) -> dict[str, Any]:
    """What `Blocks.launch` must know: theme, styles, scripts, limits."""
    config = {"texts": texts(), "device": device_name(twins.device)}
    # "</" would end the script element.
    shared = json.dumps(config, ensure_ascii=False).replace("</", "<\\/")
    script = (HERE / "page.js").read_text(encoding="utf-8")
    return {
        "theme": gr.themes.Base(font=FONTS, font_mono=("ui-monospace", "Consolas", "monospace")),
        "css_paths": [HERE / f"{name}.css" for name in ("page", "draw")],
        "head": f"<script>window.vaeDemoConfig = {shared};\n{script}</script>",
        "app_kwargs": {"middleware": [Middleware(BodyLimit, max_bytes=MAX_BODY_BYTES)]},
        "footer_links": [],  # the masthead links to the API
        "ssr_mode": False,
    }


def device_name(device: torch.device) -> str:
    """How the page calls the processor it runs on."""
    if device.type == "cuda":
        return f"GPU: {torch.cuda.get_device_name(device)}"
    return {"cpu": "CPU", "mps": "GPU: Apple MPS"}.get(device.type, device.type)
