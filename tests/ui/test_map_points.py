"""The binary files of the map's points: read here as the page reads them, number by number."""

import base64
import http.client
import json
import struct
from dataclasses import replace
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from vae_demo import latent_map
from vae_demo.images import to_uint8
from vae_demo.losses import kl_nats
from vae_demo.ui import map_points
from vae_demo.ui.map import decode_digit
from vae_demo.ui.map_points import NoPointsError, pack, points_file
from vae_demo.zoo import Zoo

File = tuple[dict[str, NDArray[Any]], dict[str, Any]]


def read(content: bytes) -> File:
    """Arrays and facts of a file."""
    (length,) = struct.unpack_from("<I", content)
    header = json.loads(content[4 : 4 + length])
    arrays = {}
    for name, about in header.pop("arrays").items():
        assert about["offset"] % 4 == 0
        kind = np.dtype(about["dtype"]).newbyteorder("<")
        count = int(np.prod(about["shape"]))
        arrays[name] = np.frombuffer(content, kind, count, about["offset"]).reshape(about["shape"])
    return arrays, header


def test_what_is_packed_comes_out_again() -> None:
    arrays = {
        "points": np.arange(6, dtype=np.float32).reshape(3, 2),
        "labels": np.arange(5, dtype=np.uint8),
        "empty": np.empty((0, 2), np.float32),
        "turned": np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
    }
    content = pack(arrays, plane=False, words="틀 “quoted”", middles=[None, [1.5, 2]])
    unpacked, facts = read(content)
    assert facts == {"plane": False, "words": "틀 “quoted”", "middles": [None, [1.5, 2]]}
    assert list(unpacked) == list(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(unpacked[name], array)
    assert len(content) % 4 == 0


@pytest.mark.parametrize("length", range(8))
def test_arrays_start_at_multiples_of_four_whatever_the_header(length: int) -> None:
    arrays = {"a": np.zeros(3, np.uint8), "b": np.ones(2, np.float32)}
    unpacked, _ = read(pack(arrays, pad="x" * length))
    np.testing.assert_array_equal(unpacked["b"], [1, 1])


def test_numbers_that_json_has_not_never_reach_the_header() -> None:
    with pytest.raises(ValueError, match="JSON"):
        pack({}, low=[float("nan")])


@pytest.mark.parametrize("name", ["ae", "vae"])
@pytest.mark.parametrize(
    ("lens", "dimensions"),
    [("umap", 2), ("umap3", 3), ("pca", 2), ("pca3", 3), ("grid-5-0", 2), ("grid-50-0.5", 2)],
)
def test_a_lens_holds_the_places_of_all_digits(
    fake_zoo: Zoo, name: str, lens: str, dimensions: int
) -> None:
    codes, labels = fake_zoo.digits.codes[name], fake_zoo.digits.labels
    expected = {
        "umap": codes.points,
        "umap3": codes.solid,
        "pca": latent_map.pca(codes, 2).places(codes.mean),
        "pca3": latent_map.pca(codes, 3).places(codes.mean),
        "grid-5-0": codes.grid[5, 0.0],
        "grid-50-0.5": codes.grid[50, 0.5],
    }[lens]
    arrays, facts = read(points_file(fake_zoo, name, lens))
    assert arrays.keys() == {"points"}
    points = arrays["points"]
    assert points.dtype == np.float32
    np.testing.assert_array_equal(points, expected)
    assert points.shape[1] == dimensions
    assert facts["plane"] is False
    assert facts["count"] == len(points)
    np.testing.assert_allclose(facts["low"], points.min(0))
    np.testing.assert_allclose(facts["high"], points.max(0))
    for label, middle in enumerate(facts["middles"]):
        own = points[labels[: len(points)] == label]
        np.testing.assert_allclose(middle, np.median(own, axis=0))


def test_the_principal_axes_say_what_they_explain(fake_zoo: Zoo) -> None:
    _, facts = read(points_file(fake_zoo, "ae", "pca3"))
    z = fake_zoo.digits.codes["ae"].mean.double()
    shares = torch.linalg.eigvalsh(z.T.cov()).flip(0) / z.T.cov().trace()
    np.testing.assert_allclose(facts["explained"], shares[:3], rtol=1e-4)


def test_a_map_says_how_true_it_is_where_that_is_known(fake_zoo: Zoo) -> None:
    truth = {"trustworthiness": 0.9, "knn_accuracy": 0.8}
    known = {
        (model, lens): read(points_file(fake_zoo, model, lens))[1]["figures"]
        for model, lens in [
            ("ae", "umap"), ("ae", "pca"), ("ae", "pca3"), ("vae", "umap"), ("ae_2d", "plane"),
            ("pixels", "umap"),
        ]
    }  # fmt: skip
    with_figures = {("ae", "umap"), ("ae", "pca"), ("pixels", "umap")}
    assert known == {key: truth if key in with_figures else None for key in known}


@pytest.mark.parametrize("name", ["ae", "vae", "ae_2d"])
def test_a_shelf_holds_what_pointing_at_each_digit_shows(fake_zoo: Zoo, name: str) -> None:
    arrays, _ = read(points_file(fake_zoo, name, "rebuilt-0"))
    means = fake_zoo.digits.codes[name].mean
    assert len(arrays["pictures"]) == len(means) == 300  # fewer than a shelf may hold
    model = fake_zoo.model(name)
    for index in (0, 128, 299):
        shown = decode_digit(fake_zoo, (model, model), index)
        live = np.frombuffer(base64.b64decode(shown["left"]), np.uint8)
        assert np.abs(arrays["pictures"][index].astype(int) - live).max() <= 1
        reading = shown["reading"]["left"]
        assert arrays["classes"][index] == reading["class"]
        assert arrays["confidences"][index] == pytest.approx(reading["confidence"], abs=2e-3)


def test_shelves_follow_each_other(fake_zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(map_points, "SHELF", 128)
    parts = [read(points_file(fake_zoo, "ae", f"rebuilt-{k}"))[0]["pictures"] for k in range(3)]
    assert [len(part) for part in parts] == [128, 128, 44]
    whole = to_uint8(fake_zoo.decode(fake_zoo.model("ae"), fake_zoo.digits.codes["ae"].mean))
    np.testing.assert_array_equal(np.concatenate(parts), whole.reshape(300, 784))
    for none in ("3", "-1", "00", "", "x", "9" * 30):
        with pytest.raises(NoPointsError):
            points_file(fake_zoo, "ae", f"rebuilt-{none}")


@pytest.mark.parametrize("lens", ["plane", "umap", "umap3", "pca", "pca3"])
def test_a_model_of_two_numbers_is_its_own_plane(fake_zoo: Zoo, lens: str) -> None:
    arrays, facts = read(points_file(fake_zoo, "ae_2d", lens))
    np.testing.assert_array_equal(arrays["points"], fake_zoo.digits.codes["ae_2d"].mean)
    assert facts["plane"] is True


def test_training_digits_have_places_and_classes(fake_zoo: Zoo) -> None:
    arrays, facts = read(points_file(fake_zoo, "vae", "training"))
    points = arrays["points"]
    np.testing.assert_array_equal(points, fake_zoo.digits.codes["vae"].training)
    labels = read(points_file(fake_zoo, "digits", "labels"))[0]
    np.testing.assert_array_equal(labels["labels"], fake_zoo.digits.labels)
    np.testing.assert_array_equal(labels["training_labels"], fake_zoo.digits.training_labels)
    assert labels["labels"].dtype == labels["training_labels"].dtype == np.uint8
    threes = points[labels["training_labels"] == 3]
    np.testing.assert_allclose(facts["middles"][3], np.median(threes, axis=0))


def test_pixels_have_a_map_too(fake_zoo: Zoo) -> None:
    arrays, _ = read(points_file(fake_zoo, "pixels", "umap"))
    np.testing.assert_array_equal(arrays["points"], fake_zoo.digits.pixels)


def test_each_digit_has_its_figures(fake_zoo: Zoo) -> None:
    codes, labels = fake_zoo.digits.codes, fake_zoo.digits.labels
    ae, _ = read(points_file(fake_zoo, "ae", "values"))
    vae, _ = read(points_file(fake_zoo, "vae", "values"))
    assert ae.keys() == {"error", "confidence", "gap"}
    assert vae.keys() == {"error", "confidence", "gap", "kl_nats"}
    np.testing.assert_array_equal(ae["error"], codes["ae"].error)
    np.testing.assert_array_equal(ae["confidence"], codes["ae"].confidence)
    logvar = codes["vae"].logvar
    assert logvar is not None
    np.testing.assert_allclose(vae["kl_nats"], kl_nats(codes["vae"].mean, logvar).sum(1))
    for digit in (0, 17):
        apart = (codes["vae"].mean - codes["vae"].mean[digit]).norm(dim=1).numpy()
        nearest = apart[labels != labels[digit]].min()
        np.testing.assert_allclose(vae["gap"][digit], nearest, rtol=1e-5)


def test_a_class_without_digits_has_no_middle(fake_zoo: Zoo) -> None:
    labels = np.where(fake_zoo.digits.labels == 4, 9, 3).astype(np.uint8)
    few = replace(fake_zoo, digits=replace(fake_zoo.digits, labels=labels))
    _, facts = read(points_file(few, "ae", "umap"))
    assert [label for label, middle in enumerate(facts["middles"]) if middle] == [3, 9]


NOWHERE = [
    ("judge", "umap"),
    ("AE", "umap"),
    ("", "umap"),
    ("..", ".."),
    ("ae", "plane"),
    ("ae", "labels"),
    ("ae", ""),
    ("ae", "grid-15-0.1"),
    ("ae", "grid-5-0.0"),
    ("ae_2d", "training"),
    ("ae_2d", "grid-5-0"),
    ("pixels", "umap3"),
    ("pixels", "values"),
    ("digits", "umap"),
]


@pytest.mark.parametrize(("model", "lens"), NOWHERE)
def test_what_there_is_not_is_not_answered(fake_zoo: Zoo, model: str, lens: str) -> None:
    with pytest.raises(NoPointsError):
        points_file(fake_zoo, model, lens)


def test_an_older_zoo_lacks_lenses_and_figures(fake_zoo: Zoo) -> None:
    codes = {
        name: replace(one, solid=None, error=None, confidence=None, training=None, grid={})
        for name, one in fake_zoo.digits.codes.items()
    }
    digits = replace(fake_zoo.digits, codes=codes, training_labels=None, pixels=None)
    older = replace(fake_zoo, digits=digits)
    for model, lens in [("ae", "umap3"), ("ae", "training"), ("pixels", "umap")]:
        with pytest.raises(NoPointsError):
            points_file(older, model, lens)
    assert read(points_file(older, "ae", "values"))[0].keys() == {"gap"}
    assert read(points_file(older, "digits", "labels"))[0].keys() == {"labels"}


# The route ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "lens"),
    [
        ("ae", "umap"),
        ("vae", "pca3"),
        ("ae_2d", "plane"),
        ("vae", "grid-50-0.5"),
        ("ae", "training"),
        ("vae", "values"),
        ("digits", "labels"),
        ("pixels", "umap"),
    ],
)
def test_the_server_sends_the_files(
    http: httpx.Client, fake_zoo: Zoo, model: str, lens: str
) -> None:
    for _ in range(2):
        answer = http.get(f"/points/{model}/{lens}")
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.content == points_file(fake_zoo, model, lens)


@pytest.mark.parametrize(
    "path",
    [f"/points/{model}/{lens}" for model, lens in NOWHERE]
    + ["/points/../..", "/points/%2e%2e/%2e%2e", "/points/..%2f..%2fapp.py/umap"]
    + ["/points", "/points/ae", "/points/ae/umap/x", "/points/ae/umap%00", "/points/" + "a" * 5000]
    + ["/gradio_api/points/ae/umap"],
)
def test_the_server_has_nothing_else_there(served: str, path: str) -> None:
    # httpx would tidy these paths up before it sends them.
    connection = http.client.HTTPConnection(served.removeprefix("http://"), timeout=60)
    connection.request("GET", path)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    assert answer.status == 404
    assert answer.headers["content-type"] == "application/json"
    assert json.loads(content).keys() == {"detail"}


def test_shelves_travel_compressed_to_whoever_takes_them_so(
    fake_zoo: Zoo, http: httpx.Client
) -> None:
    answers = [
        http.get("/points/vae/rebuilt-0", headers={"accept-encoding": accepted})
        for accepted in ("gzip", "identity")
    ]
    assert [answer.headers.get("content-encoding") for answer in answers] == ["gzip", None]
    content = points_file(fake_zoo, "vae", "rebuilt-0")
    assert [answer.content for answer in answers] == [content, content]


def test_points_are_only_read(http: httpx.Client) -> None:
    assert http.post("/points/ae/umap", json={}).status_code == 405
    assert http.head("/points/ae/umap").status_code == 200


def test_no_description_lists_the_points(http: httpx.Client) -> None:
    described = http.get("/gradio_api/openapi.json").text + http.get("/gradio_api/info").text
    assert "points/" not in described
