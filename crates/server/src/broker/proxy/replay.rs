//! Sending once more what a server did not let in.
//!
//! A server that answers 401 says that it has not done what it was asked for, for want of a credential that it
//! takes (RFC 9110, section 15.5.2). Where that is the access token of a grant, it is renewed, and the request is
//! sent once more, if all of this holds:
//!
//! - the token was in the request, and not an `Authorization` of the caller's own in its place;
//! - the body is there as a whole: what was streamed is gone;
//! - the connection was not to speak another protocol;
//! - the renewal gave another token than the one that was refused.
//!
//! Never on 403, which says that the token is good and not enough, nor on 429 and 5xx, where more requests would
//! be more trouble; and never twice.

use std::sync::Arc;

use keyfob_core::secret::SecretType;
use secrecy::ExposeSecret;

use super::{
    super::{
        renewal::Need,
        source::{Ready, holder},
    },
    Asked,
    route::proxyable,
    send::Sending,
};
use crate::error::Error;

impl Sending {
    /// Whether it is sent with a token that can be renewed.
    pub(super) fn has_token(&self) -> bool {
        self.route.secret_type() == SecretType::OAuth && !self.asked.is_without(&self.route)
    }

    /// A newer token than the one that was refused, if there is one; the audit trail knows by then that it is
    /// about to be sent.
    pub(super) async fn renewed(
        &self,
        refused: &Ready,
    ) -> Result<Option<(Arc<Self>, Ready)>, Error> {
        let wanted = &self.asked.wanted;
        let holder = holder(wanted, self.route.usable());
        let seen = self.route.value(wanted)?;
        let need = Need::Forced(seen);
        let (caller, _) = self.broker.renew_for(&wanted.caller, &holder, need).await?;
        let wanted = wanted.by(caller);
        let fresh = self.broker.peek(&wanted, proxyable).await?;
        let is_newer =
            fresh.is_some_and(|fresh| fresh.text.expose_secret() != refused.text.expose_secret());
        if !is_newer {
            return Ok(None);
        }
        let told = format!("{}, once more with a renewed token", self.asked.told).into();
        let asked = Asked { wanted, told, ..self.asked.clone() };
        Ok(Some(self.broker.clear_anew(&asked).await?))
    }
}
