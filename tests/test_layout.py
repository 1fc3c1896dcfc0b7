"""Making the maps with a stand-in for UMAP; the shipped ones against their models and UMAP."""

import numpy as np
import torch

from vae_demo import latent, latent_map, layout
from vae_demo.latent_map import Codes

COUNT, TRAINED, FEW = 60, 70, 50


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_figures_know_a_true_map_from_a_false_one() -> None:
    labels = np.repeat(np.arange(10, dtype=np.uint8), 20)
    places = torch.from_numpy(labels)[:, None] * torch.tensor([10.0, 0.0])
    places = places + latent.prior(200, 2, seeded())
    true = Codes(places, None, places.numpy(), 5)
    false = Codes(places, None, latent.prior(200, 2, seeded(1)).numpy(), 5)
    assert layout.truth(places.numpy(), true, labels) == {
        "trustworthiness": 1.0,
        "knn_accuracy": 1.0,
    }
    assert latent_map.figures(false, labels)["trustworthiness"] < 0.6
    assert latent_map.figures(false, labels)["knn_accuracy"] < 0.3
