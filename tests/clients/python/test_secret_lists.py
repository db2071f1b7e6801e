"""The published ChatBotKit package for Python, unmodified, against a running Keyfob: lists of secrets.

tests/clients/run.sh starts Keyfob and sets the environment.
"""

from __future__ import annotations

import asyncio
from typing import Any

from chatbotkit_support import InPieces, asynchronous, child, client, name_of, streamed, walk
from secret_support import MASK, bad_request, value, without_value


@asynchronous
async def test_pages_follow_the_cursor_in_both_orders_and_end_with_an_empty_page() -> None:
    async with client(run_as_user_id=(await child())["id"]) as api:
        made = [(await api.secret.create({"name": str(i), "value": value()})).id for i in range(7)]
        oldest, newest = await walk(api.secret, "asc"), await walk(api.secret, "desc")
        assert [len(page) for page in oldest] == [3, 3, 1]
        assert sorted(sum(oldest, [])) == sorted(made)
        assert sum(newest, []) == sum(oldest, [])[::-1]
        items = (await api.secret.list({"take": 1000})).items
        assert [item.id for item in items] == sum(newest, [])
        for item in items:
            assert without_value(item) == without_value(await api.secret.fetch(item.id)), "a list shows what a fetch does"


@asynchronous
async def test_a_list_is_filtered_by_meta_and_by_blueprint() -> None:
    async with client(run_as_user_id=(await child())["id"]) as api:

        async def make(blueprint: str | None, meta: Any) -> str:
            return (await api.secret.create({"blueprintId": blueprint, "meta": meta})).id

        one = await make("b 1", {"team": "x y", "a&b": "1", "vip": True})
        two = await make("b 2", {"team": "x y", "plan": {"name": "ü"}})
        await make(None, {"team": "other"})

        async def found(query: Any) -> set[str]:
            listed = [item.id for item in (await api.secret.list(query)).items]
            assert [item.id for item in await streamed(api.secret.list(query))] == listed, "a stream is filtered too"
            return set(listed)

        assert await found({"meta": {"team": "x y"}}) == {one, two}
        assert await found({"meta": {"team": "x y", "vip": True}}) == {one}
        assert await found({"meta": {"a&b": 1}}) == {one}
        assert await found({"meta": {"plan.name": "ü"}}) == {two}
        assert await found({"blueprintId": "b 1"}) == {one}
        assert await found({"blueprintId": "b 2", "meta": {"team": "x y"}}) == {two}
        assert await found({"blueprintId": "b 1", "meta": {"plan": "x"}}) == set()


@asynchronous
async def test_hundreds_of_secrets_in_many_scripts_survive_a_stream_whatever_its_pieces() -> None:
    many = 330
    account = (await child())["id"]
    names = [name_of(number) for number in range(many)]
    async with client(run_as_user_id=account) as api:
        bodies = (
            {"name": name, "value": value(), "config": {"note": name, "token": value()}, "meta": {"n": number}}
            for number, name in enumerate(names)
        )

        async def write() -> None:
            for body in bodies:
                await api.secret.create(body)

        await asyncio.gather(*(write() for _ in range(16)))
        some = await streamed(api.secret.list({"take": 150, "order": "asc"}))
        assert len(some) == 150, "take is exact, beyond a page too"
    for transport in (None, InPieces(61), InPieces(1021)):
        async with client(run_as_user_id=account, transport=transport) as api:
            items = await streamed(api.secret.list())
        times = [item.created_at for item in items]
        assert times == sorted(times, reverse=True), "newest first"
        items.sort(key=lambda item: item.meta["n"])
        assert [item.name for item in items] == names
        assert [without_value(item)["config"] for item in items] == [{"note": name, "token": MASK} for name in names]


@asynchronous
async def test_an_empty_list_is_an_empty_stream_and_a_page_with_an_empty_cursor() -> None:
    async with client(run_as_user_id=(await child())["id"]) as api:
        assert await streamed(api.secret.list()) == []
        page = await api.secret.list()
        assert (page.items, page.cursor) == ([], "")


@asynchronous
async def test_a_cursor_that_is_none_is_refused() -> None:
    async with client() as api:
        with bad_request('"cursor" is not one of a list'):
            await api.secret.list({"cursor": "nonsense"})
