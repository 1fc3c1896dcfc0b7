"""Points of the code spaces, as the page names them: the same dictionary on every tab.

{"strokes": [[x0, y0, …], …]}                 a drawing, encoded by each model
{"picture": base64}                           an uploaded file, the same
{"digit": 1234}                               a digit of the encoded dataset
{"class": 7, "seed": 3}                       any digit of a class
{"seed": 3, "index": 7, "temperature": 1}     tile 7 of the tab Sample
    with "sampler": "prior" (the usual), "gaussian", "mixture" or "classes" with its "class"
{"codes": [[…], […]]}                         left and right, number by number
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vae_demo import latent
from vae_demo.models import LATENT_SIZE
from vae_demo.ui.exhibit import Payload, RequestError, number, picture, whole
from vae_demo.zoo import Zoo, ZooModel

MAX_COUNT = 100
MAX_SEED = 2**31 - 1
MAX_TEMPERATURE = 2.0
MAX_CODE = 1e4  # of a number in a code; codes of the zoo stay below a hundred
SAMPLERS = ("prior", "gaussian", "mixture", "classes")

Pair = tuple[ZooModel, ZooModel]


@dataclass(frozen=True)
class Point:
    """One point of two code spaces.

    Attributes:
        codes: each model's code (Z,), left and right, on the CPU.
        x: its picture (1, 1, 28, 28); a point that never was a picture borrows the right model's.
        about: for a digit of the encoded dataset, its index and class.
    """

    codes: tuple[Tensor, Tensor]
    x: Tensor
    about: Payload


def point(zoo: Zoo, models: Pair, spec: Any) -> Point:
    """The point a request names, see this module.

    Raises:
        RequestError, ImageError: none of these, or not readable.
    """
    if not isinstance(spec, dict):
        raise RequestError("error.request")
    if "codes" in spec:
        return decoded_point(zoo, models, given_codes(models, spec["codes"]))
    if "index" in spec:
        index = whole(spec, "index", 0, MAX_COUNT - 1)
        left, right = (draws(model, spec, index + 1)[index] for model in models)
        return decoded_point(zoo, models, (left, right))
    if "class" in spec:
        spec = {"digit": digit_of_class(zoo, spec)}
    x, about = picture(spec, zoo), {}
    if "digit" in spec:
        index = int(spec["digit"])
        about = {"digit": index, "class": int(zoo.digits.labels[index])}
    left, right = (digit_code(model, x, about.get("digit"), zoo) for model in models)
    return Point((left, right), x, about)


def decoded_point(zoo: Zoo, models: Pair, codes: tuple[Tensor, Tensor]) -> Point:
    x = models[1].coder.decode(codes[1][None].to(zoo.device)).sigmoid().cpu()
    return Point(codes, x, {})


def given_codes(models: Pair, codes: Any) -> tuple[Tensor, Tensor]:
    """Codes written out number by number.

    Raises:
        RequestError: other than two lists of finite numbers that fit the models.
    """
    if not isinstance(codes, list) or len(codes) != len(models):
        raise RequestError("error.request")
    for code, model in zip(codes, models, strict=True):
        if not isinstance(code, list) or len(code) != model.coder.latent_size:
            raise RequestError("error.models")
        for value in code:
            number({"value": value}, "value", -MAX_CODE, MAX_CODE)
    return torch.tensor(codes[0]).float(), torch.tensor(codes[1]).float()


def digit_of_class(zoo: Zoo, spec: Payload) -> int:
    """Index of a digit of the encoded dataset, chosen by `class` and `seed`."""
    indices = np.flatnonzero(zoo.digits.labels == whole(spec, "class", 0, 9))
    seed = whole(spec, "seed", 0, MAX_SEED)
    if not len(indices):
        raise RequestError("error.request")
    return int(indices[seed % len(indices)])


def digit_code(model: ZooModel, x: Tensor, index: int | None, zoo: Zoo) -> Tensor:
    """A model's code (Z,) of a picture x (1, 1, 28, 28): the shipped one for a test digit it has
    encoded, else what it encodes now."""
    if index is not None and index < len(model.codes.mean):
        return model.codes.mean[index]
    return model.coder.encode(x.to(zoo.device))[0].cpu()


def noise(spec: Payload, count: int) -> Tensor:
    """The first `count` draws (count, 16) from N(0, temperature² I) that a request stands for, on
    the CPU. A model with smaller codes takes the first numbers of each."""
    seed = whole(spec, "seed", 0, MAX_SEED)
    temperature = number(spec, "temperature", 0, MAX_TEMPERATURE)
    generator = torch.Generator().manual_seed(seed)
    return latent.prior(count, LATENT_SIZE, generator, temperature)


def draws(model: ZooModel, spec: Payload, count: int) -> Tensor:
    """The first `count` codes (count, Z) of a model's sampler. All samplers and models are fed the
    same noise, so switching moves each tile and replaces none."""
    return placed(model, spec, noise(spec, count))


def placed(model: ZooModel, spec: Payload, z: Tensor) -> Tensor:
    """Noise z (…, N, 16) brought to where a model's sampler draws: (…, N, Z). What a tile draws
    from, its class or component, hangs on its number and the seed alone."""
    z = z[..., : model.coder.latent_size]
    sampler, count = spec.get("sampler", "prior"), z.shape[-2]
    if sampler not in SAMPLERS:
        raise RequestError("error.request")
    if sampler == "prior":
        return z
    mixture = getattr(model.samplers, sampler)
    if sampler == "classes" and spec.get("class") is not None:
        chosen = torch.full((count,), whole(spec, "class", 0, 9))
    else:
        # A generator of its own leaves the noise what it is without a choice.
        where = torch.rand(MAX_COUNT, generator=torch.Generator().manual_seed(spec["seed"] + 1))
        chosen = latent.component(mixture, where)[:count]
    return latent.in_component(mixture, z, chosen)
