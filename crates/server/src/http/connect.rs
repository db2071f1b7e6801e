//! `/connect/{state}`: the page at which a person hands over a credential, or declines. The address is the
//! link that `authenticate` and `verify` answer.

use axum::{
    extract::{FromRequestParts, Path, RawQuery, State},
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    response::Response,
};
use cookie::{Cookie, SameSite};
use keyfob_core::{oauth::authorization::Callback, ticket::Ticket, time::Timestamp};
use keyfob_store::authentication::Outcome;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use url::Url;
use zeroize::Zeroizing;

use super::body;
use crate::{
    app::Passport,
    broker::{
        Begun, Broker, Ended, Handed, Origin, Return, Returned, Shown, Sight, Signs, Trouble,
        Visit, Waiting,
    },
    error::{Dialect, Error, LinkProblem, trouble_parts},
    page::{self, Connect, Done, Form, Onward, Signed, Waits},
};

/// What a browser holds since it was first shown a link. With this prefix browsers keep it to this host,
/// and take it over TLS only (RFC 6265bis, section 4.1.3.2).
const SECURE_COOKIE: &str = "__Host-keyfob-browser";
/// The same where there is no TLS: on the machine itself.
const COOKIE: &str = "keyfob-browser";

/// The query of a page that waits.
const WAITING: &str = "waiting";
/// What is said to somebody who waited in vain.
const CODE_OVER: &str =
    "nothing came of the last code. It has ended, or was refused. Continue to get a new one";

/// Who asks, if the account has no name. It must be right anywhere in a sentence.
const SOMEBODY: &str = "Keyfob's operator";

impl FromRequestParts<Broker> for Visit {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, broker: &Broker) -> Result<Self, Error> {
        let origin = Passport::take(parts)?;
        let state = Path::<String>::from_request_parts(parts, broker).await;
        let state = state.ok().and_then(|Path(state)| Ticket::parse(&state).ok());
        Ok(Self {
            state: state.ok_or(LinkProblem::Unknown)?.hash(),
            browser: browser(&parts.headers, cookie_name(broker)),
            origin,
        })
    }
}

/// Where a request came from that is at no link.
pub(crate) struct Arrived(Origin);

impl FromRequestParts<Broker> for Arrived {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &Broker) -> Result<Self, Error> {
        Passport::take(parts).map(Self)
    }
}

fn cookie_name(broker: &Broker) -> &'static str {
    if broker.is_reached_over_tls() { SECURE_COOKIE } else { COOKIE }
}

fn browser(headers: &HeaderMap, name: &str) -> Option<Ticket> {
    headers.get_all(header::COOKIE).into_iter().find_map(|line| {
        // Cookies of others on this host may hold any bytes.
        let line = String::from_utf8_lossy(line.as_bytes());
        let mut cookies = Cookie::split_parse(&*line).filter_map(Result::ok);
        cookies.find_map(|it| Ticket::parse(it.value()).ok().filter(|_| it.name() == name))
    })
}

/// `GET /connect/{state}`. The cookie that a new browser gets changes nothing here. With `?waiting` it is the
/// page of a code that looks how things stand.
pub(crate) async fn show(
    State(broker): State<Broker>,
    mut visit: Visit,
    RawQuery(query): RawQuery,
) -> Result<Response, Error> {
    let sight = broker.look_at_link(&visit, query.as_deref() == Some(WAITING)).await?;
    let is_new = visit.browser.is_none();
    let browser = visit.browser.get_or_insert_with(|| broker.new_ticket()).clone();
    let now = broker.now()?;
    let mut response = match sight {
        Sight::Form { shown, is_code_over } => {
            let proof = shown.proof(&browser, &visit.state);
            let problem = is_code_over.then(|| CODE_OVER.to_owned());
            page::respond(StatusCode::OK, &form(*shown, now, proof, problem))
        }
        Sight::Waiting(waiting) => waits(*waiting, &browser, &visit, now),
        Sight::Ended(ended) => done(*ended),
    };
    if is_new {
        response.headers_mut().insert(header::SET_COOKIE, kept(&broker, &browser)?);
    }
    Ok(response)
}

/// The page of a code that is to be entered at the provider.
fn waits(waiting: Waiting, browser: &Ticket, visit: &Visit, now: Timestamp) -> Response {
    let Waiting { shown, user_code, page, address, until, look_after, .. } = waiting;
    let page = Waits {
        proof: shown.proof(browser, &visit.state),
        name: or(shown.name, "a credential"),
        account: or(shown.account, SOMEBODY),
        host: page.host_str().unwrap_or_default().to_owned(),
        page: page.into(),
        address: typeable(&address),
        user_code,
        time_left: more_minutes(until.as_millis() - now.as_millis()),
        look_after: look_after.as_secs(),
    };
    page::respond(StatusCode::OK, &page)
}

/// An address as a person types it: browsers add the scheme.
fn typeable(address: &Url) -> String {
    let text = address.as_str();
    text.strip_prefix("https://").unwrap_or(text).to_owned()
}

