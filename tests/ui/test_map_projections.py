"""Maps by a visitor's own settings, with a process that only pretends; `test_projections` has the
real one."""

import base64
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from vae_demo import projections
from vae_demo.projections import Projections, State
from vae_demo.ui.exhibit import RequestError
from vae_demo.ui.map import map_tab
from vae_demo.ui.map_projections import LEAST, described, token
from vae_demo.zoo import Zoo, shown_pictures

# "Lays out" codes as their first numbers times the seed; a seed of 0 never ends, 9 fails.
PRETEND = f"""
import sys; sys.path.append({str(Path(projections.__file__).parent)!r})
import projections, threading

def fit(codes, n_neighbors, min_dist, metric, seed, dimensions, progress):
    progress("layout", 3, 200)
    if seed == 0:
        threading.Event().wait()
    if seed == 9:
        raise ValueError("secret path /srv/vae")
    return seed * codes[:, :dimensions]

projections.fit = fit
projections.serve()
"""
SETTINGS = {
    "n_neighbors": 5,
    "min_dist": 0.2,
    "metric": "cosine",
    "seed": 1,
    "dimensions": 2,
    "of": "codes",
    "count": 200,
}
ENDLESS = {**SETTINGS, "seed": 0}
NO_NUMBERS = [None, "7", True, float("nan"), float("inf"), -(10**400), 10**400, [1], {}]
Ask = Callable[[Any], dict[str, Any]]


@pytest.fixture
def queue() -> Iterator[Projections]:
    queue = Projections([sys.executable, "-c", PRETEND])
    yield queue
    queue.close()


@pytest.fixture
def functions(fake_zoo: Zoo, queue: Projections) -> dict[str, Ask]:
    return {function.__name__: function for function in map_tab(fake_zoo, queue).server_fns}


def when(functions: dict[str, Ask], job: str, *kinds: str) -> dict[str, Any]:
    """The first progress of one of these kinds."""
    late = time.monotonic() + 300
    while (answer := functions["progress"]({"job": job}))["state"] not in kinds:
        assert time.monotonic() < late, answer
        time.sleep(0.005)
    return answer


def laying_out(functions: dict[str, Ask], job: str) -> dict[str, Any]:
    """Progress once the process reports."""
    late = time.monotonic() + 300
    while (answer := functions["progress"]({"job": job})).get("stage") != "layout":
        assert time.monotonic() < late, answer
        time.sleep(0.005)
    return answer


def over(functions: dict[str, Ask], job: str) -> dict[str, Any]:
    return when(functions, job, "done", "failed", "cancelled", "unknown")


def points_of(one: dict[str, Any]) -> NDArray[np.float32]:
    return np.frombuffer(base64.b64decode(one["points"]), "<f4").reshape(-1, one["dimensions"])


