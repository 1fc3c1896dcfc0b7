"""What the README says is true: its numbers, its code, its tree, its front matter."""

import re
import tomllib
from pathlib import Path

import numpy as np
import pytest

import vae_demo
from vae_demo import checkpoints, latent_map

REPOSITORY = Path(__file__).resolve().parents[1]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")

# row of the table → where the two numbers come from
METRICS = {
    "squared error per pixel": "squared_error",
    "binary cross-entropy, nats": "bce_nats",
    "−ELBO, nats": "negative_elbo_nats",
    "of which KL, nats": "kl_nats",
}
MAP_FIGURES = {
    "map: trustworthiness": "trustworthiness",
    "map: digits read right by their 10 neighbours": "knn_accuracy",
}


def written(row: str) -> list[str]:
    """The cells of a row of the README's table, left to right."""
    found = re.search(rf"^\| {re.escape(row)} \|(.*)\|$", README, re.MULTILINE)
    assert found, f"the README has no row {row!r}"
    return [cell.strip() for cell in found.group(1).split("|")]


def as_written(value: float | None, cell: str) -> str:
    """A number with as many decimals as the README's cell."""
    return "–" if value is None else f"{value:.{len(cell.partition('.')[2])}f}"


@pytest.mark.parametrize("row", METRICS)
def test_metrics_are_those_of_the_cards(row: str) -> None:
    for name, cell in zip(("ae", "vae"), written(row), strict=True):
        metrics = checkpoints.read_card(name)["metrics"]
        assert cell == as_written(metrics.get(METRICS[row]), cell)


@pytest.mark.parametrize("row", MAP_FIGURES)
def test_map_figures_are_those_of_its_card(row: str) -> None:
    figures = latent_map.load().card["figures"]
    for name, cell in zip(("ae", "vae"), written(row), strict=True):
        assert cell == as_written(figures[name][MAP_FIGURES[row]], cell)


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