fn kept(broker: &Broker, browser: &Ticket) -> Result<HeaderValue, Error> {
    let cookie = Cookie::build((cookie_name(broker), browser.expose()))
        .path("/")
        .http_only(true)
        .secure(broker.is_reached_over_tls())
        // Not `Strict`: who comes from a link in another site must be known again.
        .same_site(SameSite::Lax);
    let mut cookie = HeaderValue::try_from(cookie.to_string()).map_err(Error::internal)?;
    cookie.set_sensitive(true);
    Ok(cookie)
}

/// `POST /connect/{state}`
pub(crate) async fn submit(
    State(broker): State<Broker>,
    visit: Visit,
    headers: HeaderMap,
    body: body::Bytes,
) -> Result<Response, Error> {
    let Submitted { proof, pressed, handed } = Submitted::read(&headers, &body)?;
    let answered = match (pressed, handed) {
        (Pressed::Decline, _) => broker.decline_link(&visit, &proof).await.map(done),
        (Pressed::Continue, _) => begin(&broker, &visit, &proof).await,
        (Pressed::Connect, Ok(handed)) => {
            broker.connect_at_link(&visit, &proof, handed).await.map(done)
        }
        (Pressed::Connect, Err(error)) => Err(error),
    };
    match answered {
        Ok(page) => Ok(page),
        Err(error @ (Error::Invalid { .. } | Error::Conflict { .. })) => {
            ask_again(&broker, &visit, &error).await
        }
        Err(error) => Err(error),
    }
}

/// How it goes on for a person who wants to connect at a provider.
async fn begin(broker: &Broker, visit: &Visit, proof: &str) -> Result<Response, Error> {
    let begun = broker.begin_at_provider(visit, proof).await?;
    let browser = visit.browser.as_ref().ok_or(LinkProblem::NotFromPage)?;
    Ok(match begun {
        Begun::Onward(provider) => onward(provider),
        Begun::Waiting(waiting) => waits(*waiting, browser, visit, broker.now()?),
        Begun::Failed(returned) => answer(returned),
    })
}

fn answer(returned: Returned) -> Response {
    match returned {
        Returned::Ended(ended) => done(*ended),
        Returned::Failed { shown, secret, trouble } => failed(*shown, secret, &trouble),
    }
}

/// The page that leads to the provider. A redirect would not do: the page's policy keeps a form from being
/// sent on to other sites.
fn onward(provider: Url) -> Response {
    let host = provider.host_str().unwrap_or_default().to_owned();
    page::respond(StatusCode::OK, &Onward { host, url: provider.into() })
}

/// `GET /secrets/oauth/callback`: where providers send people back to.
pub(crate) async fn back(
    State(broker): State<Broker>,
    Arrived(origin): Arrived,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Error> {
    let callback = Callback::parse(query.as_deref().unwrap_or_default());
    let callback = callback.map_err(|_| Error::from(LinkProblem::Unknown))?;
    let browser = browser(&headers, cookie_name(&broker));
    let back = Return { callback, browser, origin };
    broker.finish_authorization(back).await.map(answer)
}

/// The form once more, with what was wrong, and without what was entered.
async fn ask_again(broker: &Broker, visit: &Visit, error: &Error) -> Result<Response, Error> {
    let browser = visit.browser.as_ref().ok_or(LinkProblem::NotFromPage)?;
    let parts = error.parts(Dialect::Page);
    let shown = match broker.look_at_link(visit, false).await? {
        Sight::Form { shown, .. } => shown,
        Sight::Waiting(waiting) => return Ok(waits(*waiting, browser, visit, broker.now()?)),
        Sight::Ended(ended) => return Ok(done(*ended)),
    };
    let proof = shown.proof(browser, &visit.state);
    let form = form(*shown, broker.now()?, proof, Some(parts.message.into_owned()));
    Ok(page::respond(parts.status, &form))
}

/// What the form sent.
struct Submitted {
    proof: String,
    pressed: Pressed,
    handed: Result<Handed, Error>,
}

/// Which button was pressed.
enum Pressed {
    Connect,
    /// On to the provider.
    Continue,
    Decline,
}

impl Submitted {
    fn read(headers: &HeaderMap, body: &body::Bytes) -> Result<Self, Error> {
        let given = headers.get(header::CONTENT_TYPE).and_then(|given| given.to_str().ok());
        let media_type = given.unwrap_or_default().split(';').next().unwrap_or_default().trim();
        if !media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Err(Error::invalid("bad_request", "the body is not a form"));
        }
        let (mut proof, mut pressed) = (String::new(), Pressed::Connect);
        let (mut value, mut username, mut password) = (None, None, None);
        for (name, text) in body.form() {
            match name.as_str() {
                "proof" => text.expose_secret().clone_into(&mut proof),
                "do" => match text.expose_secret() {
                    "decline" => pressed = Pressed::Decline,
                    "continue" => pressed = Pressed::Continue,
                    _ => {}
                },
                "value" => value = Some(typed(&text)),
                "username" => username = Some(text),
                "password" => password = Some(text),
                _ => {}
            }
        }
        Ok(Self { proof, pressed, handed: handed(value, username, password) })
    }
}

