"""The public HTTP API: what the page can do, for programs.

Gradio makes the type hints below the schema and the docstrings the descriptions, on the page's API
view, in `/gradio_api/openapi.json` and, with `gradio[mcp]` installed and `GRADIO_MCP_SERVER=true`
set, as tools of a Model Context Protocol server. It enforces neither: each argument is checked
here, and what does not fit becomes an error that says what came and what was expected.

The endpoints are queued and share two places, so that programs never take the processor from the
people who draw: those are answered unqueued.
"""

import base64
import binascii
import inspect
import logging
import math
import reprlib
from collections.abc import Callable
from functools import wraps
from typing import Any, Literal, TypedDict, TypeVar

import gradio as gr
import torch
from gradio.block_function import BlockFunction
from gradio.components.api_component import Api
from gradio.events import api
from torch import Tensor

from vae_demo import latent_map
from vae_demo.images import (
    COORDINATE_MAX,
    FILE_BYTES_MAX,
    POINTS_MAX,
    STROKES_MAX,
    ImageError,
    open_image,
    png,
    preprocess,
    render_strokes,
)
from vae_demo.ui.draw import answer
from vae_demo.ui.interpolate import PATHS
from vae_demo.ui.points import MAX_COUNT, MAX_SEED, MAX_TEMPERATURE, noise
from vae_demo.zoo import Zoo

log = logging.getLogger(__name__)

PLACES = 2  # requests answered at a time
STEPS_MAX = 64
NEIGHBOURS_MAX = 50

Picture = list[list[list[float]]] | str | int
Result = TypeVar("Result")


class Rebuilt(TypedDict):
    """A model's answer to a picture; `kl_nats` is null for the AE, which has none."""

    x_hat: str
    squared_error: float
    reconstruction_nats: float
    kl_nats: float | None


class Reconstruction(TypedDict):
    """`x` is what the models saw; of a blank picture there is nothing to rebuild."""

    blank: bool
    x: str
    ae: Rebuilt | None
    vae: Rebuilt | None


class Pictures(TypedDict):
    """The twins' answers to the same codes, in the same order."""

    ae: list[str]
    vae: list[str]


class Neighbour(TypedDict):
    """A test digit: index and class, and the distance of its code."""

    index: int
    label: int
    distance: float


class Place(TypedDict):
    """A point of a map, and the nearest test digits, nearest first."""

    x: float
    y: float
    neighbours: list[Neighbour]


class Location(TypedDict):
    """The same picture on both maps."""

    ae: Place
    vae: Place


class Blocks(gr.Blocks):
    """Blocks that hand the arguments of an API call over as they came, and keep none of it.

    Gradio itself would download what looks like a file on another host, and hold the last arguments
    and answers of 10,000 callers in memory, however large.
    """

    async def preprocess_data(
        self, block_fn: BlockFunction, inputs: list[Any], *others: Any, **options: Any
    ) -> list[Any]:
        if is_endpoint(block_fn):
            return complete(block_fn.fn, inputs)
        return await super().preprocess_data(block_fn, inputs, *others, **options)

    async def postprocess_data(
        self, block_fn: BlockFunction, predictions: Any, *others: Any, **options: Any
    ) -> list[Any]:
        if is_endpoint(block_fn):
            return [predictions]
        return await super().postprocess_data(block_fn, predictions, *others, **options)


def is_endpoint(block_fn: BlockFunction) -> bool:
    return bool(block_fn.outputs) and all(isinstance(block, Api) for block in block_fn.outputs)


def complete(endpoint: Any, inputs: list[Any]) -> list[Any]:
    """The arguments that came, and the defaults of those left out.

    Raises:
        gr.Error: too few or too many.
    """
    signature = inspect.signature(endpoint)
    try:
        bound = signature.bind(*inputs)
    except TypeError as error:
        takes = ", ".join(signature.parameters)
        reason = f"{endpoint.__name__} takes {takes}; {len(inputs)} came: {error}."
        raise gr.Error(reason, print_exception=False) from None
    bound.apply_defaults()
    return list(bound.args)


class ArgumentError(ValueError):
    """An argument does not fit; the message says what came, what was expected and what to do."""


