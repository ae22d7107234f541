"""Failpoints do nothing unless asked, and act at one place only."""

import pytest

from signoff.gate.failpoints import FAILPOINTS, only_at, pass_by


def test_they_are_passed_by_without_effect() -> None:
    for failpoint in FAILPOINTS:
        pass_by(failpoint)


def test_one_of_them_acts_and_no_other() -> None:
    acted: list[str] = []
    for failpoint in FAILPOINTS:
        reach = only_at("after_intent", lambda here=failpoint: acted.append(here))
        reach(failpoint)
    assert acted == ["after_intent"]


@pytest.mark.parametrize("name", ["", "after", "AFTER_INTENT", "after_intent "])
def test_an_unknown_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is not a failpoint"):
        only_at(name, lambda: None)
