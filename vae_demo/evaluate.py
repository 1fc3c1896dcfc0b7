"""python -m vae_demo.evaluate [NAME …]: measure the models and write checkpoints/report.json.

    python -m vae_demo.evaluate               every model of the folder
    python -m vae_demo.evaluate vae           this one; the others stay as they were measured
    python -m vae_demo.evaluate --missing     what has not been measured, or has changed since

Runs may share the work, one thread each, once the first has measured the reference:
    python -m vae_demo.evaluate ae vae --threads 1 & python -m vae_demo.evaluate pca --threads 1

All on the 10,000 MNIST test digits unless a figure says otherwise. The report is written after each
model, so a killed run loses the work on one. What was measured with other weights of the model is
dropped; with another judge, seed or amount, everything is.
"""

import argparse
import math
import time
from collections.abc import Sequence
from contextlib import nullcontext
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from tqdm import tqdm

from vae_demo import checkpoints, data, latent, latent_map, samplers, train
from vae_demo.checkpoints import CheckpointError
from vae_demo.losses import bernoulli_nats, kl_nats, squared_error
from vae_demo.metrics import (
    active_units,
    auroc,
    importance_weighted_nats,
    linear_probe_accuracy,
    nearest_neighbour_accuracy,
    principal_angles,
)
from vae_demo.models import Coder, Judge, VariationalAutoencoder, best_device
from vae_demo.reference import reference_figures
from vae_demo.report import (
    COMMAND,
    Report,
    comparable_report,
    read_report,
    still_true,
    write_report,
)
from vae_demo.samplers import Samplers
from vae_demo.yardstick import (
    DEFAULT,
    Settings,
    Yardstick,
    decoded,
    looks,
    measuring,
    read,
    rebuilt,
    share,
)

DRAWN_AT_ONCE = 192  # codes decoded at once in bfloat16: fastest on one thread
LIBRARIES = ("torch", "numpy", "scipy", "scikit-learn", "pillow")

Figures = dict[str, Any]


class Codes(NamedTuple):
    """What a model makes of MNIST, each (N, Z); the log-variances are a VAE's.

    `drawn` are draws from the posteriors of the training digits, for an AE the codes themselves:
    what a fitted sampler is to imitate.
    """

    train: Tensor
    drawn: Tensor
    test: Tensor
    test_logvar: Tensor | None


def encoded(model: Coder, yardstick: Yardstick) -> Codes:
    mean, logvar = latent_map.encode(model, yardstick.train_images, yardstick.device)
    test_mean, test_logvar = latent_map.encode(model, yardstick.images, yardstick.device)
    drawn = mean
    if logvar is not None:
        drawn = latent.sample_posterior(mean, logvar, yardstick.generator())
    return Codes(mean, drawn, test_mean, test_logvar)


# The figures of one model -------------------------------------------------------------------------


@torch.no_grad()
def likelihood_figures(model: VariationalAutoencoder, yardstick: Yardstick, name: str) -> Figures:
    """Nats per digit: −ELBO with one draw per digit, and the importance-weighted bound.

    Grey pixels count as probabilities. Binarised digits are drawn from them once (Salakhutdinov &
    Murray 2008); the encoder then sees what is to be explained.
    """
    device, draws = yardstick.device, yardstick.settings.importance_samples
    labels = yardstick.labels.to(device)
    grey = yardstick.images.to(device)
    binarised = torch.bernoulli(grey.float() / 255, generator=yardstick.generator())
    fast = train.fast_bfloat16(device)  # changes the mean by 0.003 nats, in less than half the time
    autocast = torch.autocast(device.type, torch.bfloat16) if fast else nullcontext()
    generator, nats = yardstick.generator(), []
    rows = torch.arange(len(binarised)).split(DRAWN_AT_ONCE)
    for chosen in tqdm(rows, desc=f"{name}: likelihood", unit="batch", leave=False):
        x = binarised[chosen]

        def log_likelihood(z: Tensor, x: Tensor = x) -> Tensor:
            with autocast:
                logits = model.decode(z)
            return -bernoulli_nats(logits.float(), x)

        posterior = model.posterior(x)
        nats.append(importance_weighted_nats(log_likelihood, *posterior, draws, generator))
    parts = ("negative_elbo_nats", "reconstruction_nats", "kl_nats")
    measured = {
        "grey": train.measure(model, grey, labels),
        "binarised": train.measure(model, (255 * binarised).to(torch.uint8), labels),
    }
    figures: Figures = {
        kind: {part: values[part] for part in parts} for kind, values in measured.items()
    }
    figures["binarised"]["nll_nats"] = float(torch.cat(nats).mean())
    figures["binarised"]["importance_samples"] = draws
    return figures


