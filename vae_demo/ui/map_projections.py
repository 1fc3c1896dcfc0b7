"""Maps by a visitor's own settings: umap-learn runs in the background, and the page asks how far.

A visitor's job is known by its token alone, see `vae_demo.projections`.
"""

import base64

import numpy as np
from numpy.typing import NDArray

from vae_demo.latent_map import Points
from vae_demo.projections import METRICS, RANGES, Busy, Projections, Settings, State
from vae_demo.ui.exhibit import SIDES, Payload, RequestError, number, whole
from vae_demo.ui.map_places import landmarks, pixel_codes
from vae_demo.ui.points import Pair
from vae_demo.zoo import Zoo

LEAST = 100  # digits of a map; fewer show nothing
TOKEN = 100  # characters at most; ours have 22


def start(zoo: Zoo, models: Pair, payload: Payload, projections: Projections) -> Payload:
    """Have the codes of both models laid out, or pixels: `{"job": token}`.

    Args:
        payload: n_neighbors, min_dist, metric, seed and dimensions, see `Settings`; "of": "codes"
            or "pixels"; count: of the first digits, as many as both models have at most.

    Raises:
        RequestError: not such settings, or too many jobs wait.
    """
    of, metric = payload.get("of", "codes"), payload.get("metric")
    if of not in ("codes", "pixels") or metric not in METRICS:
        raise RequestError("error.request")
    wished: Payload = {
        name: whole(payload, name, int(low), int(high))
        if kind is int
        else number(payload, name, low, high)
        for name, (kind, low, high) in RANGES.items()
    }
    settings = Settings(**wished, metric=metric)
    # Where both sides are the same, one run serves both.
    both = dict.fromkeys(model.codes for model in models)
    sources = [pixel_codes(zoo)] if of == "pixels" else list(both)
    most = min(len(codes.mean) for codes in sources)
    count = min(whole(payload, "count", LEAST, len(zoo.digits.labels)), most)
    if settings.n_neighbors >= count:
        raise RequestError("error.request")
    try:
        arrays = [codes.mean[:count].numpy() for codes in sources]
        return {"job": projections.submit(arrays, settings)}
    except Busy:
        raise RequestError("error.projection.busy") from None


def token(payload: Payload) -> str:
    """The `job` of a request."""
    found = payload.get("job")
    if not isinstance(found, str) or len(found) > TOKEN:
        raise RequestError("error.request")
    return found


def described(state: State, labels: NDArray[np.uint8]) -> Payload:
    """How far a job is, for the page; of one that is done, the maps of both sides: the places of
    the first digits, float32 in base64, their corners, and the middle of each class."""
    answer: Payload = {"state": state.kind}
    if state.kind == "waiting":
        answer["ahead"] = state.ahead
    elif state.kind == "running":
        side = SIDES[state.array] if state.arrays > 1 else "both"
        answer |= {"stage": state.stage, "side": side, "done": state.done, "total": state.total}
    elif state.kind == "done":
        maps = [described_map(points, labels) for points in state.points]
        answer |= {"left": maps[0], "right": maps[-1]}
    return answer


def described_map(points: Points, labels: NDArray[np.uint8]) -> Payload:
    return {
        "points": base64.b64encode(points.astype("<f4").tobytes()).decode(),
        "dimensions": points.shape[1],
        **landmarks(points, labels),
    }
