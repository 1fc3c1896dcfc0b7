"""python -m vae_demo.train NAME: train one model on MNIST and write its checkpoint.

    python -m vae_demo.train ae      the autoencoder
    python -m vae_demo.train vae     its twin, the variational autoencoder
    python -m vae_demo.train judge   the classifier that scores them

A run can be killed at any moment: state is written after each epoch, all randomness of an epoch
comes from (seed, epoch), so the same command goes on to the very weights it would have reached.
"""

import argparse
import json
import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as dump_tensors
from torch import Tensor
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from vae_demo import checkpoints, data
from vae_demo.latent import BLOCK_ROWS, sample_posterior
from vae_demo.losses import bernoulli_nats, kl_nats
from vae_demo.models import Autoencoder, Judge, VariationalAutoencoder, best_device

EMA_DECAY = 0.999
KL_WARMUP = 0.1  # share of the run in which the KL term grows from 0 to its full weight
LR_WARMUP_STEPS = 400
BENDING = 0.75  # share of the run in which digits are bent, less and less

Parts = dict[str, Tensor]  # the terms of a loss; their sum is minimised
Objective = Callable[[Any, Tensor, Tensor, torch.Generator, float], Parts]


class TrainingError(RuntimeError):
    """Training cannot go on; the message says why, and the last good state is on disk."""


# Objectives ---------------------------------------------------------------------------------------
# Each takes model, x (B, 1, 28, 28) in [0, 1], labels (B,), generator, progress 0 … 1.


def autoencoder_loss(
    model: Autoencoder, x: Tensor, labels: Tensor, generator: torch.Generator, progress: float
) -> Parts:
    """Reconstruction only (Hinton & Salakhutdinov 2006)."""
    logits = model.decode(model.encode(x))
    return {"reconstruction": bernoulli_nats(logits.float(), x).mean()}


def vae_loss(
    model: VariationalAutoencoder,
    x: Tensor,
    labels: Tensor,
    generator: torch.Generator,
    progress: float,
) -> Parts:
    """−ELBO (Kingma & Welling 2014, equation 3); the KL is warmed up (Sønderby et al. 2016)."""
    mean, logvar = (t.float() for t in model.posterior(x))
    logits = model.decode(sample_posterior(mean, logvar, generator))
    beta = min(1.0, progress / KL_WARMUP)
    return {
        "reconstruction": bernoulli_nats(logits.float(), x).mean(),
        "kl": beta * kl_nats(mean, logvar).sum(1).mean(),
    }


def judge_loss(
    model: Judge, x: Tensor, labels: Tensor, generator: torch.Generator, progress: float
) -> Parts:
    """Cross-entropy, with labels smoothed a little so that its confidence stays honest."""
    return {"cross_entropy": F.cross_entropy(model(x).float(), labels, label_smoothing=0.02)}


# Bent digits --------------------------------------------------------------------------------------
# They stand in for the writers that MNIST does not have. Each takes x, generator, progress.


def bent_less_and_less(x: Tensor, generator: torch.Generator, progress: float) -> Tensor:
    """Three digits of four, strongly at first and not at all in the last quarter of the run: the
    twins are to know what MNIST's digits really look like."""
    strength = max(0.0, 1 - progress / BENDING)
    if strength == 0:
        return x
    kept = torch.rand(len(x), 1, 1, 1, generator=generator, device=x.device) < 0.25
    return torch.where(kept, x, random_affine(x, generator, strength))


def bent_strongly(x: Tensor, generator: torch.Generator, progress: float) -> Tensor:
    """All digits, all the time: the judge is to read pens it never saw."""
    return random_affine(x, generator, strength=1.5, shift_px=2)


