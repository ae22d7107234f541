"""Signing keys at rest: those of our tokens and those of the gate's assertions never mix."""

from typing import cast

import pytest

from signoff.sealed import Sealer, SealError
from signoff.storage.keys import SqliteKeys
from signoff.storage.sqlite import Database, Tx
from signoff.tokens.client_keys import MOST_KEYS, ClientKeyError, ClientKeys
from signoff.tokens.keyring import Keyring


async def test_keys_of_one_purpose_are_unknown_to_the_other(
    database: Database, sealer: Sealer
) -> None:
    keyring = Keyring(SqliteKeys(database, sealer), now=database.now)
    await keyring.maintain()
    gate = ClientKeys(SqliteKeys(database, sealer, "client"), now=database.now)
    await gate.load()
    assert gate.newest_first == ()
    key = await gate.make()
    await keyring.maintain()
    assert key.kid not in keyring.public
    await SqliteKeys(database, sealer, "issuer").remove(key.kid)
    await gate.load()
    assert gate.newest_first[0].kid == key.kid


async def test_a_key_that_is_moved_to_the_other_purpose_opens_nothing(
    database: Database, sealer: Sealer
) -> None:
    await ClientKeys(SqliteKeys(database, sealer, "client"), now=database.now).make()

    def move(tx: Tx) -> None:
        tx.execute("UPDATE signing_keys SET purpose = 'issuer'", {})

    await database.write(move)
    with pytest.raises(SealError):
        await SqliteKeys(database, sealer, "issuer").load()


async def test_a_gate_has_a_few_keys_at_most_and_one_at_least(
    database: Database, sealer: Sealer
) -> None:
    keys = ClientKeys(SqliteKeys(database, sealer, "client"), now=database.now)
    for _ in range(MOST_KEYS):
        await keys.make()
    with pytest.raises(ClientKeyError, match="remove old ones first"):
        await keys.make()
    with pytest.raises(ClientKeyError, match="there is no key other"):
        await keys.remove("other")
    for key in keys.newest_first[1:]:
        await keys.remove(key.kid)
    with pytest.raises(ClientKeyError, match="only key"):
        await keys.remove(keys.newest_first[0].kid)


async def test_no_private_key_stands_in_clear_or_in_what_is_registered(
    database: Database, sealer: Sealer
) -> None:
    keys = ClientKeys(SqliteKeys(database, sealer, "client"), now=database.now)
    await keys.make()
    row = await database.fetch_one("SELECT private FROM signing_keys", {})
    assert row is not None
    assert b'"d"' not in row["private"]
    (registered,) = cast("list[dict[str, str]]", keys.as_json()["keys"])
    assert sorted(registered) == ["alg", "crv", "kid", "kty", "use", "x", "y"]
