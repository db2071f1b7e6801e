"""The published ChatBotKit package for Python, unmodified, against a running Keyfob: contacts.

tests/clients/run.sh starts Keyfob and sets the environment.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from typing import Any

import httpx
import pytest

from chatbotkit_support import (
    TOKEN,
    InPieces,
    Refused,
    asynchronous,
    child,
    client,
    fingerprint,
    name_of,
    not_authenticated,
    not_found,
    sent_again,
    streamed,
    taken,
    walk,
)
from support import CuttingProxy, env, unique


# --- the six calls ---


@asynchronous
async def test_a_contact_is_fetched_as_it_was_created() -> None:
    given = {
        "name": "Zoë 日本 🔑",
        "description": "of\nSales",
        "fingerprint": fingerprint(),
        "email": "zoe@example.com",
        "phone": "(202) 456-1111",
        "nick": "zo",
        "preferences": "tea",
        "verifiedAt": 1775390400000,
        "meta": {"team": "x", "deep": {"n": [1, None]}},
    }
    async with client() as api:
        before = time.time() * 1000
        made = await api.contact.create(given)
        contact = await api.contact.fetch(made.id)
    fetched = contact.to_dict()
    assert before - 1 <= fetched.pop("createdAt") == fetched.pop("updatedAt") <= time.time() * 1000 + 1
    assert fetched == {**given, "id": made.id, "phone": "+12024561111"}


@asynchronous
async def test_what_a_contact_does_not_have_is_none() -> None:
    async with client() as api:
        contact = await api.contact.fetch((await api.contact.create({})).id)
    assert (contact.name, contact.description) == ("", "")
    assert len(contact.fingerprint) >= 16
    for field in ("email", "phone", "nick", "preferences", "verified_at", "meta"):
        assert getattr(contact, field) is None, field


@asynchronous
async def test_ensuring_a_contact_at_once_and_again_has_one_id_and_the_contact_is_verified() -> None:
    wanted = {"fingerprint": fingerprint(), "name": "Ann"}
    async with client() as api:
        answers = await asyncio.gather(*(api.contact.ensure(wanted).json() for _ in range(20)))
        answers.append(await api.contact.ensure({**wanted, "name": "Bob"}))
        assert len({answer.id for answer in answers}) == 1
        contact = await api.contact.fetch(answers[0].id)
    assert contact.name == "Ann"
    assert contact.verified_at


@asynchronous
async def test_an_update_changes_what_it_names_and_nothing_else() -> None:
    async with client() as api:
        made = await api.contact.create({"name": "Ann", "nick": "a", "meta": {"a": 1, "b": 2}})
        before = await api.contact.fetch(made.id)
        change = {"name": "Bob", "nick": None, "meta": {"$update": {"b": None, "c": 3}}}
        assert (await api.contact.update(made.id, change)).id == made.id
        after = await api.contact.fetch(made.id)
    assert (after.name, after.nick, after.meta) == ("Bob", None, {"a": 1, "c": 3})
    for field in ("fingerprint", "created_at", "description", "email", "verified_at"):
        assert getattr(after, field) == getattr(before, field), field
    assert after.updated_at >= before.updated_at


@asynchronous
async def test_a_deleted_contact_is_gone_for_every_call() -> None:
    async with client() as api:
        made = await api.contact.create({})
        assert (await api.contact.delete(made.id)).id == made.id
        for call in (api.contact.fetch(made.id), api.contact.update(made.id, {"name": "x"}), api.contact.delete(made.id)):
            with not_found():
                await call


@asynchronous
async def test_pages_follow_the_cursor_in_both_orders_and_end_with_an_empty_page() -> None:
    async with client(run_as_user_id=(await child())["id"]) as api:
        made = [(await api.contact.create({"name": str(i)})).id for i in range(7)]

        oldest, newest = await walk(api.contact, "asc"), await walk(api.contact, "desc")
        assert [len(page) for page in oldest] == [3, 3, 1]
        assert sorted(sum(oldest, [])) == sorted(made)
        assert sum(newest, []) == sum(oldest, [])[::-1]
        assert [item.id for item in (await api.contact.list()).items] == sum(newest, [])


@asynchronous
async def test_a_list_is_filtered_by_what_contacts_hold_in_their_meta() -> None:
    async with client(run_as_user_id=(await child())["id"]) as api:
        ann = (await api.contact.create({"meta": {"team": "x y", "a&b": "1", "vip": True}})).id
        bob = (await api.contact.create({"meta": {"team": "x y", "plan": {"name": "ü"}}})).id
        await api.contact.create({"meta": {"team": "other"}})

        async def found(meta: dict[str, Any]) -> set[str]:
            return {item.id for item in (await api.contact.list({"meta": meta})).items}

        assert await found({"team": "x y"}) == {ann, bob}
        assert await found({"team": "x y", "vip": True}) == {ann}
        assert await found({"a&b": 1}) == {ann}
        assert await found({"plan.name": "ü"}) == {bob}
        assert await found({"team": "nobody"}) == set()
        assert [item.id for item in await streamed(api.contact.list({"meta": {"vip": True}}))] == [ann]


# --- long lists ---

@asynchronous
async def test_five_thousand_contacts_in_many_scripts_survive_a_stream_whatever_its_pieces() -> None:
    many = 5000
    account = (await child())["id"]
    async with client(run_as_user_id=account) as api:
        numbers = iter(range(many))

        async def write() -> None:
            for number in numbers:
                await api.contact.create({"name": name_of(number), "description": name_of(number + 1), "meta": {"n": number}})

        await asyncio.gather(*(write() for _ in range(32)))
        some = await streamed(api.contact.list({"take": 250, "order": "asc"}))
        assert len(some) == 250, "take is exact, beyond a page too"
    for transport in (None, InPieces(61), InPieces(1021)):
        async with client(run_as_user_id=account, transport=transport) as api:
            items = await streamed(api.contact.list())
        times = [item.created_at for item in items]
        assert times == sorted(times, reverse=True), "newest first"
        items.sort(key=lambda item: item.meta["n"])
        assert [item.name for item in items] == [name_of(number) for number in range(many)]
        assert [item.description for item in items] == [name_of(number + 1) for number in range(many)]


@asynchronous
async def test_the_blanks_that_a_list_sends_while_it_finds_nothing_are_nothing() -> None:
    line = '{"type":"item","data":{"id":"con_1","fingerprint":"f","createdAt":1,"updatedAt":1}}'
    answer = httpx.Response(200, headers={"content-type": "application/jsonl"}, text=f"  {line}\n {line}\n  ")
    async with client(transport=httpx.MockTransport(lambda _: answer)) as api:
        assert [item.id for item in await streamed(api.contact.list())] == ["con_1", "con_1"]


@asynchronous
async def test_an_empty_list_is_an_empty_stream_and_a_page_with_an_empty_cursor() -> None:
    async with client(run_as_user_id=(await child())["id"]) as api:
        assert await streamed(api.contact.list()) == []
        page = await api.contact.list()
        assert (page.items, page.cursor) == ([], "")


# --- refusals ---


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"foo": 1}, '"foo" is not allowed'),
        ({"email": "nobody"}, '"email" must be a valid email'),
        ({"phone": "12"}, '"phone" must be a phone number'),
        ({"fingerprint": "short"}, "Fingerprint is too short (fingerprint)"),
    ],
)
@asynchronous
async def test_a_bad_request_says_which_field_is_wrong(body: dict[str, Any], message: str) -> None:
    async with client() as api:
        for call in (api.contact.create(body), api.contact.ensure(body)):
            with Refused(400, "BAD_REQUEST", message):
                await call


@pytest.mark.parametrize("token", [TOKEN + "x", "nonsense", ""], ids=["wrong", "malformed", "none"])
@asynchronous
async def test_a_wrong_token_or_none_is_not_authenticated(token: str) -> None:
    async with client(token=token) as nobodys:
        for call in (nobodys.contact.list(), nobodys.contact.create({"name": "never"})):
            with not_authenticated():
                await call
        # The package reads the answer to a refused stream too late to say what it was.
        with pytest.raises(httpx.ResponseNotRead):
            await streamed(nobodys.contact.list())


@asynchronous
async def test_an_agent_key_is_not_authorized() -> None:
    async with client(token=env("KEYFOB_AGENT_TOKEN")) as agent:
        for call in (agent.contact.list(), agent.contact.create({})):
            with Refused(403, "NOT_AUTHORIZED", "Not authorized: this key may not do that"):
                await call


@asynchronous
async def test_a_fingerprint_that_another_contact_has_is_a_conflict() -> None:
    body = {"fingerprint": fingerprint()}
    async with client() as api:
        await api.contact.create(body)
        other = await api.contact.create({})
        for call in (api.contact.create(body), api.contact.update(other.id, body)):
            with taken():
                await call


@asynchronous
async def test_foreign_deleted_malformed_and_unencoded_ids_are_one_and_the_same_not_found() -> None:
    async with client() as api, client(run_as_user_id=(await child())["id"]) as other:
        deleted = (await api.contact.create({})).id
        await api.contact.delete(deleted)
        foreign = (await other.contact.create({})).id
        wrong = (foreign, deleted, "nonsense", "a b", "a b/../c", "..", "", "x?y#z", "%00", "%2e%2e", "ü", "@alias", "(name)")
        for contact_id in wrong:
            calls = (
                api.contact.fetch(contact_id),
                api.contact.update(contact_id, {"name": "x"}),
                api.contact.delete(contact_id),
            )
            for call in calls:
                with not_found():
                    await call


# --- child accounts ---


@asynchronous
async def test_what_is_run_as_a_child_is_in_its_account_only() -> None:
    account = await child()
    child_id, token = account["id"], account["key"]["token"]
    async with (
        client(run_as_user_id=child_id) as by_id,
        client(run_as_child_user_email=account["email"]) as by_email,
        client(token=token) as own,
        client() as parent,
        client(run_as_user_id="acc_00000000000000000000000000") as nobodys,
        client(token=token, run_as_user_id=child_id) as itself,
    ):
        made = {(await by_id.contact.create({})).id, (await by_email.contact.create({})).id}
        for api in (by_id, by_email, own):
            assert {item.id for item in (await api.contact.list()).items} == made
        for contact_id in made:
            with not_found():
                await parent.contact.fetch(contact_id)
        for api in (nobodys, itself):
            with not_authenticated():
                await api.contact.list()


# --- the connection is cut ---

@pytest.mark.parametrize("before", ["request", "answer"])
@asynchronous
async def test_ensure_and_update_may_be_sent_again_after_a_cut(before: str) -> None:
    wanted = {"fingerprint": fingerprint(), "name": "Ann"}
    with CuttingProxy(before, 1) as proxy:
        ensured = await sent_again(proxy, lambda api: api.contact.ensure(wanted))
    assert {answer["id"] for answer in proxy.answers} == {ensured.id}
    change = {"name": "Bob", "meta": {"$update": {"b": 2}}}
    with CuttingProxy(before, 1) as proxy:
        await sent_again(proxy, lambda api: api.contact.update(ensured.id, change))
    assert {answer["id"] for answer in proxy.answers} == {ensured.id}
    async with client() as api:
        contact = await api.contact.fetch(ensured.id)
    assert (contact.name, contact.meta) == ("Bob", {"b": 2})


@pytest.mark.parametrize("before", ["request", "answer"])
@asynchronous
async def test_a_create_sent_again_makes_one_contact_where_it_says_that_it_is_the_same(before: str) -> None:
    for key, arrived in ((None, 2), (str(uuid.uuid4()), 1)):
        name = unique("sent again")
        headers = {"idempotency-key": key} if key else {}
        with CuttingProxy(before, 1) as proxy:
            await sent_again(proxy, lambda api: api.contact.create({"meta": {"name": name}}), headers=headers)
        async with client() as api:
            found = await streamed(api.contact.list({"meta": {"name": name}}))
        assert len(found) == (arrived if before == "answer" else 1)


@asynchronous
async def test_a_deletion_sent_again_finds_out_that_the_contact_is_gone() -> None:
    async with client() as api:
        contact_id = (await api.contact.create({})).id
    with CuttingProxy("answer", 1) as proxy:
        with not_found():
            await sent_again(proxy, lambda api: api.contact.delete(contact_id))
