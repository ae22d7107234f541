"""Fixtures of the authorization server's tests."""

from as_provider import provider
from host_house import alice, client_id, house

__all__ = ["alice", "client_id", "house", "provider"]
