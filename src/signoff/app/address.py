"""Where this signoff is found: the port, and the public URL that follows it on loopback.

Pure; shared by the server and by commands that make links without one.
"""

from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit

from signoff.catalog.model import Catalogue
from signoff.origin import LOOPBACK

DEFAULT_PORT: Final = 8420


def at_port(catalogue: Catalogue, port: int) -> Catalogue:
    """Return the catalogue with a loopback `public_url` moved to the port that is served."""
    public = urlsplit(catalogue.server.public_url)
    if public.scheme != "http" or public.hostname not in {name.strip("[]") for name in LOOPBACK}:
        return catalogue
    url = f"http://localhost:{port}{public.path}".rstrip("/")
    return replace(catalogue, server=replace(catalogue.server, public_url=url))
