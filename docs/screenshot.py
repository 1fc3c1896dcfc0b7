"""python -m docs.screenshot: start the app and picture its four tabs for the README."""

import io
import shutil
from pathlib import Path

import torch
from PIL import Image
from playwright.sync_api import sync_playwright

from vae_demo.ui.app import build_app, launch_options
from vae_demo.zoo import load_zoo

WIDTH, HEIGHT = 1280, 760
ARGUMENTS = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader"]


def main() -> None:
    torch.set_num_threads(1)
    zoo = load_zoo()
    app = build_app(zoo)
    _, url, _ = app.launch(prevent_thread_lock=True, quiet=True, **launch_options(zoo))
    sheet = Image.new("RGB", (2 * WIDTH + 16, 2 * HEIGHT + 16), "#8a8f96")
    with sync_playwright() as playwright:
        executable = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto(f"{url}?lang=en")
        page.get_by_test_id("example-5").click()
        for i, tab in enumerate(("draw", "sample", "interpolate", "map")):
            page.locator(f"#tab-{tab}").click()
            page.wait_for_timeout(4000)
            picture = Image.open(io.BytesIO(page.screenshot()))
            sheet.paste(picture, (i % 2 * (WIDTH + 16), i // 2 * (HEIGHT + 16)))
        browser.close()
    app.close()
    out = Path(__file__).with_suffix(".png")
    sheet.resize((sheet.width // 2, sheet.height // 2), Image.Resampling.LANCZOS).save(
        out, optimize=True
    )
    print(out)


if __name__ == "__main__":
    main()
