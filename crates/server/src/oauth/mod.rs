//! The protocol with providers: who is asked what, and what an answer means. What a message looks like is in
//! `keyfob_core::oauth`, and what is done about it in the broker.

mod token;

pub(crate) use self::token::{Answer, Failure, TokenEndpoint, refusal};
