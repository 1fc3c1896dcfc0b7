"""A server to ask: the real app around twins that have learned nothing, so no files are needed."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import gradio as gr
import pytest
import torch

from vae_demo import latent
from vae_demo.latent_map import Codes, EncodedDigits
from vae_demo.models import Autoencoder, VariationalAutoencoder
from vae_demo.twins import Twins
from vae_demo.ui.app import build_app, launch_options

COUNT = 300


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let Gradio use what pandas deprecates: it does so after each queued call."""
    gradio_and_pandas = pytest.mark.filterwarnings("ignore::pandas.errors.Pandas4Warning")
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(gradio_and_pandas)


@pytest.fixture(scope="session")
def fake_twins() -> Twins:
    """Twins with random weights, and 300 codes, labels and places that mean nothing."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        ae, vae = Autoencoder(), VariationalAutoencoder()
    with torch.no_grad():
        for model in (ae, vae):
            model.mean.weight *= 100  # as it is, every picture has nearly one code and one answer
            model.decoder[-2].weight *= 50
    for model in (ae, vae):
        model.requires_grad_(False).eval()
    generator = torch.Generator().manual_seed(1)
    codes = {}
    for name in ("ae", "vae"):
        mean = latent.prior(COUNT, 16, generator)
        points = 5 * latent.prior(COUNT, 2, generator).numpy()
        codes[name] = Codes(mean, mean - 3 if name == "vae" else None, points, 15)
    labels = torch.arange(COUNT).remainder(10).to(torch.uint8).numpy()
    card = {"umap": {"n_neighbors": 15, "min_dist": 0.1, "metric": "euclidean", "seed": 1}}
    return Twins(ae, vae, EncodedDigits(labels, codes, card), torch.device("cpu"))


@pytest.fixture(scope="session")
def served(fake_twins: Twins) -> Iterator[str]:
    """Address of the running app, without a slash at its end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    async def launch() -> gr.Blocks:
        app = build_app(fake_twins)
        app.launch(
            prevent_thread_lock=True, quiet=True, server_port=port, **launch_options(fake_twins)
        )
        return app

    # Where no event loop runs, Gradio opens some and never closes them.
    app = asyncio.run(launch())
    yield f"http://127.0.0.1:{port}"
    app.close(verbose=False)
