"""python -m benchmarks.forward: what one picture costs the models, on one thread of the CPU.

The twins and a small model of the zoo beside PyTorch's example VAE (784-400-20), in turns in the
same run.
"""

import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from vae_demo import checkpoints
from vae_demo.models import Autoencoder
from vae_demo.reference import pytorch_example

ROUNDS = 500

Step = Callable[[Tensor], Tensor]


def steps() -> dict[str, tuple[Step, Step]]:
    """Encode and decode of each model."""
    encoder, decoder = pytorch_example(torch.empty(0, 1, 28, 28), 0, 1, torch.device("cpu"))
    found: dict[str, tuple[Step, Step]] = {"PyTorch's example": (encoder, decoder)}
    for name in ("ae", "vae", "vae_2d"):
        model = checkpoints.load(name)
        assert isinstance(model, Autoencoder)
        found[name] = (model.encode, model.decode)
    return found


@torch.inference_mode()
def main() -> None:
    torch.set_num_threads(1)
    x = torch.rand(1, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    models = steps()
    times_ms: dict[str, list[tuple[float, float]]] = {name: [] for name in models}
    for _ in range(ROUNDS):
        for name, (encode, decode) in models.items():
            started = time.perf_counter()
            z = encode(x)
            encoded = time.perf_counter()
            decode(z[:, :20])  # of the example's forty numbers, the mean
            ended = time.perf_counter()
            times_ms[name].append((1e3 * (encoded - started), 1e3 * (ended - encoded)))
    bare = None
    for name, pairs in times_ms.items():
        encode_ms, decode_ms = (statistics.median(part) for part in zip(*pairs, strict=True))
        both = encode_ms + decode_ms
        bare = bare or both
        print(
            f"{name:18} encode {encode_ms:.2f} ms, decode {decode_ms:.2f} ms, "
            f"both {both:.2f} ms, {both / bare:.1f} × PyTorch's example"
        )


if __name__ == "__main__":
    main()
