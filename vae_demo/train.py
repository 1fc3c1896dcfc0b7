"""python -m vae_demo.train NAME: train one model on MNIST and write its checkpoint.

    python -m vae_demo.train vae                 a model of the zoo (vae_demo/recipes.py)
    python -m vae_demo.train vae --epochs 5      with other options: see --help
    python -m vae_demo.train mine --variational --latent 8 --beta 2     one of your own
    python -m vae_demo.train --all               the whole zoo, one process a core
    accelerate launch -m vae_demo.train vae      on several GPUs or machines

A run can be killed at any moment: state is written after each epoch, all randomness of an epoch
comes from (seed, epoch), so the same command goes on to the very weights it would have reached.
"""

import argparse
import json
import math
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as dump_tensors
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from vae_demo import checkpoints, data
from vae_demo.corruptions import CORRUPTIONS, random_affine
from vae_demo.latent import BLOCK_ROWS, sample_posterior
from vae_demo.losses import bernoulli_nats, kl_nats, squared_error
from vae_demo.models import (
    Autoencoder,
    Judge,
    LinearAutoencoder,
    VariationalAutoencoder,
    best_device,
)
from vae_demo.objectives import Batch, reconstruction_nats
from vae_demo.recipes import BENDINGS, KINDS, LIKELIHOODS, ZOO, Recipe, new_model, objective

if TYPE_CHECKING:
    from accelerate import Accelerator

Model = Autoencoder | LinearAutoencoder | Judge

EMA_DECAY = 0.999
GRADIENT_NORM = 200.0  # longest step allowed (Pascanu et al. 2013): twice the usual norm
LR_WARMUP_STEPS = 400
RESTING = 0.4  # the strength at which bending stops fading


class TrainingError(RuntimeError):
    """Training cannot go on; the message says why, and the last good state is on disk."""


# The run ------------------------------------------------------------------------------------------


def learning_rate(step: int, steps: int, peak: float) -> float:
    """Linear warm-up, then a cosine to zero (Loshchilov & Hutter 2017)."""
    if step < LR_WARMUP_STEPS:
        return peak * (step + 1) / LR_WARMUP_STEPS
    done = (step - LR_WARMUP_STEPS) / max(1, steps - LR_WARMUP_STEPS)
    return peak * 0.5 * (1 + math.cos(math.pi * done))


class Run:
    """Everything that changes while training, and how it is kept on disk."""

    def __init__(self, model: Model, path: Path, identity: dict[str, Any]) -> None:
        self.model = model
        self.path = path
        self.identity = identity  # a saved state of another recipe is refused
        self.ema = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(EMA_DECAY))
        self.optimizer = torch.optim.Adam(model.parameters(), lr=0.0, fused=True)
        self.epoch = 0
        self.seconds = 0.0
        self.curve: list[dict[str, float]] = []  # the mean loss parts of each epoch

    def save(self) -> None:
        tensors = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        tensors |= {f"ema.{k}": v for k, v in self.ema.state_dict().items()}
        for index, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"adam.{index}.{k}": v for k, v in state.items()}
        progress = {
            **self.identity,
            "epoch": self.epoch,
            "seconds": self.seconds,
            "curve": self.curve,
        }
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
        self.curve = progress["curve"]


def bend(x: Tensor, bending: str, generator: torch.Generator, progress: float) -> Tensor:
    """The digits of a batch as the recipe's bending has them.

    "fading": three digits of four, from full strength to less than half, where it rests: a run that
    ends on unbent digits learns them by heart. "strong": all digits, all the time, so that the
    judge reads pens it never saw.
    """
    if bending == "none":
        return x
    if bending == "strong":
        return random_affine(x, generator, strength=1.5, shift_px=2)
    strength = max(RESTING, 1 - progress)
    kept = torch.rand(len(x), 1, 1, 1, generator=generator, device=x.device) < 0.25
    return torch.where(kept, x, random_affine(x, generator, strength))


