//! The protocol with providers: who is asked what, and what an answer means. What a message looks like is in
//! `keyfob_core::oauth`, and what is done about it in the broker.

mod endpoint;
mod revoke;
mod token;

pub(crate) use self::{
    endpoint::Endpoint,
    revoke::{Revoked, said},
    token::{Answer, Failure, TokenEndpoint},
};
