"""The collector's schedule: cycles go while a server runs, and everything is as before after it."""

import asyncio
import gc
import weakref

from signoff.app import garbage


class Node:
    """Something that can refer to itself."""

    other: "Node | None" = None


def cycle() -> "weakref.ref[Node]":
    """Make garbage that only the collector finds."""
    node = Node()
    node.other = node
    return weakref.ref(node)


async def gone(found: "weakref.ref[Node]") -> None:
    async with asyncio.timeout(20):
        while found() is not None:  # noqa: ASYNC110 — nothing announces it
            await asyncio.sleep(0.001)


async def test_young_garbage_is_found_soon() -> None:
    async with garbage.collected(every_s=0.001):
        assert not gc.isenabled()
        for _ in range(3):
            await gone(cycle())


async def test_old_garbage_is_found_once_memory_has_grown() -> None:
    async with garbage.collected(every_s=0.001):
        node = Node()
        node.other = node
        found = weakref.ref(node)
        gc.collect(1)  # now it is old
        del node
        grown = [object() for _ in range(1_500_000)]
        await gone(found)
        del grown


async def test_old_garbage_costs_no_walk_while_memory_does_not_grow() -> None:
    walks: list[int] = []

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "stop":
            walks.append(info["generation"])

    async with garbage.collected(every_s=0.001):
        gc.callbacks.append(note)
        try:
            async with asyncio.timeout(20):
                while len(walks) < 20:  # noqa: ASYNC110 — the collector announces nothing
                    await asyncio.sleep(0.001)
        finally:
            gc.callbacks.remove(note)
    assert set(walks) == {1}


async def test_after_it_the_collector_is_as_it_was() -> None:
    before = gc.isenabled(), gc.get_threshold()
    async with garbage.collected():
        assert gc.get_freeze_count() > 0
    assert (gc.isenabled(), gc.get_threshold()) == before
    assert gc.get_freeze_count() == 0
