"""Places against umap-learn, the file against damage, the shipped map against its models."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from vae_demo import checkpoints, data, latent, latent_map
from vae_demo.checkpoints import CheckpointError
from vae_demo.latent_map import Codes, EncodedDigits
from vae_demo.models import Autoencoder, Judge, VariationalAutoencoder

COUNT, SIZE = 60, 3
DIGESTS = {"ae": "a" * 64, "vae": "b" * 64}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def some_codes(count: int = 300, size: int = 16, n_neighbors: int = 15) -> Codes:
    points = latent.prior(count, 2, seeded(1)).numpy()
    return Codes(latent.prior(count, size, seeded(2)), None, points, n_neighbors)


@pytest.fixture
def digits() -> EncodedDigits:
    ae = some_codes(COUNT, SIZE, 5)
    vae = dataclasses.replace(ae, mean=2 * ae.mean, logvar=ae.mean - 3, points=-ae.points)
    card = {
        "umap": {"n_neighbors": 5, "min_dist": 0.1, "metric": "euclidean", "seed": 1},
        **{f"{name}_weights_sha256": digest for name, digest in DIGESTS.items()},
    }
    return EncodedDigits(np.arange(COUNT, dtype=np.uint8) % 10, {"ae": ae, "vae": vae}, card)


@pytest.fixture
def folder(tmp_path: Path, digits: EncodedDigits) -> Path:
    """A map and the cards of the twins it belongs to."""
    for name, digest in DIGESTS.items():
        card = {"architecture": "any", "latent_size": SIZE, "weights_sha256": digest}
        (tmp_path / f"{name}.json").write_text(json.dumps(card))
    latent_map.save(digits, tmp_path)
    return tmp_path


def rewrite(folder: Path, **changes: Any) -> None:
    """Change arrays of the file; None takes one out."""
    path = folder / latent_map.FILE
    with np.load(path) as archive:
        arrays = dict(archive) | changes
    np.savez_compressed(path, **{key: value for key, value in arrays.items() if value is not None})


# Places -------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore")  # numba and umap-learn, not ours
def test_places_are_those_of_umap_itself() -> None:
    import umap
    from umap.umap_ import init_graph_transform

    known, new = latent.prior(340, 5, seeded()).split([300, 40])
    layout = umap.UMAP(n_neighbors=12, n_epochs=20, init="random", random_state=1, n_jobs=1).fit(
        known.numpy()
    )
    layout.transform_mode = "graph"  # membership of each new code in the old ones
    graph = layout.transform(new.numpy()).tocsr()
    codes = Codes(known, None, layout.embedding_, 12)

    indices, distances = latent_map.nearest(new, codes, 12)
    weights = np.zeros(graph.shape)
    np.put_along_axis(weights, indices, latent_map.membership(distances), axis=1)
    assert np.allclose(weights, graph.toarray(), atol=1e-4)

    expected = init_graph_transform(graph, layout.embedding_)
    assert np.allclose(latent_map.locate(new, codes), expected, atol=1e-3)


@pytest.mark.parametrize("k", [3, 15, 50])
@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_membership_of_all_but_the_nearest_sums_to_log2_k(k: int, scale: float) -> None:
    distances = latent.prior(200, k, seeded()).abs().sort(dim=1).values.numpy() * scale
    weights = latent_map.membership(distances.astype(np.float32))
    assert np.allclose(weights[:, 1:].sum(1), np.log2(k), atol=1e-5)
    assert np.all(np.diff(weights) <= 0)
    assert np.all((weights > 0) & (weights <= 1))


@pytest.mark.parametrize(
    "distances",
    [[0, 0, 0, 0, 0], [0, 0, 0, 0, 1], [1, 1, 1, 1, 1], [0, 1e-30, 1e-20, 1, 1], [0, 1, 1, 1, 1e9]],
)
def test_membership_of_odd_neighbourhoods_is_finite(distances: list[float]) -> None:
    weights = latent_map.membership(np.array([distances], np.float32))
    assert np.all((weights >= 0) & (weights <= 1))
    assert weights.sum() > 0.5


def test_nearest_is_the_full_search() -> None:
    codes = some_codes()
    z = latent.prior(300, 16, seeded(3))  # more than one block of the search
    full = (z[:, None].double() - codes.mean.double()).norm(dim=2)
    indices, distances = latent_map.nearest(z, codes, 7)
    assert np.array_equal(indices, full.argsort(dim=1)[:, :7].numpy())
    assert np.allclose(distances, full.sort(dim=1).values[:, :7], rtol=1e-5)


def test_near_codes_far_from_zero_are_told_apart() -> None:
    mean = 1000 + latent.prior(100, 16, seeded()) / 10
    codes = Codes(mean, None, some_codes(100).points, 5)
    indices, distances = latent_map.nearest(mean, codes, 1)
    assert np.array_equal(indices[:, 0], np.arange(100))
    assert np.all(distances == 0)


def test_a_code_of_the_test_set_lies_at_its_own_point() -> None:
    codes = some_codes()
    assert np.array_equal(latent_map.locate(codes.mean, codes), codes.points)


def test_so_it_does_before_the_file_rounded_it() -> None:
    exact = latent.prior(300, 16, seeded(2))
    codes = dataclasses.replace(some_codes(), mean=exact.half().float())
    assert not torch.equal(exact, codes.mean)
    assert np.array_equal(latent_map.locate(exact, codes), codes.points)


def test_a_code_lies_among_its_neighbours() -> None:
    codes = some_codes()
    z = latent.prior(50, 16, seeded(3))
    around = codes.points[latent_map.nearest(z, codes, codes.n_neighbors)[0]]
    places = latent_map.locate(z, codes)
    assert places.shape == (50, 2)
    assert places.dtype == np.float32
    assert np.all((places >= around.min(1)) & (places <= around.max(1)))


def test_a_place_does_not_depend_on_what_else_is_placed() -> None:
    codes = some_codes()
    z = latent.prior(20, 16, seeded(3))
    alone = np.concatenate([latent_map.locate(row[None], codes) for row in z])
    assert np.allclose(latent_map.locate(z, codes), alone, atol=1e-6)


def test_far_and_doubled_codes_have_a_place() -> None:
    codes = some_codes()
    assert np.isfinite(latent_map.locate(torch.full((1, 16), 1e6), codes)).all()
    doubled = dataclasses.replace(codes, mean=torch.zeros(300, 16))
    assert np.isfinite(latent_map.locate(latent.prior(2, 16, seeded()), doubled)).all()
    assert np.isfinite(latent_map.locate(torch.zeros(1, 16), doubled)).all()


def test_no_codes_no_places() -> None:
    assert latent_map.locate(torch.zeros(0, 16), some_codes()).shape == (0, 2)


@pytest.mark.parametrize("shape", [(16,), (1, 15), (1, 1, 16)])
def test_places_need_codes_of_the_size(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected z \(B, 16\), got"):
        latent_map.locate(torch.zeros(shape), some_codes())


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_places_need_finite_codes(number: float) -> None:
    with pytest.raises(ValueError, match="expected finite z"):
        latent_map.locate(torch.full((1, 16), number), some_codes())


@pytest.mark.parametrize("k", [0, 301])
def test_nearest_needs_as_many_codes(k: int) -> None:
    with pytest.raises(ValueError, match=rf"1 … 300, got {k}"):
        latent_map.nearest(torch.zeros(1, 16), some_codes(), k)


# The file -----------------------------------------------------------------------------------------


def test_round_trip(folder: Path, digits: EncodedDigits) -> None:
    loaded = latent_map.load(folder)
    assert np.array_equal(loaded.labels, digits.labels)
    assert loaded.labels.dtype == np.uint8
    assert loaded.card == digits.card
    assert loaded.codes.keys() == digits.codes.keys()
    for name, codes in loaded.codes.items():
        before = digits.codes[name]
        assert torch.equal(codes.mean, before.mean.half().float())
        assert np.array_equal(codes.points, before.points)
        assert codes.points.dtype == np.float32
        assert codes.n_neighbors == 5
    assert loaded.codes["ae"].logvar is None
    logvar, before_logvar = loaded.codes["vae"].logvar, digits.codes["vae"].logvar
    assert logvar is not None
    assert before_logvar is not None
    assert torch.equal(logvar, before_logvar.half().float())


def test_nothing_else_is_left_in_the_folder(folder: Path) -> None:
    assert sorted(p.name for p in folder.iterdir()) == ["ae.json", latent_map.FILE, "vae.json"]


def assert_refused(folder: Path, saying: str) -> None:
    with pytest.raises(CheckpointError, match=saying) as refusal:
        latent_map.load(folder)
    assert str(folder / latent_map.FILE) in str(refusal.value)
    assert latent_map.COMMAND in str(refusal.value)


def test_missing(folder: Path) -> None:
    (folder / latent_map.FILE).unlink()
    assert_refused(folder, "is missing")


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "truncated": lambda content: content[: len(content) // 2],
    "last byte lost": lambda content: content[:-1],
    "one bit flipped": lambda content: content[:900] + bytes([content[900] ^ 1]) + content[901:],
    "text": lambda content: b"version https://git-lfs.github.com/spec/v1\n",
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damaged(folder: Path, damage: Callable[[bytes], bytes]) -> None:
    path = folder / latent_map.FILE
    path.write_bytes(damage(path.read_bytes()))
    assert_refused(folder, r"is damaged or no \.npz file")


def test_one_array_instead_of_an_archive(folder: Path) -> None:
    with open(folder / latent_map.FILE, "wb") as file:
        np.save(file, np.zeros(3))
    assert_refused(folder, r"no \.npz file")


def test_pickles_stay_closed(folder: Path) -> None:
    rewrite(folder, labels=np.array([{"a": 1}], dtype=object))
    assert_refused(folder, "allow_pickle=False")


KEYS = ["labels", "card", "ae_mean", "ae_umap", "vae_mean", "vae_logvar", "vae_umap"]


@pytest.mark.parametrize("key", KEYS)
def test_missing_array(folder: Path, key: str) -> None:
    rewrite(folder, **{key: None})
    assert_refused(folder, rf"lacks \['{key}'\]")


WRONG = {
    "a row less": {"vae_umap": np.zeros((COUNT - 1, 2), np.float32)},
    "a column more": {"ae_umap": np.zeros((COUNT, 3), np.float32)},
    "another latent size": {"ae_mean": np.zeros((COUNT, SIZE + 1), np.float16)},
    "another logvar": {"vae_logvar": np.zeros((COUNT, 1), np.float16)},
    "integers": {"vae_mean": np.zeros((COUNT, SIZE), np.int32)},
    "text": {"ae_mean": np.full((COUNT, SIZE), "a")},
    "not finite": {"vae_mean": np.full((COUNT, SIZE), np.nan, np.float16)},
    "no such digit": {"labels": np.full(COUNT, 10, np.uint8)},
    "one label": {"labels": np.array(3, np.uint8)},
    "labels less than zero": {"labels": np.full(COUNT, -1, np.int64)},
}


@pytest.mark.parametrize("changes", WRONG.values(), ids=WRONG)
def test_wrong_array(folder: Path, changes: dict[str, Any]) -> None:
    rewrite(folder, **changes)
    assert_refused(folder, "should be|not finite")


CARDS = {
    "not JSON": "{",
    "a list": "[]",
    "no settings": json.dumps({f"{name}_weights_sha256": d for name, d in DIGESTS.items()}),
    "no weights": json.dumps({"umap": {"n_neighbors": 5}}),
}


@pytest.mark.parametrize("card", CARDS.values(), ids=CARDS)
def test_unreadable_card(folder: Path, card: str) -> None:
    rewrite(folder, card=np.array(card))
    assert_refused(folder, "unreadable card")


@pytest.mark.parametrize("n_neighbors", [2, COUNT + 1])
def test_impossible_neighbourhood(folder: Path, digits: EncodedDigits, n_neighbors: int) -> None:
    rewrite(folder, card=np.array(json.dumps(digits.card | {"umap": {"n_neighbors": n_neighbors}})))
    assert_refused(folder, rf"n_neighbors should be in 3 … {COUNT}")


@pytest.mark.parametrize("name", ["ae", "vae"])
def test_map_of_other_weights(folder: Path, name: str) -> None:
    card = {"architecture": "any", "latent_size": SIZE, "weights_sha256": "c" * 64}
    (folder / f"{name}.json").write_text(json.dumps(card))
    assert_refused(folder, f"was made with other weights of '{name}'")


def test_map_without_its_models(folder: Path) -> None:
    (folder / "vae.json").unlink()
    with pytest.raises(CheckpointError, match=r"vae\.json is missing"):
        latent_map.load(folder)


# Making the map -----------------------------------------------------------------------------------


def test_codes_are_the_models_own_in_order() -> None:
    images = torch.randint(0, 256, (501, 1, 28, 28), dtype=torch.uint8, generator=seeded())
    ae, vae = Autoencoder(4).eval(), VariationalAutoencoder(4).eval()
    mean, logvar = latent_map.encode(ae, images)
    assert logvar is None
    with torch.no_grad():
        expected = ae.encode(images.float() / 255)
        posterior = vae.posterior(images.float() / 255)
    assert torch.allclose(mean, expected, atol=1e-5)
    mean, logvar = latent_map.encode(vae, images)
    assert logvar is not None
    assert torch.allclose(mean, posterior[0], atol=1e-5)
    assert torch.allclose(logvar, posterior[1], atol=1e-5)


def test_figures_know_a_true_map_from_a_false_one() -> None:
    labels = np.repeat(np.arange(10, dtype=np.uint8), 20)
    places = torch.from_numpy(labels)[:, None] * torch.tensor([10.0, 0.0])
    places = places + latent.prior(200, 2, seeded())
    true = Codes(places, None, places.numpy(), 5)
    false = Codes(places, None, latent.prior(200, 2, seeded(1)).numpy(), 5)
    assert latent_map.figures(true, labels) == {"trustworthiness": 1.0, "knn_accuracy": 1.0}
    assert latent_map.figures(false, labels)["trustworthiness"] < 0.6
    assert latent_map.figures(false, labels)["knn_accuracy"] < 0.3


def test_the_command_writes_what_load_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    images = torch.randint(0, 256, (COUNT, 1, 28, 28), dtype=torch.uint8, generator=seeded())
    labels = torch.arange(COUNT) % 10
    monkeypatch.setattr(data, "load", lambda root, train: (images, labels))
    monkeypatch.setattr(latent_map, "fit", lambda mean, *_, **__: mean[:, :2].numpy().copy())
    monkeypatch.setattr("sys.argv", ["latent_map", "--folder", str(tmp_path), "--n-neighbors", "7"])
    checkpoints.save(tmp_path, "ae", Autoencoder(4), {})
    checkpoints.save(tmp_path, "vae", VariationalAutoencoder(4), {})
    checkpoints.save(tmp_path, "small", Autoencoder(3, 4, 8), {})
    checkpoints.save(tmp_path, "line", VariationalAutoencoder(1, 4, 8), {})
    checkpoints.save(tmp_path, "judge", Judge(), {})
    monkeypatch.setattr(latent_map, "OTHERS", COUNT - 10)
    latent_map.main()
    digits = latent_map.load(tmp_path)
    assert np.array_equal(digits.labels, labels)
    sizes = {name: len(codes.mean) for name, codes in digits.codes.items()}
    assert sizes == {"ae": COUNT, "vae": COUNT, "small": COUNT - 10, "line": COUNT}
    line = digits.codes["line"]
    assert np.array_equal(line.points[:, :1], line.mean)  # its codes are its map
    assert not line.points[:, 1].any()
    assert torch.equal(line.mean, line.mean.half().float())
    assert digits.codes["vae"].n_neighbors == digits.card["umap"]["n_neighbors"] == 7
    assert digits.card["figures"].keys() == set(sizes)
    assert "--n-neighbors 7 " in digits.card["command"]
    assert str(tmp_path) not in digits.card["command"]
    assert "MB" in capsys.readouterr().out


def test_the_command_says_what_it_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["latent_map", "--folder", str(tmp_path)])
    with pytest.raises(SystemExit, match="1"):
        latent_map.main()
    assert "ae.json is missing" in capsys.readouterr().err


def test_the_judge_has_no_map(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoints.save(tmp_path, "ae", Judge(), {})
    with pytest.raises(CheckpointError, match="it is a Judge"):
        latent_map.build(folder=tmp_path)


# The shipped map ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shipped_map() -> EncodedDigits:
    if not (checkpoints.SHIPPED / latent_map.FILE).exists():
        pytest.skip(f"no {latent_map.FILE} yet: {latent_map.COMMAND}")
    return latent_map.load()


def test_shipped_map_holds_the_test_set(shipped_map: EncodedDigits) -> None:
    # How often each digit occurs in MNIST's test file.
    counts = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert np.bincount(shipped_map.labels).tolist() == counts
    assert set(shipped_map.codes) == set(checkpoints.coders())
    for name, codes in shipped_map.codes.items():
        latent_size = checkpoints.read_card(name)["latent_size"]
        all_digits = name in latent_map.MODELS or latent_size <= 2
        count = 10_000 if all_digits else latent_map.OTHERS
        assert codes.mean.shape == (count, latent_size)
        assert codes.points.shape == (count, 2)
    assert (checkpoints.SHIPPED / latent_map.FILE).stat().st_size < 3_000_000


def test_shipped_maps_lie_over_each_other(shipped_map: EncodedDigits) -> None:
    ae, vae = (shipped_map.codes[name].points for name in ("ae", "vae"))
    assert np.allclose(latent_map.orient(vae, ae), vae, atol=1e-3)


def test_shipped_map_is_what_the_shipped_models_say(
    shipped_map: EncodedDigits, mnist_test: tuple[Tensor, Tensor]
) -> None:
    images, labels = mnist_test
    assert np.array_equal(shipped_map.labels, labels)
    for name, codes in shipped_map.codes.items():
        mean, logvar = latent_map.encode(checkpoints.load_coder(name), images[:200])
        assert torch.allclose(mean, codes.mean[:200], rtol=2e-3, atol=2e-3)
        if codes.logvar is not None:
            assert logvar is not None
            assert torch.allclose(logvar, codes.logvar[:200], rtol=2e-3, atol=2e-3)
