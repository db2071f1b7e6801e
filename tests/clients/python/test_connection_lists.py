"""The published ChatBotKit package for Python, unmodified, against a running Keyfob: lists of connections.

tests/clients/run.sh starts Keyfob and sets the environment.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

from chatbotkit import types

from chatbotkit_support import InPieces, asynchronous, child, client, name_of, streamed
from connection_support import ann, connect, of_contact, personal
from secret_support import CANARY, bad_request


async def connected(api: Any, count: int) -> tuple[str, list[str]]:
    """A contact that has connected so many secrets, one after the other, and the secrets."""
    contact = await ann(api)
    secrets = [await personal(api, name=str(number)) for number in range(count)]
    # The first one made is connected last: a list goes by the age of connections.
    secrets.reverse()
    for secret in secrets:
        await connect(contact, secret)
    return contact, secrets


async def walk(api: Any, contact: str, **query: Any) -> list[list[str]]:
    """The ids of all pages, up to the empty one."""
    pages: list[list[str]] = []
    cursor = None
    while True:
        page = await api.contact.secret.list(contact, {**query, "cursor": cursor})
        if not page.items:
            assert page.cursor == ""
            return pages
        assert page.items[0].id not in sum(pages, []), "a page comes again"
        pages.append([item.id for item in page.items])
        cursor = page.cursor


@asynchronous
async def test_an_item_says_what_is_connected_and_since_when_and_never_the_value() -> None:
    given = {"name": "Zoë 日本 🔑", "description": "of\nSales", "type": "bearer", "meta": {"team": "x"}}
    async with client() as api:
        contact, secret = await ann(api), await personal(api, **given)
        await personal(api, name="not connected")
        page = await api.contact.secret.list(contact)
        assert (page.items, page.cursor) == ([], "")
        before = time.time() * 1000
        for _ in range(2):
            await connect(contact, secret)
        page = await api.contact.secret.list(contact)
        lines = await streamed(api.contact.secret.list(contact))
    assert isinstance(page, types.ContactSecretListResponse)
    [item] = page.items
    assert isinstance(item, types.ContactSecretListResponseItem)
    assert [line.to_dict() for line in lines] == [item.to_dict()]
    assert (item.id, item.name, item.description, item.type) == (secret, "Zoë 日本 🔑", "of\nSales", "bearer")
    assert item.meta is None
    assert before - 1 <= item.created_at <= item.updated_at <= time.time() * 1000 + 1
    assert CANARY not in json.dumps(item.to_dict())


@asynchronous
async def test_pages_follow_the_cursor_in_both_orders_and_end_with_an_empty_page() -> None:
    async with client() as api:
        contact, made = await connected(api, 7)
        assert await walk(api, contact, take=3, order="asc") == [made[:3], made[3:6], made[6:]]
        assert sum(await walk(api, contact, take=3, order="desc"), []) == made[::-1]
        items = (await api.contact.secret.list(contact, {"take": 1000})).items
        assert [item.id for item in items] == made[::-1]
        rest = (await api.contact.secret.list(contact, {"cursor": made[3]})).items
        assert [item.id for item in rest] == made[2::-1], "the id of the last item is a cursor too"


@asynchronous
async def test_a_page_goes_on_where_it_ended_whatever_is_connected_or_revoked_meanwhile() -> None:
    async with client() as api:
        contact, made = await connected(api, 6)
        page = await api.contact.secret.list(contact, {"take": 3})
        await of_contact(api, "revoke", contact, made[3])
        await connect(contact, await personal(api))
        rest = await api.contact.secret.list(contact, {"cursor": page.cursor})
        assert [item.id for item in rest.items] == made[2::-1]


@asynchronous
async def test_a_cursor_that_is_none_is_refused() -> None:
    async with client() as api:
        contact = await ann(api)
        with bad_request('"cursor" is not one of a list'):
            await api.contact.secret.list(contact, {"cursor": "nonsense"})


@asynchronous
async def test_250_connections_in_many_scripts_are_listed_and_streamed_to_the_last_whatever_the_pieces() -> None:
    many = 250
    account = await child()
    names = [name_of(number) for number in range(many)]
    async with client(run_as_user_id=account["id"]) as api:
        contact = await ann(api)
        numbered = iter(enumerate(names))

        async def write() -> None:
            for number, name in numbered:
                secret = await personal(api, name=name, description=str(number))
                assert (await connect(contact, secret, token=account["key"]["token"])).status_code == 200

        await asyncio.gather(*(write() for _ in range(16)))
        newest = await walk(api, contact)
        assert [len(page) for page in newest] == [100, 100, 50]
        oldest = sum(newest, [])[::-1]
        assert [item.id for item in await streamed(api.contact.secret.list(contact, {"order": "asc"}))] == oldest
        some = await streamed(api.contact.secret.list(contact, {"order": "asc", "take": 150}))
        assert [item.id for item in some] == oldest[:150], "take is exact, beyond a page too"
    for transport in (None, InPieces(61), InPieces(1021)):
        async with client(run_as_user_id=account["id"], transport=transport) as api:
            items = await streamed(api.contact.secret.list(contact))
        assert [item.id for item in items] == sum(newest, [])
        times = [item.created_at for item in items]
        assert times == sorted(times, reverse=True), "newest first"
        items.sort(key=lambda item: int(item.description))
        assert [item.name for item in items] == names
