"""Fixtures of the pages' tests."""

from visits import alice, browser, here

__all__ = ["alice", "browser", "here"]
