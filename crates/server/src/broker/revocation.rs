//! Revoking a grant at its provider after what held it is gone (RFC 7009): what it takes, and what becomes
//! of it. When and in which order grants are revoked is in `revocation_job`.

use std::time::Duration;

use keyfob_core::{
    id::ContactId,
    oauth::{Client, Form, revocation as messages},
    policy::{Action, Object, Permit},
    secret::{Kind, Visibility},
    time::Timestamp,
};
use keyfob_store::{
    Commit, Event, ReadTx, StoreError, WriteTx,
    revocation::{self, Again, Leased, Outcome, Revocation},
    secret::Secret,
};
use url::Url;

use super::{Broker, Config, grant::keeper, pause::pause, provider, secret::SECRET};
use crate::{
    error::Error,
    oauth::{Endpoint, Revoked},
};

/// The longest that a provider is waited for, for all tokens of a grant together.
const LIMIT: Duration = Duration::from_secs(20);
/// The longest pause before a provider is asked again that does not say when.
const LONGEST_PAUSE: Duration = Duration::from_hours(1);
/// So often it is tried. With pauses that grow from two seconds to an hour that is about a day.
const MOST_ATTEMPTS: u32 = 40;

/// What it takes to revoke a grant.
pub(super) struct Plan {
    url: Url,
    audience: Url,
    client: Client,
    /// One for each token, in order.
    forms: Vec<Form>,
}

/// What is known of a grant when it is opened.
pub(super) enum Known {
    Plan(Box<Plan>),
    /// It cannot be revoked: how that ends, and why.
    Never(Outcome, String),
}

/// What became of asking a provider.
#[derive(Clone)]
pub(super) enum Verdict {
    /// It is over: how, and why if it did not go well.
    Ended(Outcome, Option<String>),
    /// It is to be tried again.
    Later { problem: String, retry_after: Option<Duration> },
}

impl Plan {
    /// Where bounds are kept for it: the host, with its port.
    pub(super) fn host(&self) -> String {
        provider::host_of(&self.url).unwrap_or_default()
    }
}

impl Broker {
    /// Opens a grant that is queued where it was sealed, and finds out who revokes it.
    pub(super) fn plan_revocation(
        &self,
        tx: &mut ReadTx<'_>,
        queued: &Revocation,
    ) -> Result<Known, Error> {
        let grant = self.open_grant(tx, &permit(queued)?, &queued.value)?;
        let (config, problem) = self.last_config(tx, queued)?;
        let endpoint = match provider::revocation_endpoint(&config, &grant) {
            Ok(endpoint) => endpoint,
            Err(elsewhere) => return Ok(Known::Never(Outcome::Failed, elsewhere.to_string())),
        };
        let Some(url) = endpoint else {
            return Ok(match problem {
                Some(problem) => Known::Never(Outcome::Failed, problem),
                None => Known::Never(Outcome::Unsupported, NO_ENDPOINT.into()),
            });
        };
        let client = match provider::client_for(
            &config,
            grant.client.as_ref(),
            grant.method,
            (&url, grant.source.as_deref()),
        ) {
            Ok(client) => client,
            Err(incomplete) => {
                let problem = problem.unwrap_or_else(|| incomplete.to_string());
                return Ok(Known::Never(Outcome::Failed, problem));
            }
        };
        // A proof is for the authorization server, which OpenID Connect Core, section 9, and RFC 7523,
        // section 3, name by its token endpoint, whichever of its endpoints is asked.
        let audience = provider::token_endpoint(&config, Some(&grant));
        let audience = audience.unwrap_or_else(|_| url.clone());
        let forms = messages::forms(&grant);
        Ok(Known::Plan(Box::new(Plan { url, audience, client, forms })))
    }

    /// The config that the secret came to, as far as it can still be told, and what is missing if something
    /// is: what a reference stands for may be gone as well.
    fn last_config(
        &self,
        tx: &mut ReadTx<'_>,
        queued: &Revocation,
    ) -> Result<(Config, Option<String>), Error> {
        let keeper = keeper(&queued.secret_account);
        let permit = keeper.decide(Action::SecretRevoke, Object::Secret(&queued.secret))?;
        match self.follow(tx, as_it_was(queued), permit.clone()) {
            Ok(usable) => Ok((usable.config, None)),
            Err(Error::Conflict { message, .. }) => {
                let own = self.open_config(tx, &permit, queued.config.as_ref())?;
                Ok((own.unwrap_or_default(), Some(message.into_owned())))
            }
            Err(error) => Err(error),
        }
    }

    /// Asks the provider to revoke each token of a grant, the refresh token first: its answer counts.
    pub(super) async fn ask_to_revoke(&self, plan: &Plan) -> Verdict {
        let Plan { url, audience, client, forms } = plan;
        let (egress, random) = (&self.inner.egress, &*self.inner.random);
        let endpoint = Endpoint { egress, url, audience, client, random };
        let now = || self.inner.clock.now();
        let limit = LIMIT / u32::try_from(forms.len().max(1)).unwrap_or(1);
        let mut said = Vec::with_capacity(forms.len());
        for form in forms {
            match endpoint.revoke(form, now, limit).await {
                Revoked::Later { problem, retry_after } => {
                    return Verdict::Later { problem, retry_after };
                }
                definite => said.push(definite),
            }
        }
        verdict(said)
    }

