//! A connection's grant: the tokens that it has, and when they have to be renewed
//! (contract/contacts-and-secrets, sections 3.3 and 11).

use std::time::Duration;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{
    AuthMethod, Tokens,
    document::{Document, Fields},
};
use crate::time::Timestamp;

/// How long an access token is taken to live where nobody says, and it can be renewed.
const ASSUMED_LIFE: Duration = Duration::from_hours(1);
/// An access token is renewed at the latest this long before its end, or a tenth of its life if that is less.
const LONGEST_MARGIN: Duration = Duration::from_mins(1);
/// Tokens that live for less are renewed when somebody needs one: nobody's job is to renew a token each second.
const SHORTEST_AHEAD: Duration = Duration::from_mins(2);
/// A token does not say that it lives longer than this, or is not believed.
const LONGEST_LIFE: Duration = Duration::from_hours(10 * 365 * 24);

/// What a provider granted, as it is sealed in a connection.
#[derive(Clone, Debug)]
pub struct Grant {
    /// What is sent to the provider's API.
    pub access_token: SecretString,
    /// When it ends; `None` if that is not known.
    pub access_token_expires_at: Option<Timestamp>,
    /// What the next access token is asked for with.
    pub refresh_token: Option<SecretString>,
    /// When it ends; `None` if that is not known.
    pub refresh_token_expires_at: Option<Timestamp>,
    /// When the access token was obtained; `None` if it came from elsewhere.
    pub obtained_at: Option<Timestamp>,
    /// When it was renewed the last time; `None` if it never was.
    pub renewed_at: Option<Timestamp>,
    /// What was granted, separated by blanks; `None` if the provider never said.
    pub scope: Option<String>,
    /// Where it was obtained, and is renewed.
    pub token_url: Option<String>,
    /// Where it can be revoked.
    pub revoke_url: Option<String>,
    /// The client that obtained it, where that was registered for it (RFC 7591).
    pub client: Option<GrantClient>,
    /// How that client, or the config's, proves itself, where its server says what it takes.
    pub method: Option<AuthMethod>,
    /// What it is for (RFC 8707), where that was told: each refresh says it again.
    pub resource: Option<String>,
    /// What the provider was found out by where it was obtained, if it was.
    pub source: Option<String>,
    /// What the refresh token that it came with is known by, where it came from elsewhere: who sends the same
    /// import again must not put what is used up in the place of what it was renewed to.
    pub imported: Option<String>,
    /// What the access token that it began with is known by: it stays, however often the grant is renewed, and tells
    /// it from one that somebody put in its place. `None` for one that was stored before this was noted.
    pub began_as: Option<String>,
}

/// The registered client of a [`Grant`].
#[derive(Clone, Debug)]
pub struct GrantClient {
    /// Its `client_id`.
    pub id: String,
    /// Its `client_secret`, if it has one.
    pub secret: Option<SecretString>,
}

impl Grant {
    /// The grant of these tokens, obtained at `now`. `assumed`: how long an access token lives whose
    /// answer does not say. Where it was obtained is left to the caller.
    #[must_use]
    pub fn obtained(tokens: Tokens, now: Timestamp, assumed: Option<Duration>) -> Self {
        let renewable = tokens.refresh_token.is_some();
        Self {
            began_as: Some(known_by(&tokens.access_token)),
            access_token_expires_at: expiry(&tokens, renewable, now, assumed),
            refresh_token_expires_at: tokens.refresh_token_expires_in.map(|life| now.plus(life)),
            access_token: tokens.access_token,
            refresh_token: tokens.refresh_token,
            obtained_at: Some(now),
            renewed_at: None,
            scope: tokens.scope,
            token_url: None,
            revoke_url: None,
            client: None,
            method: None,
            resource: None,
            source: None,
            imported: None,
        }
    }

    /// The same grant, as one that came from elsewhere.
    #[must_use]
    pub fn imported(self) -> Self {
        let imported = self.refresh_token.as_ref().map(known_by);
        Self { imported, ..self }
    }

