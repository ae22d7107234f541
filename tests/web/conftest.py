"""Fixtures of the pages' tests."""

from as_provider import provider
from visitor import secure, visitor
from visits import alice, browser, here

__all__ = ["alice", "browser", "here", "provider", "secure", "visitor"]
