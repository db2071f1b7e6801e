//! Whether a connection may go on: who has opened one could use it for an hour, whatever becomes of the key, of the
//! rules and of the credential meanwhile. So all of them are looked at anew, as if the request were sent now, and the
//! credential has to be the one that the server was shown.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};

use super::{
    super::{
        SecretRef,
        source::{Source, Wanted},
    },
    Asked,
    end::Ended,
    route::{Key, Route, proxyable},
    send::Sending,
};
use crate::error::Error;

/// What is revoked ends within a second everywhere (contract/keyfob).
const EVERY: Duration = Duration::from_secs(1);
/// A database that is away for a moment ends no connection.
const UNSURE_FOR: Duration = Duration::from_secs(30);

const REPLACED: &str = "its credential was replaced by another one";

/// Looks again and again whether something may go on. Ends when it may not, or when nobody could say for too long.
pub(super) async fn watch<F>(look: impl Fn() -> F) -> Ended
where
    F: Future<Output = Result<(), Error>>,
{
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut sure_at = Instant::now();
    loop {
        ticks.tick().await;
        let give_up = sure_at + UNSURE_FOR;
        match timeout_at(give_up, look()).await {
            Ok(Ok(())) => sure_at = Instant::now(),
            Ok(Err(error)) if !error.may_pass() => return Ended::NoMore(error.to_string()),
            Ok(Err(_)) if Instant::now() < give_up => {}
            Ok(Err(_)) | Err(_) => return Ended::Unsure,
        }
    }
}

impl Sending {
    /// Refuses what would be refused if it were asked for now, or be sent with another credential.
    pub(super) async fn look(self: Arc<Self>) -> Result<(), Error> {
        let (broker, of) = (&self.broker, &self.asked.wanted);
        let caller = broker.reauthenticate(&of.caller).await?;
        // The name that it was asked for by may stand for another secret by now.
        let at = SecretRef::Id(self.route.secret().clone());
        let wanted = Wanted { caller, at, contact: of.contact.clone(), action: of.action };
        let asked = Asked { wanted, ..self.asked.clone() };
        asked.wanted.caller.may(of.action)?;
        let route = match broker.recent_route(&asked.wanted, broker.now()?)? {
            Some((route, _)) => route,
            None => self.route_now(&asked.wanted).await?,
        };
        asked.decide(&route)?;
        let has_kept = route.has_kept(&self.route, &broker.inner.keyring, &asked.wanted)?;
        if has_kept { Ok(()) } else { Err(Error::conflict(REPLACED)) }
    }

    /// The route as it is now, if its credential can be used, or could if its token were renewed: that was shown to
    /// the server when the connection began.
    async fn route_now(&self, wanted: &Wanted) -> Result<Arc<Route>, Error> {
        let now = self.broker.now()?;
        let reading = self.broker.inner.routes.begin(now);
        let (broker, of) = (self.broker.clone(), wanted.clone());
        let read = self.broker.read(move |tx| {
            let usable = proxyable(&broker, tx, &of)?;
            if let Source::Person { why, .. } = broker.source(tx, &of, &usable, now)? {
                return Err(Error::AuthorizationRequired { message: why, url: None });
            }
            Ok(Arc::new(Route::read(&broker, tx, &of, usable)?))
        });
        let route = read.await?;
        self.broker.inner.routes.keep(Key::of(wanted), Arc::clone(&route), reading);
        Ok(route)
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, io};

    use super::*;

    fn away() -> Error {
        Error::Unavailable(Arc::new(io::Error::other("away")))
    }

    /// How it ends, and after how many seconds, if this is what is seen at each second.
    async fn watched(seen: impl Fn(u64) -> Result<(), Error>) -> (Ended, u64) {
        let begun = Instant::now();
        let look = || std::future::ready(seen(begun.elapsed().as_secs()));
        let ended = watch(look).await;
        (ended, begun.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_refused_ends_within_a_second() {
        for error in [Error::InvalidCredentials, Error::NotFound, Error::Forbidden] {
            let text = error.to_string();
            let refused = |at| if at < 100 { Ok(()) } else { Err(error.clone()) };
            let (ended, after) = watched(refused).await;
            assert!(matches!(ended, Ended::NoMore(why) if why == text));
            assert_eq!(after, 100);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_database_that_is_away_ends_nothing_for_half_a_minute() {
        let (ended, after) = watched(|at| if at < 100 { Ok(()) } else { Err(away()) }).await;
        assert!(matches!(ended, Ended::Unsure));
        assert_eq!(after, 99 + 30);
        // Away for 29 s, there for one, and so on.
        let often = |at| match at {
            200.. => Err(Error::NotFound),
            at if at % 30 == 0 => Ok(()),
            _ => Err(away()),
        };
        let (ended, after) = watched(often).await;
        assert!(matches!(ended, Ended::NoMore(_)));
        assert_eq!(after, 200);
    }

    #[tokio::test(start_paused = true)]
    async fn a_database_that_never_answers_is_away() {
        let (begun, asked) = (Instant::now(), Cell::new(0));
        let ended = watch(|| {
            asked.set(asked.get() + 1);
            std::future::pending()
        });
        assert!(matches!(ended.await, Ended::Unsure));
        assert_eq!((begun.elapsed().as_secs(), asked.get()), (30, 1));
    }
}
