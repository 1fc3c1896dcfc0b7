"""python -m vae_demo.ui.replay FILE: make an exported picture again from the recipe inside it.

    python -m vae_demo.ui.replay interpolate-2-7.gif             says whether it is the same
    python -m vae_demo.ui.replay recipe.json --out again.png     writes it

A film in MP4 is encoded by the browser; its frames come again, as a GIF. The same weights on the
same kind of processor give the same bytes.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import torch

from vae_demo import checkpoints, exports
from vae_demo.data import DataError
from vae_demo.images import ImageError
from vae_demo.ui import draw, interpolate, sample
from vae_demo.ui.exhibit import Payload, RequestError
from vae_demo.zoo import Zoo, load_zoo

EXPORTS: dict[str, Callable[[Zoo, Payload], bytes]] = {
    "draw": draw.export,
    "sample": sample.export,
    "interpolate": interpolate.export,
}


def replay(recipe: exports.Recipe, zoo: Zoo) -> bytes:
    """The file a recipe stands for.

    Raises:
        RecipeError: it is from other weights, or cannot be followed.
    """
    for name, digest in recipe["weights"].items():
        if name not in zoo.names:
            raise exports.RecipeError(f"The recipe needs the model {name!r}, which is not here.")
        if (here := zoo.model(name).weights_sha256) != digest:
            raise exports.RecipeError(
                f"The recipe is from weights {digest[:12]}… of {name!r}; here are {here[:12]}…. "
                "Check out the version of the project that made it."
            )
    if recipe["tab"] == "map":
        raise exports.RecipeError(f"Browsers draw maps; this one is at {recipe.get('address')}.")
    if recipe["tab"] not in EXPORTS:
        raise exports.RecipeError(
            f"The recipe is of the tab {recipe['tab']!r}; known are {sorted(EXPORTS)}."
        )
    try:
        with torch.inference_mode():
            return EXPORTS[recipe["tab"]](zoo, recipe["request"])
    except (RequestError, ImageError) as error:
        raise exports.RecipeError(f"The recipe cannot be followed: {error}") from error


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m vae_demo.ui.replay", description="Make an exported picture again."
    )
    parser.add_argument("file", type=Path, help="a saved picture, or its recipe as JSON")
    parser.add_argument("--out", type=Path, help="where to write it")
    parser.add_argument("--checkpoints", type=Path, default=checkpoints.SHIPPED)
    parser.add_argument("--data", help="folder with MNIST, where the page had it")
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # as the app: another order of sums is another last bit
    try:
        content = arguments.file.read_bytes()
        recipe = exports.read_recipe(content)
        if not arguments.out and not content.startswith((b"\x89PNG", b"GIF8")):
            parser.error("only a PNG or a GIF can be compared: say with --out where to write it")
        again = replay(recipe, load_zoo(arguments.checkpoints, root=arguments.data))
    except (OSError, exports.RecipeError, checkpoints.CheckpointError, DataError) as error:
        sys.exit(str(error))
    if arguments.out:
        checkpoints.write_atomically(arguments.out, again)
        print(f"{arguments.out}: {len(again)} bytes")
    elif again == content:
        print("The same, bit for bit.")
    else:
        sys.exit("Not the same bytes: another processor or version? See device and torch in it.")


if __name__ == "__main__":
    main()
