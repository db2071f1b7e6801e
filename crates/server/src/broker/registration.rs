//! Clients that Keyfob registers at providers, for secrets whose config names none (RFC 7591). Each is for one
//! secret and one authorization server, and is kept apart from the config: whoever may only use a secret, by a
//! template or a reference, changes nothing of it (W26).
//!
//! Of any number of first visitors, on any number of nodes, one registers, by a lease; the others wait for what
//! comes of it. The lease of a node that dies ends.

use std::time::Duration;

use keyfob_core::{
    crypto::{OpenError, Sealed},
    id::{AccountId, SecretId},
    oauth::{
        AuthMethod, GrantClient,
        metadata::ServerMetadata,
        registration::{self as message, NotRegistered, Registered},
    },
    policy::{Action, Object, registration_row},
    time::Timestamp,
};
use keyfob_store::{
    Event, ReadTx, WriteTx,
    registration::{self, Place, Registration},
    secret,
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use url::Url;
use zeroize::Zeroizing;

use super::{
    Broker, Trouble,
    authentication::USABLE_FOR,
    grant::keeper,
    provider::{Incomplete, Unable},
    secret::SECRET,
    usable::Usable,
};
use crate::{
    error::{Damaged, Error, LinkProblem},
    oauth::{Unregistered, register},
};

/// The table, and the noun in seals.
const REGISTRATION: &str = "registration";
/// The longest that a provider is waited for.
const LIMIT: Duration = Duration::from_secs(15);
/// A lease outlives the slowest request.
const LEASE: Duration = Duration::from_secs(25);
/// How often those who wait for another visitor look, and how many times: for half a minute.
const LOOK_EVERY: Duration = Duration::from_millis(100);
const MOST_LOOKS: u32 = 300;
/// A client whose secret does not last for two links is used until so long before its end.
const SHORT_OF_END: Duration = Duration::from_mins(1);
/// The largest client as it is stored, in bytes of JSON.
const LARGEST: usize = 32 * 1024;

/// A registered client, and how it proves itself.
#[derive(Clone)]
pub(super) struct Client {
    pub(super) client: GrantClient,
    pub(super) method: AuthMethod,
}

/// A client as it is stored.
#[derive(Deserialize)]
struct Stored {
    id: String,
    secret: Option<SecretString>,
    /// In milliseconds since 1970.
    secret_expires_at: Option<i64>,
    /// In milliseconds since 1970; of clients that were stored before this was, nobody knows.
    registered_at: Option<i64>,
    method: String,
    redirect_uri: String,
}

#[derive(Serialize)]
struct Text<'a> {
    id: &'a str,
    secret: Option<&'a str>,
    secret_expires_at: Option<i64>,
    registered_at: i64,
    method: &'a str,
    redirect_uri: &'a str,
}

/// What there is to do about a client.
enum Look {
    Known(Client),
    /// Somebody is registering one, with this lease.
    Elsewhere(i64),
    /// There is none. The number of the newest lease, and whether it ended without one.
    Missing {
        seen: i64,
        is_given_up: bool,
    },
}

impl Broker {
    /// The client that is registered for the secret at this server. Registers one if there is none that can
    /// still be used; whoever calls this must not be cancelled.
    pub(super) async fn registered(
        &self,
        usable: &Usable,
        server: &ServerMetadata,
    ) -> Result<Client, Unable> {
        if server.registration_endpoint.is_none() {
            let text = "\"config.clientId\" is missing, and the provider registers no clients";
            return Err(Incomplete(text.into()).into());
        }
        let (account, secret) = (usable.secret.account.clone(), usable.secret.id.clone());
        let place = Place { account, secret, issuer: server.issuer.clone() };
        let mut waited_for = None;
        for _ in 0..MOST_LOOKS {
            match self.look_for_client(&place).await? {
                Look::Known(client) => return Ok(client),
                Look::Elsewhere(lease) => {
                    waited_for = Some(lease);
                    tokio::time::sleep(LOOK_EVERY).await;
                }
                Look::Missing { seen, is_given_up: true } if waited_for == Some(seen) => {
                    return Err(unanswered("another visitor's registration of a client failed"));
                }
                Look::Missing { seen, .. } => {
                    if let Some(client) = self.try_to_register(&place, seen, server).await? {
                        return Ok(client);
                    }
                }
            }
        }
        Err(unanswered("another visitor's registration of a client has not ended yet"))
    }

