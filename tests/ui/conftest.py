"""A server to ask: the real app around twins that have learned nothing, so no files are needed."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from vae_demo import latent, latent_map
from vae_demo.latent import Mixture
from vae_demo.latent_map import Codes, EncodedDigits
from vae_demo.models import Autoencoder, Judge, VariationalAutoencoder
from vae_demo.samplers import Samplers
from vae_demo.ui.app import build_app, launch_options
from vae_demo.zoo import TWINS, Zoo, ZooModel

COUNT = 300


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let Gradio use what pandas deprecates: it does so after each queued call."""
    gradio_and_pandas = pytest.mark.filterwarnings("ignore::pandas.errors.Pandas4Warning")
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(gradio_and_pandas)


@pytest.fixture(scope="session")
def fake_zoo() -> Zoo:
    """Twins, a model of two numbers and a judge with random weights, and 300 codes, labels, places
    and samplers that mean nothing."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        coders = {
            "ae": Autoencoder(),
            "vae": VariationalAutoencoder(),
            "ae_2d": Autoencoder(2, 4, 8),
        }
        judge = Judge().requires_grad_(False).eval()
    with torch.no_grad():
        for model in coders.values():
            model.mean.weight *= 100  # as it is, every picture has nearly one code and one answer
            model.decoder[-2].weight *= 50
        judge.classes.weight *= 100
    generator = torch.Generator().manual_seed(1)
    labels = torch.arange(COUNT).remainder(10).to(torch.uint8).numpy()
    codes, samplers, loaded = {}, {}, {}
    for name, model in coders.items():
        model.requires_grad_(False).eval()
        mean = latent.prior(COUNT, model.latent_size, generator)
        logvar = mean - 3 if name == "vae" else None
        codes[name] = Codes(
            mean, logvar, **fake_maps(mean, name in TWINS, generator), n_neighbors=15
        )
        of_class = [latent.fit_mixture(mean[labels == c], 1, 0) for c in range(10)]
        classes = Mixture(
            torch.full((10,), 0.1),
            torch.cat([one.means for one in of_class]),
            torch.cat([one.choleskys for one in of_class]),
        )
        one, some = (latent.fit_mixture(mean, components, 0) for components in (1, 3))
        samplers[name] = Samplers(one, classes, some, torch.linspace(0, 0.1, 101))
        loaded[name] = ZooModel(name, model, codes[name], samplers[name], f"digest of {name}")
    truth = {"trustworthiness": 0.9, "knn_accuracy": 0.8}
    card = {
        "umap": {"n_neighbors": 15, "min_dist": 0.1, "metric": "euclidean", "seed": 1},
        "figures": {"ae": {**truth, "lenses": {"umap": truth, "pca": truth}}, "pixels": truth},
    }
    pixels = latent.prior(COUNT, 2, generator).numpy()
    digits = EncodedDigits(labels, codes, card, np.arange(60_000).astype(np.uint8) % 10, pixels)
    return Zoo(
        Path("nowhere"),
        torch.device("cpu"),
        tuple(coders),
        judge,
        digits,
        samplers,
        loaded=loaded,
    )


def fake_maps(mean: Tensor, twin: bool, generator: torch.Generator) -> dict[str, Any]:
    """What `Codes` of that mean may hold beside it, of the right shapes and ranges."""

    def places(count: int, dimensions: int) -> NDArray[np.float32]:
        return 5 * latent.prior(count, dimensions, generator).numpy()

    flat = mean.shape[1] <= latent_map.PLANE
    share = torch.rand(COUNT, generator=generator).numpy()
    return {
        "points": latent_map.on_plane(mean) if flat else places(COUNT, 2),
        "solid": None if flat else places(COUNT, 3),
        "error": share / 100,
        "confidence": share,
        "training": places(60_000, 2) if twin else None,
        "grid": {(5, 0.0): places(200, 2), (50, 0.5): places(200, 2)} if twin else {},
    }


def launched(zoo: Zoo) -> gr.Blocks:
    """The app, running."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    async def launch() -> gr.Blocks:
        app = build_app(zoo)
        app.launch(prevent_thread_lock=True, quiet=True, server_port=port, **launch_options(zoo))
        return app

    # Where no event loop runs, Gradio opens some and never closes them.
    return asyncio.run(launch())


@pytest.fixture(scope="session")
def served(fake_zoo: Zoo) -> Iterator[str]:
    """Address of the running app, without a slash at its end."""
    app = launched(fake_zoo)
    yield app.local_url.rstrip("/")
    app.close(verbose=False)


@pytest.fixture
def own_server(fake_zoo: Zoo) -> Iterator[gr.Blocks]:
    """An app that a test may stop."""
    app = launched(fake_zoo)
    yield app
    app.close(verbose=False)


@pytest.fixture(scope="module")
def http(served: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served, timeout=60) as http:
        yield http
