"""A visitor's own pictures: what is read, what is refused and why, and that nothing stays."""

import base64
import io
import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from vae_demo import latent_map
from vae_demo.images import FILE_BYTES_MAX, open_image, preprocess, to_uint8
from vae_demo.projections import Projections
from vae_demo.ui import own_pictures
from vae_demo.ui.exhibit import RequestError
from vae_demo.ui.map import map_tab
from vae_demo.ui.own_pictures import FILES, PICTURES, Read, read_pictures
from vae_demo.zoo import Zoo

SIDES = {"left": "ae", "right": "vae"}
Ask = Callable[[Any], dict[str, Any]]


def drawn(seed: int = 0, side: int = 40, kind: str = "PNG") -> bytes:
    """A file with a stroke."""
    grey = np.full((side, side), 255, np.uint8)
    grey[side // 4 : 3 * side // 4, side // 3 + seed : side // 3 + seed + side // 8] = 0
    file = io.BytesIO()
    Image.fromarray(grey).save(file, kind)
    return file.getvalue()


def text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def zip_of(entries: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return file.getvalue()


def read_files(files: dict[str, bytes]) -> Read:
    return read_pictures(
        {"files": [{"name": name, "file": text(content)} for name, content in files.items()]}
    )


def read_zip(entries: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Read:
    return read_pictures({"zip": text(zip_of(entries, method))})


def seen(content: bytes) -> Tensor:
    return preprocess(open_image(content))


def reasons(read: Read) -> dict[str, str]:
    return {one["name"]: one["error"] for one in read.refused}


# What is read -------------------------------------------------------------------------------------


@pytest.mark.parametrize("send", [read_files, read_zip])
def test_pictures_come_as_the_models_see_them(send: Callable[[dict[str, bytes]], Read]) -> None:
    files = {"a.png": drawn(0), "b.jpg": drawn(3, kind="JPEG"), "c.webp": drawn(6, kind="WEBP")}
    read = send(files)
    assert read.names == list(files)
    assert read.refused == []
    torch.testing.assert_close(read.x, torch.stack([seen(file) for file in files.values()]))


def test_a_stored_zip_is_read_too() -> None:
    assert read_zip({"a.bmp": drawn(kind="BMP")}, zipfile.ZIP_STORED).names == ["a.bmp"]


def test_what_systems_hide_in_a_zip_is_passed_over() -> None:
    entries = {
        "__MACOSX/._a.png": b"junk",
        ".DS_Store": b"junk",
        "digits/.thumbnails/a.png": drawn(),
        "digits/": b"",
        "digits/a.png": drawn(),
    }
    read = read_zip(entries)
    assert (read.names, read.refused) == (["a.png"], [])


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("digits/3/a.png", "a.png"),
        ("../../etc/a.png", "a.png"),
        ("/root/a.png", "a.png"),
        ("C:\\digits\\a.png", "a.png"),
        ("line\nbreak\x1b.png", "linebreak.png"),
        ("그림 3.png", "그림 3.png"),
        ("x" * 5000 + ".png", "x" * 96 + ".png"),
    ],
)
@pytest.mark.parametrize("send", [read_files, read_zip])
def test_a_name_is_the_last_part_of_a_path(
    send: Callable[[dict[str, bytes]], Read], name: str, shown: str
) -> None:
    assert send({name: drawn()}).names == [shown]


def test_files_need_no_name_of_a_picture() -> None:
    assert read_files({"": drawn()}).names == [""]


# What is refused, and why -------------------------------------------------------------------------


def test_the_good_ones_come_all_the_same() -> None:
    blank = io.BytesIO()
    Image.new("L", (30, 30), 255).save(blank, "PNG")
    files = {
        "a.png": drawn(),
        "words.png": b"no picture",
        "blank.png": blank.getvalue(),
        "cut.png": drawn(side=400)[:-200],
        "empty.png": b"",
        "z.png": drawn(4),
    }
    expected = {
        "words.png": "error.picture",
        "blank.png": "error.own.blank",
        "cut.png": "error.picture",
        "empty.png": "error.picture",
    }
    for send in (read_files, read_zip):
        read = send(files)
        assert read.names == ["a.png", "z.png"]
        assert reasons(read) == expected


@pytest.mark.parametrize("file", [None, 3, "§", "%%%", "AAA", ["AAAA"], {}])
def test_a_file_that_is_no_base64_is_refused(file: Any) -> None:
    read = read_pictures(
        {"files": [{"name": "bad", "file": file}, {"name": "good", "file": text(drawn())}]}
    )
    assert read.names == ["good"]
    assert reasons(read) == {"bad": "error.picture"}


def test_only_pictures_of_a_zip_are_tried() -> None:
    inner = zip_of({"a.png": drawn()})
    read = read_zip(
        {"readme.txt": b"words", "inner.zip": inner, "A.PNG": drawn(), "noend": drawn()}
    )
    assert read.names == ["A.PNG"]
    assert set(reasons(read).values()) == {"error.picture"}
    assert len(read.refused) == 3
    assert reasons(read_zip({"inner.png": inner})) == {"inner.png": "error.picture"}


def test_no_more_are_tried_than_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_pictures, "PICTURES", 3)
    files = {"0.png": b"no picture"} | {f"{i}.png": drawn(i) for i in range(1, 6)}
    for send in (read_files, read_zip):
        read = send(files)
        assert read.names == ["1.png", "2.png"]
        assert reasons(read) == {
            "0.png": "error.picture",
            **{f"{i}.png": "error.own.many" for i in range(3, 6)},
        }
    assert PICTURES == 200


