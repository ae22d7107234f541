"""Fixtures of the resource server's tests."""

from resource_parts import keyring

__all__ = ["keyring"]
