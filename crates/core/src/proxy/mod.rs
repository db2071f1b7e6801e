//! Requests that are sent with a credential which their sender never sees: where they may go, what of them is
//! passed on, and where the credential goes (contract/contacts-and-secrets, sections 3.3, 3.4, 6.2 and 11).
//!
//! Pure: nothing here sends anything, resolves a name or reads a clock.

mod destination;
mod host;
mod method;
mod path;
mod rules;

pub use self::{
    destination::{Destination, InvalidDestination},
    host::{HostPattern, InvalidHostPattern},
    method::Method,
    path::{InvalidPath, PathPrefix},
    rules::{Outside, Rules},
};
