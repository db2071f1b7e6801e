//! A scripted OAuth 2 provider for tests.
//!
//! It does what the RFCs say, fails as it is told, and keeps a ledger of what it saw and did.
//!
//! ```
//! use std::time::Duration;
//!
//! use keyfob_testkit::{Client, Endpoint, Fault, Options, Provider};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let options = Options::default().with_client(Client::confidential("app", "app-secret"));
//! let provider = Provider::start(options).await?;
//! let grant = provider.issue_grant("app", Duration::from_secs(60))?;
//! provider.script(Endpoint::Token, Fault::LostAnswer);
//! // … have the code under test refresh `grant` at `provider.url("/token")` …
//! assert!(provider.is_valid(&grant.access_token));
//! assert_eq!(provider.ledger().refreshes(grant.family), 0);
//! # Ok(())
//! # }
//! ```

mod answer;
mod authorize;
mod broken;
mod client;
mod client_auth;
mod clock;
mod control;
mod device;
mod endpoint;
mod family;
mod fault;
mod fields;
mod ledger;
mod metadata;
mod mint;
mod options;
mod page;
mod provider;
mod refusal;
mod register;
mod resource;
mod revoke;
mod router;
mod script;
mod seconds;
mod seen;
mod serve;
mod state;
pub mod suite;
mod token;

pub use client::{AuthMethod, Client, PublicKey};
pub use clock::{Clock, ManualClock, Moment, SystemClock};
pub use endpoint::Endpoint;
pub use family::{AccessToken, Cause, Death, Family, FamilyId};
pub use fault::{Answer, Fault};
pub use jsonwebtoken::Algorithm;
pub use ledger::{InFlight, Ledger, Request};
pub use mint::MintFailed;
pub use options::{AnswerStyle, Options};
pub use provider::{GrantError, IssuedGrant, Provider, Scripted, StartError, TooLate};

/// Compiles and runs what the README shows.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
