import struct
from pathlib import Path

import pytest
import torch

from vae_demo import data
from vae_demo.data import DataError

FILES = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")


@pytest.fixture
def root(tmp_path):
    """A made-up test half of MNIST, with empty files in place of the training half."""
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in FILES:
        (raw / f"{name}-ubyte").touch()
    pixels = (torch.arange(10_000 * 784) % 251).to(torch.uint8)
    labels = (torch.arange(10_000) % 10).to(torch.uint8)
    images_header = struct.pack(">4i", 0x803, 10_000, 28, 28)
    (raw / "t10k-images-idx3-ubyte").write_bytes(images_header + pixels.numpy().tobytes())
    labels_header = struct.pack(">2i", 0x801, 10_000)
    (raw / "t10k-labels-idx1-ubyte").write_bytes(labels_header + labels.numpy().tobytes())
    return tmp_path


def test_load_gives_pixels_and_labels_as_they_are_in_the_files(root):
    images, labels = data.load(root, train=False)
    assert (images.shape, images.dtype) == ((10_000, 1, 28, 28), torch.uint8)
    assert (labels.shape, labels.dtype) == ((10_000,), torch.int64)
    assert images.flatten()[:252].tolist() == [*range(251), 0]
    assert labels[:11].tolist() == [*range(10), 0]


def test_load_reads_mnist(mnist_test):
    images, labels = mnist_test
    assert labels.bincount().tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert (images.float().mean() / 255).item() == pytest.approx(0.1325, abs=1e-4)


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("t10k-images-idx3-ubyte", lambda content: content[:100_000]),
        ("t10k-labels-idx1-ubyte", lambda content: content[:5_000]),
        ("t10k-images-idx3-ubyte", lambda content: b""),
        ("t10k-images-idx3-ubyte", lambda content: b"<!DOCTYPE html><p>Not found"),
        ("t10k-labels-idx1-ubyte", lambda content: struct.pack(">2i", 0x801, 3) + bytes(3)),
        ("t10k-images-idx3-ubyte", lambda content: struct.pack(">2i", 0x801, 3) + bytes(3)),
    ],
    ids=["pictures cut", "labels cut", "empty", "web page", "too few", "labels for pictures"],
)
def test_damaged_files_are_to_be_fetched_again(root, file, change):
    path = root / "MNIST" / "raw" / file
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(DataError) as caught:
        data.load(root, train=False)
    for part in (f"Delete {path.parent}", f"`python -m vae_demo.data --data {root}`"):
        assert part in str(caught.value)


def test_a_folder_without_mnist_names_the_command_that_fetches_it(tmp_path):
    with pytest.raises(DataError) as caught:
        data.load(tmp_path, train=False)
    assert f"Fetch it with `python -m vae_demo.data --data {tmp_path}`" in str(caught.value)


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"VAE_DEMO_DATA": "mine", "XDG_CACHE_HOME": "cache"}, Path("mine")),
        ({"VAE_DEMO_DATA": "", "XDG_CACHE_HOME": "cache"}, Path("cache/vae_demo")),
        ({"XDG_CACHE_HOME": "cache"}, Path("cache/vae_demo")),
        ({}, Path.home() / ".cache" / "vae_demo"),
    ],
)
def test_default_root(monkeypatch, variables, expected):
    for name in ("VAE_DEMO_DATA", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert data.default_root() == expected


def test_load_without_a_root_reads_the_default_one(root, monkeypatch):
    monkeypatch.setenv("VAE_DEMO_DATA", str(root))
    assert len(data.load(train=False)[0]) == 10_000


def test_the_digest_depends_on_every_pixel():
    images = torch.zeros(3, 1, 28, 28, dtype=torch.uint8)
    other = images.clone()
    other[2, 0, 27, 27] = 1
    assert data.digest(images) == data.digest(images.clone()) != data.digest(other)


def test_the_command_fetches_both_halves(monkeypatch, capsys, tmp_path):
    wanted = []

    def load(root, *, train, download):
        wanted.append((root, train, download))
        return torch.zeros(7, 1, 28, 28, dtype=torch.uint8), torch.zeros(7)

    monkeypatch.setattr(data, "load", load)
    monkeypatch.setattr("sys.argv", ["data", "--data", str(tmp_path)])
    data.main()
    assert wanted == [(tmp_path, True, True), (tmp_path, False, True)]
    assert f"MNIST is in {tmp_path.resolve()}" in capsys.readouterr().out


def test_the_command_fails_with_the_reason_alone(monkeypatch, capsys):
    def load(root, *, train, download):
        raise DataError("the disk is full")

    monkeypatch.setattr(data, "load", load)
    monkeypatch.setattr("sys.argv", ["data"])
    with pytest.raises(SystemExit, match="1"):
        data.main()
    assert capsys.readouterr().err == "the disk is full\n"


# Pen digits ---------------------------------------------------------------------------------------

UNIPEN = """.INCLUDE dene.doc
.SEGMENT DIGIT 0 ? "8"
.COMMENT 8 12 224
.PEN_DOWN
 1  20
 3  40
.PEN_UP
.PEN_DOWN
 5  6
.PEN_UP
.SEGMENT DIGIT 1 ? "1"
.PEN_DOWN
 7  8
.PEN_UP
"""


@pytest.fixture
def pen_root(tmp_path):
    (tmp_path / "pendigits").mkdir()
    (tmp_path / data.PEN_DIGITS).write_text(UNIPEN)
    return tmp_path


def test_pen_digits_are_strokes_with_y_downwards(pen_root):
    digits, labels = data.pen_digits(pen_root)
    assert labels.tolist() == [8, 1]
    strokes = [[stroke.tolist() for stroke in digit] for digit in digits]
    assert strokes == [[[[1, -20], [3, -40]], [[5, -6]]], [[[7, -8]]]]


@pytest.mark.parametrize(
    "content", ["", "<!DOCTYPE html>", UNIPEN[:30], UNIPEN + '.SEGMENT DIGIT 2 ? "3"\n', None]
)
def test_damaged_pen_digits_are_to_be_fetched_again(pen_root, content):
    path = pen_root / data.PEN_DIGITS
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(DataError) as caught:
        data.pen_digits(pen_root)
    assert str(path) in str(caught.value) and data.PEN_DIGITS_PAGE in str(caught.value)