def add_endpoints(zoo: Zoo) -> None:
    """Add `reconstruct`, `sample`, `interpolate` and `locate` to the Blocks being built."""

    def reconstruct(picture: Picture) -> Reconstruction:
        """Rebuild a picture of a digit with the autoencoder (AE) and its variational twin (VAE).

        A picture is pen strokes [[[x, y], …], …] in any unit with y growing downwards, a picture
        file in base64 (PNG, JPEG, WEBP, BMP, GIF, dark on light or light on dark), or the index
        of an MNIST test digit. Pictures come back as base64 PNGs, 28×28 px, grey, ink white.

        Args:
            picture: strokes [[[x, y], …], …], base64 of a picture file, or index of a test digit.

        Returns:
            x, the 28×28 picture the models saw; per model x_hat, squared_error (mean per pixel), \
reconstruction_nats and, for the VAE, kl_nats. A blank picture is no error: blank is true.
        """
        x = as_picture(picture, "picture", zoo)
        if not x.any():
            return {"blank": True, "x": encoded(x)[0], "ae": None, "vae": None}
        ae, vae = (answer(model, x.to(zoo.device)) for model in zoo.pair())
        return {"blank": False, "x": encoded(x)[0], "ae": rebuilt(ae), "vae": rebuilt(vae)}

    def sample(count: int = 16, seed: int = 0, temperature: float = 1.0) -> Pictures:
        """Draw codes from the prior N(0, temperature² I) and decode them with both models.

        Both are fed the same noise, and the page shows the same pictures for the same seed. A
        larger count begins with the same codes. Pictures are base64 PNGs, 28×28 px, grey, ink
        white.

        Args:
            count: how many pictures, 1 to 100.
            seed: of the noise, 0 to 2147483647.
            temperature: standard deviation of the codes, 0 to 2; 1 is the prior itself.

        Returns:
            ae and vae: a list of count pictures each.
        """
        settings = {
            "seed": as_whole(seed, "seed", 0, MAX_SEED),
            "temperature": as_number(temperature, "temperature", 0, MAX_TEMPERATURE),
        }
        z = noise(settings, as_whole(count, "count", 1, MAX_COUNT))
        return decoded(zoo, {"ae": z, "vae": z})

    def interpolate(
        start: Picture, end: Picture, steps: int = 10, path: Literal["lerp", "slerp"] = "slerp"
    ) -> Pictures:
        """Walk from one digit to another through the code spaces of both models.

        Both ends are given like the picture of reconstruct: strokes, base64 of a picture file, or
        index of a test digit. Pictures come back as base64 PNGs, 28×28 px, grey, ink white.

        Args:
            start: strokes [[[x, y], …], …], base64 of a picture file, or index of a test digit.
            end: the same.
            steps: pictures on the way, both ends included, 2 to 64.
            path: lerp for the straight line, slerp for the arc.

        Returns:
            ae and vae: a list of steps pictures each.
        """
        steps = as_whole(steps, "steps", 2, STEPS_MAX)
        if not isinstance(path, str) or path not in PATHS:
            raise ArgumentError(f"path is {shown(path)}; expected 'lerp' or 'slerp'.")
        first, last = as_codes(start, "start", zoo), as_codes(end, "end", zoo)
        return decoded(
            zoo, {name: PATHS[path](first[name][0], last[name][0], steps) for name in first}
        )

    def locate(picture: Picture, neighbours: int = 5) -> Location:
        """Find a picture on both maps of the encoded MNIST test digits.

        The picture is given like that of reconstruct. A map is a UMAP of the model's codes; its
        axes have no unit, and the place of a new picture is approximate. Distances are Euclidean,
        between codes; those of the two models are not on one scale.

        Args:
            picture: strokes [[[x, y], …], …], base64 of a picture file, or index of a test digit.
            neighbours: how many of the nearest test digits to list, 1 to 50.

        Returns:
            per model x, y and neighbours: index, label (the class, 0 to 9) and distance of each.
        """
        digits = zoo.digits
        neighbours = as_whole(neighbours, "neighbours", 1, min(NEIGHBOURS_MAX, len(digits.labels)))
        places: dict[str, Place] = {}
        for name, z in as_codes(picture, "picture", zoo).items():
            x, y = latent_map.locate(z, digits.codes[name])[0].tolist()
            indices, distances = latent_map.nearest(z, digits.codes[name], neighbours)
            places[name] = {
                "x": x,
                "y": y,
                "neighbours": [
                    {"index": index, "label": int(digits.labels[index]), "distance": distance}
                    for index, distance in zip(
                        indices[0].tolist(), distances[0].tolist(), strict=True
                    )
                ],
            }
        return {"ae": places["ae"], "vae": places["vae"]}

    for endpoint in (reconstruct, sample, interpolate, locate):
        api(polite(endpoint), concurrency_id="api", concurrency_limit=PLACES)


def polite(endpoint: Callable[..., Result]) -> Callable[..., Result]:
    """Turn what an endpoint raises into the one kind of error whose message Gradio passes on."""

    @wraps(endpoint)
    def guarded(*arguments: Any) -> Result:
        try:
            with torch.inference_mode():
                return endpoint(*arguments)
        except ArgumentError as error:
            raise gr.Error(str(error), print_exception=False) from None
        except Exception:
            log.exception("%s failed", endpoint.__name__)
            sorry = f"{endpoint.__name__} failed on the server; its log says why."
            raise gr.Error(sorry, print_exception=False) from None

    return guarded


# Arguments ----------------------------------------------------------------------------------------


def shown(value: Any) -> str:
    """A value as a message may quote it, cut short, however large or nested it is."""
    try:
        return f"{reprlib.repr(value)[:80]} ({type(value).__name__})"
    except ValueError:  # an integer of more digits than Python prints
        return f"a huge {type(value).__name__}"


