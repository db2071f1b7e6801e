//! The protocol with providers: who is asked what, and what an answer means. What a message looks like is in
//! `keyfob_core::oauth`, and what is done about it in the broker.

mod device;
mod discover;
mod memory;
mod register;
mod token;

pub(crate) use self::{
    device::NoCode,
    discover::{Discovered, Discovery, NotDiscovered},
    register::{Unregistered, register},
    token::{Answer, Failure, TokenEndpoint, refusal},
};
