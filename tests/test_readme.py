"""What the README says is true: its numbers, its code, its tree, its front matter."""

import math
import re
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vae_demo
from vae_demo import checkpoints
from vae_demo.recipes import ZOO
from vae_demo.report import Report, read_report

REPOSITORY = Path(__file__).resolve().parents[1]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")

# row of the table → where the two numbers come from
TWINS = {
    "squared error per pixel": "models/{}/reconstruction/squared_error",
    "binary cross-entropy, nats": "models/{}/reconstruction/bce_nats",
    "−ELBO, nats": "models/{}/likelihood/grey/negative_elbo_nats",
    "of which KL, nats": "models/{}/likelihood/grey/kl_nats",
    "−log p(x) of binarised digits, nats, 500 importance samples": (
        "models/{}/likelihood/binarised/nll_nats"
    ),
    "rebuilt digits that a judge reads as before": "models/{}/reconstruction/reads_as_before",
    "pen digits, rebuilt, read as drawn; worst of five conditions": "models/{}/pen/least",
    "digits whose nearest other code is of the same class": (
        "models/{}/codes/nearest_neighbour_accuracy"
    ),
    "dreams from N(0, I): Fréchet distance": "models/{}/samples/prior/frechet_ratio",
    "dreams from a mixture fitted to the codes: Fréchet distance": (
        "models/{}/samples/mixture/frechet_ratio"
    ),
    "dreams from N(0, I) that a judge is sure of, real digits = 1": (
        "models/{}/samples/prior/confident_relative"
    ),
    "map: trustworthiness": "map/{}/trustworthiness",
    "map: digits read right by their 10 neighbours": "map/{}/knn_accuracy",
    "map: training digits placed at once, distance from where umap-learn puts them, median": (
        "map/{}/placement/training/median"
    ),
    "map: the same, of 95 in 100 training digits at most": (
        "map/{}/placement/training/percentile_95"
    ),
    "map: pen digits placed at once, the same, median": "map/{}/placement/pen/median",
    "map: the same, of 95 in 100 pen digits at most": "map/{}/placement/pen/percentile_95",
}
ZOO_COLUMNS = (
    "reconstruction/squared_error",
    "codes/kl_nats",
    "codes/active_units",
    "samples/prior/frechet_ratio",
    "samples/mixture/frechet_ratio",
)


@pytest.fixture(scope="module")
def report():
    return read_report()


def measured(report: Report, path: str) -> float | None:
    """The number at a path of the report; of a list, such as the KL by dimension, the sum."""
    found: Any = report
    for key in path.split("/"):
        found = found.get(key) if isinstance(found, dict) else None
    return sum(found) if isinstance(found, list) else found


def written(row: str) -> list[str]:
    """The cells of a row of the README's table, left to right."""
    found = re.search(rf"^\| {re.escape(row)} \|(.*)\|$", README, re.MULTILINE)
    assert found, f"the README has no row {row!r}"
    return [cell.strip() for cell in found.group(1).split("|")]


def as_written(value: float | None, cell: str) -> str:
    """A number with as many decimals as the README's cell."""
    return "–" if value is None else f"{value:.{len(cell.partition('.')[2])}f}"


@pytest.mark.parametrize("row", TWINS)
def test_the_twins_numbers_are_those_of_the_report(report, row: str) -> None:
    for name, cell in zip(("ae", "vae"), written(row), strict=True):
        assert cell == as_written(measured(report, TWINS[row].format(name)), cell)


@pytest.mark.parametrize("name", [name for name in ZOO if name not in ("ae", "vae", "judge")])
def test_the_zoos_numbers_are_those_of_the_report(report, name: str) -> None:
    for path, cell in zip(ZOO_COLUMNS, written(f"`{name}`"), strict=True):
        assert cell == as_written(measured(report, f"models/{name}/{path}"), cell)


def test_the_angle_between_the_linear_models_is_that_of_the_report(report) -> None:
    (angle,) = re.findall(r"angle between the two is ([\d.]+)°", README)
    assert angle == as_written(max(report["linear"]["principal_angles_degrees"]), angle)


def test_the_minutes_of_the_zoo_are_those_of_the_cards() -> None:
    (minutes,) = re.findall(r"the zoo: (\d+) minutes on two CPU cores", README)
    on_one_core = sum(checkpoints.read_card(name)["minutes"] for name in ZOO)
    assert int(minutes) == math.ceil(on_one_core / 2)


def test_the_python_example_runs() -> None:
    (code,) = re.findall(r"```python\nimport vae_demo\n(.*?)```", README, re.DOTALL)
    image = np.zeros((50, 40), np.uint8)
    image[10:40, 18:22] = 255
    names = {"vae_demo": vae_demo, "image": image, "strokes": [np.array([[1, 1], [2, 9]])]}
    exec(code, names)
    assert names["x"].shape == (1, 28, 28)
    assert names["logits"].shape == (1, 1, 28, 28)


def test_the_tree_names_what_is_there() -> None:
    (tree,) = re.findall(r"```\n(app\.py .*?)```", README, re.DOTALL)
    folder = {0: REPOSITORY}
    for line in tree.splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        names = re.match(r"\s*((?:\S+ )*\S+)(?:\s{2,}|$)", line)
        assert names, line
        for name in names.group(1).split():
            if "." not in name and "/" not in name:
                break  # the words after a short name
            assert list(folder[depth].glob(name.rstrip("/"))), f"{line!r}: no {name}"
            folder[depth + 1] = folder[depth] / name


def test_the_folder_is_a_space_with_the_pinned_gradio() -> None:
    front = dict(re.findall(r"^(\w+): (.+)$", README.split("---")[1], re.MULTILINE))
    pins = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["dependencies"]
    assert f"gradio=={front['sdk_version']}" in pins
    assert (REPOSITORY / front["app_file"]).exists()
    assert len(front["short_description"]) <= 60  # what a Space allows
