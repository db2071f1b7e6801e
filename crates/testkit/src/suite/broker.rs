//! What a broker of OAuth grants has to be able to do so that it can be judged.

use std::future::Future;

use crate::{client::AuthMethod, provider::IssuedGrant};

/// A client at a provider, as the broker has to know it.
#[derive(Clone, Debug)]
pub struct Definition {
    /// Where people are sent.
    pub authorization_url: String,
    /// Where grants are refreshed.
    pub token_url: String,
    /// Where grants are revoked.
    pub revoke_url: String,
    /// Its `client_id`.
    pub client_id: String,
    /// Its secrets, the one to be tried first in front.
    pub client_secrets: Vec<String>,
    /// How it says who it is.
    pub auth_method: AuthMethod,
}

/// Whether a holder's grant can be used, as the broker says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Whether it is connected; a provider that is away for a while makes no difference to that.
    pub is_connected: bool,
    /// Why not, or what is wrong meanwhile, for people.
    pub reason: String,
}

/// Why a broker did not do what it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failed {
    /// Not now: the provider is away, or a refresh is not over. The grant is kept.
    #[error("not now: {0}")]
    Later(String),
    /// The grant has ended, or was never there: a person has to connect.
    #[error("the grant has ended: {0}")]
    Ended(String),
    /// The broker itself did not answer.
    #[error("the broker did not answer: {0}")]
    Unreachable(String),
    /// Anything else, which is a mistake in itself.
    #[error("{0}")]
    Unexpected(String),
}

/// A broker that keeps OAuth grants alive for others, and hands out their access tokens. It may run on several
/// nodes, which are numbered from 0; calls that name no node may go to any.
///
/// Implement it to run the suite against code that does not speak the API of [`HttpBroker`](super::HttpBroker).
pub trait Broker: Send + Sync + 'static {
    /// A client that it was told about.
    type Client: Clone + Send + Sync + 'static;
    /// Somebody who has a grant.
    type Holder: Clone + Send + Sync + 'static;

    /// How many nodes it has, at least 1.
    fn nodes(&self) -> usize;

    /// Tells it about a client at a provider.
    fn define(
        &self,
        definition: &Definition,
    ) -> impl Future<Output = Result<Self::Client, Failed>> + Send;

    /// Makes a new holder and gives it a grant that was obtained elsewhere. Its access token may have expired.
    fn hold(
        &self,
        client: &Self::Client,
        grant: &IssuedGrant,
    ) -> impl Future<Output = Result<Self::Holder, Failed>> + Send;

    /// Gives a holder another grant in the place of the one it has, or had.
    fn replace(
        &self,
        holder: &Self::Holder,
        grant: &IssuedGrant,
    ) -> impl Future<Output = Result<(), Failed>> + Send;

    /// An access token of the holder that can be used now.
    fn token(
        &self,
        node: usize,
        holder: &Self::Holder,
    ) -> impl Future<Output = Result<String, Failed>> + Send;

    /// Refreshes the holder's grant although its token is still good.
    fn refresh(
        &self,
        node: usize,
        holder: &Self::Holder,
    ) -> impl Future<Output = Result<(), Failed>> + Send;

    /// Ends the holder's grant, at the provider too.
    fn revoke(&self, holder: &Self::Holder) -> impl Future<Output = Result<(), Failed>> + Send;

    /// Whether the holder's grant can be used.
    fn state(&self, holder: &Self::Holder) -> impl Future<Output = Result<State, Failed>> + Send;
}
