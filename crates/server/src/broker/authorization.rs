//! Connecting at a provider: the authorization code flow (RFC 6749, section 4.1, as RFC 9700 wants it).
//!
//! The person presses the button on the link's page, which binds the link to their browser; what is asked of
//! the provider has a state of its own, so that the provider never gets to see the link. The provider sends
//! the person back to one address. There, in one answer, the state is taken, the code is exchanged and the
//! grant is stored: no token is ever in a URL, in a page, or with anybody but Keyfob.

use std::{sync::Arc, time::Duration};

use keyfob_core::{
    id::ContactId,
    oauth::{
        Client, Form, Grant, Tokens,
        authorization::{Callback, check_issuer},
    },
    policy::Action,
    ticket::{Ticket, TicketHash},
    time::Timestamp,
};
use keyfob_store::{
    Event, ReadTx, WriteTx,
    authentication::{self, Authentication, Outcome},
    connection, revocation,
    secret::{self, Secret},
};
use secrecy::{ExposeSecret, SecretString};

use super::{
    Broker, Config, Origin, Returned, Trouble, Visit,
    asked::Request,
    config::Terms,
    grant::keeper,
    link::{self, Open},
    provider::{self, Incomplete},
    shown::shown,
    usable::Usable,
};
use crate::{
    error::{Error, LinkProblem},
    oauth::{Answer, TokenEndpoint, refusal},
};

/// Where every provider sends people back to, below the public URL. It is what whoever registers a client
/// enters there (contract/contacts-and-secrets, section 7.2).
const REDIRECT_PATH: &str = "/secrets/oauth/callback";
/// The longest that the exchange of a code may take: the person waits for it.
const LIMIT: Duration = Duration::from_secs(20);

/// Someone whom a provider has sent back.
#[derive(Clone, Debug)]
pub struct Return {
    /// What the provider said.
    pub callback: Callback,
    /// What the browser holds since it was first shown a link.
    pub browser: Option<Ticket>,
    /// Where the request came from.
    pub origin: Origin,
}

impl Broker {
    /// The redirect URI of every client.
    pub(crate) fn redirect_uri(&self) -> String {
        let base = self.inner.public_url.as_str().trim_end_matches('/');
        format!("{base}{REDIRECT_PATH}")
    }

    /// What comes of a person's return from a provider. It goes on if the person goes away: the code is used
    /// up by then.
    pub async fn finish_authorization(&self, back: Return) -> Result<Returned, Error> {
        let broker = self.clone();
        let finished = self.spawn(async move { broker.finish(back).await });
        finished.await.map_err(Error::internal)?
    }

    async fn finish(&self, back: Return) -> Result<Returned, Error> {
        let state = back.callback.state.as_ref().ok_or(LinkProblem::Unknown)?.hash();
        // Anybody can send states that nobody has given out: those cost a look, and no turn of the writer.
        let asked = self.read(move |tx| Ok(authentication::find_asked(tx, &state)?)).await?;
        asked.ok_or(LinkProblem::Unknown)?;
        let taken = match self.take_request(&back, state).await? {
            Step::Over(returned) => return Ok(returned),
            Step::Exchange(taken) => taken,
        };
        let Taken { visit, request, secret, config, code } = *taken;
        let tokens = match self.exchange(&request, &config, &code).await {
            Ok(tokens) => tokens,
            Err(refusal) => {
                let Refusal { trouble, reason, is_unknown_client } = refusal;
                if is_unknown_client {
                    self.forget_client_of(&visit, &request).await?;
                }
                return self.note_trouble(&visit, trouble, reason).await;
            }
        };
        let assumed = provider::assumed_lifetime(&config);
        let grant = Grant::obtained(tokens, self.now()?, assumed);
        let grant = request.mark(grant);
        let obtained = Obtained { asked_for: secret, grant, terms: request.terms };
        self.store_at_return(visit, obtained, None).await
    }

    /// Takes the request, which is over with this answer, whatever it says.
    async fn take_request(&self, back: &Return, state: TicketHash) -> Result<Step, Error> {
        let (now, broker, back) = (self.now()?, self.clone(), back.clone());
        let taken = self.write(move |tx| {
            let asked = authentication::find_asked(tx, &state)?.ok_or(LinkProblem::Unknown)?;
            let visit = visit(&asked.authentication, &back);
            let open = match broker.open_link(tx, &visit, now) {
                Ok(open) => open,
                Err(error) => {
                    let event = refused(&asked.authentication, &back.origin, &error, now);
                    return Ok(tx.commit(event, Err(error)));
                }
            };
            let Some(sealed) = &asked.request else { return Err(LinkProblem::Answered.into()) };
            let request = broker.open_request(tx, &asked.authentication, sealed)?;
            if !authentication::take(tx, &state)? {
                return Err(LinkProblem::Answered.into());
            }
            match read(&back.callback, &request) {
                Ok(code) => {
                    let Usable { secret, config, .. } = open.usable;
                    let taken = Taken { visit, request, secret, config, code };
                    Ok(tx.commit_unaudited(Ok(Step::Exchange(Box::new(taken)))))
                }
                Err(No::Denied) => {
                    let mut event = open.event(now);
                    event.result = "declined";
                    let ended = link::end(tx, &visit, &open, Outcome::Declined, now)?;
                    Ok(tx.commit(event, Ok(Step::Over(Returned::ended(ended)))))
                }
                Err(No::Trouble(trouble, reason)) => {
                    let (event, failed) = failed(tx, &open, trouble, &reason, now)?;
                    Ok(tx.commit(event, Ok(Step::Over(failed))))
                }
            }
        });
        taken.await?
    }