def random_affine(
    x: Tensor, generator: torch.Generator, strength: float = 1.0, shift_px: float = 0.0
) -> Tensor:
    """Turn ±8°, scale ±6 % and shear ±0.12, times strength: each picture of x its own way.

    Args:
        x: (B, 1, 28, 28) in [0, 1].
        shift_px: largest shift along each axis.
    """

    def uniform(limit: float) -> Tensor:
        return limit * (2 * torch.rand(len(x), generator=generator, device=x.device) - 1)

    angle, shear = uniform(strength * math.radians(8)), uniform(strength * 0.12)
    scale_x, scale_y = 1 + uniform(strength * 0.06), 1 + uniform(strength * 0.06)
    shift_x, shift_y = (uniform(shift_px / 14) if shift_px else 0 * angle for _ in range(2))
    cos, sin = angle.cos(), angle.sin()
    rows = [
        torch.stack([scale_x * cos, shear - sin, shift_x], 1),
        torch.stack([sin, scale_y * cos, shift_y], 1),
    ]
    grid = F.affine_grid(torch.stack(rows, 1), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, mode="bicubic", align_corners=False).clamp(0, 1)


class Recipe(NamedTuple):
    """What a name stands for."""

    model: type[Autoencoder] | type[Judge]
    objective: Objective
    bend: Callable[[Tensor, torch.Generator, float], Tensor]
    epochs: int
    lr: float  # its peak


RECIPES = {
    "ae": Recipe(Autoencoder, autoencoder_loss, bent_less_and_less, 40, 2e-3),
    "vae": Recipe(VariationalAutoencoder, vae_loss, bent_less_and_less, 40, 2e-3),
    "judge": Recipe(Judge, judge_loss, bent_strongly, 12, 1e-3),
}


# The run ------------------------------------------------------------------------------------------


def learning_rate(step: int, steps: int, peak: float) -> float:
    """Linear warm-up, then a cosine to zero (Loshchilov & Hutter 2017)."""
    if step < LR_WARMUP_STEPS:
        return peak * (step + 1) / LR_WARMUP_STEPS
    done = (step - LR_WARMUP_STEPS) / max(1, steps - LR_WARMUP_STEPS)
    return peak * 0.5 * (1 + math.cos(math.pi * done))


class Run:
    """Everything that changes while training, and how it is kept on disk."""

    def __init__(self, model: Autoencoder | Judge, path: Path, identity: dict[str, Any]) -> None:
        self.model = model
        self.path = path
        self.identity = identity  # a saved state of another recipe is refused
        self.ema = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(EMA_DECAY))
        self.optimizer = torch.optim.Adam(model.parameters(), lr=0.0, fused=True)
        self.epoch = 0
        self.seconds = 0.0

    def save(self) -> None:
        tensors = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        tensors |= {f"ema.{k}": v for k, v in self.ema.state_dict().items()}
        for index, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"adam.{index}.{k}": v for k, v in state.items()}
        progress = {**self.identity, "epoch": self.epoch, "seconds": self.seconds}
        content = dump_tensors(
            {k: v.contiguous().cpu() for k, v in tensors.items()}, {"run": json.dumps(progress)}
        )
        try:
            checkpoints.write_atomically(self.path, content)
        except OSError as error:
            raise TrainingError(
                f"Cannot write {self.path} ({error}). The state of the epoch before is intact; "
                "free some space and run the same command again."
            ) from error

    def resume(self) -> None:
        """Go on from the saved state, if there is one of this very recipe."""
        if not self.path.exists():
            return
        try:
            with safe_open(self.path, framework="pt") as file:
                progress = json.loads(file.metadata()["run"])
                names = file.keys()
                tensors = {name: file.get_tensor(name) for name in names}
        except (SafetensorError, OSError, TypeError, KeyError, ValueError) as error:
            raise TrainingError(
                f"{self.path} cannot be read ({error}). Delete it to start afresh."
            ) from error
        saved = {key: progress.get(key) for key in self.identity}
        if saved != self.identity:
            raise TrainingError(
                f"{self.path} holds an unfinished run with {saved}, this one is {self.identity}. "
                "Delete that file to start afresh, or repeat the command it was started with."
            )

        def part(prefix: str) -> dict[str, Tensor]:
            return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}

        self.model.load_state_dict(part("model."))
        self.ema.load_state_dict(part("ema."))
        parameters = list(self.model.parameters())
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in part("adam.").items():
            index, name = key.split(".")
            if name != "step":  # the fused Adam wants its moments in the layout of the weights
                value = torch.empty_like(parameters[int(index)]).copy_(value)
            state.setdefault(int(index), {})[name] = value
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": state})
        self.epoch, self.seconds = progress["epoch"], progress["seconds"]


