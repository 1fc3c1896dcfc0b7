"""What several test files need."""

import pytest
import torch
from torch import Tensor

from vae_demo import checkpoints, data
from vae_demo.models import Autoencoder, Judge


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
