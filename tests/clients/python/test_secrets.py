"""The published ChatBotKit package for Python, unmodified, against a running Keyfob: the secrets of an account.

tests/clients/run.sh starts Keyfob and sets the environment.
"""

from __future__ import annotations

import itertools
import time
import uuid
from typing import Any

import httpx
import pytest
from chatbotkit import types

from chatbotkit_support import (
    TOKEN,
    Refused,
    asynchronous,
    child,
    client,
    not_authenticated,
    not_found,
    sent_again,
    streamed,
    taken,
)
from secret_support import CANARY, MASK, alias, bad_request, value, without_value
from support import CuttingProxy, env, unique

# A config that suits each type.
CONFIGS = {
    "plain": None,
    "basic": {"username": "me"},
    "bearer": {"schema": "Token"},
    "jwt": {"algorithm": "ES256", "expiresInSeconds": 60, "claims": {"aud": ["x"]}},
    "oauth": {"clientId": "me", "tokenUrl": "https://auth.example.com/token", "scope": "read"},
    "template": {"template": "microsoft-graph", "parameters": {"tenant": "common"}},
    "reference": {"reference": "@other"},
}
KINDS = ("shared", "personal")
VISIBILITIES = ("private", "protected", "public")


def no_value() -> Refused:
    return Refused(409, "CONFLICT", "Personal secrets cannot have a value")


def not_authorized() -> Refused:
    return Refused(403, "NOT_AUTHORIZED", "Not authorized: this key may not do that")


# --- the five calls ---


@asynchronous
async def test_a_secret_is_fetched_as_it_was_created_without_its_value() -> None:
    given = {
        "alias": alias(),
        "name": "Zoë 日本 🔑",
        "description": "of\nSales",
        "blueprintId": "blueprint 1",
        "kind": "shared",
        "type": "bearer",
        "visibility": "protected",
        "config": {"schema": "Token", "hosts": ["*.example.com"]},
        "meta": {"team": "x", "deep": {"n": [1, None]}},
    }
    async with client() as api:
        before = time.time() * 1000
        made = await api.secret.create({**given, "value": value()})
        secret = await api.secret.fetch(made.id)
    assert isinstance(secret, types.SecretFetchResponse)
    fetched = without_value(secret)
    assert before - 1 <= fetched.pop("createdAt") == fetched.pop("updatedAt") <= time.time() * 1000 + 1
    assert fetched == {**given, "id": made.id}


@asynchronous
async def test_what_a_secret_is_not_given_is_none_and_it_is_shared_plain_and_private() -> None:
    async with client() as api:
        secret = await api.secret.fetch((await api.secret.create({})).id)
    assert (secret.name, secret.description) == ("", "")
    for field in ("alias", "blueprint_id", "config", "meta"):
        assert getattr(secret, field) is None, field
    fields = without_value(secret)
    assert [fields[field] for field in ("kind", "type", "visibility")] == ["shared", "plain", "private"]


@asynchronous
async def test_every_kind_type_and_visibility_is_kept_created_so_or_updated_to_it() -> None:
    async with client() as api:
        changed = (await api.secret.create({})).id
        for kind, secret_type, visibility in itertools.product(KINDS, CONFIGS, VISIBILITIES):
            given = {"kind": kind, "type": secret_type, "config": CONFIGS[secret_type], "visibility": visibility}
            made = (await api.secret.create(given)).id
            assert (await api.secret.update(changed, given)).id == changed
            for at in (made, changed):
                fields = without_value(await api.secret.fetch(at))
                assert {field: fields.get(field) for field in given} == given


