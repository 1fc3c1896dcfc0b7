"""The public HTTP API."""

from vae_demo.twins import Twins


def add_endpoints(twins: Twins) -> None:
    pass
