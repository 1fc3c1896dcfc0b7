"""python -m vae_demo.samplers [NAME …]: fit densities to each model's codes, beside its weights.

    python -m vae_demo.samplers        write checkpoints/samplers.npz

A density of its codes makes a sampler of any autoencoder (Ghosh et al. 2020, "From variational to
deterministic autoencoders", arXiv:1903.12436, section 4): held against draws from N(0, I) it tells
apart that an AE's codes lie elsewhere, and that there are holes between them. Fitted to codes of
MNIST's training digits; the app only loads the file.
"""

import argparse
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from vae_demo import checkpoints, data, latent_map
from vae_demo.checkpoints import CheckpointError
from vae_demo.latent import Mixture, fit_mixture, sample_posterior
from vae_demo.losses import squared_error
from vae_demo.models import Coder

FILE = "samplers.npz"
COMMAND = "python -m vae_demo.samplers"
COMPONENTS = 50  # of the mixture
CLASSES = 10
PERCENTS = 101


class Samplers(NamedTuple):
    """What was fitted to one model's codes of the training digits; for a VAE, to draws from their
    posteriors.

    Attributes:
        gaussian: one component.
        classes: ten components; component c is a Gaussian fitted to the codes of class c, its
            weight the share of that class.
        mixture: `COMPONENTS` components, for all classes together.
        squared_errors: (101,) percentiles 0 … 100 of the squared error per pixel of the 10,000
            test digits, ascending: how unusual another picture's error is.
    """

    gaussian: Mixture
    classes: Mixture
    mixture: Mixture
    squared_errors: Tensor


def fit(
    model: Coder,
    images: Tensor,
    labels: Tensor,
    test_images: Tensor,
    components: int = COMPONENTS,
    seed: int = 1,
) -> Samplers:
    """Fit all samplers of one model; a minute or two for 60,000 codes of 16 numbers.

    Args:
        images, labels: digits (N, 1, 28, 28) uint8 and their classes (N,), all ten among them.
        test_images: digits (M, 1, 28, 28) uint8 whose errors are ranked.
        seed: of the draws from a VAE's posteriors and of the mixture's first guess.
    """
    mean, logvar = latent_map.encode(model, images)
    codes = mean
    if logvar is not None:
        codes = sample_posterior(mean, logvar, torch.Generator().manual_seed(seed))
    of_class = [fit_mixture(codes[labels == label], 1, seed) for label in range(CLASSES)]
    shares = torch.bincount(labels.long(), minlength=CLASSES) / len(labels)
    classes = Mixture(
        shares,
        torch.cat([one.means for one in of_class]),
        torch.cat([one.choleskys for one in of_class]),
    )
    return Samplers(
        fit_mixture(codes, 1, seed),
        classes,
        fit_mixture(codes, components, seed),
        torch.quantile(errors(model, test_images), torch.linspace(0, 1, PERCENTS)),
    )


@torch.no_grad()
def errors(model: Coder, images: Tensor) -> Tensor:
    """Squared error per pixel of pictures (N, 1, 28, 28), uint8, each rebuilt: (N,)."""
    parts = (part.float() / 255 for part in images.split(500))
    return torch.cat([squared_error(model.decode(model.encode(x)).sigmoid(), x) for x in parts])


# The file -----------------------------------------------------------------------------------------


def save(samplers: dict[str, Samplers], digests: dict[str, str], folder: str | Path) -> Path:
    """Write samplers by the model's name, rounded to float16 except errors, in one step."""
    arrays: dict[str, NDArray[Any]] = {"card": np.array(json.dumps({"weights_sha256": digests}))}
    for name, fitted in samplers.items():
        for kind in ("gaussian", "classes", "mixture"):
            for field, tensor in getattr(fitted, kind)._asdict().items():
                arrays[f"{name}/{kind}/{field}"] = tensor.half().numpy()
        arrays[f"{name}/squared_errors"] = fitted.squared_errors.numpy()
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    path = Path(folder) / FILE
    checkpoints.write_atomically(path, buffer.getvalue())
    return path


def load(folder: str | Path = checkpoints.SHIPPED) -> dict[str, Samplers]:
    """The samplers of a folder's models, by name; those of other weights are left out.

    Raises:
        CheckpointError: the file is missing or damaged.
    """
    path = Path(folder) / FILE
    hint = f"Write it with `{COMMAND}`, or restore it with git."
    found: dict[str, Samplers] = {}
    try:
        # From memory: np.load would leave a damaged file open.
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as archive:
            digests = json.loads(str(archive["card"]))["weights_sha256"]
            for name in sorted(set(digests) & set(checkpoints.available(folder))):
                if digests[name] != checkpoints.read_card(name, folder)["weights_sha256"]:
                    continue

                def tensor(key: str, name: str = name) -> Tensor:
                    return torch.from_numpy(archive[f"{name}/{key}"].astype(np.float32))

                found[name] = Samplers(
                    **{
                        kind: Mixture(*(tensor(f"{kind}/{field}") for field in Mixture._fields))
                        for kind in ("gaussian", "classes", "mixture")
                    },
                    squared_errors=tensor("squared_errors"),
                )
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing. {hint}") from None
    except CheckpointError:
        raise
    except latent_map.UNREADABLE as error:
        raise CheckpointError(f"{path} is damaged or no .npz file ({error!r}). {hint}") from error
    return found


# The command --------------------------------------------------------------------------------------


def build(
    names: Sequence[str] = (),
    root: Path | None = None,
    folder: Path = checkpoints.SHIPPED,
    components: int = COMPONENTS,
    seed: int = 1,
) -> Path:
    """Fit the samplers of a folder's models that lack them, and write the file after each.

    Args:
        names: empty for all that have codes.

    Raises:
        CheckpointError: a model is missing or damaged.
        data.DataError: no MNIST.
    """
    try:
        fitted = load(folder)
    except CheckpointError:
        fitted = {}
    wanted: Iterable[str] = names or [
        name for name in checkpoints.coders(folder) if name not in fitted
    ]
    (images, labels), (test_images, _) = (data.load(root, train=half) for half in (True, False))
    path = Path(folder) / FILE
    for name in tqdm(wanted, unit="model", desc="samplers"):
        model = checkpoints.load_coder(name, folder)
        fitted[name] = fit(model, images, labels, test_images, components, seed)
        digests = {one: checkpoints.read_card(one, folder)["weights_sha256"] for one in fitted}
        path = save(fitted, digests, folder)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(prog=COMMAND, description="Fit densities to models' codes.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="default: all that lack them")
    data.add_argument(parser)
    parser.add_argument(
        "--folder", type=Path, default=checkpoints.SHIPPED, help="checkpoint folder"
    )
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    try:
        path = build(arguments.names, arguments.data, arguments.folder, seed=arguments.seed)
    except (CheckpointError, data.DataError) as error:
        parser.exit(1, f"{error}\n")
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
