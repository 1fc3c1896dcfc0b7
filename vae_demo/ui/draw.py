"""Draw: a live canvas, and what two models make of it while the pen still moves."""

import json
from typing import NamedTuple

import gradio as gr
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vae_demo import exports, latent, latent_map
from vae_demo.images import to_uint8
from vae_demo.losses import bernoulli_nats, kl_nats
from vae_demo.ui.exhibit import (
    HERE,
    SIDES,
    Payload,
    RequestError,
    exhibit,
    number,
    packed,
    pair,
    picture,
    recipe,
    saved,
    whole,
)
from vae_demo.ui.points import MAX_CODE, MAX_SEED, Pair, digit_code, point
from vae_demo.zoo import Zoo, ZooModel

EXAMPLES, DOODLES = HERE / "examples.json", HERE / "doodles.json"
SAMPLES = 6  # draws from a posterior
NEAREST = 5
MAX_LOGVAR = 20.0  # what is far from any digit, a negative say, drives a VAE's beyond all numbers
CANDIDATES = 12  # digits among which a hard one is looked for
EXPORT_SCALE = 8

Moves = dict[int, float]  # dimension → value, set by hand


class Encoding(NamedTuple):
    """What a model encodes a picture to: mean (1, Z), and log-variance if it has a posterior."""

    mean: Tensor
    logvar: Tensor | None


class Subject(NamedTuple):
    """What a request is about, as both models see it.

    Attributes:
        x: the picture (1, 1, 28, 28); None for a point of code space that never was one.
        encodings: of either model, on the zoo's device.
        moves: numbers of either code set by hand.
    """

    x: Tensor | None
    encodings: tuple[Encoding, Encoding]
    moves: tuple[Moves, Moves]


def draw_tab(zoo: Zoo) -> gr.HTML:
    """The live canvas. `reconstruct` answers each movement of the pen; the other server functions
    look inside when it rests."""

    def reconstruct(payload: Payload) -> Payload:
        models = pair(payload, zoo)
        if "point" in payload:
            return decode_point(models, subject(zoo, models, payload))
        return rebuild(models, picture(payload, zoo), zoo, moves(models, payload))

    def dimensions(payload: Payload) -> Payload:
        return dict(zip(SIDES, map(measure_codes, pair(payload, zoo)), strict=True))

    def posterior(payload: Payload) -> Payload:
        models = pair(payload, zoo)
        seed = whole(payload, "roll", 0, MAX_SEED)
        return several_answers(models, subject(zoo, models, payload), seed)

    def neighbours(payload: Payload) -> Payload:
        models = pair(payload, zoo)
        return nearest_digits(models, subject(zoo, models, payload), zoo)

    def surprise(payload: Payload) -> Payload:
        seed = whole(payload, "seed", 0, MAX_SEED)
        return any_digit(pair(payload, zoo), zoo, seed, payload.get("hard") is True)

    def save(payload: Payload) -> Payload:
        payload = essentials(payload)
        return saved("draw.png", export(zoo, payload), recipe("draw", payload, zoo))

    return exhibit(
        "draw",
        [reconstruct, dimensions, posterior, neighbours, surprise, save],
        examples=json.loads(EXAMPLES.read_text(encoding="utf-8")),
        doodles=json.loads(DOODLES.read_text(encoding="utf-8")),
    )


# What a request is about --------------------------------------------------------------------------


def subject(zoo: Zoo, models: Pair, payload: Payload) -> Subject:
    """The drawing, picture, digit or `{"point": …}` of a request, with its `moved` numbers.

    Raises:
        RequestError, ImageError: none of these, or not readable.
    """
    moved = moves(models, payload)
    if "point" in payload:
        codes = point(zoo, models, payload["point"]).codes
        left, right = (Encoding(code[None].to(zoo.device), None) for code in codes)
        return Subject(None, (left, right), moved)
    x = picture(payload, zoo).to(zoo.device)
    left, right = (encoding(model, x) for model in models)
    return Subject(x, (left, right), moved)


def moves(models: Pair, payload: Payload) -> tuple[Moves, Moves]:
    """Numbers of either code set by hand: `{"moved": [{"3": 1.25}, {}]}`, left and right.

    Raises:
        RequestError: other than that, or no such dimension.
    """
    sides = payload.get("moved", [{}, {}])
    if not isinstance(sides, list) or [type(side) for side in sides] != [dict, dict]:
        raise RequestError("error.request")
    found: list[Moves] = []
    for side, model in zip(sides, models, strict=True):
        known = {str(dimension): dimension for dimension in range(model.coder.latent_size)}
        if not side.keys() <= known.keys():
            raise RequestError("error.request")
        found.append({known[key]: number(side, key, -MAX_CODE, MAX_CODE) for key in side})
    return found[0], found[1]