@torch.no_grad()
def fitted_prior_figures(
    model: VariationalAutoencoder, mixture: latent.Mixture, yardstick: Yardstick
) -> Figures:
    """−ELBO of grey digits, in nats, if the fitted mixture stood in for the prior N(0, I).

    The gain is how far the aggregate posterior is from the prior (Hoffman & Johnson 2016, "ELBO
    surgery"; a fitted prior: Tomczak & Welling 2018, arXiv:1705.07120). One draw per digit.
    """
    generator, totals = yardstick.generator(), torch.zeros(2, dtype=torch.double)
    for part in yardstick.images.split(10 * latent.BLOCK_ROWS):
        x = part.to(yardstick.device).float() / 255
        mean, logvar = model.posterior(x)
        noise = latent.prior(len(mean), mean.shape[1], generator).to(mean)
        z = mean + (0.5 * logvar).exp() * noise
        # By the noise, not by z: a deviation may be too small for float32.
        log_q = -0.5 * (noise.square() + logvar + math.log(2 * math.pi)).sum(1)
        kl = log_q - latent.mixture_log_prob(mixture, z)
        reconstruction = bernoulli_nats(model.decode(z), x)
        totals += torch.stack([(reconstruction + kl).double().sum(), kl.double().sum()]).cpu()
    negative_elbo, kl_mean = (totals / len(yardstick.images)).tolist()
    return {"negative_elbo_nats": negative_elbo, "kl_nats": kl_mean}


def fitted_samplers(
    codes: Codes, yardstick: Yardstick, shipped: Samplers | None
) -> dict[str, latent.Mixture]:
    """One Gaussian, and a mixture of many, fitted to the codes of the training digits: those of the
    folder where they have as many components."""
    if shipped and len(shipped.mixture.weights) == yardstick.settings.components:
        return {"gaussian": shipped.gaussian, "mixture": shipped.mixture}
    components = {"gaussian": 1, "mixture": yardstick.settings.components}
    return {
        name: latent.fit_mixture(codes.drawn, count, yardstick.seed)
        for name, count in components.items()
    }


def reconstruction_figures(model: Coder, yardstick: Yardstick) -> tuple[Figures, Tensor]:
    """Of test digits, rebuilt from their codes, for a VAE from the posterior mean.

    Returns:
        The figures, and the squared error of each digit (N,), mean over its pixels.
    """
    x = yardstick.images.float() / 255
    logits = rebuilt(model, x, yardstick.device)
    errors = squared_error(logits.sigmoid(), x)
    reads = read(yardstick.judge, logits.sigmoid(), yardstick.device).classes
    return {
        "squared_error": float(errors.double().mean()),
        "bce_nats": float(bernoulli_nats(logits, x).double().mean()),
        "reads_as_before": share(reads == yardstick.reads),
    }, errors


def code_figures(codes: Codes, yardstick: Yardstick) -> Figures:
    figures: Figures = {
        "size": codes.test.shape[1],
        "nearest_neighbour_accuracy": nearest_neighbour_accuracy(codes.test, yardstick.labels),
        "linear_probe_accuracy": linear_probe_accuracy(
            codes.train, yardstick.train_labels, codes.test, yardstick.labels
        ),
    }
    if codes.test_logvar is not None:
        kl = kl_nats(codes.test.double(), codes.test_logvar.double()).mean(0)
        figures |= {"kl_nats": kl.tolist(), "active_units": active_units(codes.test)}
    return figures


def sample_figures(
    model: Coder, samplers: dict[str, latent.Mixture], yardstick: Yardstick, reference: Figures
) -> Figures:
    """Pictures drawn from N(0, I) and from the fitted samplers."""
    count, size = yardstick.settings.samples, model.latent_size
    drawn = {"prior": latent.prior(count, size, yardstick.generator())}
    for key, sampler in samplers.items():
        drawn[key] = latent.sample_mixture(sampler, count, yardstick.generator())
    figures: Figures = {}
    for key, z in drawn.items():
        found = looks(decoded(model, z, yardstick.device), yardstick)
        figures[key] = found | {
            "frechet_ratio": ratio(found, reference["pytorch_example"], "frechet"),
            "confident_relative": ratio(found, reference["test_digits"], "confident_share"),
        }
    fitted_ratios = [figures[key]["frechet_ratio"] for key in samplers]
    return {**figures, "best_fitted_ratio": min(fitted_ratios)}


