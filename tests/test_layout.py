"""Making the maps with a stand-in for UMAP; the shipped ones against their models and UMAP."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from vae_demo import checkpoints, data, latent, latent_map, layout
from vae_demo.checkpoints import CheckpointError
from vae_demo.latent_map import Codes, EncodedDigits
from vae_demo.losses import squared_error
from vae_demo.models import Autoencoder, Judge, VariationalAutoencoder

COUNT, TRAINED, FEW = 60, 70, 50


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_figures_know_a_true_map_from_a_false_one() -> None:
    labels = np.repeat(np.arange(10, dtype=np.uint8), 20)
    places = torch.from_numpy(labels)[:, None] * torch.tensor([10.0, 0.0])
    places = places + latent.prior(200, 2, seeded())
    true = Codes(places, None, places.numpy(), 5)
    false = Codes(places, None, latent.prior(200, 2, seeded(1)).numpy(), 5)
    assert layout.truth(places.numpy(), true, labels) == {"trustworthiness": 1.0, "knn_accuracy": 1.0}
    assert latent_map.figures(false, labels)["trustworthiness"] < 0.6
    assert latent_map.figures(false, labels)["knn_accuracy"] < 0.3


