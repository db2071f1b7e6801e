//! What a contact of another account has agreed to. Whoever defines a secret says where its credential goes, and what
//! is signed with it. For values of the same account that is its own affair. A value that a contact of another account
//! has connected goes where the secret let it go at that moment and lets it go now: what is taken away counts at once,
//! what is added when the contact has connected anew. How it is sent stays the same until then.

use keyfob_core::{
    crypto::{OpenError, Sealed},
    policy::{Action, Object, connection_row},
    proxy::{Destination, Rules},
};
use keyfob_store::{ReadTx, connection::Connection, refresh::Holder};

use super::{Broker, Caller, config::Terms, connection::CONNECTION, usable::Usable};
use crate::error::{Damaged, Error};

/// The column, as it is named in seals too.
const TERMS: &str = "terms";

const UNKNOWN: &str = "the secret is another account's, and what it was for when the contact connected it is not known: connect it anew";
const MOVED: &str = "the secret is another account's, and its definition has changed where its credential goes in a request: connect it anew";
const REMADE: &str = "the secret is another account's, and what is signed with its credential, or the word before it, is not what it was when the contact connected it: connect it anew";
const WIDENED: &str = "the secret is another account's, and was not for this destination when the contact connected it: connect it anew";

/// How far a contact has agreed to where its value goes.
pub(super) enum Consent {
    /// Wherever the secret lets it: its own account says where that is.
    Own,
    /// Where these let it, as far as the secret does.
    To(Rules),
    /// Nowhere, until the contact connects anew; why.
    Over(&'static str),
}

impl Consent {
    /// Whether the value may go there as far as the contact is concerned; why not.
    pub(super) fn allow(&self, to: &Destination) -> Result<(), &'static str> {
        match self {
            Self::Own => Ok(()),
            Self::To(rules) => rules.allow(to).map_err(|_| WIDENED),
            Self::Over(why) => Err(why),
        }
    }
}

impl Broker {
    /// How far the contact has agreed to where `usable` lets its value go.
    pub(super) fn consent(
        &self,
        tx: &mut ReadTx<'_>,
        (caller, action): (&Caller, Action),
        usable: &Usable,
        connection: &Connection,
    ) -> Result<Consent, Error> {
        if usable.is_all_of(&connection.account) {
            return Ok(Consent::Own);
        }
        let Some(sealed) = &connection.terms else { return Ok(Consent::Over(UNKNOWN)) };
        let object = Object::Connection(&connection.contact, &connection.secret);
        let permit = caller.decide(action, object)?;
        let bytes = self.inner.keyring.open(tx, &permit, TERMS, sealed)?;
        let damaged = || Damaged {
            table: permit.table(),
            row: permit.row().to_owned(),
            column: TERMS,
            source: OpenError,
        };
        let terms = Terms::parse(&bytes).ok_or_else(damaged)?;
        let Some((rules, agreed)) = terms.read(usable.secret_type) else {
            return Ok(Consent::Over(UNKNOWN));
        };
        Ok(match usable.config.sent(usable.secret_type) {
            Ok(sent) if sent == agreed => Consent::To(rules),
            Ok(sent) if sent.injection == agreed.injection => Consent::Over(REMADE),
            _ => Consent::Over(MOVED),
        })
    }

    /// What a contact connects a value under, as it is stored beside that.
    pub(super) fn seal_terms(
        &self,
        tx: &mut ReadTx<'_>,
        holder: &Holder,
        terms: &Terms,
    ) -> Result<Option<Sealed>, Error> {
        let Some(contact) = &holder.contact else { return Ok(None) };
        let key = self.inner.keyring.newest(tx, &holder.account)?;
        let row = connection_row(contact, &holder.secret);
        Ok(Some(key.seal(CONNECTION, &row, TERMS, &terms.to_bytes(), &*self.inner.random)))
    }
}
