//! The Rust SDK of [Keyfob](https://github.com/keyfob/keyfob), the credential broker for AI agents; also for the
//! services whose APIs Keyfob speaks, at which it can be [pointed](ClientBuilder::base_url).
//!
//! A [`Client`] has a key and knows a server. Its methods make [`Request`]s; nothing is sent before one is awaited.
//!
//! ```
//! # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/example.rs")); }
//! # doc::example(async |ours| {
//! use keyfob_client::Client;
//!
//! let client = Client::builder().base_url("http://127.0.0.1:7117").secret("kft_…").build()?;
//! # let client = ours;
//!
//! // What has this contact connected?
//! let secrets = client.contact("c9qzy1f0o0002l8j5s7d3k4mn").secrets();
//! for secret in secrets.list().await?.items {
//!     println!("{} {}", secret.name, secret.status);
//! }
//!
//! // The six digits for a login, good for ten seconds more.
//! let code = client.totp().get_code("550e8400-e29b-41d4-a716-446655440000").min_validity(10).await?;
//! println!("{}", code.code);
//! # Ok(()) });
//! ```
//!
//! | what | where |
//! |---|---|
//! | contacts, and what they have connected | [`Client::contacts`], [`Client::contact`]`(id).`[`secrets`](OneContact::secrets)`()` |
//! | the definitions of credentials, and shared ones | [`Client::secrets`], [`Client::templates`] |
//! | one-time passwords | [`Client::totp`] |
//! | keys, accounts, the audit trail | [`Client::keys`], [`Client::account`], [`Client::events`], [`Client::revocations`] |
//! | any other path | [`Client::fetch`] |
//!
//! **Lists** are a page when they are awaited, and all of it by [`stream`](Request::stream),
//! [`items`](Request::items) or [`pages`](Request::pages).
//!
//! **Failures** are one type, [`Error`], with the server's status, code, message and request id.
//!
//! **What may pass is tried again**: three times, with pauses that grow and are spread at random, or as long as the
//! server asks for. Every create carries an `Idempotency-Key`, by which Keyfob knows it again (whether the original services do is theirs to say); what may harm twice
//! (a proxied `POST`, a new key) is sent again only where the server did not take it.
//!
//! **Secrets** are `SecretString`s, and no `Debug` shows one. Each call is a `tracing` span, `keyfob.call`, with its endpoint and
//! without ids.
//!
//! TLS is rustls, with the certificates that the system trusts. Feature `blocking` is for programs without a runtime.

mod account;
mod address;
mod answer;
#[cfg(feature = "blocking")]
pub mod blocking;
mod body;
mod builder;
mod client;
mod connections;
mod contacts;
mod draft;
mod error;
mod events;
mod keys;
mod lines;
pub mod migration;
mod page;
mod proxy;
mod query;
mod request;
mod retry;
mod revocations;
mod secrets;
mod sending;
mod stream;
mod templates;
mod totp;
mod transport;

pub use bytes::Bytes;
pub use http::{HeaderMap, Method, StatusCode};
/// What [`ClientBuilder::http_client`] is built with.
pub use reqwest;
pub use secrecy::{ExposeSecret, SecretString};

pub use crate::{
    account::Accounts,
    answer::{Answer, FromAnswer, Opened},
    body::File,
    builder::ClientBuilder,
    client::Client,
    connections::Connections,
    contacts::{Contacts, OneContact},
    error::{Error, Refusal},
    events::Events,
    keys::Keys,
    page::Order,
    proxy::ProxyRequest,
    request::Request,
    revocations::Revocations,
    secrets::Secrets,
    stream::Items,
    templates::Templates,
    totp::{Totp, TotpSecrets},
};

/// What is sent and answered.
pub mod types {
    pub use keyfob_api::{
        account::{Account, CreateAccount, CreatedAccount, UpdateAccount},
        connection::{Act, Authentication, Connect, ContactSecret, Minted, Verified},
        contact::{Contact, ContactFields},
        event::{Actor, Event, EventQuery, Object},
        key::{CreateKey, CreatedKey, Key, Limits, UpdateKey},
        list::{Id, Page},
        proxy::Explained,
        revocation::Revocation,
        secret::{Config, Secret, SecretFields},
        template::{Found, FoundTemplate, Parameter, Search, Template},
        totp::{
            CodeAnswer, CreateTotp, Policy, Status, Totp, TotpAnswer, TotpList, UpdatePolicy,
            UpdateTotp,
        },
    };
}
