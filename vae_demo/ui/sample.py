"""Sample: one noise, two decoders; only one of them was taught what the noise looks like.

Four walls of tiles, each named by its request:

{"count": 25, "seed": 3, "temperature": 1}            random draws, see `points.draws`
{"mode": "means"}                                     the mean code of each class, 0 to 9
{"mode": "grid", "count": 25, "dimensions": [0, 1]}   two numbers of the code at even quantiles
    with "sampler": "gaussian" of each model's own codes; with "base", a point, around it
{"mode": "walk", "first": 0, "frames": 4, …}          random draws that walk: frames of a loop
"""

import json
import math
import threading
from functools import lru_cache

import gradio as gr
import numpy as np
import torch
from torch import Tensor

from vae_demo import exports, latent, latent_map
from vae_demo.images import to_uint8
from vae_demo.latent_map import Codes
from vae_demo.models import LATENT_SIZE
from vae_demo.ui.exhibit import (
    SIDES,
    Payload,
    RequestError,
    exhibit,
    packed,
    pair,
    readings,
    recipe,
    saved,
    whole,
)
from vae_demo.ui.points import MAX_COUNT, Pair, draws, noise, placed, point
from vae_demo.yardstick import SURE
from vae_demo.zoo import Zoo, ZooModel

FRAMES = 96  # of a walk, after which it is back at its start
MAX_WALKERS = 49  # tiles that walk at once
PICTURES = 100  # of a side in one answer of a walk
SURVEYED = 500  # codes whose surroundings say what distance is usual
FILM_PICTURES = 1200  # of a side: about a second's work
FILM_MS = 80  # how long a frame of a walk stays
WALL_GAP_PX = 8  # of an export, between left and right
EXPORT_PX = 560  # about the height of an exported wall
film = threading.Lock()  # one at a time: a film is the only long work here

Draws = tuple[Tensor, Tensor]  # codes (N, Z) of the left and of the right model


def sample_tab(zoo: Zoo) -> gr.HTML:
    """Two walls from one noise; one answer brings pictures, readings and distances."""

    def sample(payload: Payload) -> Payload:
        models = pair(payload, zoo)
        return sample_both(models, payload, codes(zoo, models, payload), zoo)

    def save(payload: Payload) -> Payload:
        name = f"sample-{payload.get('mode', 'random')}.{payload.get('file')}"
        return saved(name, export(zoo, payload), recipe("sample", payload, zoo))

    return exhibit(
        "sample", [sample, save], sure=SURE, frames=FRAMES, walkers=MAX_WALKERS,
        chunk=PICTURES, baseline=baseline(zoo),
    )  # fmt: skip


