"""What a catalogue takes from the environment and does not find there.

Owns that one look. Nothing is a mistake: where the server runs it may well be set. No value is read
further than whether there is one.
"""

from collections.abc import Mapping
from pathlib import Path

from signoff.catalog.model import Catalogue, Reference, Template


def unset(
    config: Path, catalogue: Catalogue, environment: Mapping[str, str] | None
) -> tuple[str, ...]:
    """Say which variables the server will want and this environment does not have."""
    if environment is None:
        return ()
    wanted: dict[str, str] = {}
    for upstream in catalogue.upstreams.values():
        where = f"upstreams.{upstream.name}"
        places: list[tuple[str, Template]] = [
            (f"headers.{header.name}", header.parts) for header in upstream.headers
        ]
        for name, given in upstream.credentials.items():
            parts = (*given.value, *given.username, *given.password)
            parts = (*parts, *given.client_id, *given.client_secret)
            places.append((f"credentials.{name}", parts))
        if upstream.client_certificate is not None:
            places.append(("client_certificate", upstream.client_certificate.password))
        for place, parts in places:
            for part in parts:
                if isinstance(part, Reference) and part.kind == "env":
                    wanted.setdefault(part.name, f"{where}.{place}")
    return tuple(
        f"{config}: {name} is not set in this environment; signoff serve needs it for {place}"
        for name, place in wanted.items()
        if not environment.get(name)
    )