def train_epoch(
    run: Run,
    recipe: Recipe,
    images: Tensor,
    labels: Tensor,
    *,
    epochs: int,
    batch: int,
    peak: float,
    seed: int,
    bfloat16: bool,
) -> dict[str, float]:
    """One pass over the data in an order of its own; the mean of each loss part."""
    device = images.device
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed + run.epoch))
    generator = torch.Generator(device).manual_seed(seed * 1_000_003 + run.epoch)
    per_epoch = len(images) // batch
    steps = epochs * per_epoch
    autocast = torch.autocast(device.type, torch.bfloat16) if bfloat16 else nullcontext()
    totals: dict[str, Tensor] = {}
    started = time.monotonic()
    title = f"epoch {run.epoch + 1}/{epochs}"
    with tqdm(total=per_epoch, desc=title, unit="step", mininterval=1, leave=False) as bar:
        for i in range(per_epoch):
            step = run.epoch * per_epoch + i
            for group in run.optimizer.param_groups:
                group["lr"] = learning_rate(step, steps, peak)
            chosen = order[i * batch : (i + 1) * batch].to(device)
            progress = step / steps
            x = recipe.bend(images[chosen].float() / 255, generator, progress)
            with autocast:
                parts = recipe.objective(run.model, x, labels[chosen], generator, progress)
            loss = torch.stack(list(parts.values())).sum()
            run.optimizer.zero_grad()
            loss.backward()
            run.optimizer.step()
            run.ema.update_parameters(run.model)
            for key, value in parts.items():
                totals[key] = totals.get(key, torch.zeros((), device=device)) + value.detach()
            if i % 50 == 49 or i == per_epoch - 1:
                if not math.isfinite(loss.item()):
                    raise TrainingError(
                        f"The loss became {loss.item()} in epoch {run.epoch + 1}. The state of the "
                        f"epoch before is in {run.path}; try a lower --lr than {peak:g}."
                    )
                bar.set_postfix({k: f"{v.item() / (i + 1):.2f}" for k, v in totals.items()})
            bar.update()
    run.epoch += 1
    run.seconds += time.monotonic() - started
    return {key: value.item() / per_epoch for key, value in totals.items()}


@torch.no_grad()
def measure(
    model: Autoencoder | Judge, images: Tensor, labels: Tensor, seed: int = 0
) -> dict[str, float]:
    """The figures of a card, on all test digits: nats per picture, squared error per pixel."""
    generator = torch.Generator(images.device).manual_seed(seed)
    totals: dict[str, float] = {}
    for chosen in torch.arange(len(images)).split(10 * BLOCK_ROWS):  # no drawn noise is left over
        x = images[chosen].float() / 255
        if isinstance(model, Judge):
            values = {"accuracy": (model(x).argmax(1) == labels[chosen]).float()}
        else:
            logits = model.decode(model.encode(x))
            values = {
                "squared_error": (logits.sigmoid() - x).square().flatten(1).mean(1),
                "bce_nats": bernoulli_nats(logits, x),
            }
        if isinstance(model, VariationalAutoencoder):
            mean, logvar = model.posterior(x)
            logits = model.decode(sample_posterior(mean, logvar, generator))
            values["reconstruction_nats"] = bernoulli_nats(logits, x)
            values["kl_nats"] = kl_nats(mean, logvar).sum(1)
            values["negative_elbo_nats"] = values["reconstruction_nats"] + values["kl_nats"]
        for key, value in values.items():
            totals[key] = totals.get(key, 0.0) + value.double().sum().item()
    return {key: float(f"{total / len(images):.6g}") for key, total in totals.items()}


