//! What a person sees who opens a link: its form, the code that they are to enter at the provider, or how it
//! ended while they waited.

use std::time::Duration;

use keyfob_core::time::Timestamp;
use keyfob_store::{
    ReadTx,
    authentication::{self, Asked, Outcome},
};
use url::Url;

use super::{
    Broker, Ended, Shown, Visit,
    asked::{Device, Request},
    link::Open,
    shown::shown,
};
use crate::error::Error;

/// Who looks so long after the end of a code sees that it is over.
const A_MOMENT: Duration = Duration::from_secs(1);

/// A person who is to enter a code at the provider (RFC 8628, section 3.3).
#[derive(Debug)]
pub struct Waiting {
    /// What the link's page shows.
    pub shown: Shown,
    /// What they enter.
    pub user_code: String,
    /// Where; the code is in it where the provider says how.
    pub page: Url,
    /// The same without the code: short, for who types it on another device.
    pub address: Url,
    /// Until when the code works.
    pub until: Timestamp,
    /// How long until it is worth looking again.
    pub look_after: Duration,
}

/// What a link's page is.
#[derive(Debug)]
pub enum Sight {
    /// The form. `is_code_over`: nothing came of the code that the person waited for.
    Form {
        /// What it shows.
        shown: Box<Shown>,
        /// Whether nothing came of the code that the person waited for.
        is_code_over: bool,
    },
    /// The code that is to be entered.
    Waiting(Box<Waiting>),
    /// How it ended.
    Ended(Box<Ended>),
}

impl Broker {
    /// What a link's page shows; `has_waited`: to somebody who was shown a code there. Changes nothing but
    /// what comes of that: programs that show a preview of a link open it.
    pub async fn look_at_link(&self, visit: &Visit, has_waited: bool) -> Result<Sight, Error> {
        let now = self.now()?;
        if self.poll_due_at(visit).await?.is_some_and(|due_at| due_at <= now) {
            self.poll_for_page(visit).await;
        }
        let (broker, visit) = (self.clone(), visit.clone());
        self.read(move |tx| {
            if has_waited && let Some(ended) = broker.ended(tx, &visit)? {
                return Ok(Sight::Ended(Box::new(ended)));
            }
            let open = broker.open_link(tx, &visit, now)?;
            if let Some(waiting) = broker.waiting_at(tx, &open, now)? {
                return Ok(Sight::Waiting(Box::new(waiting)));
            }
            let shown = Box::new(shown(tx, &open)?);
            Ok(Sight::Form { shown, is_code_over: has_waited })
        })
        .await
    }

    /// The code that this browser is to enter, if it is.
    pub(super) async fn waiting(&self, visit: &Visit) -> Result<Option<Waiting>, Error> {
        let (now, broker, visit) = (self.now()?, self.clone(), visit.clone());
        self.read(move |tx| match broker.open_link(tx, &visit, now) {
            Ok(open) => broker.waiting_at(tx, &open, now),
            Err(Error::Link(_)) => Ok(None),
            Err(error) => Err(error),
        })
        .await
    }

    /// When there is something to do about the code that this browser is to enter: the provider to be asked, or
    /// its end to be told.
    async fn poll_due_at(&self, visit: &Visit) -> Result<Option<Timestamp>, Error> {
        let (now, broker, visit) = (self.now()?, self.clone(), visit.clone());
        self.read(move |tx| {
            let open = match broker.open_link(tx, &visit, now) {
                Ok(open) => open,
                Err(Error::Link(_)) => return Ok(None),
                Err(error) => return Err(error),
            };
            let found = broker.device_at(tx, &open)?;
            Ok(found.map(|(device, poll_at)| poll_at.min(device.ends_at())))
        })
        .await
    }

    /// The code that is to be entered at a link that is this browser's, and when the provider may be asked about
    /// it.
    fn device_at(
        &self,
        tx: &mut ReadTx<'_>,
        open: &Open,
    ) -> Result<Option<(Device, Timestamp)>, Error> {
        let link = &open.authentication;
        if link.browser.is_none() {
            return Ok(None);
        }
        let Some(asked) = authentication::find_asked_at(tx, &link.state)? else { return Ok(None) };
        let found = self.open_device(tx, &asked)?;
        Ok(found.map(|(_, device, poll_at)| (device, poll_at)))
    }

    /// What is shown of it, while it works.
    fn waiting_at(
        &self,
        tx: &mut ReadTx<'_>,
        open: &Open,
        now: Timestamp,
    ) -> Result<Option<Waiting>, Error> {
        let Some((device, _)) = self.device_at(tx, open)? else { return Ok(None) };
        if device.is_over(now) {
            return Ok(None);
        }
        let until = device.ends_at().min(open.authentication.expires_at);
        Ok(Some(Waiting {
            shown: shown(tx, open)?,
            look_after: device.interval().min(until.since(now) + A_MOMENT),
            until,
            address: device.verification_uri.clone(),
            page: device.verification_uri_complete.unwrap_or(device.verification_uri),
            user_code: device.user_code,
        }))
    }

    /// The code that was asked for, and when the provider may be asked about it; `None` if none was, or the
    /// answer has come.
    pub(super) fn open_device(
        &self,
        tx: &mut ReadTx<'_>,
        asked: &Asked,
    ) -> Result<Option<(Request, Device, Timestamp)>, Error> {
        let (Some(sealed), Some(poll_at)) = (&asked.request, asked.poll_at) else {
            return Ok(None);
        };
        let request = self.open_request(tx, &asked.authentication, sealed)?;
        let device = request.device.clone();
        Ok(device.map(|device| (request, device, poll_at)))
    }

    /// How a link of this browser ended, by the person's doing.
    fn ended(&self, tx: &mut ReadTx<'_>, visit: &Visit) -> Result<Option<Ended>, Error> {
        let Some(link) = authentication::find(tx, &visit.state)? else { return Ok(None) };
        let is_own =
            link.browser.zip(visit.browser.as_ref()).is_some_and(|(it, own)| it.matches(own));
        let outcome = link.outcome.filter(|outcome| *outcome != Outcome::Withdrawn);
        let Some(outcome) = outcome.filter(|_| is_own) else { return Ok(None) };
        let open = self.resolve_link(tx, link, visit)?;
        let secret = open.usable.secret.id.to_string();
        Ok(Some(Ended { shown: shown(tx, &open)?, secret, outcome }))
    }
}
