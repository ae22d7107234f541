"""A running authorization server."""

from as_provider import provider

__all__ = ["provider"]
