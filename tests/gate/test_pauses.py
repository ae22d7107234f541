"""How long is waited between attempts, also when something is away for a week."""

from collections.abc import Callable
from itertools import pairwise

import pytest

from signoff.app.counterpart import look_again_s
from signoff.gate.pipeline import pause_s

A_WEEK_OF_FAILURES = 60_480


@pytest.mark.parametrize(("pause", "longest_s"), [(pause_s, 30.0), (look_again_s, 10.0)])
def test_a_pause_grows_to_its_bound_and_stays_there(
    pause: Callable[[int], float], longest_s: float
) -> None:
    pauses = [pause(failures) for failures in range(1, A_WEEK_OF_FAILURES)]
    assert 0 < pauses[0] < longest_s
    assert all(earlier <= later for earlier, later in pairwise(pauses))
    assert pauses[-1] == longest_s
