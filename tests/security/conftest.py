"""Fixtures of attacks on the pages."""

from visits import alice, browser, here

__all__ = ["alice", "browser", "here"]
