//! The protocol with providers: who is asked what, and what an answer means. What a message looks like is in
//! `keyfob_core::oauth`, and what is done about it in the broker.

mod device;
mod discover;
mod endpoint;
mod memory;
mod register;
mod revoke;
mod token;

pub(crate) use self::{
    device::NoCode,
    discover::{Discovered, Discovery, NotDiscovered},
    endpoint::Endpoint,
    register::{Unregistered, register},
    revoke::Revoked,
    token::{Answer, Failure, TokenEndpoint, refusal},
};
