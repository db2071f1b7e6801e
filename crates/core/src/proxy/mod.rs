//! Requests that are sent with a credential which their sender never sees: where they may go, what of them is
//! passed on, and where the credential goes (contract/contacts-and-secrets, sections 3.3, 3.4, 6.2 and 11).
//!
//! Pure: nothing here sends anything, resolves a name or reads a clock.

mod config;
mod credential;
mod destination;
mod form;
mod headers;
mod host;
mod injection;
mod method;
mod path;
mod placeholder;
mod rules;
mod sigv4;

pub(crate) use self::rules::names_no_other;
pub use self::{
    config::InvalidInjection,
    credential::Credential,
    destination::{Destination, InvalidDestination},
    headers::{Misleading, forwardable, nameable, returnable},
    host::{HostPattern, InvalidHostPattern},
    injection::{Injected, Injection, Place, Unfit, has_own},
    method::Method,
    path::{InvalidPath, PathPrefix},
    rules::{Outside, Rules},
    sigv4::{Payload, SigV4, SignError},
};