def encoding(model: ZooModel, x: Tensor) -> Encoding:
    if model.variational:
        mean, logvar = model.variational.posterior(x)
        return Encoding(mean, logvar.clamp(max=MAX_LOGVAR))
    return Encoding(model.coder.encode(x), None)


def moved_code(mean: Tensor, moved: Moves) -> Tensor:
    """The code (1, Z) with some of its numbers replaced."""
    for dimension, value in moved.items():
        mean = latent.traversal(mean[0], dimension, [value])
    return mean


# While the pen moves ------------------------------------------------------------------------------


def rebuild(models: Pair, x: Tensor, zoo: Zoo, moved: tuple[Moves, Moves] = ({}, {})) -> Payload:
    """Both models' answer to a picture x (1, 1, 28, 28), packed for the page."""
    if x.min() == x.max():
        return {"blank": True}
    sides = {}
    for side, model, values in zip(SIDES, models, moved, strict=True):
        numbers = answer(model, x.to(zoo.device), values)
        code = described(numbers.pop("encoding"))
        rebuilt = packed(numbers.pop("x_hat"))
        sides[side] = {"picture": rebuilt, **code, **numbers}
        sides[side] |= strangeness(model, numbers["squared_error"])
    return {"seen": packed(x), **sides}


def answer(model: ZooModel, x: Tensor, moved: Moves | None = None) -> Payload:
    """What a model rebuilds of x (1, 1, 28, 28), perhaps with numbers of its code set by hand.

    Returns:
        encoding, the code; x_hat (1, 1, 28, 28) and the numbers shown beside it. `kl_nats` is the
        posterior's, whatever was moved, and missing where there is none.
    """
    mean, logvar = encoding(model, x)
    logits = model.coder.decode(moved_code(mean, moved or {}))
    x_hat = logits.sigmoid()
    numbers = {} if logvar is None else {"kl_nats": kl_nats(mean, logvar).sum().item()}
    return {
        "encoding": Encoding(mean, logvar),
        "x_hat": x_hat,
        "squared_error": (x_hat - x).square().mean().item(),
        "reconstruction_nats": bernoulli_nats(logits, x).item(),
        **numbers,
    }


def described(code: Encoding) -> Payload:
    """A code for the page: its numbers, and the posterior's standard deviation of each."""
    numbers = {"mean": rounded(code.mean[0])}
    if code.logvar is not None:
        numbers["std"] = rounded((0.5 * code.logvar[0]).exp())
    return numbers


def rounded(values: Tensor) -> list[float]:
    return [round(value, 4) for value in values.tolist()]


def strangeness(model: ZooModel, error: float) -> Payload:
    """How unusual a squared error is: the percentage of the 10,000 test digits that the model
    rebuilds with less, and whether it is `beyond` them all."""
    errors = model.samplers.squared_errors.numpy()
    percentile = np.interp(error, errors, np.linspace(0, 100, len(errors)))
    return {"percentile": round(float(percentile), 1), "beyond": bool(error > errors[-1])}


def decode_point(models: Pair, it: Subject) -> Payload:
    """Both models' pictures of a point: no numbers, for nothing was seen or rebuilt."""
    return {
        side: {
            "picture": packed(model.coder.decode(moved_code(code.mean, moved)).sigmoid()),
            **described(code),
        }
        for side, model, code, moved in zip(SIDES, models, it.encodings, it.moves, strict=True)
    }


# When it rests ------------------------------------------------------------------------------------


def measure_codes(model: ZooModel) -> Payload:
    """What the page must know of a model's code space before it can draw a code in it.

    Returns:
        order: the dimensions, the most telling first; weights: what each tells, in that order, as
        `measure` says: its KL in nats, the mean over the test digits, or for a model without
        posterior the variance of the codes; reach: nearly all numbers lie within ± this.
    """
    mean, logvar = model.codes.mean, model.codes.logvar
    told = mean.var(0, correction=0) if logvar is None else kl_nats(mean, logvar).mean(0)
    order = told.argsort(descending=True)
    return {
        "measure": "variance" if logvar is None else "kl",
        "order": order.tolist(),
        "weights": rounded(told[order]),
        "reach": round(1.15 * float(np.quantile(mean.abs().numpy(), 0.995)), 2),
    }