def train(
    name: str,
    *,
    root: Path | None = None,
    out: Path = checkpoints.SHIPPED,
    epochs: int | None = None,
    batch: int = 128,
    lr: float | None = None,
    seed: int = 1,
    images_used: int | None = None,
    device: str | torch.device | None = None,
    bfloat16: bool | None = None,
) -> dict[str, float]:
    """Train a model of `RECIPES`, write its checkpoint, return its test metrics.

    Args:
        root: MNIST folder, see `data.load`.
        out: where checkpoint and unfinished state go.
        epochs, lr: None for the recipe's own.
        images_used: train on the first so many digits only (for tests).
        bfloat16: None to use it where the processor has it.

    Raises:
        TrainingError: the loss is no longer finite, the disk is full, or an unfinished run of
            another recipe is in the way.
        data.DataError: no MNIST.
    """
    recipe = RECIPES[name]
    epochs, peak = epochs or recipe.epochs, lr or recipe.lr
    device = torch.device(device) if device else best_device()
    if bfloat16 is None:
        bfloat16 = fast_bfloat16(device)
    train_images, train_labels = data.load(root, train=True)
    train_images, train_labels = train_images[:images_used], train_labels[:images_used]
    identity = {
        "name": name,
        "epochs": epochs,
        "batch": batch,
        "lr": peak,
        "seed": seed,
        "bfloat16": bfloat16,
        "images": len(train_images),
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # twins of one seed start from the same weights
        model = recipe.model()
    model = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    run = Run(model, out / f"{name}.resume.safetensors", identity)
    run.resume()

    images, labels = train_images.to(device), train_labels.to(device)
    for _ in range(run.epoch, epochs):
        parts = train_epoch(
            run,
            recipe,
            images,
            labels,
            epochs=epochs,
            batch=batch,
            peak=peak,
            seed=seed,
            bfloat16=bfloat16,
        )
        run.save()
        left_min = run.seconds / run.epoch * (epochs - run.epoch) / 60
        shown = "  ".join(f"{key} {value:.2f}" for key, value in parts.items())
        tqdm.write(f"{name} epoch {run.epoch}/{epochs}  {shown}  {left_min:.1f} min left")

    trained: Any = run.ema.module.eval()
    rounded = {key: value.half().float() for key, value in trained.state_dict().items()}
    trained.load_state_dict(rounded)  # measured as stored
    test_images, test_labels = data.load(root, train=False)
    metrics = measure(trained, test_images.to(device), test_labels.to(device))
    card = {
        "objective": (recipe.objective.__doc__ or "").partition("\n")[0],
        "bending": recipe.bend.__name__,
        **identity,
        "data": {"set": "MNIST train", "sha256": data.digest(train_images)},
        "command": f"python -m vae_demo.train {name} --epochs {epochs} --batch {batch} "
        f"--lr {peak:g} --seed {seed}",
        "minutes": round(run.seconds / 60, 1),
        "device": device_name(device),
        "torch": torch.__version__,
        "metrics": metrics,
    }
    checkpoints.save(out, name, trained.cpu(), card)
    run.path.unlink(missing_ok=True)
    return metrics


def fast_bfloat16(device: torch.device) -> bool:
    """Whether this device multiplies bfloat16 in hardware."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    capabilities = torch.cpu.get_capabilities() if device.type == "cpu" else {}
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type}, {torch.get_num_threads()} threads"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m vae_demo.train", description="Train one model and write its checkpoint."
    )
    parser.add_argument("name", choices=sorted(RECIPES))
    data.add_argument(parser)
    parser.add_argument("--out", type=Path, default=checkpoints.SHIPPED, help="checkpoint folder")
    parser.add_argument("--epochs", type=int, help="passes over the data (default: the recipe's)")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--lr", type=float, help="peak learning rate (default: the recipe's)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", help="cuda, mps or cpu (default: the best there is)")
    parser.add_argument("--threads", type=int, help="CPU threads; runs side by side must share")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    try:
        metrics = train(
            arguments.name,
            root=arguments.data,
            out=arguments.out,
            epochs=arguments.epochs,
            batch=arguments.batch,
            lr=arguments.lr,
            seed=arguments.seed,
            device=arguments.device,
        )
    except (TrainingError, data.DataError) as error:
        parser.exit(1, f"{error}\n")
    print(f"{arguments.name}: " + "  ".join(f"{k} {v:g}" for k, v in metrics.items()))


if __name__ == "__main__":
    main()