    /// The grant after a refresh: what the answer leaves out stays as it is. A refresh token that comes
    /// anew has the end that comes with it; one that stays keeps its own, unless the answer says another.
    #[must_use]
    pub fn renewed(&self, tokens: Tokens, now: Timestamp, assumed: Option<Duration>) -> Self {
        let renewable = tokens.refresh_token.is_some() || self.refresh_token.is_some();
        let kept = self.refresh_token_expires_at.filter(|_| tokens.refresh_token.is_none());
        let said = tokens.refresh_token_expires_in.map(|life| now.plus(life));
        Self {
            access_token_expires_at: expiry(&tokens, renewable, now, assumed),
            refresh_token_expires_at: said.or(kept),
            access_token: tokens.access_token,
            refresh_token: tokens.refresh_token.or_else(|| self.refresh_token.clone()),
            obtained_at: Some(now),
            renewed_at: Some(now),
            scope: tokens.scope.or_else(|| self.scope.clone()),
            token_url: self.token_url.clone(),
            revoke_url: self.revoke_url.clone(),
            client: self.client.clone(),
            method: self.method,
            resource: self.resource.clone(),
            source: self.source.clone(),
            imported: self.imported.clone(),
            began_as: self.began_as.clone(),
        }
    }

    /// Whether the access token has to be renewed before it is handed out: whoever gets it has a minute
    /// to use it, or a tenth of its life if that is less. Never where its end is not known.
    #[must_use]
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.access_token_expires_at.is_some_and(|end| now >= end.minus(self.margin(end)))
    }

    /// Whether the access token has ended.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.access_token_expires_at.is_some_and(|end| now >= end)
    }

    /// Whether there is a refresh token that has not ended.
    #[must_use]
    pub fn can_renew(&self, now: Timestamp) -> bool {
        self.refresh_token.is_some() && self.refresh_token_expires_at.is_none_or(|end| now < end)
    }

    /// When the connection ends unless a person connects it anew; `None` if that is not known. With a
    /// refresh token that is its end, or the access token's where that is later.
    #[must_use]
    pub fn ends_at(&self) -> Option<Timestamp> {
        if self.refresh_token.is_none() {
            return self.access_token_expires_at;
        }
        let end = self.refresh_token_expires_at?;
        Some(self.access_token_expires_at.map_or(end, |other| other.max(end)))
    }

    /// When the access token is to be renewed without being asked for: with a quarter to a tenth of its
    /// life left, which of it `random` says, so a minute and a half after it was obtained at the earliest.
    /// `None` if it cannot be renewed, its end is not known, or it lives for less than two minutes.
    ///
    /// A hundred thousand grants that are obtained at once (an import, the first hour after an outage)
    /// must not come due at once each hour from then on: no provider would answer all of them. Drawn
    /// anew each time, they spread by themselves, over 9 of the 60 minutes that most tokens live. What
    /// counts is the refresh token's end where that comes first.
    #[must_use]
    pub fn renew_at(&self, random: u32) -> Option<Timestamp> {
        self.refresh_token.as_ref()?;
        let end = self.access_token_expires_at?;
        let end = self.refresh_token_expires_at.map_or(end, |other| other.min(end));
        let life = self.life(end);
        if life < SHORTEST_AHEAD {
            return None;
        }
        let part = f64::from(random) / (f64::from(u32::MAX) + 1.0);
        Some(end.minus(life / 4).plus((life * 3 / 20).mul_f64(part)))
    }

    /// How long what ends at `end` lives in all.
    fn life(&self, end: Timestamp) -> Duration {
        self.obtained_at.map_or(ASSUMED_LIFE, |start| end.since(start))
    }

    fn margin(&self, end: Timestamp) -> Duration {
        (self.life(end) / 10).min(LONGEST_MARGIN)
    }

    /// Reads a grant as it is stored, or one of the contract's four names; `None` if it is not one.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let document = Document::json(bytes)?;
        let fields = document.fields();
        let text = |name| fields.text(name).map(str::to_owned);
        Some(Self {
            access_token: fields.secret("accessToken")?,
            access_token_expires_at: fields.millis("accessTokenExpiresAt"),
            refresh_token: fields.secret("refreshToken"),
            refresh_token_expires_at: fields.millis("refreshTokenExpiresAt"),
            obtained_at: fields.millis("obtainedAt"),
            renewed_at: fields.millis("renewedAt"),
            scope: text("scope"),
            token_url: text("tokenUrl"),
            revoke_url: text("revokeUrl"),
            client: fields.object("client").and_then(client),
            source: text("source"),
            imported: text("imported"),
            began_as: text("beganAs"),
            method: fields.text("tokenEndpointAuthMethod").and_then(AuthMethod::parse),
            resource: text("resource"),
        })
    }

    /// The grant as it is stored: JSON, in one allocation.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let time = |time: Option<Timestamp>| time.map(|time| Value::from(time.as_millis()));
        let text = |text: &Option<String>| text.as_deref().map(Value::from);
        let client = self.client.as_ref().map(|client| {
            let secret = client.secret.as_ref().map(exposed);
            object([("id", Some(client.id.as_str().into())), ("secret", secret)]).into()
        });
        Document::new(object([
            ("accessToken", Some(exposed(&self.access_token))),
            ("accessTokenExpiresAt", time(self.access_token_expires_at)),
            ("refreshToken", self.refresh_token.as_ref().map(exposed)),
            ("refreshTokenExpiresAt", time(self.refresh_token_expires_at)),
            ("obtainedAt", time(self.obtained_at)),
            ("renewedAt", time(self.renewed_at)),
            ("scope", text(&self.scope)),
            ("tokenUrl", text(&self.token_url)),
            ("revokeUrl", text(&self.revoke_url)),
            ("client", client),
            ("source", text(&self.source)),
            ("imported", text(&self.imported)),
            ("beganAs", text(&self.began_as)),
            ("tokenEndpointAuthMethod", self.method.map(|method| method.as_str().into())),
            ("resource", text(&self.resource)),
        ]))
        .to_bytes()
    }
}

