"""The published ChatBotKit package for Python, unmodified, against a running Keyfob: what contacts connect.

tests/clients/run.sh starts Keyfob and sets the environment.
"""

from __future__ import annotations

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
)
from connection_support import (
    ACTIONS,
    PARSED,
    TYPED,
    Browser,
    ann,
    connect,
    is_authenticated,
    link_of,
    of_contact,
    path_of,
    personal,
)
from secret_support import alias, value
from support import CuttingProxy, env, unique


def conflict(message: str) -> Refused:
    return Refused(409, "CONFLICT", message)


def not_of_contact() -> Refused:
    return conflict("Cannot obtain secret for this secret type")


# --- connecting ---


@pytest.mark.parametrize("secret_type", TYPED)
@asynchronous
async def test_a_person_hands_a_credential_over_in_a_browser_and_verify_says_so(secret_type: str) -> None:
    async with client() as api, client(token=env("KEYFOB_AGENT_TOKEN")) as agent:
        contact, secret = await ann(api), await personal(api, type=secret_type)
        verified = await of_contact(agent, "verify", contact, secret)
        assert isinstance(verified, types.ContactSecretVerifyResponse)
        assert verified.id == secret
        link = link_of(verified)
        person = Browser()
        person.connects(link, TYPED[secret_type]())
        is_authenticated(await of_contact(agent, "verify", contact, secret), secret)
        for browser in (person, Browser()):
            status, text = browser.open(link)
            assert status == 410 and "Connected already" in text


@pytest.mark.parametrize("secret_type", TYPED)
@asynchronous
async def test_a_backend_hands_a_credential_over_and_verify_says_so(secret_type: str) -> None:
    async with client() as api:
        contact, secret = await ann(api), await personal(api, type=secret_type)
        answer = await connect(contact, secret, TYPED[secret_type]())
        assert (answer.status_code, answer.json()) == (200, {"id": secret})
        is_authenticated(await of_contact(api, "verify", contact, secret), secret)


@asynchronous
async def test_a_refused_entry_is_told_and_the_link_still_works_in_that_browser_only() -> None:
    async with client() as api:
        contact, secret = await ann(api), await personal(api, type="bearer")
        link = (await of_contact(api, "authenticate", contact, secret)).url
        person = Browser()
        status, text = person.submit(link, {"value": f"{value()} with a blank"})
        assert status == 400 and "Not stored" in text
        link_of(await of_contact(api, "verify", contact, secret))
        assert Browser().open(link)[0] == 403
        person.connects(link, TYPED["bearer"]())
        is_authenticated(await of_contact(api, "verify", contact, secret), secret)


@asynchronous
async def test_who_declines_leaves_the_secret_unauthenticated_and_the_link_is_over() -> None:
    async with client() as api:
        contact, secret = await ann(api), await personal(api, type="basic")
        link = link_of(await of_contact(api, "verify", contact, secret))
        person = Browser()
        assert "You declined" in person.submit(link, TYPED["basic"](), "decline")[1]
        assert person.open(link)[0] == 410
        assert link_of(await of_contact(api, "verify", contact, secret)) != link, "the next link is a new one"


# --- verify, authenticate, revoke ---


@asynchronous
async def test_verify_gives_the_same_link_again_authenticate_a_new_one_and_all_of_them_work() -> None:
    async with client() as api:
        contact, secret = await ann(api), await personal(api)
        links = [link_of(await of_contact(api, "verify", contact, secret)) for _ in range(2)]
        assert links[0] == links[1]
        for _ in range(2):
            given = await of_contact(api, "authenticate", contact, secret)
            assert isinstance(given, types.ContactSecretAuthenticateResponse)
            assert given.id == secret
            links.append(given.url)
    assert len({path_of(link) for link in links}) == 3
    for link in links[1:]:
        Browser().connects(link, TYPED["plain"]())


