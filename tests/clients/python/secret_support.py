"""What the tests of secrets share: values that are looked for afterwards, and what the package gives of a secret."""

from __future__ import annotations

import json
import uuid
from typing import Any

from chatbotkit_support import Refused

CANARY = "CANARY234567CANA"
MASK = "********"


def alias() -> str:
    return f"a-{uuid.uuid4()}"


def value() -> str:
    return f"{CANARY}{uuid.uuid4()}"


def without_value(secret: Any) -> dict[str, Any]:
    """What the package gives of a secret, in which no value may be."""
    fields = secret.to_dict()
    assert CANARY not in json.dumps(fields)
    assert "value" not in fields
    return fields


def bad_request(message: str) -> Refused:
    return Refused(400, "BAD_REQUEST", message)
