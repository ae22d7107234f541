"""The work of checking a signature where there is none to check.

Owns a key nobody holds and one token signed with it. Whoever refuses a stranger early does this
first, so that the time of the answer does not tell whether the stranger named somebody we know.
"""

import json

from joserfc import jws
from joserfc.jwk import ECKey

from signoff.tokens.keys import ALGORITHM, KeySet
from signoff.tokens.verify import check_signature


class Decoy:
    """One key and one token of its own."""

    def __init__(self) -> None:
        key = ECKey.generate_key("P-256", private=True)
        self._jwks = json.dumps({"keys": [{**key.as_dict(private=False), "kid": "decoy"}]})
        header = {"alg": ALGORITHM, "kid": "decoy"}
        self._token = jws.serialize_compact(header, b"{}", key, algorithms=[ALGORITHM])

    def check(self) -> None:
        """Read a key set and check a signature, as for a client that has registered a key."""
        check_signature(self._token, keys=KeySet.parse(self._jwks))