def as_number(value: Any, name: str, low: float, high: float) -> float:
    """A finite number within bounds.

    Raises:
        ArgumentError: something else.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ArgumentError(
            f"{name} is {shown(value)}; expected a number from {low:g} to {high:g}."
        )
    return float(value)


def as_whole(value: Any, name: str, low: int, high: int) -> int:
    """A whole number within bounds, 3.0 being one.

    Raises:
        ArgumentError: something else.
    """
    try:
        number = as_number(value, name, low, high)
    except ArgumentError:
        number = math.nan
    if not number.is_integer():
        raise ArgumentError(
            f"{name} is {shown(value)}; expected a whole number from {low} to {high}."
        )
    return int(number)


def as_picture(value: Any, name: str, zoo: Zoo) -> Tensor:
    """The picture x (1, 1, 28, 28) that strokes, base64 or an index stand for; zeros if blank.

    Raises:
        ArgumentError: none of these, or not readable.
    """
    last = len(zoo.digits.labels) - 1
    try:
        if isinstance(value, list):
            return render_strokes(as_strokes(value, name))[None]
        if isinstance(value, str):
            return preprocess(open_image(as_bytes(value, name)))[None]
    except ImageError as error:
        raise ArgumentError(f"{name}: {error}") from None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ArgumentError(
            f"{name} is {shown(value)}; expected pen strokes [[[x, y], …], …], a picture file in "
            f"base64, or the index of a test digit, 0 to {last}."
        )
    return zoo.digit(as_whole(value, name, 0, last))


def as_strokes(value: list[Any], name: str) -> list[list[list[float]]]:
    """Strokes of points of two numbers; counted before anything is copied or converted.

    Raises:
        ArgumentError: another shape, too long, or not finite.
    """
    if len(value) > STROKES_MAX:
        raise ArgumentError(f"{name} has {len(value)} strokes; send at most {STROKES_MAX}.")
    total = 0
    for i, stroke in enumerate(value):
        if not isinstance(stroke, list):
            raise ArgumentError(
                f"{name}[{i}] is {shown(stroke)}; expected a stroke, a list of points [x, y]."
            )
        total += len(stroke)
        if total > POINTS_MAX:
            raise ArgumentError(f"{name} has over {POINTS_MAX} points; send fewer.")
        for j, point in enumerate(stroke):
            if not (
                isinstance(point, list)
                and len(point) == 2
                and all(type(n) in (int, float) and abs(n) <= COORDINATE_MAX for n in point)
            ):
                raise ArgumentError(
                    f"{name}[{i}][{j}] is {shown(point)}; expected a point [x, y] of two finite "
                    f"numbers within ±{COORDINATE_MAX:g}."
                )
    return value


def as_bytes(value: str, name: str) -> bytes:
    """The file that base64 stands for; a data URL and line breaks are fine.

    Raises:
        ArgumentError: no base64, or too long.
    """
    if value.startswith("data:"):
        value = value.partition(",")[2]
    if len(value) > FILE_BYTES_MAX * 3 // 2:
        raise ArgumentError(
            f"{name} has {len(value) / 1e6:.1f} million characters; send a picture file of at "
            f"most {FILE_BYTES_MAX / 1e6:.0f} MB."
        )
    try:
        content = base64.b64decode("".join(value.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ArgumentError(
            f"{name} is {shown(value)}, which is no base64 ({error}); send the bytes of a picture "
            "file in base64."
        ) from None
    if not content:
        raise ArgumentError(f"{name} is empty; send a picture file in base64, or strokes.")
    return content


def as_codes(value: Any, name: str, zoo: Zoo) -> dict[str, Tensor]:
    """A picture's code (1, Z) by the model's name; for a test digit, the shipped one.

    Raises:
        ArgumentError: no picture, or a blank one.
    """
    x = as_picture(value, name, zoo).to(zoo.device)
    if not x.any():
        raise ArgumentError(f"{name} is blank; draw something on it.")
    if isinstance(value, int | float):
        return {model.name: model.codes.mean[[int(value)]] for model in zoo.pair()}
    return {model.name: model.coder.encode(x) for model in zoo.pair()}


# Answers ------------------------------------------------------------------------------------------


def encoded(x: Tensor) -> list[str]:
    """Pictures (N, 1, 28, 28) in [0, 1] as base64 PNGs."""
    return [base64.b64encode(png(picture)).decode() for picture in x.cpu()]


def decoded(zoo: Zoo, codes: dict[str, Tensor]) -> Pictures:
    """What each model makes of its codes (N, Z)."""
    ae, vae = (
        encoded(model.coder.decode(codes[model.name].to(zoo.device)).sigmoid())
        for model in zoo.pair()
    )
    return {"ae": ae, "vae": vae}


def rebuilt(answer: dict[str, Any]) -> Rebuilt:
    """One model's answer, its picture made a PNG."""
    return {
        "x_hat": encoded(answer["x_hat"])[0],
        "squared_error": answer["squared_error"],
        "reconstruction_nats": answer["reconstruction_nats"],
        "kl_nats": answer.get("kl_nats"),
    }
