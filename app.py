"""python app.py: load the checkpoints and serve the page."""

import argparse
import sys

import torch

from vae_demo.checkpoints import SHIPPED, CheckpointError
from vae_demo.data import DataError
from vae_demo.models import best_device
from vae_demo.zoo import load_zoo


def main() -> None:
    parser = argparse.ArgumentParser(description="Autoencoder and VAE, side by side, on a page.")
    parser.add_argument("--host", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, help="port (default: the first free one from 7860)")
    parser.add_argument("--device", help="cuda, mps or cpu (default: the best there is)")
    parser.add_argument(
        "--data", help="folder with MNIST, to see original digits beside rebuilt ones"
    )
    parser.add_argument("--checkpoints", default=SHIPPED, help="folder of the models")
    arguments = parser.parse_args()
    # One picture at a time gains nothing from more threads, and visitors share the cores.
    torch.set_num_threads(1)
    try:
        device = torch.device(arguments.device) if arguments.device else best_device()
        if device.type not in ("cuda", "mps", "cpu"):
            sys.exit(f"Cannot start on the device {arguments.device!r}: use cuda, mps or cpu.")
        zoo = load_zoo(arguments.checkpoints, device, arguments.data)
    except (CheckpointError, DataError, RuntimeError) as error:
        sys.exit(f"Cannot start: {error}")

    from vae_demo.ui.app import build_app, launch_options

    build_app(zoo).launch(
        server_name=arguments.host, server_port=arguments.port, **launch_options(zoo)
    )


if __name__ == "__main__":
    main()