fn client(fields: Fields<'_>) -> Option<GrantClient> {
    Some(GrantClient { id: fields.text("id")?.to_owned(), secret: fields.secret("secret") })
}

/// What a token is known again by.
fn known_by(token: &SecretString) -> String {
    HEXLOWER.encode(&Sha256::digest(token.expose_secret()))
}

fn exposed(secret: &SecretString) -> Value {
    secret.expose_secret().into()
}

/// The object of the members that are there.
fn object<const N: usize>(members: [(&str, Option<Value>); N]) -> Map<String, Value> {
    let members = members.into_iter();
    members.filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

/// When an access token of `now` ends: as the answer says, else as the token itself says, else assumed.
fn expiry(
    tokens: &Tokens,
    renewable: bool,
    now: Timestamp,
    assumed: Option<Duration>,
) -> Option<Timestamp> {
    let said = tokens.expires_in.map(|life| now.plus(life));
    let assumed = assumed.or_else(|| renewable.then_some(ASSUMED_LIFE));
    said.or_else(|| jwt_expiry(&tokens.access_token, now))
        .or_else(|| assumed.map(|life| now.plus(life)))
}

/// The `exp` of a token that is a JWT (RFC 9068), if it is in the next ten years. Its signature is the
/// provider's concern: a wrong `exp` only has it renewed at the wrong time.
fn jwt_expiry(token: &SecretString, now: Timestamp) -> Option<Timestamp> {
    let mut parts = token.expose_secret().split('.');
    let (Some(_), Some(claims), Some(_), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    let claims = Zeroizing::new(BASE64URL_NOPAD.decode(claims.as_bytes()).ok()?);
    let exp = Document::json(&claims)?.fields().number("exp")?;
    let exp = Timestamp::from_millis(0).plus(Duration::try_from_secs_f64(exp).ok()?);
    (now < exp && exp <= now.plus(LONGEST_LIFE)).then_some(exp)
}

#[cfg(test)]
mod tests;
