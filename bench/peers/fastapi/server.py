"""The script a user would write instead of running a broker: Sendblue's TOTP calls on FastAPI and pyotp.

Secrets lie encrypted with Fernet in SQLite (the file is the first argument); one key pair is hard-coded;
no audit is written.
"""

import hmac
import socket
import sqlite3
import sys
import time
import uuid
from datetime import datetime, timezone

import pyotp
import uvicorn
from cryptography.fernet import Fernet
from fastapi import FastAPI, Header, HTTPException
from pydantic import BaseModel

KEY_ID = "bench-id"
KEY_SECRET = "bench-secret"

fernet = Fernet(Fernet.generate_key())
app = FastAPI(openapi_url=None)
db = sqlite3.connect(sys.argv[1], isolation_level=None, check_same_thread=False)
db.execute("PRAGMA journal_mode = WAL")
db.execute("PRAGMA synchronous = NORMAL")
db.execute(
    "CREATE TABLE IF NOT EXISTS totp"
    " (id TEXT PRIMARY KEY, label TEXT, issuer TEXT, created_at TEXT, secret BLOB) WITHOUT ROWID"
)


class Create(BaseModel):
    label: str
    issuer: str | None = None
    secret: str | None = None


def authenticate(key_id: str, key_secret: str) -> None:
    if not (hmac.compare_digest(key_id, KEY_ID) and hmac.compare_digest(key_secret, KEY_SECRET)):
        raise HTTPException(401, "Invalid Credentials")


@app.post("/api/v2/totp/secrets")
async def create(
    body: Create, sb_api_key_id: str = Header(""), sb_api_secret_key: str = Header("")
) -> dict:
    authenticate(sb_api_key_id, sb_api_secret_key)
    secret = body.secret or pyotp.random_base32()
    entry = {
        "id": str(uuid.uuid4()),
        "label": body.label,
        "issuer": body.issuer,
        "algorithm": "SHA1",
        "digits": 6,
        "period": 30,
        "created_at": datetime.now(timezone.utc).isoformat().replace("+00:00", "Z"),
    }
    db.execute(
        "INSERT INTO totp VALUES (?, ?, ?, ?, ?)",
        (
            entry["id"],
            entry["label"],
            entry["issuer"],
            entry["created_at"],
            fernet.encrypt(secret.encode()),
        ),
    )
    return {"status": "OK", "totp_secret": {**entry, "secret": secret}}


@app.get("/api/v2/totp/code/{id}")
async def code(
    id: str, sb_api_key_id: str = Header(""), sb_api_secret_key: str = Header("")
) -> dict:
    authenticate(sb_api_key_id, sb_api_secret_key)
    row = db.execute("SELECT secret FROM totp WHERE id = ?", (id,)).fetchone()
    if row is None:
        raise HTTPException(404, "No such secret")
    totp = pyotp.TOTP(fernet.decrypt(row[0]).decode())
    return {"status": "OK", "code": totp.now(), "expires_in": 30 - int(time.time()) % 30}


if __name__ == "__main__":
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    print(f"listening on http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    config = uvicorn.Config(app, loop="uvloop", http="httptools", log_level="error", access_log=False)
    uvicorn.Server(config).run(sockets=[listener])