@asynchronous
async def test_an_update_changes_what_it_names_and_nothing_else_the_alias_stays_too() -> None:
    given = {"alias": alias(), "name": "A", "description": "d", "value": value(), "meta": {"a": 1, "b": 2}}
    async with client() as api:
        made = (await api.secret.create({**given, "type": "bearer", "config": {"schema": "Token"}})).id
        before = await api.secret.fetch(made)
        change = {"name": "B", "description": None, "meta": {"$update": {"b": None, "c": 3}}}
        assert (await api.secret.update(made, change)).id == made
        after = await api.secret.fetch(made)
        assert (after.name, after.description, after.meta) == ("B", "", {"a": 1, "c": 3})
        for field in ("alias", "kind", "type", "visibility", "config", "blueprint_id", "created_at"):
            assert getattr(after, field) == getattr(before, field), field
        assert after.updated_at >= before.updated_at
        await api.secret.update(made, {"alias": "", "config": None, "meta": {"only": True}})
        cleared = await api.secret.fetch(made)
    assert (cleared.alias, cleared.config, cleared.meta) == (None, None, {"only": True})


@asynchronous
async def test_a_personal_secret_has_no_value_and_one_that_becomes_personal_loses_its_own() -> None:
    async with client() as api:
        with no_value():
            await api.secret.create({"kind": "personal", "value": value()})
        personal = (await api.secret.create({"kind": "personal", "value": None})).id
        shared = (await api.secret.create({"value": value()})).id
        for at, change in ((personal, {"value": value()}), (shared, {"kind": "personal", "value": value()})):
            with no_value():
                await api.secret.update(at, change)
        await api.secret.update(personal, {"kind": "shared", "value": value()})
        await api.secret.update(shared, {"kind": "personal"})
        kinds = [without_value(await api.secret.fetch(at))["kind"] for at in (personal, shared)]
    assert kinds == ["shared", "personal"]


@asynchronous
async def test_a_secret_is_named_by_its_id_its_alias_or_its_name_in_every_path() -> None:
    async with client() as api:
        for name in (unique("My (own) name"), unique("Zoë 日本 🔑"), unique("it's; a=b,c:d@e!")):
            mine = alias()
            made = (await api.secret.create({"alias": mine, "name": name})).id
            for at in (made, f"@{mine}", f"({name})"):
                assert (await api.secret.fetch(at)).id == made, at
                assert (await api.secret.update(at, {"description": at})).id == made
                assert (await api.secret.fetch(made)).description == at
            assert (await api.secret.delete(f"@{mine}")).id == made


@asynchronous
async def test_a_deleted_secret_is_gone_for_every_call_and_its_alias_is_free() -> None:
    mine = alias()
    async with client() as api:
        made = (await api.secret.create({"alias": mine, "value": value()})).id
        assert (await api.secret.delete(made)).id == made
        for at in (made, f"@{mine}"):
            for call in (api.secret.fetch(at), api.secret.update(at, {"name": "x"}), api.secret.delete(at)):
                with not_found():
                    await call
        assert (await api.secret.create({"alias": mine})).id != made


# --- config ---


@asynchronous
async def test_what_is_sensitive_in_a_config_is_a_mask_which_keeps_it_when_it_comes_back() -> None:
    config = {"clientId": "me", "clientSecret": value(), "scope": "read", "nested": {"api_key": value(), "plain": "x"}}
    masked = {**config, "clientSecret": MASK, "nested": {"api_key": MASK, "plain": "x"}}
    keeps_nothing = (
        f'"config.clientSecret" is "{MASK}", which keeps the stored value, but none is stored: send the value itself'
    )
    async with client() as api:
        made = (await api.secret.create({"kind": "personal", "type": "oauth", "config": config})).id

        async def shown() -> Any:
            return without_value(await api.secret.fetch(made))["config"]

        assert await shown() == masked
        await api.secret.update(made, {"config": {**await shown(), "scope": "write"}})
        assert await shown() == {**masked, "scope": "write"}
        await api.secret.update(made, {"config": {**masked, "clientSecret": value()}})
        assert await shown() == masked
        await api.secret.update(made, {"config": {"clientSecret": None}})
        assert await shown() == {"clientSecret": None}
        with bad_request(keeps_nothing):
            await api.secret.update(made, {"config": {"clientSecret": MASK}})
        with bad_request(keeps_nothing):
            await api.secret.create({"type": "oauth", "config": {"clientSecret": MASK}})