    /// Stores what became of a row, and tells of it if it is over: how it ended.
    pub(super) fn settle_revocation(
        &self,
        tx: &mut WriteTx<'_>,
        leased: &Leased,
        verdict: Verdict,
        now: Timestamp,
    ) -> Result<Commit<Option<Outcome>>, StoreError> {
        let (outcome, problem) = match verdict {
            Verdict::Ended(outcome, problem) => (outcome, problem),
            Verdict::Later { problem, .. } if leased.attempts + 1 >= MOST_ATTEMPTS => {
                (Outcome::Failed, Some(format!("it was tried for a day, in the end: {problem}")))
            }
            Verdict::Later { problem, retry_after } => {
                let pause = pause(leased.attempts, LONGEST_PAUSE, retry_after, self.chance());
                let again = Again { due_at: now.plus(pause), problem };
                revocation::put_off(tx, leased, &again)?;
                return Ok(tx.commit_unaudited(None));
            }
        };
        if !revocation::end(tx, leased, (outcome, problem.as_deref()), now)? {
            return Ok(tx.commit_unaudited(None));
        }
        Ok(tx.commit(told(&leased.revocation, outcome, problem, now), Some(outcome)))
    }
}

/// No endpoint is known at which the provider revokes anything.
const NO_ENDPOINT: &str = "no revocation endpoint of the provider is known: set \"config.revokeUrl\" of such secrets, if it has one";

/// The permit to open the grant where it was sealed.
fn permit(queued: &Revocation) -> Result<Permit, Error> {
    let keeper = keeper(&queued.account);
    match &queued.contact {
        Some(contact) => {
            let object = Object::Connection(contact, &queued.secret);
            keeper.decide(Action::ConnectionRevoke, object)
        }
        None => keeper.decide(Action::SecretRevoke, Object::Secret(&queued.secret)),
    }
}

/// The secret, as far as it is remembered.
fn as_it_was(queued: &Revocation) -> Secret {
    let kind = if queued.contact.is_some() { Kind::Personal } else { Kind::Shared };
    Secret {
        account: queued.secret_account.clone(),
        id: queued.secret.clone(),
        alias: None,
        name: String::new(),
        description: String::new(),
        blueprint_id: None,
        kind,
        secret_type: queued.secret_type,
        value: None,
        expires_at: None,
        scopes: None,
        broken: None,
        config: queued.config.clone(),
        visibility: Visibility::Private,
        meta: None,
        created_at: queued.created_at,
        updated_at: queued.created_at,
    }
}

/// What definite answers about the tokens of a grant, in order, come to. The first token is the one that
/// keeps the grant alive; the access token ends with it, or soon by itself.
fn verdict(said: Vec<Revoked>) -> Verdict {
    let mut said = said.into_iter();
    let (first, second) = (said.next(), said.next());
    match (first, second) {
        (Some(Revoked::Refused(problem)), _)
        | (Some(Revoked::Unsupported), Some(Revoked::Refused(problem))) => {
            Verdict::Ended(Outcome::Failed, Some(problem))
        }
        (Some(Revoked::Unsupported), Some(Revoked::Yes)) => {
            let text =
                "the provider has revoked the access token; refresh tokens it does not revoke";
            Verdict::Ended(Outcome::Unsupported, Some(text.into()))
        }
        (Some(Revoked::Unsupported), _) => {
            let text = "the provider does not revoke tokens of this kind";
            Verdict::Ended(Outcome::Unsupported, Some(text.into()))
        }
        (Some(Revoked::Later { problem, retry_after }), _) => {
            Verdict::Later { problem, retry_after }
        }
        (Some(Revoked::Yes) | None, _) => Verdict::Ended(Outcome::Revoked, None),
    }
}

fn told(queued: &Revocation, outcome: Outcome, reason: Option<String>, now: Timestamp) -> Event {
    let action = match queued.contact {
        Some(_) => Action::ConnectionRevoke,
        None => Action::SecretRevoke,
    };
    let result = match outcome {
        Outcome::Revoked => "revoked_at_provider",
        Outcome::Unsupported | Outcome::Failed => "not_revoked_at_provider",
    };
    let event = keeper(&queued.account).event(now, action, SECRET, queued.secret.to_shared());
    let contact_id = queued.contact.as_ref().map(ContactId::to_shared);
    Event { contact_id, result, reason, ..event }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused() -> Revoked {
        Revoked::Refused("no".into())
    }

    #[test]
    fn what_the_provider_says_of_the_first_token_counts() {
        use Outcome::{Failed, Revoked as Done, Unsupported};
        for (said, expected) in [
            (vec![Revoked::Yes], Done),
            (vec![Revoked::Yes, Revoked::Yes], Done),
            (vec![Revoked::Yes, Revoked::Unsupported], Done),
            (vec![Revoked::Yes, refused()], Done),
            (vec![Revoked::Unsupported], Unsupported),
            (vec![Revoked::Unsupported, Revoked::Yes], Unsupported),
            (vec![Revoked::Unsupported, refused()], Failed),
            (vec![refused()], Failed),
            (vec![refused(), Revoked::Yes], Failed),
        ] {
            let text = format!("{said:?}");
            let Verdict::Ended(outcome, problem) = verdict(said) else { panic!("{text}") };
            assert_eq!((outcome, problem.is_none()), (expected, expected == Done), "{text}");
        }
    }
}