def test_pictures_are_large_together_or_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_pictures, "PIXELS", 100 * 100)
    files = {"a.png": drawn(side=100), "b.png": drawn(side=100), "c.png": drawn()}
    assert read_files(files).names == ["a.png", "b.png"]
    assert reasons(read_zip(files)) == {"c.png": "error.own.total"}
    wide = io.BytesIO()
    Image.new("1", (5000, 1)).save(wide, "PNG")
    assert reasons(read_files({"wide.png": wide.getvalue()})) == {"wide.png": "error.picture"}


def test_what_a_zip_says_it_holds_is_bounded() -> None:
    """A bomb: zeros pack a thousandfold."""
    read = read_zip({"bomb.png": bytes(FILE_BYTES_MAX + 1), "a.png": drawn()})
    assert read.names == ["a.png"]
    assert reasons(read) == {"bomb.png": "error.own.large"}
    read = read_zip({f"{i}.png": bytes(FILE_BYTES_MAX) for i in range(10)} | {"a.png": drawn()})
    assert [one["error"] for one in read.refused[:8]] == ["error.picture"] * 8
    assert [one["error"] for one in read.refused[8:]] == ["error.own.total"] * 3


def test_what_a_zip_really_holds_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry that unpacks to more than it says."""
    content = bytearray(zip_of({"liar.png": bytes(10**7), "a.png": drawn()}))
    for signature, at in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<I", content, content.index(signature) + at, 1000)
    asked: list[int] = []
    plain = zipfile.ZipExtFile.read

    def read_some(file: zipfile.ZipExtFile, n: int | None = -1) -> bytes:
        got = plain(file, n)
        asked.append(len(got))
        return got

    monkeypatch.setattr(zipfile.ZipExtFile, "read", read_some)
    read = read_pictures({"zip": text(bytes(content))})
    assert reasons(read) == {"liar.png": "error.picture"}
    assert read.names == ["a.png"]
    assert max(asked) <= 1000


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods_that_unpack_at_one_go_are_refused(method: int) -> None:
    read = read_zip({"a.png": drawn()}, method)
    assert reasons(read) == {"a.png": "error.own.packed"}


def test_encrypted_entries_are_refused() -> None:
    content = bytearray(zip_of({"a.png": drawn(), "b.png": drawn()}))
    for signature, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + at] |= 1
    read = read_pictures({"zip": text(bytes(content))})
    assert read.names == ["b.png"]
    assert reasons(read) == {"a.png": "error.own.packed"}


def test_a_damaged_entry_spoils_no_other() -> None:
    content = bytearray(zip_of({"a.png": drawn(), "b.png": drawn(2)}))
    content[60] ^= 255
    read = read_pictures({"zip": text(bytes(content))})
    assert read.names == ["b.png"]
    assert reasons(read) == {"a.png": "error.picture"}


@pytest.mark.parametrize(
    "content", [b"", b"PK\x05\x06", b"no zip", drawn(), zip_of({"a.png": drawn()})[:-30]]
)
def test_what_is_no_zip_is_refused(content: bytes) -> None:
    with pytest.raises(RequestError, match=r"error\.own\.zip"):
        read_pictures({"zip": text(content)})


def test_a_zip_of_too_many_entries_is_not_even_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    content = zip_of({f"{i}.txt": b"" for i in range(FILES + 1)})
    monkeypatch.setattr(zipfile, "ZipFile", None)
    with pytest.raises(RequestError, match=r"error\.own\.zip"):
        read_pictures({"zip": text(content)})


@pytest.mark.parametrize("wrong", [None, 3, "§", "AAA", ["AAAA"], {}, True])
def test_what_is_no_text_is_no_zip(wrong: Any) -> None:
    with pytest.raises(RequestError, match=r"error\.own\.zip"):
        read_pictures({"zip": wrong})


@pytest.mark.parametrize(
    "files",
    [
        *(None, [], {}, "files", 3, [None], ["a"], [{}], [{"name": 3, "file": ""}], [{"file": ""}]),
        [{"name": "a", "file": ""}] * (FILES + 1),
    ],
)
def test_what_is_no_list_of_files_is_refused(files: Any) -> None:
    with pytest.raises(RequestError, match=r"error\.request"):
        read_pictures({"files": files})


# Where they lie -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def own(fake_zoo: Zoo) -> Ask:
    found: Ask = next(
        function
        for function in map_tab(fake_zoo, Projections()).server_fns
        if function.__name__ == "own"
    )
    return found


def test_own_pictures_lie_where_the_models_put_them(fake_zoo: Zoo, own: Ask) -> None:
    files = {"a.png": drawn(), "b.png": drawn(7), "c.png": b"no picture"}
    answer = own({"zip": text(zip_of(files)), "metric": "cosine", "n_neighbors": 7, "count": 150})
    assert answer["refused"] == [{"name": "c.png", "error": "error.picture"}]
    assert [picture["name"] for picture in answer["pictures"]] == ["a.png", "b.png"]
    for picture, file in zip(answer["pictures"], files.values(), strict=False):
        x = seen(file)[None]
        assert picture["x"] == text(to_uint8(x).tobytes())
        shares = fake_zoo.judge(x).softmax(1)[0]
        assert picture["reading"]["class"] == shares.argmax()
        assert picture["reading"]["confidence"] == pytest.approx(float(shares.max()), abs=6e-4)
        for side, name in SIDES.items():
            model, codes = fake_zoo.model(name).coder, fake_zoo.digits.codes[name]
            z = model.encode(x)
            np.testing.assert_allclose(picture[side]["code"], z[0], rtol=1e-3, atol=1e-4)
            axes = latent_map.pca(codes, 3).places(z)[0]
            np.testing.assert_allclose(picture[side]["pca"], axes, rtol=1e-3, atol=1e-3)
            near = torch.nn.functional.cosine_similarity(codes.mean[:150], z).argsort(
                descending=True
            )
            assert picture[side]["neighbours"]["digits"] == near[:7].tolist()
            assert sum(picture[side]["neighbours"]["weights"]) == pytest.approx(1, abs=1e-5)
    json.dumps(answer, allow_nan=False)


def test_other_models_place_them_too(own: Ask) -> None:
    files = [{"name": "a", "file": text(drawn())}]
    answer = own({"files": files, "models": ["vae", "ae_2d"], "of": "pixels"})
    picture = answer["pictures"][0]
    assert len(picture["right"]["code"]) == 2
    assert picture["left"]["neighbours"] == picture["right"]["neighbours"]


def test_pictures_that_were_kept_are_placed_without_their_files(own: Ask) -> None:
    files = [{"name": name, "file": text(drawn(seed))} for seed, name in enumerate("ab")]
    rule = {"models": ["vae", "ae_2d"], "metric": "cosine", "n_neighbors": 7}
    first = own({"files": files, **rule})
    kept = [{"name": one["name"], "x": one["x"]} for one in first["pictures"]]
    again = own({"pictures": kept, **rule})
    assert again["refused"] == []
    for before, after in zip(first["pictures"], again["pictures"], strict=True):
        assert (after["name"], after["x"]) == (before["name"], before["x"])
        for side in SIDES:  # a grey of 28 × 28 bytes is at most half a step of 255 away
            np.testing.assert_allclose(after[side]["code"], before[side]["code"], atol=0.02)


@pytest.mark.parametrize(
    "kept", [None, {}, [], [3], [{}], [{"name": "a"}], [{"name": "a", "x": "AAAA"}]]
)
def test_what_was_never_kept_is_refused(own: Ask, kept: Any) -> None:
    assert own({"pictures": kept}) == {"error": "error.request"}
    good = {"name": "a", "x": text(bytes(784))}
    assert own({"pictures": [good] * (PICTURES + 1)}) == {"error": "error.request"}


def test_nothing_but_bad_files_is_an_answer_too(own: Ask) -> None:
    answer = own({"files": [{"name": "a", "file": ""}]})
    assert answer == {"pictures": [], "refused": [{"name": "a", "error": "error.picture"}]}


def test_hostile_requests_have_a_reason(own: Ask) -> None:
    assert own({"zip": "AAAA"}) == {"error": "error.own.zip"}
    assert own({"files": 3}) == {"error": "error.request"}
    assert own({"files": [{"name": "a", "file": ""}], "metric": 3}) == {"error": "error.request"}


def test_nothing_stays_on_the_server(
    own: Ask, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """No file is opened, and what the modules hold does not grow."""

    def opened(*_: Any, **__: Any) -> None:
        raise AssertionError("a file was opened")

    asked = {"zip": text(zip_of({"a.png": drawn()}))}
    before = own(asked)
    held = {name: repr(value) for name, value in vars(own_pictures).items() if name[0] != "_"}
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("builtins.open", opened)
    monkeypatch.setattr("io.open", opened)
    monkeypatch.setattr("os.open", opened)
    assert own(asked) == before
    monkeypatch.undo()
    assert held == {n: repr(value) for n, value in vars(own_pictures).items() if n[0] != "_"}
    assert list(tmp_path.iterdir()) == []