@asynchronous
async def test_a_connection_is_revoked_as_often_as_one_likes_and_takes_the_open_links_with_it() -> None:
    async with client() as api:
        contact, secret = await ann(api), await personal(api)
        for _ in range(2):
            await connect(contact, secret)
            link = (await of_contact(api, "authenticate", contact, secret)).url
            for _ in range(3):
                revoked = await of_contact(api, "revoke", contact, secret)
                assert isinstance(revoked, types.ContactSecretRevokeResponse)
                assert revoked.id == secret
            assert (await api.contact.secret.list(contact)).items == []
            assert Browser().open(link)[0] == 410
            link_of(await of_contact(api, "verify", contact, secret))


@asynchronous
async def test_a_secret_is_named_by_its_id_its_alias_or_its_name_in_every_path() -> None:
    mine, name = alias(), unique("Zoë (own) 🔑")
    async with client() as api:
        contact, secret = await ann(api), await personal(api, alias=mine, name=name)
        for at in (secret, f"@{mine}", f"({name})"):
            given = await of_contact(api, "authenticate", contact, at)
            assert given.id == secret
            Browser().connects(given.url, TYPED["plain"]())
            is_authenticated(await of_contact(api, "verify", contact, at), secret)
            assert (await of_contact(api, "revoke", contact, at)).id == secret


# --- refusals ---


@asynchronous
async def test_a_contact_that_nobody_vouches_for_connects_nothing() -> None:
    async with client() as api:
        contact, secret = (await api.contact.create({"name": "Bob"})).id, await personal(api)
        for action in ("verify", "authenticate"):
            with conflict(f"Cannot {action} secret for this secret configuration"):
                await of_contact(api, action, contact, secret)
        answer = await connect(contact, secret)
        assert answer.status_code == 409
        assert answer.json()["message"] == "Cannot connect secret for this secret configuration"
        assert (await of_contact(api, "revoke", contact, secret)).id == secret


@asynchronous
async def test_a_shared_secret_is_nothing_that_a_contact_connects() -> None:
    async with client() as api:
        contact = await ann(api)
        given, empty = (await api.secret.create({"value": value()})).id, (await api.secret.create({})).id
        is_authenticated(await of_contact(api, "verify", contact, given), given)
        with not_of_contact():
            await of_contact(api, "verify", contact, empty)
        for secret in (given, empty):
            for action in ("authenticate", "revoke"):
                with not_of_contact():
                    await of_contact(api, action, contact, secret)
            assert (await connect(contact, secret)).status_code == 409
        is_authenticated(await of_contact(api, "verify", contact, given), given)


@asynchronous
async def test_what_nobody_can_type_has_no_link_that_could_only_fail() -> None:
    async with client() as api:
        contact, secret = await ann(api), await personal(api, type="oauth")
        verified = await of_contact(api, "verify", contact, secret)
        assert verified.to_dict() == {"id": secret, "status": "unauthenticated"}


@asynchronous
async def test_an_agent_key_lists_verifies_and_authenticates_and_is_not_authorized_to_connect_or_revoke() -> None:
    async with client() as api, client(token=env("KEYFOB_AGENT_TOKEN")) as agent:
        contact, secret = await ann(api), await personal(api)
        assert (await connect(contact, secret, token=env("KEYFOB_AGENT_TOKEN"))).status_code == 403
        await connect(contact, secret)
        for at in (secret, "@nobody"):
            with Refused(403, "NOT_AUTHORIZED", "Not authorized: this key may not do that"):
                await of_contact(agent, "revoke", contact, at)
        path_of((await of_contact(agent, "authenticate", contact, secret)).url)
        is_authenticated(await of_contact(agent, "verify", contact, secret), secret)
        assert [item.id for item in (await agent.contact.secret.list(contact)).items] == [secret]


