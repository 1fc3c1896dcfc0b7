"""Two ends of the scale: real digits, and PyTorch's example VAE trained on the spot."""

from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from vae_demo import latent
from vae_demo.losses import bernoulli_nats, kl_nats
from vae_demo.metrics import nearest_neighbour_accuracy
from vae_demo.yardstick import Yardstick, in_batches, looks


def pytorch_example(
    images: Tensor, epochs: int, seed: int, device: torch.device
) -> tuple[nn.Sequential, nn.Sequential]:
    """Encoder and decoder of PyTorch's example VAE, trained as it is there.

    784-400-20-400-784, Adam 1e-3, batch 128, −ELBO summed over the batch
    (https://github.com/pytorch/examples/tree/main/vae).

    Returns:
        x (B, 1, 28, 28) → mean and log-variance side by side (B, 40); z (B, 20) → logits.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = nn.Sequential(nn.Flatten(), nn.Linear(784, 400), nn.ReLU(), nn.Linear(400, 40))
        decoder = nn.Sequential(
            nn.Linear(20, 400), nn.ReLU(), nn.Linear(400, 784), nn.Unflatten(1, (1, 28, 28))
        )
    both = nn.ModuleList([encoder, decoder]).to(device)
    optimizer = torch.optim.Adam(both.parameters(), lr=1e-3)
    order, noise = torch.Generator().manual_seed(seed), torch.Generator(device).manual_seed(seed)
    bar = tqdm(
        range(epochs), desc="PyTorch's example", unit="epoch", leave=False, disable=not epochs
    )
    for _ in bar:
        for chosen in torch.randperm(len(images), generator=order).split(128):
            x = images[chosen].to(device).float() / 255
            mean, logvar = encoder(x).chunk(2, 1)
            logits = decoder(latent.sample_posterior(mean, logvar, noise))
            loss = bernoulli_nats(logits, x).sum() + kl_nats(mean, logvar).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    both.requires_grad_(False)
    return encoder, decoder


def reference_figures(yardstick: Yardstick) -> dict[str, Any]:
    """Real digits, and PyTorch's example VAE, by the same measures."""
    settings, device = yardstick.settings, yardstick.device
    x = yardstick.images.float() / 255
    encoder, decoder = pytorch_example(
        yardstick.train_images, settings.example_epochs, yardstick.seed, device
    )
    mean, logvar = in_batches(encoder, x, device).chunk(2, 1)
    logits = in_batches(
        decoder, latent.sample_posterior(mean, logvar, yardstick.generator()), device
    )
    elbo = bernoulli_nats(logits, x) + kl_nats(mean, logvar).sum(1)
    z = latent.prior(settings.samples, 20, yardstick.generator())
    a, b = x[yardstick.pairs]
    return {
        "test_digits": {
            **looks(x, yardstick),
            "nearest_neighbour_accuracy": nearest_neighbour_accuracy(
                yardstick.images.flatten(1), yardstick.labels
            ),
        },
        # As many real digits and cross-fades as there are midpoints: the distance depends on it.
        "midpoints": {
            "test_digits": looks(a, yardstick, nearest=False),
            "crossfade": looks((a + b) / 2, yardstick, nearest=False),
        },
        "pytorch_example": {
            "negative_elbo_nats": float(elbo.double().mean()),
            **looks(in_batches(lambda part: decoder(part).sigmoid(), z, device), yardstick),
        },
    }