    async fn look_for_client(&self, place: &Place) -> Result<Look, Error> {
        let (now, broker, place) = (self.now()?, self.clone(), place.clone());
        self.read(move |tx| {
            let Some(found) = registration::find(tx, &place)? else {
                return Ok(Look::Missing { seen: 0, is_given_up: false });
            };
            if let Some(client) = &found.client {
                let stored = broker.open_client(tx, &place, client)?;
                if let Some(client) = stored.usable(&broker.redirect_uri(), now) {
                    return Ok(Look::Known(client));
                }
            }
            let (seen, is_given_up) = (found.fence, found.leased_until.is_none());
            if found.is_leased(now) {
                return Ok(Look::Elsewhere(seen));
            }
            Ok(Look::Missing { seen, is_given_up })
        })
        .await
    }

    /// Registers a client, if nobody was faster.
    async fn try_to_register(
        &self,
        place: &Place,
        seen: i64,
        server: &ServerMetadata,
    ) -> Result<Option<Client>, Unable> {
        let (since, at) = (self.now()?, place.clone());
        let leased = self.write(move |tx| {
            // Held, so that a deletion comes before, or takes the row along.
            secret::hold(tx, &at.account, &at.secret)?.ok_or(LinkProblem::Withdrawn)?;
            let lease = registration::lease(tx, &at, seen, since, since.plus(LEASE))?;
            Ok(tx.commit_unaudited(lease))
        });
        let Some(fence) = leased.await? else { return Ok(None) };
        match self.register_client(&place.account, server, since).await {
            Ok(registered) => Ok(self.keep_client(place, fence, registered).await?),
            Err(unable) => {
                self.give_up(place, fence).await;
                Err(unable)
            }
        }
    }

    async fn register_client(
        &self,
        account: &AccountId,
        server: &ServerMetadata,
        since: Timestamp,
    ) -> Result<Registered, Unable> {
        let Some(endpoint) = &server.registration_endpoint else {
            return Err(unanswered("the provider registers no clients"));
        };
        if self.inner.clock.now().plus(LIMIT) > since.plus(LEASE) {
            let text = "the database took too long to note that a client is registered";
            return Err(unanswered(text));
        }
        let redirect_uri = Url::parse(&self.redirect_uri()).map_err(Error::internal)?;
        let for_devices = server.device_authorization_endpoint.is_some();
        let wish = (message::method(server), for_devices);
        let egress = self.egress_of(account);
        let asked = register(&egress, endpoint, &redirect_uri, wish, LIMIT);
        asked.await.map_err(not_registered)
    }

    /// Stores a client. `None` if somebody else has the lease by now.
    async fn keep_client(
        &self,
        place: &Place,
        fence: i64,
        registered: Registered,
    ) -> Result<Option<Client>, Error> {
        let (now, broker, place) = (self.now()?, self.clone(), place.clone());
        let bytes = to_bytes(&registered, &self.redirect_uri(), now)?;
        let is_kept = self.write(move |tx| {
            let key = broker.inner.keyring.newest(tx, &place.account)?;
            let row = registration_row(&place.secret, &place.issuer);
            let client = key.seal(REGISTRATION, &row, "client", &bytes, &*broker.inner.random);
            if !registration::finish(tx, &place, fence, &client)? {
                return Ok(tx.commit_unaudited(false));
            }
            Ok(tx.commit(told(&place, "client_registered", now), true))
        });
        let Registered { client_id: id, client_secret: secret, method, .. } = registered;
        Ok(is_kept.await?.then_some(Client { client: GrantClient { id, secret }, method }))
    }

    /// Lets others know that no client was registered. If that cannot be noted, the lease ends by itself.
    async fn give_up(&self, place: &Place, fence: i64) {
        let place = place.clone();
        let given_up = self.write(move |tx| {
            registration::give_up(tx, &place, fence)?;
            Ok(tx.commit_unaudited(()))
        });
        if let Err(error) = given_up.await {
            error.log("registration");
        }
    }