def train_epoch(
    run: Run,
    recipe: Recipe,
    images: Tensor,
    labels: Tensor,
    *,
    bfloat16: bool = False,
    accelerator: "Accelerator | None" = None,
) -> dict[str, float]:
    """One pass over the data in an order of its own; the mean of each loss part.

    With an accelerator, each process takes its share of every batch, and gradients are averaged:
    the steps are those of one process.
    """
    device, loss_parts = images.device, objective(recipe)
    rank, world = (accelerator.process_index, accelerator.num_processes) if accelerator else (0, 1)
    order = torch.randperm(
        len(images), generator=torch.Generator().manual_seed(recipe.seed + run.epoch)
    )
    seed = recipe.seed * 1_000_003 + run.epoch
    damage = torch.Generator(device).manual_seed(seed)  # the same on every process
    noise = torch.Generator(device).manual_seed(seed + 500_000_003 * (rank + 1))
    per_epoch = len(images) // recipe.batch
    steps = recipe.epochs * per_epoch
    autocast = torch.autocast(device.type, torch.bfloat16) if bfloat16 else nullcontext()
    totals: dict[str, Tensor] = {}
    counted: dict[str, int] = {}  # a stack's parts change on the way
    started = time.monotonic()
    title = f"epoch {run.epoch + 1}/{recipe.epochs}"
    with tqdm(
        total=per_epoch,
        desc=title,
        unit="step",
        mininterval=1,
        leave=False,
        disable=rank > 0 or "TQDM_DISABLE" in os.environ,
    ) as bar:
        for i in range(per_epoch):
            step = run.epoch * per_epoch + i
            for group in run.optimizer.param_groups:
                group["lr"] = learning_rate(step, steps, recipe.lr)
            chosen = order[i * recipe.batch : (i + 1) * recipe.batch].to(device)
            progress = step / steps
            x = bend(images[chosen].float() / 255, recipe.bending, damage, progress)
            seen = CORRUPTIONS[recipe.corruption](x, damage) if recipe.corruption else x
            mine = slice(rank, None, world)
            with autocast:
                batch = Batch(seen[mine], x[mine], labels[chosen[mine]])
                parts = loss_parts(run.model, batch, noise, progress)
            loss = torch.stack(list(parts.values())).sum()
            run.optimizer.zero_grad()
            loss.backward()
            if accelerator:
                average_gradients(run.model, accelerator)
            torch.nn.utils.clip_grad_norm_(run.model.parameters(), GRADIENT_NORM)
            run.optimizer.step()
            run.ema.update_parameters(run.model)
            for key, value in parts.items():
                totals[key] = totals.get(key, torch.zeros((), device=device)) + value.detach()
                counted[key] = counted.get(key, 0) + 1
            if i % 50 == 49 or i == per_epoch - 1:
                now = averaged(loss.detach(), accelerator).item()
                if not math.isfinite(now):
                    raise TrainingError(
                        f"The loss became {now} in epoch {run.epoch + 1}. The state of the epoch "
                        f"before is in {run.path}; try a lower --lr than {recipe.lr:g}."
                    )
                bar.set_postfix({k: f"{v.item() / counted[k]:.2f}" for k, v in totals.items()})
            bar.update()
    run.epoch += 1
    run.seconds += time.monotonic() - started
    means = {k: averaged(v, accelerator).item() / counted[k] for k, v in totals.items()}
    run.curve.append({key: float(f"{value:.6g}") for key, value in means.items()})
    return means


def averaged(value: Tensor, accelerator: "Accelerator | None") -> Tensor:
    """The mean over all processes."""
    return accelerator.reduce(value, "mean") if accelerator else value


def average_gradients(model: Model, accelerator: "Accelerator") -> None:
    """Replace each gradient by its mean over all processes, in one message."""
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    flat = accelerator.reduce(torch.cat([g.flatten() for g in gradients]), "mean")
    for gradient, mean in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(mean.view_as(gradient))


