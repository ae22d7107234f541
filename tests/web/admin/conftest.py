"""Fixtures of the admin API's tests."""

from admin_door import admin, here, run

__all__ = ["admin", "here", "run"]