def ratio(found: Figures, reference: Figures, key: str) -> float:
    return found[key] / reference[key] if reference[key] else math.nan


def midpoint_figures(model: Coder, codes: Codes, yardstick: Yardstick) -> Figures:
    """Pictures half-way between two digits of different classes."""
    a, b = codes.test[yardstick.pairs]
    figures = {}
    for path in (latent.lerp, latent.slerp):
        z = torch.stack([path(*ends, 3)[1] for ends in zip(a, b, strict=True)])
        x = decoded(model, z, yardstick.device)
        figures[path.__name__] = looks(x, yardstick, nearest=False)
    return figures


def pen_figures(model: Coder, yardstick: Yardstick) -> Figures | str:
    """Of pen digits that the judge reads right, the share that it reads right once rebuilt."""
    if isinstance(yardstick.pen, str):
        return yardstick.pen
    kept = {}
    for condition, (x, labels) in yardstick.pen.items():
        shown = rebuilt(model, x, yardstick.device).sigmoid()
        kept[condition] = share(read(yardstick.judge, shown, yardstick.device).classes == labels)
    return {"least": min(kept.values()), **kept}


def not_a_digit_figures(model: Coder, digits: Tensor, yardstick: Yardstick) -> Figures:
    """How well the squared error tells test digits (N,) from what is none: AUROC by kind."""
    figures = {}
    for kind, x in yardstick.not_digits.items():
        x_hat = rebuilt(model, x, yardstick.device).sigmoid()
        figures[kind] = auroc(squared_error(x_hat, x), digits)
    return figures


def measure(
    name: str, folder: Path, yardstick: Yardstick, reference: Figures, shipped: Samplers | None
) -> Figures:
    """All that applies to one model; `shipped` are the samplers that lie beside it.

    Raises:
        CheckpointError: it is missing, damaged or without codes.
    """
    card = checkpoints.read_card(name, folder)
    model = checkpoints.load_coder(name, folder, yardstick.device)
    figures: Figures = {
        "weights_sha256": card["weights_sha256"],
        "versions": versions(),
        "device": train.device_name(yardstick.device),
    }
    started = time.monotonic()

    def add(group: str, found: Figures | str) -> None:
        figures[group] = found
        tqdm.write(f"{name}: {group} after {time.monotonic() - started:.0f} s")

    codes = encoded(model, yardstick)
    fitted = fitted_samplers(codes, yardstick, shipped)
    if isinstance(model, VariationalAutoencoder):
        if card.get("likelihood", "bernoulli") == "bernoulli":
            likelihood = likelihood_figures(model, yardstick, name)
            likelihood["fitted_prior"] = fitted_prior_figures(model, fitted["mixture"], yardstick)
            add("likelihood", likelihood)
        else:
            add("likelihood", "its pixels are not Bernoulli: nats would not compare")
    found, errors = reconstruction_figures(model, yardstick)
    add("reconstruction", found)
    add("codes", code_figures(codes, yardstick))
    add("samples", sample_figures(model, fitted, yardstick, reference))
    add("midpoints", midpoint_figures(model, codes, yardstick))
    add("pen", pen_figures(model, yardstick))
    add("not_a_digit", not_a_digit_figures(model, errors, yardstick))
    return figures


# The report ---------------------------------------------------------------------------------------


def map_figures(folder: Path) -> Figures | str:
    try:
        return latent_map.load(folder).card["figures"]
    except CheckpointError:
        return f"no map of these weights; `{latent_map.COMMAND}` makes one"


def linear_figures(folder: Path) -> Figures | str:
    """The angles between what a linear autoencoder and PCA can draw; 0° if it is the same."""
    names = ("linear_ae", "pca")
    if missing := set(names) - set(checkpoints.available(folder)):
        return f"no {' and '.join(sorted(missing))} in the folder"
    a, b = (checkpoints.load(name, folder).get_parameter("decoder.weight") for name in names)
    return {"principal_angles_degrees": principal_angles(a, b)}


def versions() -> dict[str, str]:
    return {name: version(name) for name in LIBRARIES}