    /// The tokens for a code (RFC 6749, section 4.1.3).
    async fn exchange(
        &self,
        request: &Request,
        config: &Config,
        code: &SecretString,
    ) -> Result<Tokens, Refusal> {
        let mut form = Form::new();
        form.set("grant_type", "authorization_code");
        form.set("code", code.expose_secret());
        form.set("redirect_uri", self.redirect_uri());
        form.set("code_verifier", request.proof.expose_secret());
        if let Some(resource) = &request.resource {
            form.set("resource", resource.as_str());
        }
        self.tokens(request, config, &form).await
    }

    /// Asks the provider of a request for tokens.
    async fn tokens(
        &self,
        request: &Request,
        config: &Config,
        form: &Form,
    ) -> Result<Tokens, Refusal> {
        let no = |trouble, reason| Refusal { trouble, reason, is_unknown_client: false };
        let client = request.client(config);
        let client = client.map_err(|Incomplete(reason)| no(Trouble::Incomplete, reason))?;
        match self.ask_for(request, &client, form).await {
            Answer::Tokens(tokens) => Ok(tokens),
            Answer::Refused(refused) => Err(Refusal {
                reason: refusal(&refused),
                is_unknown_client: refused.is_unknown_client(),
                trouble: Trouble::Refused(refused.code),
            }),
            Answer::Failed(failure) => Err(no(Trouble::Unreachable, failure.problem)),
        }
    }

    /// What the token endpoint of a request answers.
    pub(super) async fn ask_for(&self, request: &Request, client: &Client, form: &Form) -> Answer {
        let (egress, random) = (&self.inner.egress, &*self.inner.random);
        let endpoint = TokenEndpoint { egress, url: &request.token_endpoint, client, random };
        endpoint.ask(form, || self.inner.clock.now(), LIMIT).await
    }

    /// Forgets the client that asked, if it was registered for that.
    pub(super) async fn forget_client_of(
        &self,
        visit: &Visit,
        request: &Request,
    ) -> Result<(), Error> {
        let Some(client) = request.registered() else { return Ok(()) };
        let state = visit.state;
        let found = self.read(move |tx| {
            let Some(link) = authentication::find(tx, &state)? else { return Ok(None) };
            let account = secret::account_of(tx, &link.secret)?;
            Ok(account.map(|account| (account, link.secret)))
        });
        let Some((account, secret)) = found.await? else { return Ok(()) };
        self.forget_client(&account, &secret, &client).await
    }

    pub(super) async fn note_trouble(
        &self,
        visit: &Visit,
        trouble: Trouble,
        reason: String,
    ) -> Result<Returned, Error> {
        let (now, broker, visit) = (self.now()?, self.clone(), visit.clone());
        self.write(move |tx| {
            let open = broker.open_link(tx, &visit, now)?;
            let (event, failed) = failed(tx, &open, trouble.clone(), &reason, now)?;
            Ok(tx.commit(event, failed))
        })
        .await
    }

    /// Stores a grant in the name of the person at the link, if everything is still as it was; and revokes it
    /// if not, as the secret says that it was obtained for. Takes the request that it answers along with it, if
    /// that was not taken before it was sent.
    pub(super) async fn store_at_return(
        &self,
        visit: Visit,
        obtained: Obtained,
        answered: Option<TicketHash>,
    ) -> Result<Returned, Error> {
        let (now, broker) = (self.now()?, self.clone());
        let stored = self.persist(move |tx| {
            let browser = visit.browser.as_ref().ok_or(LinkProblem::OtherBrowser)?.hash();
            let held = broker.hold_link(tx, &visit, &browser, now);
            if let Some(request) = &answered {
                authentication::take(tx, request)?;
            }
            let open = match held {
                Ok(open) => open,
                Err(error @ Error::Link(_)) => {
                    let event = broker.drop_grant(tx, &visit, &obtained, &error, now)?;
                    return Ok(tx.commit(event, Err(error)));
                }
                Err(error) => return Err(error),
            };
            let Open { contact, usable, caller, .. } = &open;
            let Obtained { grant, terms, .. } = &obtained;
            match contact {
                Some(contact) => {
                    broker.store_grant(tx, caller, contact, usable, (grant, terms), now)?
                }
                None => broker.store_shared_grant(tx, usable, grant, now)?,
            };
            let ended = link::end(tx, &visit, &open, Outcome::Connected, now)?;
            Ok(tx.commit(open.event(now), Ok(Returned::ended(ended))))
        });
        let stored = stored.await?;
        self.begin_revocations();
        stored
    }