@pytest.mark.parametrize("dimensions", [2, 3])
def test_both_models_are_laid_out(
    fake_zoo: Zoo, functions: dict[str, Ask], dimensions: int
) -> None:
    asked = {**SETTINGS, "dimensions": dimensions, "seed": 4}
    answer = over(functions, functions["project"](asked)["job"])
    assert answer.keys() == {"state", "left", "right"}
    first, second = (fake_zoo.digits.codes[name].mean[:200].numpy() for name in ("ae", "vae"))
    labels = fake_zoo.digits.labels[:200]
    expected = [4 * first[:, :dimensions]]
    expected += [projections.orient(4 * second[:, :dimensions], expected[0])]
    for side, points in zip(("left", "right"), expected, strict=True):
        shown = points_of(answer[side])
        np.testing.assert_allclose(shown, points, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(answer[side]["low"], shown.min(0))
        np.testing.assert_allclose(answer[side]["high"], shown.max(0))
        for label, middle in enumerate(answer[side]["middles"]):
            np.testing.assert_allclose(middle, np.median(shown[labels == label], axis=0))


def test_pixels_are_laid_out_once_for_both(fake_zoo: Zoo, functions: dict[str, Ask]) -> None:
    answer = over(functions, functions["project"]({**SETTINGS, "of": "pixels"})["job"])
    assert answer["left"] == answer["right"]
    x = shown_pictures(fake_zoo)[:200].flatten(1).float() / 255
    np.testing.assert_array_equal(points_of(answer["left"]), x[:, :2])
    shown = torch.cat([fake_zoo.digit(index) for index in range(200)]).flatten(1)
    torch.testing.assert_close(x, shown, atol=0.51 / 255, rtol=0)


def test_a_model_beside_itself_is_laid_out_once(functions: dict[str, Ask]) -> None:
    endless = functions["project"]({**ENDLESS, "models": ["vae", "vae"]})["job"]
    assert when(functions, endless, "running")["side"] == "both"
    functions["cancel"]({"job": endless})
    answer = over(functions, functions["project"]({**SETTINGS, "models": ["vae", "vae"]})["job"])
    assert answer["left"] == answer["right"]


def test_a_model_of_fewer_digits_sets_the_number(fake_zoo: Zoo, queue: Projections) -> None:
    codes = fake_zoo.digits.codes
    few = replace(codes["vae"], mean=codes["vae"].mean[:150], points=codes["vae"].points[:150])
    model = replace(fake_zoo.model("vae"), codes=few)
    zoo = replace(fake_zoo, loaded={**fake_zoo.loaded, "vae": model})
    functions = {function.__name__: function for function in map_tab(zoo, queue).server_fns}
    answer = over(functions, functions["project"](SETTINGS)["job"])
    assert len(points_of(answer["left"])) == len(points_of(answer["right"])) == 150


def test_progress_says_how_far(functions: dict[str, Ask]) -> None:
    jobs = [functions["project"](ENDLESS)["job"] for _ in range(3)]
    answer = laying_out(functions, jobs[0])
    assert answer == {
        "state": "running",
        "stage": "layout",
        "side": "left",
        "done": 3,
        "total": 200,
    }
    for ahead, job in ((1, jobs[1]), (2, jobs[2])):
        assert functions["progress"]({"job": job}) == {"state": "waiting", "ahead": ahead}
    for job in jobs:
        assert functions["cancel"]({"job": job}) == {"state": "cancelled"}
        assert functions["progress"]({"job": job}) == {"state": "cancelled"}


def test_which_side_is_at_work() -> None:
    labels = np.zeros(3, np.uint8)
    sides = [
        described(State("running", array=array, arrays=arrays), labels)["side"]
        for array, arrays in ((0, 1), (0, 2), (1, 2))
    ]
    assert sides == ["both", "left", "right"]


def test_a_failure_tells_nothing_of_the_server(functions: dict[str, Ask]) -> None:
    job = functions["project"]({**SETTINGS, "seed": 9})["job"]
    assert over(functions, job) == {"state": "failed"}


def test_a_full_queue_says_so(functions: dict[str, Ask]) -> None:
    when(functions, functions["project"](ENDLESS)["job"], "running")
    for _ in range(projections.WAITING):
        assert functions["project"](ENDLESS).keys() == {"job"}
    assert functions["project"](ENDLESS) == {"error": "error.projection.busy"}


# Whose job it is ----------------------------------------------------------------------------------


def test_a_job_shows_its_own_points_alone(functions: dict[str, Ask]) -> None:
    jobs = [functions["project"]({**SETTINGS, "seed": seed})["job"] for seed in (1, 2, 3)]
    assert len(set(jobs)) == 3
    answers = [over(functions, job) for job in jobs]
    first = points_of(answers[0]["left"])
    for seed, answer in zip((1, 2, 3), answers, strict=True):
        np.testing.assert_allclose(points_of(answer["left"]), seed * first, rtol=1e-6)
    assert functions["progress"]({"job": jobs[1]}) == answers[1]


@pytest.mark.parametrize("name", ["progress", "cancel"])
def test_only_its_token_leads_to_a_job(functions: dict[str, Ask], name: str) -> None:
    job = functions["project"](ENDLESS)["job"]
    when(functions, job, "running")
    assert len(job) >= 22  # 16 random bytes
    for foreign in ("", "0", "null", job[:-1], job + "A", job.swapcase(), "../" + job, "§" * 20):
        assert functions[name]({"job": foreign}) == {"state": "unknown"}
    assert functions["progress"]({"job": job})["state"] == "running"


@pytest.mark.parametrize("job", [None, 3, True, [], {}, ["a"], "a" * 101])
def test_what_is_no_token_is_refused(functions: dict[str, Ask], job: Any) -> None:
    for name in ("progress", "cancel"):
        assert functions[name]({"job": job}) == {"error": "error.request"}
    with pytest.raises(RequestError):
        token({"job": job})


@pytest.mark.parametrize(
    "wrong",
    [{"n_neighbors": n} for n in [*NO_NUMBERS, 1, 201, 2.5, 200]]
    + [{"min_dist": n} for n in [*NO_NUMBERS, -0.1, 1]]
    + [{"metric": metric} for metric in (None, "chebyshev", 3, [], {})]
    + [{"seed": n} for n in [*NO_NUMBERS, -1, 2**31, 0.5]]
    + [{"dimensions": n} for n in [*NO_NUMBERS, 1, 4, 2.5]]
    + [{"of": of} for of in (None, "images", 3, [], {})]
    + [{"count": n} for n in [*NO_NUMBERS, LEAST - 1, 301, 150.5]],
)
def test_what_are_no_settings_is_refused(
    functions: dict[str, Ask], queue: Projections, wrong: Any
) -> None:
    assert functions["project"]({**SETTINGS, **wrong}) == {"error": "error.request"}
    assert not queue.jobs


# The server ---------------------------------------------------------------------------------------


def test_the_server_takes_the_process_along_when_it_stops(own_server: gr.Blocks) -> None:
    queue = own_server.projections
    queue.command = [sys.executable, "-c", PRETEND]
    address = own_server.local_url
    config = httpx.get(f"{address}config", timeout=60).json()
    component = next(
        one["id"] for one in config["components"] if one["props"].get("elem_id") == "map"
    )

    def over_http(name: str) -> Ask:
        def ask(payload: Any) -> Any:
            request = {"component_id": component, "fn_name": name, "session_hash": "test"}
            return httpx.post(
                f"{address}gradio_api/component_server/",
                json={**request, "data": payload},
                timeout=60,
            ).json()

        return ask

    functions = {name: over_http(name) for name in ("project", "progress")}
    job = functions["project"](ENDLESS)["job"]
    laying_out(functions, job)
    process = queue.process
    assert process is not None
    assert process.poll() is None
    own_server.close(verbose=False)
    assert process.poll() is not None
    assert queue.worker is queue.process is None
