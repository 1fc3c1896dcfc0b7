"""A visitor's own pictures, many at once: from files or a zip to what the models see.

They are read one after the other in memory; nothing is written, and nothing stays. Whatever cannot
be read is named with its reason, and the others come all the same.
"""

import base64
import io
import threading
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import torch
from torch import Tensor

from vae_demo.images import FILE_BYTES_MAX, SIDE_PX, ImageError, open_image, preprocess
from vae_demo.ui.exhibit import Payload, RequestError

PICTURES = 200  # tried at a time
FILES = 1_000  # that may be sent, or lie in a zip
UNPACKED_BYTES = 64_000_000  # of a zip
PIXELS = 100_000_000  # of all pictures: some seconds' work
NAME = 100  # characters of a name that come back
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif")  # tried in a zip
ENTRY = b"PK\x01\x02"  # begins each entry of a zip's table of contents
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # others unpack any amount at one go
ENCRYPTED = 1  # a flag of an entry

one_at_a_time = threading.Lock()  # the largest picture takes 300 MB for a moment

File = tuple[str, Callable[[], bytes]]  # its name, and what reads it or raises RequestError


class Read(NamedTuple):
    """Pictures that could be read, and the other files.

    Attributes:
        names: of the pictures.
        x: (B, 1, 28, 28) in [0, 1].
        refused: of each other file "name" and "error", a key of the text tables.
    """

    names: list[str]
    x: Tensor
    refused: list[Payload]


def read_pictures(payload: Payload) -> Read:
    """The pictures of a request, `{"files": [{"name", "file": base64}, …]}` or `{"zip": base64}`;
    or those of `kept`, `{"pictures": [{"name", "x": base64}, …]}`.

    Raises:
        RequestError: neither, no zip, or more files than are taken.
    """
    if "pictures" in payload:
        return kept(payload["pictures"])
    files = zipped(payload["zip"]) if "zip" in payload else sent(payload.get("files"))
    names: list[str] = []
    pictures: list[Tensor] = []
    refused: list[Payload] = []
    tried = pixels = 0
    for name, read in files:
        try:
            if tried >= PICTURES:
                raise RequestError("error.own.many")
            if pixels > PIXELS:
                raise RequestError("error.own.total")
            content = read()
            tried += 1
            with one_at_a_time:
                image = open_image(content)
                pixels += image.width * image.height
                x = preprocess(image)
            if not x.any():
                raise RequestError("error.own.blank")
        except RequestError as error:
            refused.append({"name": shown(name), "error": error.code})
        except ImageError:
            refused.append({"name": shown(name), "error": "error.picture"})
        else:
            names.append(shown(name))
            pictures.append(x)
    return Read(names, torch.stack(pictures) if pictures else torch.empty(0, 1, 28, 28), refused)


def shown(name: str) -> str:
    """The last part of a path, as the page may show it."""
    last = PurePosixPath(name.replace("\\", "/")).name
    return "".join(letter for letter in last if letter.isprintable())[-NAME:]


def kept(pictures: Any) -> Read:
    """Pictures that were read before, as the page keeps them.

    Args:
        pictures: [{"name", "x": base64 of 28 × 28 grey bytes}, …].
    """
    if not isinstance(pictures, list) or not 1 <= len(pictures) <= PICTURES:
        raise RequestError("error.request")
    if not all(isinstance(one, dict) and isinstance(one.get("name"), str) for one in pictures):
        raise RequestError("error.request")
    contents = [from_base64(one.get("x"), "error.request") for one in pictures]
    if any(len(content) != SIDE_PX * SIDE_PX for content in contents):
        raise RequestError("error.request")
    x = torch.frombuffer(bytearray(b"".join(contents)), dtype=torch.uint8)
    return Read([shown(one["name"]) for one in pictures], x.view(-1, 1, SIDE_PX, SIDE_PX) / 255, [])


# Files --------------------------------------------------------------------------------------------


def sent(files: Any) -> Iterator[File]:
    """The files of a list."""
    if not isinstance(files, list) or not 1 <= len(files) <= FILES:
        raise RequestError("error.request")
    if not all(isinstance(file, dict) and isinstance(file.get("name"), str) for file in files):
        raise RequestError("error.request")
    for file in files:
        yield file["name"], partial(from_base64, file.get("file"), "error.picture")


def from_base64(text: Any, code: str) -> bytes:
    """Bytes, or a RequestError of that code."""
    try:
        return base64.b64decode(text, validate=True)
    except (ValueError, TypeError):
        raise RequestError(code) from None


# A zip --------------------------------------------------------------------------------------------


def zipped(text: Any) -> Iterator[File]:
    """The files in a zip, but those that systems hide."""
    content = from_base64(text, "error.own.zip")
    # Counted before they are listed: a list of all that fit into a request takes 100 MB.
    if content.count(ENTRY) > FILES:
        raise RequestError("error.own.zip")
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
    except Exception:  # damaged files make zipfile raise nearly anything
        raise RequestError("error.own.zip") from None
    left = UNPACKED_BYTES
    for entry in archive.infolist():
        parts = PurePosixPath(entry.filename).parts
        hidden = any(part.startswith(".") and part != ".." for part in parts)
        if entry.is_dir() or hidden or "__MACOSX" in parts:
            continue
        if entry.file_size <= FILE_BYTES_MAX:
            left -= entry.file_size
        yield entry.filename, partial(unpacked, archive, entry, left)


def unpacked(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, left: int) -> bytes:
    """The bytes of an entry; `left` are the bytes that may still be unpacked once it is."""
    if not entry.filename.lower().endswith(SUFFIXES):
        raise RequestError("error.picture")
    if entry.flag_bits & ENCRYPTED or entry.compress_type not in METHODS:
        raise RequestError("error.own.packed")
    if entry.file_size > FILE_BYTES_MAX:
        raise RequestError("error.own.large")
    if left < 0:
        raise RequestError("error.own.total")
    try:
        with archive.open(entry) as file:
            return file.read(FILE_BYTES_MAX)  # never more than the entry says it has
    except Exception:
        raise RequestError("error.picture") from None
