"""The twins: an autoencoder and a variational autoencoder of one architecture.

Both map a 28×28 picture to a code of `latent_size` numbers and back. Twins built from one seed
start from the same weights in every part they share; only the variational one has a second head.

    x (B, 1, 28, 28) in [0, 1] → encode → z (B, Z) → decode → logits (B, 1, 28, 28)

Sources: autoencoder, Hinton & Salakhutdinov 2006 (Science 313); variational autoencoder, Kingma &
Welling 2014 (arXiv:1312.6114); residual blocks before activation, He et al. 2016
(arXiv:1603.05027); sub-pixel upsampling, Shi et al. 2016 (arXiv:1609.05158).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SIDE_PX = 28
LATENT_SIZE = 16
CHANNELS = (32, 64)  # at 14×14 and at 7×7
HIDDEN = 256


class Residual(nn.Module):
    """x + f(x) with two 3×3 convolutions; starts as the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.silu(self.conv1(F.silu(x))))


def encoder_trunk() -> nn.Sequential:
    """Pictures to features: (B, 1, 28, 28) → (B, HIDDEN)."""
    fine, coarse = CHANNELS
    return nn.Sequential(
        nn.Conv2d(1, fine, 4, stride=2, padding=1),  # (B, 32, 14, 14)
        Residual(fine),
        nn.SiLU(),
        nn.Conv2d(fine, coarse, 4, stride=2, padding=1),  # (B, 64, 7, 7)
        Residual(coarse),
        nn.SiLU(),
        nn.Flatten(),
        nn.Linear(coarse * 49, HIDDEN),
        nn.SiLU(),
    )


def decoder(latent_size: int) -> nn.Sequential:
    """Codes to logits: (B, Z) → (B, 1, 28, 28); the encoder in a mirror."""
    fine, coarse = CHANNELS
    return nn.Sequential(
        nn.Linear(latent_size, HIDDEN),
        nn.SiLU(),
        nn.Linear(HIDDEN, coarse * 49),
        nn.Unflatten(1, (coarse, 7, 7)),
        Residual(coarse),
        nn.SiLU(),
        nn.Conv2d(coarse, 4 * fine, 3, padding=1),
        nn.PixelShuffle(2),  # (B, 32, 14, 14)
        Residual(fine),
        nn.SiLU(),
        nn.Conv2d(fine, 4, 3, padding=1),
        nn.PixelShuffle(2),  # (B, 1, 28, 28)
    )


class Autoencoder(nn.Module):
    """One picture, one code, one answer.

    Args:
        latent_size: numbers in a code, Z ≥ 1.
    """

    def __init__(self, latent_size: int = LATENT_SIZE) -> None:
        super().__init__()
        self.latent_size = latent_size
        self.trunk = encoder_trunk()
        self.mean = nn.Linear(HIDDEN, latent_size)
        self.decoder = decoder(latent_size)

    def encode(self, x: Tensor) -> Tensor:
        """Codes z (B, Z) of pictures x (B, 1, 28, 28) in [0, 1]."""
        return self.mean(self.trunk(x))

    def decode(self, z: Tensor) -> Tensor:
        """Logits (B, 1, 28, 28) of codes z (B, Z); their sigmoid is the picture."""
        return self.decoder(z)


class VariationalAutoencoder(Autoencoder):
    """One picture, a Gaussian over codes, many answers."""

    def __init__(self, latent_size: int = LATENT_SIZE) -> None:
        super().__init__(latent_size)
        # Last, so that the twins draw the same random numbers for all that they share.
        self.logvar = nn.Linear(HIDDEN, latent_size)

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance, each (B, Z), of q(z|x) = N(mean, diag exp(logvar))."""
        features = self.trunk(x)
        return self.mean(features), self.logvar(features)


class Judge(nn.Module):
    """Reads digits: pictures to ten class logits. It scores the twins and never trains them."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 24, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(24, 32, 4, stride=2, padding=1),  # (B, 32, 14, 14)
            nn.ReLU(),
            nn.Conv2d(32, 48, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(48, 64, 4, stride=2, padding=1),  # (B, 64, 7, 7)
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(64 * 49, 128),
            nn.ReLU(),
        )
        self.classes = nn.Linear(128, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Class logits (B, 10) of pictures x (B, 1, 28, 28) in [0, 1]."""
        return self.classes(self.features(x))


def best_device() -> torch.device:
    """CUDA if there is one, else Apple's MPS, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")