@torch.no_grad()
def measure(
    model: Model, images: Tensor, labels: Tensor, recipe: Recipe | None = None
) -> dict[str, float]:
    """The figures of a card, on all test digits: nats per picture, squared error per pixel.

    For a model that mends damage, `mended_` and `damaged_squared_error` compare its answer and the
    damaged picture itself with the whole one.
    """
    recipe = recipe or Recipe()
    generator = torch.Generator(images.device).manual_seed(0)
    totals: dict[str, float] = {}
    for chosen in torch.arange(len(images)).split(10 * BLOCK_ROWS):  # no drawn noise is left over
        x = images[chosen].float() / 255
        if isinstance(model, Judge):
            values = {"accuracy": (model(x).argmax(1) == labels[chosen]).float()}
        else:
            logits = model.decode(model.encode(x))
            values = {
                "squared_error": squared_error(logits.sigmoid(), x),
                "bce_nats": bernoulli_nats(logits, x),
            }
            if recipe.corruption:
                seen = CORRUPTIONS[recipe.corruption](x, generator)
                mended = model.decode(model.encode(seen)).sigmoid()
                values["damaged_squared_error"] = squared_error(seen, x)
                values["mended_squared_error"] = squared_error(mended, x)
        if isinstance(model, VariationalAutoencoder):
            mean, logvar = model.posterior(x)
            logits = model.decode(sample_posterior(mean, logvar, generator))
            values["reconstruction_nats"] = reconstruction_nats(logits, x, recipe.likelihood)
            values["kl_nats"] = kl_nats(mean, logvar).sum(1)
            values["negative_elbo_nats"] = values["reconstruction_nats"] + values["kl_nats"]
        for key, value in values.items():
            totals[key] = totals.get(key, 0.0) + value.double().sum().item()
    return {key: float(f"{total / len(images):.6g}") for key, total in totals.items()}


def train(
    name: str,
    recipe: Recipe | None = None,
    *,
    root: Path | None = None,
    out: Path = checkpoints.SHIPPED,
    images_used: int | None = None,
    device: str | torch.device | None = None,
    bfloat16: bool | None = None,
) -> dict[str, float]:
    """Train a model, write its checkpoint, return its test metrics.

    Args:
        name: of the files.
        recipe: None for the zoo's of that name.
        root: MNIST folder, see `data.load`.
        out: where checkpoint and unfinished state go.
        images_used: train on the first so many digits only (for tests).
        bfloat16: None to use it where the processor has it.

    Raises:
        TrainingError: the loss is no longer finite, the disk is full, an unfinished run of another
            recipe is in the way, or a batch is larger than the data or cannot be shared out.
        data.DataError: no MNIST.
    """
    recipe = recipe or ZOO[name]
    accelerator = launched()
    device = accelerator.device if accelerator else torch.device(device or best_device())
    if bfloat16 is None:
        bfloat16 = fast_bfloat16(device)
    images, labels = data.load(root, train=True)
    images, labels = images[:images_used], labels[:images_used]
    if not 0 < recipe.batch <= len(images):
        raise TrainingError(f"A batch of {recipe.batch} cannot be drawn from {len(images)} digits.")
    world = accelerator.num_processes if accelerator else 1
    if recipe.batch % world:
        raise TrainingError(
            f"A batch of {recipe.batch} cannot be shared out evenly among {world} processes; "
            "give --batch a multiple."
        )
    identity = {
        "name": name,
        **recipe._asdict(),
        "bfloat16": bfloat16,
        "images": len(images),
        **({"processes": world} if accelerator else {}),
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)  # twins of one seed start from the same weights
        model = new_model(recipe)
    model = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    run = Run(model, out / f"{name}.resume.safetensors", identity)
    if recipe.kind == "pca":
        fit_pca(model, images)
        run.ema = AveragedModel(model)
    else:
        run.resume()
        x, y = images.to(device), labels.to(device)
        for _ in range(run.epoch, recipe.epochs):
            parts = train_epoch(run, recipe, x, y, bfloat16=bfloat16, accelerator=accelerator)
            if accelerator is None or accelerator.is_main_process:
                run.save()
                left_min = run.seconds / run.epoch * (recipe.epochs - run.epoch) / 60
                shown = "  ".join(f"{key} {value:.2f}" for key, value in parts.items())
                done = f"{name} epoch {run.epoch}/{recipe.epochs}"
                tqdm.write(f"{done}  {shown}  {left_min:.1f} min left")

    trained: Any = run.ema.module.eval()
    rounded = {key: value.half().float() for key, value in trained.state_dict().items()}
    trained.load_state_dict(rounded)  # measured as stored
    test_images, test_labels = data.load(root, train=False)
    metrics = measure(trained, test_images.to(device), test_labels.to(device), recipe)
    formula: Any = objective(recipe)
    formula = formula.func if isinstance(formula, partial) else formula
    card = {
        "objective": (formula.__doc__ or "").partition("\n")[0],
        **identity,
        "data": {"set": "MNIST train", "sha256": data.digest(images)},
        "command": f"python -m vae_demo.train {name} {' '.join(spelled(name, recipe))}",
        "minutes": round(run.seconds / 60, 1),
        "device": device_name(device),
        "torch": torch.__version__,
        "metrics": metrics,
        "curve": run.curve,
    }
    if accelerator is None or accelerator.is_main_process:
        checkpoints.save(out, name, trained.cpu(), card)
        run.path.unlink(missing_ok=True)
    return metrics


