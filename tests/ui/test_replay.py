"""A recipe is followed exactly, or refused with a reason."""

import json

import pytest

from vae_demo.exports import RecipeError, read_recipe
from vae_demo.ui import replay
from vae_demo.ui.exhibit import recipe

REQUEST = {"models": ["ae", "vae"], "file": "png", "seed": 3}


@pytest.fixture
def written(fake_zoo):
    return recipe("sample", REQUEST, fake_zoo)


def test_the_tab_answers_the_very_request(fake_zoo, written, monkeypatch):
    asked = []
    monkeypatch.setitem(
        replay.EXPORTS, "sample", lambda zoo, payload: asked.append(payload) or b"!"
    )
    assert replay.replay(written, fake_zoo) == b"!"
    assert asked == [REQUEST]


def test_a_recipe_names_both_models_weights(fake_zoo, written):
    assert written["weights"] == {"ae": "digest of ae", "vae": "digest of vae"}
    assert written["device"] == "cpu"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"weights": {"ae": "another digest"}}, "is from weights another dige"),
        ({"weights": {"gan": "0"}}, "needs the model 'gan'"),
        ({"tab": "map", "address": "http://here/?tab=map"}, "this one is at http://here"),
        ({"tab": "museum"}, "of the tab 'museum'"),
        ({"request": {"models": ["ae", "vae"]}}, "cannot be followed"),
    ],
)
def test_what_cannot_be_followed_is_refused(fake_zoo, written, change, reason):
    with pytest.raises(RecipeError, match=reason):
        replay.replay(written | change, fake_zoo)


def test_a_recipe_alone_needs_a_place_to_go(tmp_path, monkeypatch, capsys, written):
    file = tmp_path / "recipe.json"
    file.write_text(json.dumps(written))
    monkeypatch.setattr("sys.argv", ["replay", str(file)])
    with pytest.raises(SystemExit):
        replay.main()
    assert "--out" in capsys.readouterr().err


def test_the_command_says_what_it_lacks(tmp_path, monkeypatch):
    file = tmp_path / "notes.txt"
    file.write_text("no recipe")
    monkeypatch.setattr("sys.argv", ["replay", str(file)])
    with pytest.raises(SystemExit, match="holds no recipe"):
        replay.main()
    with pytest.raises(RecipeError):
        read_recipe(file.read_bytes())
