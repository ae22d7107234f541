"""What a broken exchange means: certain only where nothing can have been done."""

import pytest

from signoff.upstream.exchange import ExchangeError, Fault
from signoff.upstream.failures import failed
from signoff.upstream.sent import NotSent, Unknown


@pytest.mark.parametrize("fault", ["connect", "certificate", "request", "answer", "closed"])
def test_before_the_first_byte_nothing_was_sent(fault: Fault) -> None:
    found = failed(ExchangeError(fault), left=False, status=None, name="bank")
    assert isinstance(found, NotSent)


@pytest.mark.parametrize("fault", ["connect", "request", "answer", "closed"])
def test_after_it_nobody_knows(fault: Fault) -> None:
    found = failed(ExchangeError(fault), left=True, status=None, name="bank")
    assert isinstance(found, Unknown)


def test_a_handshake_that_failed_gave_the_request_to_nobody() -> None:
    found = failed(ExchangeError("certificate"), left=True, status=None, name="bank")
    assert isinstance(found, NotSent)


@pytest.mark.parametrize(("reused", "status"), [(True, None), (False, 200)])
def test_a_certificate_refused_later_leaves_the_outcome_open(
    reused: bool, status: int | None
) -> None:
    error = ExchangeError("certificate", reused=reused)
    assert isinstance(failed(error, left=True, status=status, name="bank"), Unknown)