def baseline(zoo: Zoo) -> float | None:
    """Share of real test digits the judge is sure of, where the report is on disk."""
    try:
        report = json.loads((zoo.folder / "report.json").read_text(encoding="utf-8"))
        return float(report["reference"]["test_digits"]["confident_share"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


# Where tiles lie ----------------------------------------------------------------------------------


def codes(zoo: Zoo, models: Pair, spec: Payload) -> Draws:
    """Both models' codes of all tiles of a wall, see this module; frame after frame of a walk.

    Raises:
        RequestError, ImageError: not such a request.
    """
    mode = spec.get("mode", "random")
    if mode == "random":
        count = whole(spec, "count", 1, MAX_COUNT)
        return draws(models[0], spec, count), draws(models[1], spec, count)
    if mode == "means":
        return models[0].samplers.classes.means, models[1].samplers.classes.means
    if mode == "grid":
        return grid(zoo, models, spec)
    if mode == "walk":
        first, frames = whole(spec, "first", 0, FRAMES - 1), whole(spec, "frames", 1, FRAMES)
        if frames * whole(spec, "count", 1, MAX_WALKERS) > PICTURES:
            raise RequestError("error.request")
        left, right = walk(models, spec, [(first + i) % FRAMES for i in range(frames)])
        return left.flatten(0, 1), right.flatten(0, 1)
    raise RequestError("error.request")


def walk(models: Pair, spec: Payload, frames: list[int]) -> Draws:
    """Where tiles that start as random draws are at some frames of their walk: (T, N, Z) each."""
    count = whole(spec, "count", 1, MAX_WALKERS)
    start = noise({**spec, "temperature": 1}, count)
    generator = torch.Generator().manual_seed(spec["seed"] + 2)
    steps = latent.roam(start, torch.tensor(frames) / FRAMES, generator)
    steps = steps * spec["temperature"]
    return placed(models[0], spec, steps), placed(models[1], spec, steps)


def grid(zoo: Zoo, models: Pair, spec: Payload) -> Draws:
    """Two numbers of each code over a square of quantiles, the first growing rightwards, the second
    upwards. The others are those of a point, or of the middle of what the sampler draws. A model
    whose codes lack one of the two does not change along it."""
    side = math.isqrt(count := whole(spec, "count", 1, MAX_COUNT))
    dimensions = spec.get("dimensions")
    if side * side != count or not isinstance(dimensions, list) or len(dimensions) != 2:
        raise RequestError("error.request")
    across, up = (whole({"of": d}, "of", 0, LATENT_SIZE - 1) for d in dimensions)
    sampler = spec.get("sampler", "prior")
    if across == up or sampler not in ("prior", "gaussian"):
        raise RequestError("error.request")
    base = spec.get("base")
    around = None if base is None else point(zoo, models, base).codes
    values = latent.quantiles(side)
    axes = ((across, values.repeat(side)), (up, values.flip(0).repeat_interleave(side)))

    def one(i: int) -> Tensor:
        size = models[i].coder.latent_size
        middle, width = torch.zeros(size), torch.ones(size)
        if sampler == "gaussian":
            gaussian = models[i].samplers.gaussian
            middle, width = gaussian.means[0], gaussian.choleskys[0].norm(dim=1)
        z = (middle if around is None else around[i]).repeat(count, 1)
        for dimension, steps in axes:
            if dimension < size:
                z[:, dimension] = middle[dimension] + width[dimension] * steps
        return z

    return one(0), one(1)


# What the page shows ------------------------------------------------------------------------------


def sample_both(models: Pair, spec: Payload, z: Draws, zoo: Zoo) -> Payload:
    """What both models decode codes to, how the judge reads it and where the codes lie; and for a
    tile that is picked, `{"tile": index}`, the test digit it landed by."""
    answer: Payload = {}
    for side, model, points in zip(SIDES, models, z, strict=True):
        x = model.coder.decode(points.to(zoo.device)).sigmoid()
        indices, distances = latent_map.nearest(points, model.codes, 1)
        answer[side] = {
            "pictures": packed(x),
            "spread": spread(points),
            "code_spread": code_spread(model.codes),
            **readings(zoo, x),
            "distances": (distances[:, 0] / usual_distance(model.codes)).round(3).tolist(),
        }
        if "tile" in spec:
            tile = whole(spec, "tile", 0, len(points) - 1)
            landed = landing(model, int(indices[tile, 0]), zoo)
            distance = float(distances[tile, 0])
            answer[side]["landed"] = {"code": points[tile].tolist(), "distance": distance, **landed}
    return answer


def landing(model: ZooModel, digit: int, zoo: Zoo) -> Payload:
    """A test digit near which a sample lies, as the model rebuilds it."""
    x = model.coder.decode(model.codes.mean[[digit]].to(zoo.device)).sigmoid()
    return {
        "digit": digit,
        "class": int(zoo.digits.labels[digit]),
        "picture": packed(x),
        "of": len(model.codes.mean),
    }


@lru_cache(maxsize=64)
def usual_distance(codes: Codes) -> float:
    """How far a test digit's code lies from the nearest code of another, on average; for a VAE, a
    draw from its posterior from the nearest mean, as samplers are fitted to such draws."""
    chosen = torch.arange(len(codes.mean))[:: max(1, len(codes.mean) // SURVEYED)]
    z = codes.mean[chosen]
    if codes.logvar is not None:
        generator = torch.Generator().manual_seed(0)
        z = latent.sample_posterior(z, codes.logvar[chosen], generator)
    indices, distances = latent_map.nearest(z, codes, 2)
    own = indices[:, 0] == chosen.numpy()
    others = np.where(own, distances[:, 1], distances[:, 0])
    return max(float(others.mean()), float(np.finfo(np.float32).tiny))


def spread(z: Tensor) -> float:
    """Root mean square distance of points z (B, Z) from the origin; near √Z for N(0, I)."""
    return z.square().sum(1).mean().sqrt().item()


def code_spread(codes: Codes) -> float:
    """The same for a model's codes of the test digits; for a VAE, for draws from its posteriors."""
    square = codes.mean.square()
    if codes.logvar is not None:
        square = square + codes.logvar.exp()
    return square.sum(1).mean().sqrt().item()


# What visitors keep -------------------------------------------------------------------------------


def export(zoo: Zoo, payload: Payload) -> bytes:
    """Both walls as a PNG, or a walk as a GIF, once around.

    Args:
        payload: a request of the page with `"file": "png"` or `"gif"`; with `"shown"`, the tiles
            left and right in the order they stand in.

    Raises:
        RequestError, ImageError: not such a request.
    """
    models, kind = pair(payload, zoo), payload.get("file")
    if kind == "png" and payload.get("frames", 1) == 1:
        z = codes(zoo, models, payload)
        walls = wall(models, z, payload, zoo)
        return exports.png(walls, recipe("sample", payload, zoo), scale(walls))
    if kind != "gif" or payload.get("mode") != "walk":
        raise RequestError("error.request")
    count = whole(payload, "count", 1, MAX_WALKERS)
    stride = next(s for s in (1, 2, 4) if s == 4 or FRAMES // s * count <= FILM_PICTURES)
    if not film.acquire(blocking=False):
        raise RequestError("sample.busy")
    try:
        steps = walk(models, payload, list(range(0, FRAMES, stride)))
        frames = [wall(models, z, payload, zoo) for z in zip(*steps, strict=True)]
        inside = recipe("sample", payload, zoo)
        return exports.gif(frames, inside, FILM_MS * stride, max(1, scale(frames[0]) // 2))
    finally:
        film.release()


def wall(models: Pair, z: Draws, payload: Payload, zoo: Zoo) -> exports.Grey:
    """Both walls (H, W), side by side, tiles in the order shown."""
    orders, walls = shown(payload, len(z[0])), []
    places = max(1, *map(len, orders))
    columns = places // 2 if payload.get("mode") == "means" else math.ceil(math.sqrt(places))
    for model, points, order in zip(models, z, orders, strict=True):
        pictures = to_uint8(model.coder.decode(points.to(zoo.device)).sigmoid())
        sheet = np.zeros((places, 28, 28), np.uint8)
        sheet[: len(order)] = pictures.reshape(-1, 28, 28)[order]
        walls.append(exports.tiles(sheet, columns))
    gap = np.zeros((len(walls[0]), WALL_GAP_PX), np.uint8)
    return np.hstack([walls[0], gap, walls[1]])


def scale(walls: exports.Grey) -> int:
    return max(1, EXPORT_PX // len(walls))


def shown(payload: Payload, count: int) -> list[list[int]]:
    """Which tiles stand on the left and on the right, in order; all unless the request says so."""
    orders = payload.get("shown", [list(range(count))] * 2)
    if not isinstance(orders, list) or len(orders) != 2:
        raise RequestError("error.request")
    for order in orders:
        if not isinstance(order, list):
            raise RequestError("error.request")
        tiles = [whole({"tile": tile}, "tile", 0, count - 1) for tile in order]
        if len(set(tiles)) < len(tiles):
            raise RequestError("error.request")
    return [[int(tile) for tile in order] for order in orders]