# --- refusals ---


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"foo": 1}, '"foo" is not allowed'),
        ({"name": 7}, '"name" must be a string'),
        ({"value": {"secret": CANARY}}, '"value" must be a string'),
        ({"kind": "mine"}, '"kind" must be one of [shared, personal]'),
        ({"type": "totp"}, '"type" must be one of [plain, basic, bearer, jwt, oauth, template, reference]'),
        ({"visibility": "secret"}, '"visibility" must be one of [private, protected, public]'),
        (
            {"alias": "Not one"},
            "Alias must contain only lowercase letters, numbers, hyphens, and underscores",
        ),
        (
            {"type": "oauth", "config": {"clientSecret": 7}},
            '"config.clientSecret" must be a string without control characters',
        ),
        (
            {"type": "jwt", "config": {"algorithm": CANARY}},
            '"config.algorithm" must be one of [RS256, ES256, EdDSA, HS256]',
        ),
    ],
)
@asynchronous
async def test_a_bad_request_says_which_field_is_wrong_and_repeats_no_value(body: Any, message: str) -> None:
    async with client() as api:
        made = (await api.secret.create({})).id
        for call in (api.secret.create(body), api.secret.update(made, body)):
            with bad_request(message):
                await call


@pytest.mark.parametrize("token", [TOKEN + "x", "nonsense", ""], ids=["wrong", "malformed", "none"])
@asynchronous
async def test_a_wrong_token_or_none_is_not_authenticated(token: str) -> None:
    async with client(token=token) as nobodys:
        secret = nobodys.secret
        for call in (secret.list(), secret.fetch("@x"), secret.create({"value": value()}), secret.delete("@x")):
            with not_authenticated():
                await call
        # The package reads the answer to a refused stream too late to say what it was.
        with pytest.raises(httpx.ResponseNotRead):
            await streamed(secret.list())


@asynchronous
async def test_an_agent_key_lists_and_fetches_and_is_not_authorized_to_change_anything() -> None:
    mine = alias()
    async with client() as api, client(token=env("KEYFOB_AGENT_TOKEN")) as agent:
        made = (await api.secret.create({"alias": mine, "value": value(), "meta": {"mine": mine}})).id
        assert without_value(await agent.secret.fetch(f"@{mine}"))["id"] == made
        assert [item.id for item in (await agent.secret.list({"meta": {"mine": mine}})).items] == [made]
        for at in (made, f"@{mine}", "@nobody"):
            for call in (agent.secret.update(at, {"value": value()}), agent.secret.delete(at)):
                with not_authorized():
                    await call
        with not_authorized():
            await agent.secret.create({"value": value()})
        assert (await api.secret.fetch(made)).id == made


@asynchronous
async def test_an_alias_that_another_secret_has_is_a_conflict() -> None:
    mine = alias()
    async with client() as api:
        await api.secret.create({"alias": mine})
        other = (await api.secret.create({"name": "other"})).id
        for call in (api.secret.create({"alias": mine}), api.secret.update(other, {"alias": mine, "name": "changed"})):
            with taken():
                await call
        secret = await api.secret.fetch(other)
    assert (secret.alias, secret.name) == (None, "other")