/// What was typed: a form ends lines as no keyboard does, and what is pasted often ends with a line break.
fn typed(text: &SecretString) -> SecretString {
    let lines = Zeroizing::new(text.expose_secret().replace("\r\n", "\n"));
    lines.strip_suffix('\n').unwrap_or(&lines).into()
}

fn handed(
    value: Option<SecretString>,
    username: Option<SecretString>,
    password: Option<SecretString>,
) -> Result<Handed, Error> {
    match (value, username, password) {
        (Some(value), ..) => Ok(Handed::Value(value)),
        (None, Some(username), Some(password)) => Ok(Handed::Pair { username, password }),
        _ => Err(Error::invalid("bad_request", "nothing was entered")),
    }
}

fn form(shown: Shown, now: Timestamp, proof: String, problem: Option<String>) -> Connect {
    let Shown { account, contact, name, description, secret_type, algorithm, .. } = shown;
    let return_url = shown.return_url.and_then(|url| Url::parse(&url).ok());
    Connect {
        name: or(name, "a credential"),
        account: or(account, SOMEBODY),
        contact,
        description,
        hosts: shown.hosts.into_iter().map(host).collect(),
        methods: shown.methods.map(|methods| methods.join(", ")),
        paths: shown.paths.map(|paths| paths.join(", ")),
        scheme: shown.scheme.filter(|scheme| scheme != "Bearer"),
        signed: shown.signs.as_ref().map(signed),
        connected_since: shown.connected_since.map(day),
        form: match shown.provider {
            Some(provider) => Form::at(provider, shown.scopes.as_deref()),
            None => Form::of(secret_type, algorithm.as_deref(), problem.is_some()),
        },
        return_host: return_url.and_then(|url| url.host_str().map(str::to_owned)),
        time_left: more_minutes(shown.until.as_millis() - now.as_millis()),
        proof,
        problem,
    }
}

/// What is signed with a key, as a person reads it.
fn signed(signs: &Signs) -> Signed {
    let claim = |(name, value): (&String, &Value)| format!("{}: {value}", Value::from(&**name));
    Signed {
        algorithm: signs.algorithm.as_str(),
        lifetime: exactly(signs.lifetime.as_secs()),
        claims: signs.claims.iter().map(claim).collect(),
    }
}

/// A number of seconds in the largest unit that it is a multiple of.
fn exactly(seconds: u64) -> String {
    let units = [(3600, "hour"), (60, "minute"), (1, "second")];
    let unit = units.into_iter().find(|(length, _)| seconds.is_multiple_of(*length));
    let (length, name) = unit.unwrap_or((1, "second"));
    match seconds / length {
        1 => format!("one {name}"),
        count => format!("{count} {name}s"),
    }
}

fn or(text: String, other: &str) -> String {
    if text.is_empty() { other.into() } else { text }
}

fn done(ended: Ended) -> Response {
    let Ended { shown, secret, outcome } = ended;
    let (name, account) = (or(shown.name, "It"), or(shown.account, SOMEBODY));
    let is_connected = outcome == Outcome::Connected;
    let (heading, text) = if is_connected {
        let text = format!("The AI agents of {account} can use it from now on, but never see it.");
        (format!("{name} is connected"), text)
    } else {
        ("You declined".into(), format!("Nothing was stored. {account} is told that you declined."))
    };
    let origins = shown.origins.join(" ");
    let return_url = shown.return_url;
    let error = (!is_connected).then(|| ("access_denied".into(), "The person declined".into()));
    let page = Done { heading, text, error, secret, origins, return_url };
    page::respond(StatusCode::OK, &page)
}

/// The page of a provider that gave nothing.
fn failed(shown: Shown, secret: String, trouble: &Trouble) -> Response {
    let provider = shown.provider.unwrap_or_else(|| "the provider".into());
    let (status, code, what) = trouble_parts(trouble, &provider);
    let name = or(shown.name, "it");
    let text = format!(
        "{what} Nothing was stored, and what was connected before is as it was. To try again, open the link once more."
    );
    let page = Done {
        heading: format!("{name} is not connected"),
        text,
        error: Some((code, what)),
        secret,
        origins: shown.origins.join(" "),
        // Who goes back without a credential could not try again.
        return_url: None,
    };
    page::respond(status, &page)
}

/// A host as a person reads it who has never seen a wildcard.
fn host(host: String) -> String {
    match host.strip_prefix("*.") {
        Some(parent) => format!("every address that ends in .{parent}"),
        None => host,
    }
}

/// A day as a person reads it.
fn day(at: Timestamp) -> String {
    let at = jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or_default();
    at.strftime("%-d %B %Y").to_string()
}

/// A time in milliseconds as a person reads it, who need not know what UTC is: minutes, rounded up.
fn more_minutes(millis: i64) -> String {
    match millis.max(1).cast_unsigned().div_ceil(60_000) {
        1 => "one more minute".into(),
        minutes => format!("{minutes} more minutes"),
    }
}