def fit_pca(model: LinearAutoencoder, images: Tensor) -> None:
    """scikit-learn's PCA of pictures (N, 1, 28, 28), uint8, as the weights of a linear model."""
    from sklearn.decomposition import PCA

    pca = PCA(model.latent_size, svd_solver="covariance_eigh").fit(
        images.flatten(1).double().div(255).numpy()
    )
    components = torch.from_numpy(pca.components_).float()
    center = torch.from_numpy(pca.mean_).float()
    model.load_state_dict(
        {
            "encoder.weight": components,
            "encoder.bias": -components @ center,
            "decoder.weight": components.T,
            "decoder.bias": center,
        }
    )


def launched() -> "Accelerator | None":
    """Accelerate's view of the run, where `accelerate launch` started several processes."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        return None
    from accelerate import Accelerator

    return Accelerator()


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


# The command --------------------------------------------------------------------------------------


def spelled(name: str, recipe: Recipe) -> list[str]:
    """The options that make `parse` give back this recipe for this name."""
    usual, zoo = Recipe()._asdict(), ZOO.get(name, Recipe())._asdict()
    words: list[str] = []
    for option, value in recipe._asdict().items():
        if value == usual[option] == zoo[option] and option not in (
            "epochs",
            "batch",
            "lr",
            "seed",
        ):
            continue
        if option == "kind":
            words.append(f"--{value}")
        elif isinstance(value, bool):
            words.append(f"--{option}" if value else f"--no-{option}")
        else:
            words += [
                f"--{option}",
                f"{value:g}" if isinstance(value, float) else str(value).lower(),
            ]
    return words


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m vae_demo.train",
        description="Train a model on MNIST and write its checkpoint.",
        epilog=f"The zoo: {', '.join(ZOO)}. Options not given are the zoo's for that name.",
    )
    parser.add_argument("name", nargs="?", help="a model of the zoo, or a new name")
    parser.add_argument(
        "--all", action="store_true", help="train the whole zoo, one thread a model"
    )
    data.add_argument(parser)
    parser.add_argument("--out", type=Path, default=checkpoints.SHIPPED, help="checkpoint folder")
    parser.add_argument("--device", help="cuda, mps or cpu (default: the best there is)")
    parser.add_argument("--threads", type=int, help="CPU threads; runs side by side must share")
    options = parser.add_argument_group("recipe", "what to train; unset is the zoo's")
    kind = options.add_mutually_exclusive_group()
    for word in KINDS:
        kind.add_argument(f"--{word}", dest="kind", action="store_const", const=word)
    options.add_argument("--latent", type=int, help="numbers in a code")
    options.add_argument("--width", type=int, help="channels of the finest convolutions")
    options.add_argument("--hidden", type=int, help="units of the dense layers")
    options.add_argument("--beta", type=float, help="weight of the KL")
    options.add_argument("--likelihood", choices=LIKELIHOODS, help="of a pixel")
    options.add_argument("--corruption", choices=[*CORRUPTIONS, "none"], help="damage to mend")
    options.add_argument("--contractive", type=float, help="weight of the encoder's slope")
    flag = argparse.BooleanOptionalAction
    options.add_argument("--stochastic", action=flag, help="feel that slope out with noise")
    options.add_argument("--stacked", action=flag, help="train floor by floor first")
    options.add_argument("--bending", choices=BENDINGS, help="how digits are bent")
    options.add_argument("--epochs", type=int, help="passes over the data")
    options.add_argument("--batch", type=int, help="pictures a step")
    options.add_argument("--lr", type=float, help="peak learning rate")
    options.add_argument("--seed", type=int)
    return parser


def parse(words: Sequence[str] | None = None) -> tuple[argparse.Namespace, Recipe]:
    """Arguments and the recipe they ask for; ends the program where they make no sense."""
    command = parser()
    arguments = command.parse_args(words)
    given = {key: value for key in Recipe._fields if (value := getattr(arguments, key)) is not None}
    if arguments.all:
        if arguments.name or given:
            command.error("--all trains the zoo as it is: give it no name and no recipe")
        return arguments, Recipe()
    if not arguments.name or not re.fullmatch(r"[\w.-]+", arguments.name):
        command.error("give one name of letters, digits, '.', '_' or '-', or --all")
    for option, least in {"latent": 1, "width": 1, "hidden": 1, "epochs": 1, "batch": 1}.items():
        if given.get(option, least) < least:
            command.error(f"--{option} must be at least {least}, got {given[option]}")
    if given.get("corruption") == "none":
        given["corruption"] = None
    return arguments, ZOO.get(arguments.name, Recipe())._replace(**given)


def finished(name: str, out: Path, sha256: str) -> bool:
    """Whether a folder holds the zoo's model of that name, trained as the zoo says."""
    try:
        card = checkpoints.read_card(name, out)
        checkpoints.load(name, out)
    except checkpoints.CheckpointError:
        return False
    recipe = {key: card.get(key) for key in Recipe._fields}
    return recipe == ZOO[name]._asdict() and card["data"]["sha256"] == sha256


