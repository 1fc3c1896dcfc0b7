"""Places against umap-learn and scikit-learn, the file against damage."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vae_demo import latent, latent_map
from vae_demo.checkpoints import CheckpointError
from vae_demo.latent_map import Codes, EncodedDigits
from vae_demo.models import Autoencoder, VariationalAutoencoder

COUNT, TRAINED, SIZE = 60, 80, 3
GRID = [(5, 0.0), (5, 0.5), (15, 0.0), (15, 0.5)]
DIGESTS = {"ae": "a" * 64, "vae": "b" * 64}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def some_codes(count: int = 300, size: int = 16, n_neighbors: int = 15) -> Codes:
    points = latent.prior(count, 2, seeded(1)).numpy()
    return Codes(latent.prior(count, size, seeded(2)), None, points, n_neighbors)


@pytest.fixture
def digits() -> EncodedDigits:
    def places(*shape: int) -> latent_map.Points:
        return 20 * latent.prior(shape[0], int(np.prod(shape[1:])), seeded(6)).numpy().reshape(
            shape
        )

    ae = dataclasses.replace(
        some_codes(COUNT, SIZE, 5),
        solid=places(COUNT, 3),
        error=np.linspace(0.001, 0.1, COUNT, dtype=np.float32),
        confidence=np.linspace(0, 1, COUNT, dtype=np.float32),
        training=places(TRAINED, 2),
        grid=dict(zip(GRID, places(len(GRID), COUNT, 2), strict=True)),
    )
    vae = dataclasses.replace(ae, mean=2 * ae.mean, logvar=ae.mean - 3, points=-ae.points)
    card = {
        "umap": {"n_neighbors": 5, "min_dist": 0.1, "metric": "euclidean", "seed": 1},
        "grid": {"n_neighbors": [5, 15], "min_dist": [0.0, 0.5]},
        **{f"{name}_weights_sha256": digest for name, digest in DIGESTS.items()},
    }
    labels, training_labels = (np.arange(n, dtype=np.uint8) % 10 for n in (COUNT, TRAINED))
    codes = {"ae": ae, "vae": vae}
    return EncodedDigits(labels, codes, card, training_labels, places(COUNT, 2))


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

    for metric in latent_map.METRICS:
        other = umap.UMAP(n_neighbors=12, metric=metric, n_epochs=1, init="random", n_jobs=1)
        other.set_params(random_state=1, transform_mode="graph").fit(known.numpy())
        theirs = other.transform(new.numpy()).toarray()
        ours = np.zeros(theirs.shape)
        np.put_along_axis(ours, *latent_map.neighbours(new, codes, 12, metric), axis=1)
        assert np.allclose(ours, theirs / theirs.sum(1, keepdims=True), atol=1e-4), metric

    expected = init_graph_transform(graph, layout.embedding_)
    assert np.allclose(latent_map.locate(new, codes), expected, atol=1e-3)


@pytest.mark.parametrize("k", [1, 2, 3, 15, 50])
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


@pytest.mark.parametrize("metric", latent_map.METRICS)
def test_nearest_by_any_metric_are_those_of_scikit_learn(metric: str) -> None:
    from sklearn.neighbors import NearestNeighbors

    codes = some_codes()
    z = latent.prior(40, 16, seeded(3))
    search = NearestNeighbors(n_neighbors=7, metric=metric, algorithm="brute")
    expected, order = search.fit(codes.mean.double().numpy()).kneighbors(z.double().numpy())
    indices, distances = latent_map.nearest(z, codes, 7, metric)
    assert np.array_equal(indices, order)
    assert np.allclose(distances, expected, rtol=1e-4)


@pytest.mark.parametrize("metric", latent_map.METRICS)
def test_a_code_of_the_test_set_has_no_other_neighbour(metric: str) -> None:
    exact = latent.prior(300, 16, seeded(2))
    codes = dataclasses.replace(some_codes(), mean=exact.half().float())
    indices, weights = latent_map.neighbours(exact, codes, 15, metric)
    assert np.array_equal(indices[:, 0], np.arange(300))
    assert np.array_equal(weights, np.eye(15)[np.zeros(300, int)])
    assert weights.dtype == np.float32


@pytest.mark.parametrize("metric", latent_map.METRICS)
@pytest.mark.parametrize("size", [1, 2, 16])
def test_neighbours_of_anything_share_a_whole(metric: str, size: int) -> None:
    codes = some_codes(size=size)
    z = torch.cat([latent.prior(20, size, seeded(3)), torch.zeros(1, size), torch.ones(1, size)])
    for k in (1, 2, 15, 300):
        indices, weights = latent_map.neighbours(z, codes, k, metric)
        assert indices.shape == weights.shape == (22, k)
        assert np.all(weights >= 0)
        assert np.allclose(weights.sum(1), 1, atol=1e-5)


def test_there_is_no_other_metric() -> None:
    with pytest.raises(ValueError, match=r"expected one of .*'euclidean'.*, got 'hamming'"):
        latent_map.nearest(torch.zeros(1, 16), some_codes(), 1, "hamming")


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


def test_gaps_are_those_of_the_full_search() -> None:
    codes, labels = some_codes(), np.arange(400, dtype=np.uint8) % 7
    full = (codes.mean[:, None].double() - codes.mean.double()).norm(dim=2).numpy()
    full[labels[:300, None] == labels[:300]] = np.inf
    found = latent_map.gaps(codes, labels)
    assert found.dtype == np.float32
    assert np.allclose(found, full.min(1), rtol=1e-5)


def test_one_class_alone_has_no_gaps() -> None:
    assert np.all(latent_map.gaps(some_codes(), np.zeros(300, np.uint8)) == np.inf)


# Planes -------------------------------------------------------------------------------------------


def stretched(count: int = 300) -> Codes:
    """Codes whose axes differ in variance, turned and off zero."""
    turn, _ = torch.linalg.qr(latent.prior(6, 6, seeded(4)))
    z = latent.prior(count, 6, seeded(5)) * torch.tensor([9.0, 5.0, 3.0, 2.0, 1.0, 0.5])
    return Codes(z @ turn + 7, None, np.zeros((count, 2), np.float32), 5)


@pytest.mark.parametrize("dimensions", [1, 2, 3, 6])
def test_the_plane_is_that_of_scikit_learn(dimensions: int) -> None:
    from sklearn.decomposition import PCA

    codes = stretched()
    theirs = PCA(dimensions).fit(codes.mean.double().numpy())
    plane = latent_map.pca(codes, dimensions)
    signs = np.sign(theirs.components_[range(dimensions), abs(theirs.components_).argmax(1)])
    assert np.allclose(plane.axes.T, theirs.components_ * signs[:, None], atol=1e-5)
    assert np.allclose(plane.mean, theirs.mean_, atol=1e-5)
    assert np.allclose(plane.explained, theirs.explained_variance_ratio_, atol=1e-5)
    places = plane.places(codes.mean)
    assert places.dtype == np.float32
    assert np.allclose(places, theirs.transform(codes.mean.double().numpy()) * signs, atol=1e-4)


def test_places_on_the_plane_are_those_of_their_codes() -> None:
    plane = latent_map.pca(stretched(), 3)
    places = latent.prior(20, 3, seeded()).numpy()
    z = plane.codes(places)
    assert z.shape == (20, 6)
    assert np.allclose(plane.places(z), places, atol=1e-5)


@pytest.mark.parametrize("dimensions", [0, 7])
def test_a_plane_has_no_more_axes_than_codes_have_numbers(dimensions: int) -> None:
    with pytest.raises(ValueError, match=rf"1 … 6, got {dimensions}"):
        latent_map.pca(stretched(), dimensions)


# The file -----------------------------------------------------------------------------------------


def assert_close(loaded: latent_map.Points | None, before: latent_map.Points | None) -> None:
    """Places apart by no more than half a step of the extent, by axis."""
    assert loaded is not None
    assert before is not None
    assert loaded.shape == before.shape
    assert loaded.dtype == np.float32
    half_step = np.ptp(before, axis=-2, keepdims=True) / latent_map.STEPS / 2
    assert np.all(abs(loaded.astype(np.float64) - before) <= half_step * 1.01 + 1e-6)


def test_round_trip(folder: Path, digits: EncodedDigits) -> None:
    loaded = latent_map.load(folder)
    assert np.array_equal(loaded.labels, digits.labels)
    assert loaded.labels.dtype == np.uint8
    assert loaded.training_labels is not None
    assert np.array_equal(loaded.training_labels, np.arange(TRAINED) % 10)
    assert_close(loaded.pixels, digits.pixels)
    assert loaded.card == digits.card
    assert loaded.codes.keys() == digits.codes.keys()
    for name, codes in loaded.codes.items():
        before = digits.codes[name]
        assert torch.equal(codes.mean, before.mean.half().float())
        assert codes.n_neighbors == 5
        for part in ("points", "solid", "training"):
            assert_close(getattr(codes, part), getattr(before, part))
        assert codes.grid.keys() == set(GRID)
        for settings in GRID:
            assert_close(codes.grid[settings], before.grid[settings])
        assert codes.error is not None
        assert np.allclose(codes.error, before.error, rtol=latent_map.HALF_ROUNDING)
        assert codes.confidence is not None
        assert np.allclose(codes.confidence, before.confidence, atol=0.5 / latent_map.SURE)
        assert codes.error.dtype == codes.confidence.dtype == np.float32
    assert loaded.codes["ae"].logvar is None
    logvar, before_logvar = loaded.codes["vae"].logvar, digits.codes["vae"].logvar
    assert logvar is not None
    assert before_logvar is not None
    assert torch.equal(logvar, before_logvar.half().float())


def test_what_is_saved_again_stays_the_same(folder: Path) -> None:
    once = (folder / latent_map.FILE).read_bytes()
    latent_map.save(latent_map.load(folder), folder)
    assert (folder / latent_map.FILE).read_bytes() == once


@pytest.mark.parametrize("dtype", [np.float16, np.uint16, np.uint8, np.float32])
def test_shuffled_bytes_come_back(dtype: type[np.generic]) -> None:
    array = np.arange(24).reshape(2, 3, 4).astype(dtype)
    there = latent_map.shuffled(array)
    assert (there.dtype, there.shape) == (array.dtype, array.shape)
    assert np.array_equal(latent_map.shuffled(there, back=True), array)
    if there.dtype.itemsize == 2:
        raw, both = there.tobytes(), array.tobytes()
        assert raw == both[0::2] + both[1::2]


def test_places_on_one_line_are_kept(folder: Path, digits: EncodedDigits) -> None:
    line = np.stack([np.linspace(-3, 5, COUNT), np.full(COUNT, 7)], 1).astype(np.float32)
    latent_map.save(dataclasses.replace(digits, pixels=line), folder)
    assert_close(latent_map.load(folder).pixels, line)


def test_a_map_may_lack_what_was_not_made(folder: Path, digits: EncodedDigits) -> None:
    bare = {
        name: Codes(codes.mean, codes.logvar, codes.points, 5)
        for name, codes in digits.codes.items()
    }
    latent_map.save(EncodedDigits(digits.labels, bare, digits.card), folder)
    loaded = latent_map.load(folder)
    assert loaded.training_labels is None
    assert loaded.pixels is None
    for codes in loaded.codes.values():
        assert codes.solid is codes.error is codes.confidence is codes.training is None
        assert codes.grid == {}


def test_codes_of_two_numbers_are_not_stored_twice(folder: Path, digits: EncodedDigits) -> None:
    mean = latent.prior(COUNT, 2, seeded()).half().float()
    plane = Codes(mean, None, mean.numpy(), 5)
    twin = dataclasses.replace(plane, logvar=mean)
    latent_map.save(EncodedDigits(digits.labels, {"ae": plane, "vae": twin}, digits.card), folder)
    with np.load(folder / latent_map.FILE) as archive:
        assert set(archive) == {"labels", "ae_mean", "vae_mean", "vae_logvar", "card"}
    for name, digest in DIGESTS.items():
        card = {"architecture": "any", "latent_size": 2, "weights_sha256": digest}
        (folder / f"{name}.json").write_text(json.dumps(card))
    loaded = latent_map.load(folder).codes["ae"]
    assert loaded.plane
    assert np.array_equal(loaded.points, mean)


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
KEYS += [f"ae_{kind}_extent" for kind in ("umap", "umap3", "training", "grid")]
KEYS += ["pixels_extent"]


@pytest.mark.parametrize("key", KEYS)
def test_missing_array(folder: Path, key: str) -> None:
    rewrite(folder, **{key: None})
    assert_refused(folder, rf"lacks \['{key}'\]")


WRONG = {
    "a row less": {"vae_umap": np.zeros((COUNT - 1, 2), np.uint16)},
    "a column more": {"ae_umap": np.zeros((COUNT, 3), np.uint16)},
    "a column less": {"ae_umap3": np.zeros((COUNT, 2), np.uint16)},
    "places not in steps": {"ae_umap": np.zeros((COUNT, 2), np.float32)},
    "an endless extent": {"ae_umap_extent": np.full((2, 2), np.inf, np.float32)},
    "an extent of one corner": {"ae_umap3_extent": np.zeros((1, 3), np.float32)},
    "a training digit less": {"vae_training": np.zeros((TRAINED - 1, 2), np.uint16)},
    "training digits without labels": {"training_labels": None},
    "no such training digit": {"training_labels": np.full(TRAINED, 10, np.uint8)},
    "a map less": {"ae_grid": np.zeros((len(GRID) - 1, COUNT, 2), np.uint16)},
    "pixels of others": {"pixels": np.zeros((COUNT + 1, 2), np.uint16)},
    "an error less": {"ae_error": np.zeros(COUNT - 1, np.float16)},
    "no error": {"ae_error": np.full(COUNT, np.nan, np.float16)},
    "confidence in floats": {"ae_confidence": np.zeros(COUNT, np.float16)},
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
    "a grid of words": json.dumps(
        {"umap": {"n_neighbors": 5}, "grid": {"n_neighbors": ["few"], "min_dist": [0.1]}}
        | {f"{name}_weights_sha256": d for name, d in DIGESTS.items()}
    ),
}


@pytest.mark.parametrize("card", CARDS.values(), ids=CARDS)
def test_unreadable_card(folder: Path, card: str) -> None:
    rewrite(folder, card=np.array(card))
    assert_refused(folder, "unreadable card")


@pytest.mark.parametrize("n_neighbors", [2, COUNT + 1])
def test_impossible_neighbourhood(folder: Path, digits: EncodedDigits, n_neighbors: int) -> None:
    rewrite(folder, card=np.array(json.dumps(digits.card | {"umap": {"n_neighbors": n_neighbors}})))
    assert_refused(folder, rf"n_neighbors {n_neighbors} that should be in 3 … {COUNT}")


@pytest.mark.parametrize("name", ["ae", "vae"])
def test_map_of_other_weights(folder: Path, name: str) -> None:
    card = {"architecture": "any", "latent_size": SIZE, "weights_sha256": "c" * 64}
    (folder / f"{name}.json").write_text(json.dumps(card))
    assert_refused(folder, f"was made with other weights of '{name}'")


def test_confidence_of_another_judge(folder: Path, digits: EncodedDigits) -> None:
    card = {"architecture": "any", "weights_sha256": "c" * 64}
    (folder / "judge.json").write_text(json.dumps(card))
    (folder / "judge.safetensors").touch()
    with_judge = dataclasses.replace(digits, card={**digits.card, "judge_weights_sha256": "c" * 64})
    latent_map.save(with_judge, folder)
    assert set(latent_map.load(folder).codes) == set(DIGESTS)
    (folder / "judge.json").write_text(json.dumps(card | {"weights_sha256": "d" * 64}))
    assert_refused(folder, "was made with other weights of 'judge'")


def test_a_model_named_by_the_card_and_not_there(folder: Path, digits: EncodedDigits) -> None:
    card = {"architecture": "any", "latent_size": SIZE, "weights_sha256": "c" * 64}
    (folder / "small.json").write_text(json.dumps(card))
    (folder / "small.safetensors").touch()
    with_small = dataclasses.replace(digits, card={**digits.card, "small_weights_sha256": "c" * 64})
    latent_map.save(with_small, folder)
    assert_refused(folder, r"lacks \['small_mean', 'small_umap'\]")


def test_map_without_its_models(folder: Path) -> None:
    (folder / "vae.json").unlink()
    with pytest.raises(CheckpointError, match=r"vae\.json is missing"):
        latent_map.load(folder)


# Making a map -------------------------------------------------------------------------------------


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
