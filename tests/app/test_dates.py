"""The date of an answer is when it began, however long its request was held."""

from typing import Any

import httpx2

from ports import free_port
from signoff.app.http import listening, serving
from signoff.app.wire import BoundedHttp

NOON, LATER = b"Sun, 22 Nov 2026 12:00:00 GMT", b"Sun, 22 Nov 2026 12:04:00 GMT"


async def test_an_answer_that_was_long_in_coming_carries_the_time_it_came() -> None:
    states: list[Any] = []

    class Watched(BoundedHttp):
        def on_headers_complete(self) -> None:
            # What the server would say now, as its clock ticks once a second.
            self.server_state.default_headers = [(b"date", NOON)]
            states.append(self.server_state)
            super().on_headers_complete()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        del scope, receive
        states[-1].default_headers = [(b"date", LATER)]  # it was held, and time went on
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-own", b"1")]})
        await send({"type": "http.response.body", "body": b"done"})

    port = free_port()
    with listening("127.0.0.1", port) as listener:
        async with (
            serving(app, listener, protocol=Watched),
            httpx2.AsyncClient(trust_env=False, timeout=60) as http,
        ):
            for _ in range(2):
                answer = await http.get(f"http://127.0.0.1:{port}/")
                assert (answer.text, answer.headers["x-own"]) == ("done", "1")
                assert answer.headers.get_list("date") == [LATER.decode()]
