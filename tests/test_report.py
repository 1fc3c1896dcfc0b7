"""The report's file: what is kept, rounded and judged."""

import json
import math

import pytest

from vae_demo import checkpoints, report
from vae_demo.checkpoints import CheckpointError

CARDS = {name: {"weights_sha256": f"{name}-weights"} for name in ("ae", "vae", "vae_beta0.1")}


@pytest.fixture
def made():
    """A report of two models, with made-up numbers."""
    models = {
        "ae": {"weights_sha256": "ae-weights", "reconstruction": {"squared_error": 0.00412345678}},
        "vae": {"weights_sha256": "vae-weights", "codes": {"kl_nats": [1 / 3, 2e-9]}},
    }
    return {
        "command": report.COMMAND,
        "seed": 1,
        "versions": {"torch": "2"},
        "data": {"train": "a", "test": "b"},
        "settings": {"samples": 10, "importance_samples": 500},
        "judge": {"weights_sha256": "judge-weights", "accuracy": 0.99},
        "reference": {},
        "map": "no map",
        "linear": "no pca",
        "models": models,
    }


def strictly(path):
    """JSON without NaN and Infinity, which Python reads but nobody else."""
    return json.loads(path.read_text(encoding="utf-8"), parse_constant=pytest.fail)


def test_what_is_written_is_read_with_five_digits(tmp_path, made):
    path = report.write_report(tmp_path, made)
    found = report.read_report(tmp_path)
    assert found == strictly(path)
    assert list(found) == list(report.PARTS)
    assert found["models"]["ae"]["reconstruction"] == {"squared_error": 0.0041235}
    assert found["models"]["vae"]["codes"] == {"kl_nats": [0.33333, 2e-9]}
    assert checkpoints.available(tmp_path) == []  # no model is called "report"


def test_what_is_not_finite_becomes_null_with_a_reason(tmp_path, made):
    made["models"]["vae"]["codes"]["kl_nats"] = [1.0, math.inf, math.nan]
    found = strictly(report.write_report(tmp_path, made))
    assert found["models"]["vae"]["codes"]["kl_nats"] == [1.0, None, None]
    assert found["undefined"] == {
        "models/vae/codes/kl_nats/1": "infinite",
        "models/vae/codes/kl_nats/2": "not a number",
    }


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "is missing"),
        ("", "cannot be read"),
        ('{"seed": 1', "cannot be read"),
        ("[]", "lacks"),
        ('{"seed": 1}', "lacks .*'models'"),
    ],
)
def test_a_damaged_report_is_to_be_measured_again(tmp_path, content, reason):
    path = tmp_path / report.FILE
    if content is not None:
        path.write_text(content)
    with pytest.raises(CheckpointError, match=reason) as caught:
        report.read_report(tmp_path)
    assert str(path) in str(caught.value) and report.COMMAND in str(caught.value)


def test_only_models_with_the_measured_weights_are_kept(made):
    assert report.still_true(made, CARDS) == made["models"]
    assert report.still_true(made, {"vae": CARDS["vae"]}).keys() == {"vae"}
    changed = CARDS | {"ae": {"weights_sha256": "others"}}
    assert report.still_true(made, changed).keys() == {"vae"}
    assert report.still_true(None, CARDS) == {}


@pytest.mark.parametrize(
    ("part", "key", "value", "comparable"),
    [
        ("judge", "weights_sha256", "others", False),
        ("data", "test", "others", False),
        ("settings", "samples", 20, False),
        ("settings", "importance_samples", 5, True),
        ("judge", "accuracy", 0.5, True),
        ("versions", "torch", "3", True),
    ],
)
def test_a_report_is_continued_if_it_measured_by_the_same(
    tmp_path, made, part, key, value, comparable
):
    report.write_report(tmp_path, made)
    written = report.read_report(tmp_path)
    header = made | {part: made[part] | {key: value}}
    assert report.comparable_report(tmp_path, header) == (written if comparable else None)
    assert report.comparable_report(tmp_path, header | {"seed": 2}) is None
    assert report.comparable_report(tmp_path / "elsewhere", header) is None


def test_figures_are_found_by_path(made):
    made["models"]["vae_beta0.1"] = {"pen": "no drawings", "codes": {"kl_nats": None}}
    assert report.figure(made, "models/ae/reconstruction/squared_error") == 0.00412345678
    for path in ("models/vae_beta0.1/pen/least", "models/vae_beta0.1/codes/kl_nats", "models/pca"):
        assert report.figure(made, path) is None


@pytest.mark.parametrize(
    ("relation", "value", "reached"),
    [("≤", 3.0, True), ("≤", 3.1, False), ("≥", 3.0, True), ("≥", 2.9, False)],
)
def test_a_missed_goal_says_what_was_tried(monkeypatch, relation, value, reached):
    goal = report.Goal("judge/accuracy", relation, 3, "longer training")
    monkeypatch.setattr(report, "GOALS", (goal,))
    (found,) = report.goals({"judge": {"accuracy": value}})
    assert found.pop("tried", None) == (None if reached else "longer training")
    assert found == {
        "figure": "judge/accuracy",
        "value": value,
        "relation": relation,
        "bound": 3,
        "reached": reached,
    }
    (absent,) = report.goals({})
    assert (absent["value"], absent["reached"]) == (None, False)
    assert absent["tried"] == "not measured"