def train_all(root: Path | None, out: Path, device: str | None) -> None:
    """Train what `out` lacks of the zoo: on CPUs one process of one thread a core, else in turn.

    One thread each gives the same weights on any number of cores, and two models side by side are
    ready sooner than one after the other on two threads.

    Raises:
        TrainingError: a model could not be trained; the others were.
    """
    sha256 = data.digest(data.load(root, train=True)[0])
    names = [name for name in ZOO if not finished(name, out, sha256)]
    on_cpu = torch.device(device or best_device()).type == "cpu"
    options = ["--out", str(out)]
    options += ["--data", str(root)] if root else []
    options += ["--device", device] if device else []
    options += ["--threads", "1"] if on_cpu else []

    def run(name: str) -> int:
        command = [sys.executable, "-m", "vae_demo.train", name, *options]
        return subprocess.run(
            command, check=False, env={**os.environ, "TQDM_DISABLE": "1"}
        ).returncode

    failed = []
    with (
        ThreadPoolExecutor((os.cpu_count() or 1) if on_cpu else 1) as pool,
        tqdm(total=len(ZOO), initial=len(ZOO) - len(names), unit="model", desc="zoo") as bar,
    ):
        runs = {pool.submit(run, name): name for name in names}
        for done in as_completed(runs):
            failed += [runs[done]] if done.result() else []
            bar.update()
    if failed:
        raise TrainingError(f"Not trained: {', '.join(failed)}; the reason is above.")


def main() -> None:
    arguments, recipe = parse()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    options = {"root": arguments.data, "out": arguments.out, "device": arguments.device}
    try:
        if arguments.all:
            train_all(**options)
            return
        metrics = train(arguments.name, recipe, **options)
    except (TrainingError, data.DataError) as error:
        sys.exit(str(error))
    print(f"{arguments.name}: " + "  ".join(f"{k} {v:g}" for k, v in metrics.items()))


if __name__ == "__main__":
    main()
