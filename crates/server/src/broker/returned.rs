//! How a visit at a link, or at a provider, went on.

use keyfob_store::authentication::Outcome;

use super::Shown;

/// How a visit went on.
#[derive(Debug)]
pub struct Ended {
    /// What the page showed.
    pub shown: Shown,
    /// The secret.
    pub secret: String,
    /// How it ended.
    pub outcome: Outcome,
}

/// How it went on at a provider.
#[derive(Debug)]
pub enum Returned {
    /// The link has ended.
    Ended(Box<Ended>),
    /// The provider gave nothing. The link can still be used.
    Failed {
        /// What the link's page shows.
        shown: Box<Shown>,
        /// The secret.
        secret: String,
        /// What went wrong.
        trouble: Trouble,
    },
}

impl Returned {
    pub(super) fn ended(ended: Ended) -> Self {
        Self::Ended(Box::new(ended))
    }
}

/// Why a provider gave nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The provider refused, with this code.
    Refused(String),
    /// The provider did not answer as it should.
    Unreachable,
    /// The answer does not come from the provider that was asked (RFC 9207).
    OtherIssuer,
    /// What the provider says of itself is not to be believed, or not enough (RFC 8414).
    Unusable,
    /// The account has not said all that is needed to ask the provider.
    Incomplete,
}