@pytest.mark.parametrize("token", [TOKEN + "x", "nonsense", ""], ids=["wrong", "malformed", "none"])
@asynchronous
async def test_a_wrong_token_or_none_is_not_authenticated(token: str) -> None:
    async with client() as api, client(token=token) as nobodys:
        contact, secret = await ann(api), await personal(api)
        for action in ACTIONS:
            with not_authenticated():
                await of_contact(nobodys, action, contact, secret)
        with not_authenticated():
            await nobodys.contact.secret.list(contact)
        # The package reads the answer to a refused stream too late to say what it was.
        with pytest.raises(httpx.ResponseNotRead):
            await streamed(nobodys.contact.secret.list(contact))


@asynchronous
async def test_foreign_deleted_and_malformed_contacts_and_secrets_are_one_and_the_same_not_found() -> None:
    account = (await child())["id"]
    async with client() as api, client(run_as_user_id=account) as other:
        contact, secret = await ann(api), await personal(api)
        deleted = await ann(api), await personal(api)
        await api.contact.delete(deleted[0])
        await api.secret.delete(deleted[1])
        foreign = await ann(other), await personal(other)
        for nobody in (foreign[0], deleted[0], "con_" + "0" * 26, "nonsense", "a b", "%00", "ü", "@x", "(Ann)"):
            with not_found():
                await api.contact.secret.list(nobody)
            for action in ACTIONS:
                with not_found():
                    await of_contact(api, action, nobody, secret)
        for nothing in (foreign[1], deleted[1], "sec_" + "0" * 26, "nonsense", "a b", "%00", "ü", "@nobody", "(no)"):
            for action in ACTIONS:
                with not_found():
                    await of_contact(api, action, contact, nothing)


# --- child accounts ---


@asynchronous
async def test_what_is_run_as_a_child_is_in_its_account_and_uses_what_its_parent_lets_it() -> None:
    account = await child()
    child_id, token = account["id"], account["key"]["token"]
    mine = alias()
    async with (
        client() as parent,
        client(run_as_user_id=child_id) as by_id,
        client(run_as_child_user_email=account["email"]) as by_email,
        client(token=token) as own,
        client(run_as_user_id="acc_" + "0" * 26) as nobodys,
    ):
        contact = await ann(by_id)
        secret, hidden = await personal(parent, alias=mine, visibility="protected"), await personal(parent)
        for api in (by_id, by_email, own):
            link = link_of(await of_contact(api, "verify", contact, f"@@{mine}"))
            Browser().connects(link, TYPED["plain"]())
            is_authenticated(await of_contact(api, "verify", contact, secret), secret)
            assert [item.id for item in (await api.contact.secret.list(contact)).items] == [secret]
            with not_found():
                await of_contact(api, "verify", contact, hidden)
            assert (await of_contact(api, "revoke", contact, secret)).id == secret
        for action in ACTIONS:
            with not_found():
                await of_contact(parent, action, contact, secret)
        with not_authenticated():
            await nobodys.contact.secret.list(contact)


# --- the connection is cut ---


@pytest.mark.parametrize("before", ["request", "answer"])
@pytest.mark.parametrize("action", ACTIONS)
@asynchronous
async def test_each_call_may_be_sent_again_after_a_cut(action: str, before: str) -> None:
    async with client() as api:
        contact, secret = await ann(api), await personal(api)
        if action == "revoke":
            await connect(contact, secret)
        with CuttingProxy(before, 1) as proxy:
            answer: Any = await sent_again(proxy, lambda api: of_contact(api, action, contact, secret))
        assert isinstance(answer, PARSED[action][0])
        assert {answer["id"] for answer in proxy.answers} == {secret}
        assert len(proxy.answers) == (2 if before == "answer" else 1)
        if action == "verify":
            assert {answer["action"]["url"] for answer in proxy.answers} == {link_of(answer)}
        if action == "authenticate":
            links = [answer["url"] for answer in proxy.answers]
            assert len({path_of(link) for link in links}) == len(links)
            for link in links:
                Browser().connects(link, TYPED["plain"]())
            is_authenticated(await of_contact(api, "verify", contact, secret), secret)
        else:
            link_of(await of_contact(api, "verify", contact, secret))