@asynchronous
async def test_foreign_deleted_malformed_and_unencoded_names_are_one_and_the_same_not_found() -> None:
    account = (await child())["id"]
    theirs, name = alias(), unique("theirs")
    async with client() as api, client(run_as_user_id=account) as other:
        deleted = (await api.secret.create({})).id
        await api.secret.delete(deleted)
        foreign = (
            await other.secret.create({"alias": theirs, "name": name, "visibility": "public", "value": value()})
        ).id
        by_name = (f"@{theirs}", f"({name})", f"@@{theirs}", f"@{account}@{theirs}", "@nobody", "(nobody)", "@", "()")
        malformed = ("nonsense", "a b", "a b/../c", "..", "", "x?y#z", "%00", "%2e%2e", "ü")
        for at in (foreign, deleted, *by_name, *malformed):
            for call in (api.secret.fetch(at), api.secret.update(at, {"name": "x"}), api.secret.delete(at)):
                with not_found():
                    await call
        assert (await other.secret.fetch(foreign)).name == name


# --- child accounts ---


@asynchronous
async def test_what_is_run_as_a_child_is_in_its_account_only() -> None:
    account = await child()
    child_id, token = account["id"], account["key"]["token"]
    mine = alias()
    async with (
        client(run_as_user_id=child_id) as by_id,
        client(run_as_child_user_email=account["email"]) as by_email,
        client(token=token) as own,
        client() as parent,
        client(run_as_user_id="acc_00000000000000000000000000") as nobodys,
        client(token=token, run_as_user_id=child_id) as itself,
    ):
        first = (await by_id.secret.create({"alias": mine})).id
        made = {first, (await by_email.secret.create({})).id}
        for api in (by_id, by_email, own):
            assert {item.id for item in (await api.secret.list()).items} == made
            assert (await api.secret.fetch(f"@{mine}")).id == first
        await parent.secret.create({"alias": mine})
        assert (await parent.secret.fetch(f"@{mine}")).id != first, "an alias is the account's own"
        for api in (nobodys, itself):
            with not_authenticated():
                await api.secret.list()


# --- the connection is cut ---


@pytest.mark.parametrize("before", ["request", "answer"])
@asynchronous
async def test_an_update_may_be_sent_again_after_a_cut(before: str) -> None:
    mine = alias()
    async with client() as api:
        config = {"clientSecret": value(), "scope": "read"}
        made = (await api.secret.create({"type": "oauth", "config": config, "meta": {"a": 1}})).id
    config = {"clientSecret": MASK, "scope": "write"}
    change = {"alias": mine, "value": value(), "config": config, "meta": {"$update": {"b": 2}}}
    with CuttingProxy(before, 1) as proxy:
        await sent_again(proxy, lambda api: api.secret.update(made, change))
    assert {answer["id"] for answer in proxy.answers} == {made}
    async with client() as api:
        secret = without_value(await api.secret.fetch(made))
    assert (secret["alias"], secret["config"], secret["meta"]) == (mine, config, {"a": 1, "b": 2})


@pytest.mark.parametrize("before", ["request", "answer"])
@asynchronous
async def test_a_deletion_sent_again_finds_out_that_the_secret_is_gone(before: str) -> None:
    async with client() as api:
        made = (await api.secret.create({"value": value()})).id
        with CuttingProxy(before, 1) as proxy:
            if before == "request":
                assert (await sent_again(proxy, lambda api: api.secret.delete(made))).id == made
            else:
                with not_found():
                    await sent_again(proxy, lambda api: api.secret.delete(made))
        with not_found():
            await api.secret.fetch(made)


@pytest.mark.parametrize("before", ["request", "answer"])
@asynchronous
async def test_a_create_sent_again_makes_one_secret_where_it_says_that_it_is_the_same(before: str) -> None:
    for key, arrived in ((None, 2), (str(uuid.uuid4()), 1)):
        name = unique("sent again")
        body = {"value": value(), "meta": {"name": name}}
        headers = {"idempotency-key": key} if key else {}
        with CuttingProxy(before, 1) as proxy:
            await sent_again(proxy, lambda api: api.secret.create(body), headers=headers)
        async with client() as api:
            found = await streamed(api.secret.list({"meta": {"name": name}}))
        assert len(found) == (arrived if before == "answer" else 1)