def several_answers(models: Pair, it: Subject, seed: int) -> Payload:
    """What both models may answer to the same picture: `SAMPLES` draws from the posterior, each
    decoded; a model without one, or a point that is no picture, has one answer."""
    sides = {}
    for side, model, (mean, logvar) in zip(SIDES, models, it.encodings, strict=True):
        codes = mean
        if logvar is not None:
            generator = torch.Generator().manual_seed(seed)
            codes = latent.sample_posterior(
                mean.expand(SAMPLES, -1), logvar.expand(SAMPLES, -1), generator
            )
        pictures = model.coder.decode(codes).sigmoid()
        sides[side] = {"count": len(codes), "pictures": packed(pictures)}
    return sides


def nearest_digits(models: Pair, it: Subject, zoo: Zoo) -> Payload:
    """The test digits whose codes are nearest to the code shown, as the same model rebuilds them,
    and how many were searched."""
    sides = {}
    for side, model, code, moved in zip(SIDES, models, it.encodings, it.moves, strict=True):
        searched = len(model.codes.mean)
        found, distances = latent_map.nearest(
            moved_code(code.mean, moved), model.codes, min(NEAREST, searched)
        )
        pictures = model.coder.decode(model.codes.mean[found[0]].to(zoo.device)).sigmoid()
        sides[side] = {
            "digits": found[0].tolist(),
            "classes": zoo.digits.labels[found[0]].tolist(),
            "distances": distances[0].tolist(),
            "pictures": packed(pictures),
            "searched": searched,
        }
    return sides


def any_digit(models: Pair, zoo: Zoo, seed: int, hard: bool) -> Payload:
    """A digit of the encoded dataset; a hard one is, among some, the one the judge recognises least
    in what the two models rebuild."""
    indices = np.random.default_rng(seed).integers(
        len(zoo.digits.labels), size=CANDIDATES if hard else 1
    )
    index = int(indices[0])
    if hard:
        index = int(indices[least_recognised(models, zoo, indices)])
    label = int(zoo.digits.labels[index])
    return {"digit": index, "class": label, "picture": packed(zoo.digit(index))}


def least_recognised(models: Pair, zoo: Zoo, indices: NDArray[np.int64]) -> int:
    """Which of some test digits the judge gives the least chance to be what it is."""
    pictures = torch.cat([zoo.digit(int(index)) for index in indices])
    chances = []
    for model in models:
        codes = [
            digit_code(model, x[None], int(index), zoo)
            for x, index in zip(pictures, indices, strict=True)
        ]
        rebuilt = model.coder.decode(torch.stack(codes).to(zoo.device)).sigmoid()
        of_class = zoo.judge(rebuilt).softmax(1).cpu()
        chances.append(of_class[range(len(indices)), zoo.digits.labels[indices].astype(int)])
    return int((chances[0] + chances[1]).argmin())


# Pictures to keep ---------------------------------------------------------------------------------


def essentials(payload: Payload) -> Payload:
    """What of a request `subject` reads: all that a recipe need hold, and nothing unchecked."""
    about = next((key for key in ("point", "strokes", "picture") if key in payload), "digit")
    kept = {"point": (), "strokes": ("off", "brush"), "picture": ("off",), "digit": ()}[about]
    keys = ("models", "moved", "file", about, *kept)
    return {key: payload[key] for key in keys if key in payload}


def export(zoo: Zoo, payload: Payload) -> bytes:
    """A PNG of what was seen and what both models rebuilt, the residuals below; of a point, of both
    pictures alone.

    Raises:
        RequestError, ImageError: the payload asks for nothing that can be shown.
    """
    if payload.get("file") != "png":
        raise RequestError("error.request")
    models = pair(payload, zoo)
    it = subject(zoo, models, payload)
    rebuilt = [
        grey(model.coder.decode(moved_code(code.mean, moved)).sigmoid())
        for model, code, moved in zip(models, it.encodings, it.moves, strict=True)
    ]
    if it.x is None:
        sheet = exports.tiles(np.stack(rebuilt), 2)
    elif it.x.min() == it.x.max():
        raise RequestError("error.request")
    else:
        seen = grey(it.x)
        above = exports.in_colours(np.stack([seen, *rebuilt]))
        below = exports.residual(np.stack([seen, *rebuilt]), seen)
        sheet = exports.tiles(np.concatenate([above, below]), 3)
    return exports.png(sheet, recipe("draw", payload, zoo), EXPORT_SCALE)


def grey(x: Tensor) -> exports.Grey:
    """A picture (1, 1, 28, 28) in [0, 1] as bytes (28, 28)."""
    return to_uint8(x[0, 0].cpu())
