//! The protocol with providers: who is asked what, and what an answer means. What a message looks like is in
//! `keyfob_core::oauth`, and what is done about it in the broker.

mod discover;
mod memory;
mod register;
mod token;

pub(crate) use self::{
    discover::{Discovered, Discovery, NotDiscovered},
    register::{Unregistered, register},
    token::{Answer, Failure, TokenEndpoint},
};
