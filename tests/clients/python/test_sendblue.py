"""The published Sendblue package for Python, unmodified, against a running Keyfob: only its base URL is set.

tests/clients/run.sh starts Keyfob and sets the environment.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import re
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from typing import Any

import httpx
import pytest
import sendblue_api
from sendblue_api import AsyncSendblueAPI, SendblueAPI

from support import URL, CuttingProxy, env, unique

SECRET = "CANARY234567CANARY234567CANARY23"  # 160 bits
SHORT_SECRET = "CANARY234567CANA"  # 80 bits, as real services still issue them

KEYS = {"api_key": env("KEYFOB_KEY_ID"), "api_secret": env("KEYFOB_KEY_SECRET")}
AGENT_KEYS = {"api_key": env("KEYFOB_AGENT_KEY_ID"), "api_secret": env("KEYFOB_AGENT_KEY_SECRET")}
CLIENT = SendblueAPI(**KEYS, base_url=URL)
TOTP = CLIENT.v2.totp


# --- what a code must be, computed apart from Keyfob ---


def code_at(seconds: int, secret: str, algorithm: str = "SHA1", digits: int = 6, period: int = 30) -> str:
    counter = (seconds // period).to_bytes(8, "big")
    mac = hmac.new(base64.b32decode(secret), counter, getattr(hashlib, algorithm.lower())).digest()
    offset = mac[-1] & 15
    number = int.from_bytes(mac[offset : offset + 4], "big") & 0x7FFFFFFF
    return str(number % 10**digits).zfill(digits)


def fits(answer: Any, before: int, after: int, period: int = 30, **entry: Any) -> None:
    """Checks a whole answer against every second in which it can have been made."""
    assert answer.status == "OK"
    assert isinstance(answer.code, str)
    assert 1 <= answer.expires_in <= period
    assert any(
        answer.code == code_at(second, period=period, **entry) and answer.expires_in == period - second % period
        for second in range(before, after + 1)
    ), f"the code or its expires_in {answer.expires_in} fits no second from {before} to {after}"
    assert before <= answer.server_time <= after
    assert answer.valid_from == answer.server_time // period * period
    assert answer.valid_until == answer.valid_from + period
    assert answer.period == period
    assert answer.digits == entry.get("digits", 6)


def check_code(api: Any, secret_id: str, **entry: Any) -> None:
    before = int(time.time())
    answer = api.get_code(secret_id)
    fits(answer, before, int(time.time()), **entry)


# --- helpers ---


def create(api: Any = TOTP, **body: Any) -> Any:
    answer = api.secrets.create(**body)
    assert answer.status == "OK"
    entry = answer.totp_secret
    assert str(uuid.UUID(entry.id)) == entry.id
    assert isinstance(entry.created_at, datetime)
    assert abs(datetime.now(timezone.utc) - entry.created_at) < timedelta(minutes=2)
    if "secret" not in body and "uri" not in body:
        # run.sh searches the log for the secrets that Keyfob made as well.
        with open(env("KEYFOB_SECRETS_SEEN"), "a", encoding="ascii") as seen:
            seen.write(f"{entry.secret}\n")
    return entry


def listed(secret_id: str) -> Any:
    answer = TOTP.secrets.list()
    assert answer.status == "OK"
    return next((entry for entry in answer.totp_secrets if entry.id == secret_id), None)


def with_label(label: str) -> list[Any]:
    return [entry for entry in TOTP.secrets.list().totp_secrets if entry.label == label]


class Refused:
    """Expects an exception of this class and checks what every error answer carries."""

    def __init__(self, error_class: type[sendblue_api.APIStatusError], status: int) -> None:
        self.raises, self.status = pytest.raises(error_class), status

    def __enter__(self) -> Refused:
        self.info = self.raises.__enter__()
        return self

    def __exit__(self, *error: Any) -> bool:
        handled = bool(self.raises.__exit__(*error))
        self.error = self.info.value
        body = self.body = self.error.body
        response = self.error.response
        assert response.status_code == self.status
        assert response.headers["content-type"] == "application/json"
        assert isinstance(body["message"], str) and body["message"]
        assert body["message"] in str(self.error)
        assert re.fullmatch("[A-Z][A-Z0-9_]*", body["code"])
        assert body["error"] == body["code"].lower()
        assert body["request_id"] == response.headers["x-request-id"]
        if self.status != 403:
            assert body["status"] == "ERROR"
        assert re.fullmatch("[a-z][a-z0-9_]*", body["error_code"])
        assert "canary" not in json.dumps(body).lower(), "an error answer repeats a secret"
        return handled


# --- the four calls ---


def test_an_entry_made_from_a_label_and_a_secret_gives_the_right_codes() -> None:
    label = unique("GitHub - agent@example.com")
    entry = create(label=label, secret=SECRET, issuer="GitHub")
    assert (entry.label, entry.issuer, entry.algorithm, entry.digits, entry.period) == (label, "GitHub", "SHA1", 6, 30)
    assert entry.secret == SECRET
    check_code(TOTP, entry.id, secret=SECRET)


@pytest.mark.parametrize("digits, period", [(6, 30), (8, 60)])
@pytest.mark.parametrize("algorithm", ["SHA1", "SHA256", "SHA512"])
def test_every_algorithm_number_of_digits_and_period_gives_the_right_codes(
    algorithm: str, digits: int, period: int
) -> None:
    body: dict[str, Any] = {"secret": SECRET + SECRET, "algorithm": algorithm, "digits": digits, "period": period}
    entry = create(label=unique(algorithm), **body)
    assert (entry.algorithm, entry.digits, entry.period) == (algorithm, digits, period)
    check_code(TOTP, entry.id, **body)


def test_an_otpauth_uri_overrides_all_other_fields() -> None:
    account = f"agent-{uuid.uuid4().hex[:8]}@example.com"
    uri = f"otpauth://totp/GitHub:{account}?secret={SECRET}&issuer=GitHub&algorithm=SHA256&digits=8&period=60"
    entry = create(uri=uri, label="not this one", secret=SHORT_SECRET, digits=6, period=30)
    assert (entry.label, entry.issuer, entry.secret) == (f"GitHub - {account}", "GitHub", SECRET)
    check_code(TOTP, entry.id, secret=SECRET, algorithm="SHA256", digits=8, period=60)


def test_a_label_alone_makes_keyfob_generate_160_bits() -> None:
    entry = create(label=unique("generated"))
    assert len(base64.b32decode(entry.secret)) == 20
    check_code(TOTP, entry.id, secret=entry.secret)


def test_two_creates_of_the_same_label_on_purpose_are_two_entries() -> None:
    label = unique("on purpose")
    first, second = create(label=label), create(label=label)
    assert first.id != second.id
    assert first.secret != second.secret
    assert len(with_label(label)) == 2


def test_a_short_secret_with_blanks_and_small_letters_comes_back_normalised() -> None:
    entry = create(label=unique("short"), secret="canary23 4567 cana")
    assert entry.secret == SHORT_SECRET
    # Python's decoder wants whole groups of eight characters, which these sixteen are.
    check_code(TOTP, entry.id, secret=SHORT_SECRET)


def test_the_list_has_every_entry_and_never_a_secret() -> None:
    entry = create(label=unique("listed"), secret=SECRET, digits=8)
    found = listed(entry.id)
    for field in ("id", "label", "issuer", "algorithm", "digits", "period", "created_at"):
        assert getattr(found, field) == getattr(entry, field), field
    text = TOTP.secrets.with_raw_response.list().text()
    assert '"secret"' not in text
    assert "canary" not in text.lower()


def test_a_deleted_entry_is_gone_for_every_call() -> None:
    entry = create(label=unique("deleted"), secret=SECRET)
    assert TOTP.secrets.delete(entry.id).to_dict() == {"status": "OK"}
    assert listed(entry.id) is None
    with Refused(sendblue_api.NotFoundError, 404):
        TOTP.get_code(entry.id)
    with Refused(sendblue_api.NotFoundError, 404):
        TOTP.secrets.delete(entry.id)


def test_the_asynchronous_client_works_for_the_four_calls() -> None:
    async def run() -> None:
        async with AsyncSendblueAPI(**KEYS, base_url=URL) as client:
            api = client.v2.totp
            entry = (await api.secrets.create(label=unique("asynchronous"), secret=SECRET)).totp_secret
            assert entry.id in [item.id for item in (await api.secrets.list()).totp_secrets]
            before = int(time.time())
            answers = await asyncio.gather(*(api.get_code(entry.id) for _ in range(10)))
            for answer in answers:
                fits(answer, before, int(time.time()), secret=SECRET)
            assert (await api.secrets.delete(entry.id)).status == "OK"
            assert listed(entry.id) is None

    asyncio.run(run())


# --- refusals ---


@pytest.mark.parametrize(
    "body",
    [
        {"label": "bad", "secret": "CANARY!! not base32 ??"},
        {"secret": SECRET},
        {"label": "bad", "secret": SECRET, "algorithm": "MD5"},
        {"label": "bad", "secret": SECRET, "period": 0},
        {"label": "bad", "uri": f"https://example.com/?secret={SECRET}"},
    ],
    ids=["secret is not base32", "neither label nor URI", "unknown algorithm", "period of nothing", "URI of the web"],
)
def test_a_bad_request_is_a_bad_request_error_that_does_not_repeat_the_secret(body: dict[str, Any]) -> None:
    with Refused(sendblue_api.BadRequestError, 400):
        TOTP.secrets.create(**body)
    assert with_label("bad") == []


@pytest.mark.parametrize(
    "credentials",
    [
        {**KEYS, "api_secret": KEYS["api_secret"] + "x"},
        {**KEYS, "api_secret": AGENT_KEYS["api_secret"]},
        {**KEYS, "api_key": str(uuid.uuid4())},
    ],
    ids=["wrong secret", "secret of another key", "unknown key"],
)
def test_a_wrong_secret_or_key_is_an_authentication_error(credentials: dict[str, str]) -> None:
    api = SendblueAPI(**credentials, base_url=URL).v2.totp
    with Refused(sendblue_api.AuthenticationError, 401):
        api.secrets.list()
    with Refused(sendblue_api.AuthenticationError, 401):
        api.secrets.create(label=unique("never"), secret=SECRET)


def test_no_credentials_at_all_is_a_permission_denied_error() -> None:
    answer = httpx.get(f"{URL}/api/v2/totp/secrets")
    assert answer.status_code == 403
    assert answer.json()["message"] == "Did not get inputs for authorization"
    none: Any = {"sb-api-key-id": sendblue_api.omit, "sb-api-secret-key": sendblue_api.omit}
    with Refused(sendblue_api.PermissionDeniedError, 403):
        TOTP.secrets.list(extra_headers=none)


def test_an_agent_key_reads_codes_and_may_do_nothing_else() -> None:
    entry = create(label=unique("for the agent"), secret=SECRET)
    api = SendblueAPI(**AGENT_KEYS, base_url=URL).v2.totp
    assert entry.id in [item.id for item in api.secrets.list().totp_secrets]
    check_code(api, entry.id, secret=SECRET)
    with Refused(sendblue_api.PermissionDeniedError, 403):
        api.secrets.create(label=unique("never"), secret=SECRET)
    with Refused(sendblue_api.PermissionDeniedError, 403):
        api.secrets.delete(entry.id)
    assert listed(entry.id)


def test_unknown_malformed_and_deleted_ids_are_one_and_the_same_not_found_error() -> None:
    deleted = create(label=unique("gone"), secret=SECRET).id
    TOTP.secrets.delete(deleted)
    bodies = []
    for wrong in (str(uuid.uuid4()), deleted, "nonsense", "a b/c?d#e"):
        for call in (TOTP.get_code, TOTP.secrets.delete):
            with Refused(sendblue_api.NotFoundError, 404) as refused:
                call(wrong)
            bodies.append({**refused.body, "request_id": ""})
    assert all(body == bodies[0] for body in bodies)


def test_a_code_that_can_only_be_had_in_more_than_a_minute_is_a_rate_limit_error() -> None:
    entry: dict[str, Any] = {"secret": SECRET, "period": 3600}
    secret_id = create(label=unique("hourly"), **entry).id
    api = CLIENT.with_options(max_retries=0).v2.totp

    def call() -> Any:
        return api.get_code(secret_id, extra_query={"unique": "true"}, timeout=59)

    codes = [call().code]
    with Refused(sendblue_api.RateLimitError, 429) as refused:
        # Where the hour ends between two calls, the second one still gets a code, of the new hour.
        codes.append(call().code)
        call()
    assert 1 <= int(refused.error.response.headers["retry-after"]) <= 60
    now = int(time.time())
    assert codes[-1] in (code_at(now, **entry), code_at(now - 3600, **entry))


# --- the connection is cut ---


def retry_counts(proxy: CuttingProxy) -> list[str]:
    return [headers["x-stainless-retry-count"] for headers in proxy.attempts]


def one_entry_after_cuts(before: str, cuts: int, given: str | None) -> None:
    label = unique(f"cut before the {before}")
    with CuttingProxy(before, cuts) as proxy:
        api = SendblueAPI(**KEYS, base_url=proxy.url).v2.totp
        entry = create(api, label=label, **({"secret": given} if given else {}))
    assert retry_counts(proxy) == ["0", "1", "2"][: cuts + 1]
    assert [item.id for item in with_label(label)] == [entry.id]
    assert len(proxy.answers) == (cuts + 1 if before == "answer" else 1)
    for answer in proxy.answers:
        assert (answer["totp_secret"]["id"], answer["totp_secret"]["secret"]) == (entry.id, entry.secret)
    check_code(TOTP, entry.id, secret=given or entry.secret)


@pytest.mark.parametrize("before", ["request", "answer"])
def test_a_create_whose_connection_is_cut_once_or_twice_makes_one_entry(before: str) -> None:
    # At once, because the package waits between its attempts.
    with ThreadPoolExecutor() as threads:
        cases = [
            threads.submit(one_entry_after_cuts, before, cuts, given) for cuts in (1, 2) for given in (SECRET, None)
        ]
    for case in cases:
        case.result()


def test_reading_a_code_survives_a_cut_connection() -> None:
    secret_id = create(label=unique("cut read"), secret=SECRET).id
    with CuttingProxy("answer", 1) as proxy:
        answer = SendblueAPI(**KEYS, base_url=proxy.url).v2.totp.get_code(secret_id)
    assert answer.code == code_at(answer.server_time, SECRET)
    assert retry_counts(proxy) == ["0", "1"]