def evaluate(
    names: Sequence[str] = (),
    *,
    root: Path | None = None,
    folder: Path = checkpoints.SHIPPED,
    settings: Settings = DEFAULT,
    seed: int = 1,
    missing: bool = False,
    device: str | torch.device | None = None,
) -> Report:
    """Measure models and write the report of their folder after each.

    Args:
        names: empty for all models of the folder.
        root: of MNIST and the pen digits, see `data.load`.
        missing: leave out those whose figures are there and still hold.

    Raises:
        CheckpointError: a model is missing or damaged, or there is no judge.
        data.DataError: no MNIST.
    """
    device = torch.device(device) if device else best_device()
    cards = read_cards(folder)
    judge = checkpoints.load("judge", folder, device)
    if not isinstance(judge, Judge):
        raise CheckpointError(f"judge in {folder} is a {type(judge).__name__}: it reads nothing.")
    train_images, images = (data.load(root, train=half)[0] for half in (True, False))
    report: Report = {
        "command": f"{COMMAND} --importance-samples {settings.importance_samples} --seed {seed}",
        "seed": seed,
        "settings": settings._asdict(),
        "data": {"train": data.digest(train_images), "test": data.digest(images)},
        "judge": {"weights_sha256": cards["judge"]["weights_sha256"]},
    }
    coders = checkpoints.coders(folder)
    names = list(names) or coders
    if unknown := set(names) - set(coders):
        wanted, known = " or ".join(sorted(unknown)), ", ".join(coders) or "none"
        raise CheckpointError(f"{folder} has no model with codes named {wanted}; it has {known}.")
    old = comparable_report(folder, report)
    entries = still_true(old, cards)
    if missing:
        names = [name for name in names if not complete(entries.get(name), settings)]
    report |= {"map": map_figures(folder), "linear": linear_figures(folder)}
    if old:
        report |= {key: old[key] for key in ("judge", "versions", "reference")}
    if names or not old:
        tqdm.write("Reading MNIST and drawing drawings …")
        yardstick = measuring(judge, root, settings, seed, device)
    if not old:
        tqdm.write(f"No report in {folder} of this judge, seed and settings: all starts afresh.")
        report["judge"]["accuracy"] = share(yardstick.reads == yardstick.labels)
        report |= {"versions": versions(), "reference": reference_figures(yardstick)}
    beside = shipped_samplers(folder)
    for name in names:
        measured = measure(name, folder, yardstick, report["reference"], beside.get(name))
        # Another run beside this one may have measured others meanwhile, and a third trained them.
        cards = read_cards(folder)
        entries |= still_true(comparable_report(folder, report), cards) | {name: measured}
        write_report(folder, report | {"models": dict(sorted(entries.items()))})
    if not names:
        write_report(folder, report | {"models": dict(sorted(entries.items()))})
    return read_report(folder)


def read_cards(folder: Path) -> dict[str, dict[str, Any]]:
    return {name: checkpoints.read_card(name, folder) for name in checkpoints.available(folder)}


def shipped_samplers(folder: Path) -> dict[str, Samplers]:
    try:
        return samplers.load(folder)
    except CheckpointError:
        return {}


def complete(entry: Figures | None, settings: Settings) -> bool:
    """Whether a model has been measured, its likelihood by as many samples as now."""
    if entry is None:
        return False
    likelihood = entry.get("likelihood")
    if not isinstance(likelihood, dict):
        return True
    return bool(likelihood["binarised"]["importance_samples"] == settings.importance_samples)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog=COMMAND, description="Measure the models and write checkpoints/report.json."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="default: all models")
    data.add_argument(parser)
    parser.add_argument(
        "--folder", type=Path, default=checkpoints.SHIPPED, help="checkpoint folder"
    )
    parser.add_argument("--missing", action="store_true", help="only what is missing or stale")
    parser.add_argument(
        "--importance-samples",
        type=int,
        default=DEFAULT.importance_samples,
        metavar="K",
        help=f"codes per digit for the likelihood (default: {DEFAULT.importance_samples})",
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", help="cuda, mps or cpu (default: the best there is)")
    parser.add_argument("--threads", type=int, help="CPU threads; runs side by side must share")
    arguments = parser.parse_args()
    if arguments.importance_samples < 1:
        parser.error("--importance-samples must be at least 1")
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    try:
        report = evaluate(
            arguments.names,
            root=arguments.data,
            folder=arguments.folder,
            settings=DEFAULT._replace(importance_samples=arguments.importance_samples),
            seed=arguments.seed,
            missing=arguments.missing,
            device=arguments.device,
        )
    except (CheckpointError, data.DataError) as error:
        parser.exit(1, f"{error}\n")
    for goal in report["goals"]:
        mark = "reached" if goal["reached"] else "missed "
        print(f"{mark}  {goal['figure']} {goal['value']} (goal {goal['relation']} {goal['bound']})")


if __name__ == "__main__":
    main()
