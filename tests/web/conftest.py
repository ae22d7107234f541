"""Fixtures of the pages' tests."""

from as_provider import provider
from visits import alice, browser, here

__all__ = ["alice", "browser", "here", "provider"]
