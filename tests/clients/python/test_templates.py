"""The published ChatBotKit package for Python, unmodified, against a running Keyfob: the catalogue of templates, which it calls
platform secrets. tests/clients/run.sh starts Keyfob and sets the environment."""

from __future__ import annotations

from chatbotkit_support import asynchronous, client, streamed
from support import env

AGENT = env("KEYFOB_AGENT_TOKEN")


@asynchronous
async def test_the_templates_are_listed_page_by_page_and_streamed_whole() -> None:
    async with client(token=AGENT) as api:
        listed, cursor = [], None
        while (page := await api.platform.secret.list({"take": 40, "order": "asc", "cursor": cursor})).items:
            listed += page.items
            cursor = page.cursor
        lines = await streamed(api.platform.secret.list({"order": "asc"}))
    assert [item.id for item in lines] == [item.id for item in listed] == sorted(item.id for item in listed)
    gmail = next(item for item in listed if item.id == "gmail")
    assert (gmail.template, gmail.name, gmail.type.value, gmail.kind.value) == ("gmail", "Gmail", "oauth", "personal")
    assert gmail.config["hosts"] == ["gmail.googleapis.com"]


@asynchronous
async def test_a_template_is_searched_for() -> None:
    async with client(token=AGENT) as api:
        found = await api.platform.secret.search({"search": "calendars and mail"})
        nothing = await api.platform.secret.search({"search": "nothing of the kind"})
    assert "microsoft-outlook" in [item.id for item in found.items]
    assert all(0 < item.score <= 1 and item.excerpt for item in found.items)
    assert nothing.items == []
