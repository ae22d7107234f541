"""Fixtures of the authorization endpoint's tests."""

from authorizing import alice, client_id, house

__all__ = ["alice", "client_id", "house"]