    /// Forgets a client that its provider does not know any more: the next visitor registers another one.
    pub(super) async fn forget_client(
        &self,
        account: &AccountId,
        secret: &SecretId,
        client: &GrantClient,
    ) -> Result<(), Error> {
        let (now, broker) = (self.now()?, self.clone());
        let (account, secret, id) = (account.clone(), secret.clone(), client.id.clone());
        self.write(move |tx| {
            let found = registration::list(tx, &account, &secret)?;
            match find_client(&broker, tx, found, &id)? {
                Some(seen) if registration::forget(tx, &seen)? => {
                    Ok(tx.commit(told(&seen.place, "client_forgotten", now), ()))
                }
                _ => Ok(tx.commit_unaudited(())),
            }
        })
        .await
    }

    fn open_client(
        &self,
        tx: &mut ReadTx<'_>,
        place: &Place,
        client: &Sealed,
    ) -> Result<Stored, Error> {
        let object = Object::Registration(&place.secret, &place.issuer);
        let permit = keeper(&place.account).decide(Action::SecretConnect, object)?;
        let bytes = self.inner.keyring.open(tx, &permit, "client", client)?;
        let damaged = |_| Damaged {
            table: REGISTRATION,
            row: permit.row().to_owned(),
            column: "client",
            source: OpenError,
        };
        Ok(serde_json::from_slice(&bytes).map_err(damaged)?)
    }
}

impl Stored {
    /// The client, if it can be used for all the time that a link is open; one that never could be for long is
    /// used while it can be, as the next one would be no better.
    fn usable(self, redirect_uri: &str, now: Timestamp) -> Option<Client> {
        let end = self.secret_expires_at.map(Timestamp::from_millis);
        let since = self.registered_at.map(Timestamp::from_millis);
        let lasts = end.is_none_or(|end| {
            let is_short = since.is_some_and(|since| end < since.plus(2 * USABLE_FOR));
            end > now.plus(if is_short { SHORT_OF_END } else { USABLE_FOR })
        });
        let method = AuthMethod::parse(&self.method)?;
        let client = GrantClient { id: self.id, secret: self.secret };
        (lasts && self.redirect_uri == redirect_uri).then_some(Client { client, method })
    }
}

/// The registration of the client with this id.
fn find_client(
    broker: &Broker,
    tx: &mut WriteTx<'_>,
    found: Vec<Registration>,
    id: &str,
) -> Result<Option<Registration>, Error> {
    for registration in found {
        let Some(client) = &registration.client else { continue };
        if broker.open_client(tx, &registration.place, client)?.id == id {
            return Ok(Some(registration));
        }
    }
    Ok(None)
}

fn to_bytes(
    registered: &Registered,
    redirect_uri: &str,
    now: Timestamp,
) -> Result<Zeroizing<Vec<u8>>, Error> {
    let text = Text {
        id: &registered.client_id,
        secret: registered.client_secret.as_ref().map(ExposeSecret::expose_secret),
        secret_expires_at: registered.client_secret_expires_at.map(Timestamp::as_millis),
        registered_at: now.as_millis(),
        method: registered.method.as_str(),
        redirect_uri,
    };
    // All the room at once: a vector that grows leaves old copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(LARGEST));
    serde_json::to_writer(&mut *bytes, &text).map_err(Error::internal)?;
    Ok(bytes)
}

fn told(place: &Place, result: &'static str, now: Timestamp) -> Event {
    let keeper = keeper(&place.account);
    let event = keeper.event(now, Action::SecretConnect, SECRET, place.secret.to_shared());
    Event { result, ..event }
}

fn unanswered(text: &str) -> Unable {
    Unable::Provider(Trouble::Unreachable, text.into())
}

fn not_registered(why: Unregistered) -> Unable {
    let reason = format!("no client could be registered: {why}");
    match why {
        Unregistered::Answered(NotRegistered::Refused(refused)) => {
            Unable::Provider(Trouble::Refused(refused.code), reason)
        }
        _ => Unable::Provider(Trouble::Unreachable, reason),
    }
}
