"""What several test files need."""

import pytest
import torch
from torch import Tensor

from vae_demo import checkpoints, data
from vae_demo.models import Autoencoder, Judge


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browser tests are marked, and run last: Playwright leaves an event loop running in this
    thread, beside which `asyncio.run` refuses to work."""
    for item in items:
        if "browser" in item.path.parts:
            item.add_marker("browser")
    items.sort(key=lambda item: "browser" in item.keywords)


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """The same sums in the same order on every machine, and no fight over its processors."""
    torch.set_num_threads(1)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture(scope="session")
def mnist_test() -> tuple[Tensor, Tensor]:
    """The 10,000 test digits, see `data.load`."""
    try:
        return data.load(train=False)
    except data.DataError as error:
        pytest.skip(f"needs MNIST, which `{data.FETCH}` fetches: {error}")


@pytest.fixture(scope="session")
def shipped() -> dict[str, Autoencoder | Judge]:
    """The models in checkpoints/, by name."""
    return {name: checkpoints.load(name) for name in ("ae", "vae", "judge")}
