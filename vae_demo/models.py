"""The twins: an autoencoder and a variational autoencoder of one architecture; a linear relative.

All map a 28×28 picture to a code of `latent_size` numbers and back. Twins built from one seed
start from the same weights in every part they share; only the variational one has a second head.

    x (B, 1, 28, 28) in [0, 1] → encode → z (B, Z) → decode → logits (B, 1, 28, 28)

Sources: autoencoder, Hinton & Salakhutdinov 2006 (Science 313); variational autoencoder, Kingma &
Welling 2014 (arXiv:1312.6114); residual blocks before activation, He et al. 2016
(arXiv:1603.05027); sub-pixel upsampling, Shi et al. 2016 (arXiv:1609.05158).
"""

from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SIDE_PX = 28
LATENT_SIZE = 16
WIDTH = 32  # channels at 14×14; twice as many at 7×7
HIDDEN = 512


class Coder(Protocol):
    """Anything with codes: an autoencoder of whatever kind."""

    latent_size: int

    def encode(self, x: Tensor) -> Tensor: ...
    def decode(self, z: Tensor) -> Tensor: ...


class Residual(nn.Module):
    """x + f(x) with two 3×3 convolutions, the second of which starts at zero."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.silu(self.conv1(F.silu(x))))


class DenseResidual(nn.Module):
    """x + f(x) with two dense layers, the second of which starts at zero."""

    def __init__(self, units: int) -> None:
        super().__init__()
        self.dense1 = nn.Linear(units, units)
        self.dense2 = nn.Linear(units, units)
        nn.init.zeros_(self.dense2.weight)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.dense2(F.silu(self.dense1(F.silu(x))))


def encoder_trunk(width: int, hidden: int) -> nn.Sequential:
    """Pictures to features: (B, 1, 28, 28) → (B, hidden)."""
    return nn.Sequential(
        nn.Conv2d(1, width, 4, stride=2, padding=1),  # (B, 32, 14, 14) at width 32
        Residual(width),
        nn.SiLU(),
        nn.Conv2d(width, 2 * width, 4, stride=2, padding=1),  # (B, 64, 7, 7)
        Residual(2 * width),
        nn.SiLU(),
        nn.Flatten(),
        nn.Linear(2 * width * 49, hidden),
        DenseResidual(hidden),
        nn.SiLU(),
    )


def decoder(latent_size: int, width: int, hidden: int) -> nn.Sequential:
    """Codes to logits: (B, Z) → (B, 1, 28, 28); the encoder in a mirror."""
    return nn.Sequential(
        nn.Linear(latent_size, hidden),
        DenseResidual(hidden),
        nn.SiLU(),
        nn.Linear(hidden, 2 * width * 49),
        nn.Unflatten(1, (2 * width, 7, 7)),
        Residual(2 * width),
        nn.SiLU(),
        nn.Conv2d(2 * width, 4 * width, 3, padding=1),
        nn.PixelShuffle(2),  # (B, 32, 14, 14)
        Residual(width),
        nn.SiLU(),
        nn.Conv2d(width, 4, 3, padding=1),
        nn.PixelShuffle(2),  # (B, 1, 28, 28)
    )


class Autoencoder(nn.Module):
    """One picture, one code, one answer.

    Args:
        latent_size: numbers in a code, Z ≥ 1.
        width: channels at 14×14, ≥ 1; twice as many at 7×7.
        hidden: units of the dense layers, ≥ 1.
    """

    def __init__(
        self, latent_size: int = LATENT_SIZE, width: int = WIDTH, hidden: int = HIDDEN
    ) -> None:
        super().__init__()
        self.latent_size = latent_size
        self.width = width
        self.hidden = hidden
        self.trunk = encoder_trunk(width, hidden)
        self.mean = nn.Linear(hidden, latent_size)
        self.decoder = decoder(latent_size, width, hidden)

    def encode(self, x: Tensor) -> Tensor:
        """Codes z (B, Z) of pictures x (B, 1, 28, 28) in [0, 1]."""
        return self.mean(self.trunk(x))

    def decode(self, z: Tensor) -> Tensor:
        """Logits (B, 1, 28, 28) of codes z (B, Z); their sigmoid is the picture."""
        return self.decoder(z)


class VariationalAutoencoder(Autoencoder):
    """One picture, a Gaussian over codes, many answers."""

    def __init__(
        self, latent_size: int = LATENT_SIZE, width: int = WIDTH, hidden: int = HIDDEN
    ) -> None:
        super().__init__(latent_size, width, hidden)
        # Last, so that the twins draw the same random numbers for all that they share.
        self.logvar = nn.Linear(hidden, latent_size)

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance, each (B, Z), of q(z|x) = N(mean, diag exp(logvar))."""
        features = self.trunk(x)
        return self.mean(features), self.logvar(features)


class LinearAutoencoder(nn.Module):
    """Two affine maps. Trained for squared error its decoder spans the plane of PCA (Baldi & Hornik
    1989); PCA itself is stored as one.

    Args:
        latent_size: numbers in a code, 1 ≤ Z ≤ 784.
    """

    LEAST = 1e-4  # a pixel's distance from black and white in the logits, whose range is finite

    def __init__(self, latent_size: int = LATENT_SIZE) -> None:
        super().__init__()
        self.latent_size = latent_size
        self.encoder = nn.Linear(SIDE_PX**2, latent_size)
        self.decoder = nn.Linear(latent_size, SIDE_PX**2)

    def encode(self, x: Tensor) -> Tensor:
        """Codes z (B, Z) of pictures x (B, 1, 28, 28) in [0, 1]."""
        return self.encoder(x.flatten(1))

    def pixels(self, z: Tensor) -> Tensor:
        """The affine answer x_hat (B, 1, 28, 28); it leaves [0, 1] at times."""
        return self.decoder(z).unflatten(1, (1, SIDE_PX, SIDE_PX))

    def decode(self, z: Tensor) -> Tensor:
        """Logits (B, 1, 28, 28) of codes z (B, Z); their sigmoid is x_hat, cut to [0, 1]."""
        return self.pixels(z).clamp(self.LEAST, 1 - self.LEAST).logit()


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