    /// Has a grant revoked that nobody waits for any more, unless there is another one: to many providers both
    /// are the same, and would end together. The event that tells so.
    fn drop_grant(
        &self,
        tx: &mut WriteTx<'_>,
        visit: &Visit,
        Obtained { asked_for, grant, .. }: &Obtained,
        error: &Error,
        now: Timestamp,
    ) -> Result<Event, Error> {
        let link = authentication::find(tx, &visit.state)?.ok_or(LinkProblem::Unknown)?;
        let holder = link.holder();
        // The secret may be what went away meanwhile: then it is as it was when the provider was asked.
        let secret = match secret::account_of(tx, &holder.secret)? {
            Some(account) => secret::find(tx, &account, &holder.secret)?,
            None => None,
        };
        let has_other = match &holder.contact {
            Some(contact) => {
                connection::find(tx, &holder.account, contact, &holder.secret)?.is_some()
            }
            None => secret.as_ref().is_some_and(|secret| secret.value.is_some()),
        };
        if !has_other {
            let value = self.seal_grant(tx, &holder, grant)?;
            revocation::insert(
                tx,
                &self.to_revoke(&holder, Some(secret.as_ref().unwrap_or(asked_for)), value, now),
            )?;
        }
        Ok(refused(&link, &visit.origin, error, now))
    }
}

/// A grant that was obtained at a link.
#[derive(Clone)]
pub(super) struct Obtained {
    /// The secret, as it was when the provider was asked.
    pub(super) asked_for: Secret,
    pub(super) grant: Grant,
    /// What the person has agreed to.
    pub(super) terms: Terms,
}

/// Why there are no tokens.
struct Refusal {
    trouble: Trouble,
    reason: String,
    /// The provider does not know the client that asked.
    is_unknown_client: bool,
}

/// How it goes on after the request was taken.
enum Step {
    Over(Returned),
    Exchange(Box<Taken>),
}

/// A request that was answered with a code.
struct Taken {
    visit: Visit,
    request: Request,
    secret: Secret,
    config: Config,
    code: SecretString,
}

/// Why there is no code.
enum No {
    /// The person said no.
    Denied,
    Trouble(Trouble, String),
}

fn visit(authentication: &Authentication, back: &Return) -> Visit {
    let (browser, origin) = (back.browser.clone(), back.origin.clone());
    Visit { state: authentication.state, browser, origin }
}

/// The code, if the answer has one and comes from the provider that was asked.
fn read(callback: &Callback, request: &Request) -> Result<SecretString, No> {
    let issuer = request.issuer.as_deref();
    if let Err(error) = check_issuer(callback.iss.as_deref(), issuer, request.is_issuer_told) {
        return Err(No::Trouble(Trouble::OtherIssuer, error.to_string()));
    }
    match (&callback.error, &callback.code) {
        (Some(error), _) if error.code == "access_denied" => Err(No::Denied),
        (Some(error), _) => Err(No::Trouble(Trouble::Refused(error.code.clone()), refusal(error))),
        (None, Some(code)) => Ok(code.clone()),
        (None, None) => {
            let reason = "the provider sent neither a code nor an error";
            Err(No::Trouble(Trouble::Unreachable, reason.into()))
        }
    }
}

fn failed(
    tx: &mut ReadTx<'_>,
    open: &Open,
    trouble: Trouble,
    reason: &str,
    now: Timestamp,
) -> Result<(Event, Returned), Error> {
    let mut event = open.event(now);
    event.result = "failed";
    event.reason = Some(reason.to_owned());
    let secret = open.usable.secret.id.to_string();
    Ok((event, Returned::Failed { shown: Box::new(shown(tx, open)?), secret, trouble }))
}

/// The event of an answer to a link that cannot be used, such as one that came too late.
fn refused(link: &Authentication, origin: &Origin, error: &Error, now: Timestamp) -> Event {
    let action = match link.contact {
        Some(_) => Action::ConnectionConnect,
        None => Action::SecretConnect,
    };
    let keeper = keeper(&link.account);
    let mut event = keeper.event(now, action, "secret", link.secret.to_shared());
    event.contact_id = link.contact.as_ref().map(ContactId::to_shared);
    event.ip.clone_from(&origin.ip);
    event.request_id = Arc::clone(&origin.request_id);
    event.result = "refused";
    event.reason = Some(error.to_string());
    event
}
