"""The published ChatBotKit package for Python, unmodified, against a running Keyfob: shared secrets.

tests/clients/run.sh starts Keyfob and sets the environment.
"""

from __future__ import annotations

from typing import Any

import pytest
from chatbotkit import types

from chatbotkit_support import TOKEN, Refused, asynchronous, child, client, not_authenticated, not_found, sent_again
from connection_support import (
    ACTIONS,
    PARSED,
    TYPED,
    Browser,
    is_authenticated,
    link_of,
    of_shared,
    path_of,
    personal,
)
from secret_support import alias, value
from support import CuttingProxy, env, unique


async def made(api: Any, **more: Any) -> str:
    return (await api.secret.create(more)).id


@pytest.mark.parametrize("secret_type", TYPED)
@asynchronous
async def test_a_person_gives_a_secret_its_value_in_a_browser_and_verify_says_so(secret_type: str) -> None:
    async with client() as api, client(token=env("KEYFOB_AGENT_TOKEN")) as agent:
        secret = await made(api, type=secret_type)
        verified = await of_shared(agent, "verify", secret)
        assert isinstance(verified, types.SecretVerifyResponse)
        assert verified.id == secret
        given = await of_shared(agent, "authenticate", secret)
        assert isinstance(given, types.SecretAuthenticateResponse)
        assert given.id == secret
        assert given.url != link_of(verified)
        Browser().connects(given.url, TYPED[secret_type]())
        is_authenticated(await of_shared(agent, "verify", secret), secret)
        # A link gives a first value only.
        for link in (given.url, verified.action.url):
            assert Browser().open(link)[0] == 410


@asynchronous
async def test_a_secret_that_has_its_value_gets_no_link_until_it_is_revoked() -> None:
    text = "the secret has its value: revoke it before it is connected anew"
    async with client() as api:
        secret = await made(api, value=value())
        is_authenticated(await of_shared(api, "verify", secret), secret)
        with Refused(409, "ALREADY_CONNECTED", text):
            await of_shared(api, "authenticate", secret)
        for _ in range(2):
            revoked = await of_shared(api, "revoke", secret)
            assert isinstance(revoked, types.SecretRevokeResponse)
            assert revoked.id == secret
        Browser().connects(link_of(await of_shared(api, "verify", secret)), TYPED["plain"]())
        is_authenticated(await of_shared(api, "verify", secret), secret)


@asynchronous
async def test_a_secret_is_named_by_its_id_its_alias_or_its_name_in_every_path() -> None:
    mine, name = alias(), unique("Zoë (own) 🔑")
    async with client() as api:
        secret = await made(api, alias=mine, name=name)
        for at in (secret, f"@{mine}", f"({name})"):
            given = await of_shared(api, "authenticate", at)
            assert given.id == secret
            Browser().connects(given.url, TYPED["plain"]())
            is_authenticated(await of_shared(api, "verify", at), secret)
            assert (await of_shared(api, "revoke", at)).id == secret


@asynchronous
async def test_a_personal_secret_has_nothing_to_act_on_without_a_contact() -> None:
    async with client() as api:
        secret = await personal(api)
        for action, message in (
            ("verify", "Cannot verify secret for this secret configuration"),
            ("authenticate", "Cannot authenticate secret for this secret configuration"),
            ("revoke", "Conflict"),
        ):
            with Refused(409, "CONFLICT", message):
                await of_shared(api, action, secret)


@asynchronous
async def test_an_agent_key_verifies_and_authenticates_and_is_not_authorized_to_revoke() -> None:
    async with client() as api, client(token=env("KEYFOB_AGENT_TOKEN")) as agent:
        secret = await made(api, value=value())
        for at in (secret, "@nobody"):
            with Refused(403, "NOT_AUTHORIZED", "Not authorized: this key may not do that"):
                await of_shared(agent, "revoke", at)
        is_authenticated(await of_shared(agent, "verify", secret), secret)


@pytest.mark.parametrize("token", [TOKEN + "x", "nonsense", ""], ids=["wrong", "malformed", "none"])
@asynchronous
async def test_a_wrong_token_or_none_is_not_authenticated(token: str) -> None:
    async with client(token=token) as nobodys:
        for action in ACTIONS:
            with not_authenticated():
                await of_shared(nobodys, action, "@x")


@asynchronous
async def test_foreign_deleted_and_malformed_names_are_one_and_the_same_not_found() -> None:
    account = (await child())["id"]
    async with client() as api, client(run_as_user_id=account) as other:
        foreign = await made(other, value=value(), visibility="public")
        deleted = await made(api, value=value())
        await api.secret.delete(deleted)
        malformed = ("nonsense", "a b", "%00", "ü", "@", "()", "@nobody", "(nobody)", "@@nobody")
        for at in (foreign, deleted, "sec_" + "0" * 26, *malformed):
            for action in ACTIONS:
                with not_found():
                    await of_shared(api, action, at)
        is_authenticated(await of_shared(other, "verify", foreign), foreign)


@pytest.mark.parametrize("before", ["request", "answer"])
@pytest.mark.parametrize("action", ACTIONS)
@asynchronous
async def test_each_call_may_be_sent_again_after_a_cut(action: str, before: str) -> None:
    async with client() as api:
        secret = await made(api, **({"value": value()} if action == "revoke" else {}))
        with CuttingProxy(before, 1) as proxy:
            answer: Any = await sent_again(proxy, lambda api: of_shared(api, action, secret))
        assert isinstance(answer, PARSED[action][1])
        assert {answer["id"] for answer in proxy.answers} == {secret}
        assert len(proxy.answers) == (2 if before == "answer" else 1)
        if action == "verify":
            assert {answer["action"]["url"] for answer in proxy.answers} == {link_of(answer)}
        if action == "authenticate":
            links = [answer["url"] for answer in proxy.answers]
            assert len({path_of(link) for link in links}) == len(links)
            assert [Browser().open(link)[0] for link in links] == [200] * len(links), "each of them works"
            Browser().connects(links[0], TYPED["plain"]())
            is_authenticated(await of_shared(api, "verify", secret), secret)
        else:
            link_of(await of_shared(api, "verify", secret))
