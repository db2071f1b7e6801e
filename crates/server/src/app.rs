//! The service as one function from request to response, with what every answer has in common.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    sync::{Arc, OnceLock},
};

use axum::{
    Router,
    body::Body,
    extract::{MatchedPath, Request},
    http::{
        HeaderMap, HeaderName, HeaderValue, Method, Uri, header,
        request::Parts,
        uri::{self, PathAndQuery},
    },
    response::{IntoResponse, Response},
    routing::future::RouteFuture,
};
use futures_util::future::Either;
use keyfob_core::random::{self, Random};
use tower::Service;

use crate::{
    broker::{Broker, Origin},
    delivery::Delivery,
    error::{Dialect, Error, render},
    metrics::{self, Metrics},
    router,
};

/// Names the request in the log and in the answer.
const REQUEST_ID: &str = "x-request-id";
/// The largest request line and headers, in bytes.
const LARGEST_HEAD: usize = 16 * 1024;
/// A longer id from a caller is not echoed.
const LONGEST_REQUEST_ID: usize = 128;

/// Who is at the other end of a connection.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Its address.
    pub ip: Arc<str>,
    /// What follows the answers of its creates to the connection; without it every answer counts as sent.
    pub delivery: Option<Delivery>,
}

/// The service. Cheap to clone.
#[derive(Clone)]
pub struct App {
    inner: Arc<Inner>,
}

struct Inner {
    router: Router,
    metrics: Arc<Metrics>,
    request_ids: RequestIds,
}

impl App {
    /// The API and the pages.
    #[must_use]
    pub fn new(broker: Broker, metrics: Arc<Metrics>, random: &dyn Random) -> Self {
        Self::with(router::api(broker), metrics, random)
    }

    /// Metrics and health, for the second listener.
    #[must_use]
    pub fn admin(broker: Broker, metrics: Arc<Metrics>, random: &dyn Random) -> Self {
        Self::with(router::admin(broker, Arc::clone(&metrics)), metrics, random)
    }

    fn with(router: Router, metrics: Arc<Metrics>, random: &dyn Random) -> Self {
        let request_ids = RequestIds::new(random);
        Self { inner: Arc::new(Inner { router, metrics, request_ids }) }
    }

    /// Answers a request.
    ///
    /// Not an `async fn`, which would keep room for the request for as long as it runs: thousands of
    /// callers may be waiting here.
    pub fn handle(
        &self,
        mut request: Request,
        peer: Option<Peer>,
    ) -> impl Future<Output = Response> + Send + use<> {
        let started = metrics::start();
        expand(&mut request);
        let request_id = self.inner.request_ids.of(request.headers());
        let method = method(request.method());
        let dialect = Dialect::of(request.uri().path());
        let route = Arc::new(OnceLock::new());
        let (ip, delivery) = peer.map_or((None, None), |peer| (Some(peer.ip), peer.delivery));
        let origin = Origin { ip, request_id: Arc::clone(&request_id), delivery };
        request.extensions_mut().insert(Passport { origin, route: Arc::clone(&route) });
        let answer = self.answer(request, dialect);
        let inner = Arc::clone(&self.inner);
        async move {
            let response = answer.await.unwrap_or_else(|never| match never {});
            let response = finish(response, dialect, &request_id);
            let route = route.get().map_or("other", MatchedPath::as_str);
            let (status, took) = (response.status().as_u16(), started.elapsed());
            inner.metrics.request(method, route, status, took);
            tracing::debug!(%request_id, method, route, status, ?took, "request");
            response
        }
    }

    fn answer(&self, mut request: Request, dialect: Dialect) -> Answer {
        if head_size(&request) > LARGEST_HEAD {
            return Either::Left(at_once(Error::HeadersTooLarge));
        }
        match *request.method() {
            // Contract/contacts-and-secrets, section 1.2.
            Method::HEAD if dialect == Dialect::V1 => return Either::Left(at_once(())),
            Method::OPTIONS if dialect == Dialect::V1 => {
                return Either::Left(at_once(axum::Json(serde_json::json!({}))));
            }
            // Axum would answer HEAD by running the GET: a code would be released, and lost. No
            // route has TRACE, so that the router refuses it, and names what the path does have.
            Method::HEAD if dialect == Dialect::V2 => *request.method_mut() = Method::TRACE,
            _ => {}
        }
        // The router is always ready, so there is no need to ask it.
        Either::Right(self.inner.router.clone().call(request))
    }
}

/// `/v1/…` is `/api/v1/…` (contract/contacts-and-secrets, section 1.1).
fn expand(request: &mut Request) {
    let path = request.uri().path_and_query().map_or("", PathAndQuery::as_str);
    if !path.starts_with("/v1/") {
        return;
    }
    if let Ok(path) = PathAndQuery::try_from(format!("/api{path}")) {
        let mut parts = uri::Parts::default();
        parts.path_and_query = Some(path);
        *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
    }
}

/// The bytes of a request's first line and headers, as they are usually written.
fn head_size(request: &Request) -> usize {
    let uri = request.uri();
    let target = uri.path_and_query().map_or(0, |target| target.as_str().len())
        + uri.authority().map_or(0, |authority| authority.as_str().len());
    let line = request.method().as_str().len() + target + "  HTTP/1.1\r\n".len();
    let field = |(name, value): (&HeaderName, &HeaderValue)| {
        name.as_str().len() + value.len() + ": \r\n".len()
    };
    line + request.headers().iter().map(field).sum::<usize>() + "\r\n".len()
}

/// An answer that is there, or one that the router is working on.
type Answer = Either<Ready<Result<Response, Infallible>>, RouteFuture<Infallible>>;

fn at_once(response: impl IntoResponse) -> Ready<Result<Response, Infallible>> {
    ready(Ok(response.into_response()))
}

/// What travels with a request, from the outermost layer to its handler.
#[derive(Clone)]
pub(crate) struct Passport {
    /// Where it came from.
    origin: Origin,
    /// The route it took, which its handler notes for the metrics.
    route: Arc<OnceLock<MatchedPath>>,
}

impl Passport {
    /// Takes what came with a request, and notes the route that it took.
    pub(crate) fn take(parts: &mut Parts) -> Result<Origin, Error> {
        let passport = parts.extensions.remove::<Self>();
        let passport = passport.ok_or_else(|| Error::internal("a request without a passport"))?;
        if let Some(path) = parts.extensions.remove::<MatchedPath>() {
            // A request has one handler, and so one route.
            let _ = passport.route.set(path);
        }
        Ok(passport.origin)
    }
}

/// How an answer may be kept (`Cache-Control`) that holds nothing of anybody's. Any other one is not stored anywhere,
/// whatever it says itself: an upstream's may say something else.
#[derive(Clone)]
pub(crate) struct Cached(pub(crate) HeaderValue);

/// Gives an error its body, and every answer what it carries.
fn finish(mut response: Response, dialect: Dialect, request_id: &str) -> Response {
    if let Some(error) = response.extensions_mut().remove::<Error>() {
        let allow = response.headers_mut().remove(header::ALLOW);
        response = render(&error, dialect, request_id);
        let allow = allow.map(|allow| (header::ALLOW, allowed(allow, dialect)));
        response.headers_mut().extend(allow);
    }
    let cached = response.extensions_mut().remove::<Cached>();
    let cached = cached.map_or(HeaderValue::from_static("no-store"), |Cached(how)| how);
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, cached);
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert(REQUEST_ID, id);
    }
    response
}

/// The methods that a path has. The router takes HEAD for granted wherever there is GET.
fn allowed(allow: HeaderValue, dialect: Dialect) -> HeaderValue {
    if dialect != Dialect::V2 {
        return allow;
    }
    let methods = allow.to_str().unwrap_or_default().split(',');
    let methods: Vec<_> = methods.filter(|method| *method != "HEAD").collect();
    HeaderValue::from_str(&methods.join(",")).unwrap_or(allow)
}

/// One of the few methods that are counted apart, so that a caller cannot invent labels.
fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

/// Makes ids that no other request of any node has: random bits of this process, and a count.
struct RequestIds {
    process: u64,
    made: std::sync::atomic::AtomicU64,
}

impl RequestIds {
    fn new(random: &dyn Random) -> Self {
        let process = u64::from_be_bytes(random::bytes(random));
        Self { process, made: std::sync::atomic::AtomicU64::new(0) }
    }

    /// The id that the caller chose, if it is one that can go into a header and a log; or a new one.
    fn of(&self, headers: &HeaderMap) -> Arc<str> {
        let chosen = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok());
        if let Some(id) = chosen.filter(|id| is_request_id(id)) {
            return id.into();
        }
        let made = self.made.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        format!("{:016x}-{made:x}", self.process).into()
    }
}

fn is_request_id(id: &str) -> bool {
    let is_plain = |c: u8| c.is_ascii_alphanumeric() || b"-_.:".contains(&c);
    (1..=LONGEST_REQUEST_ID).contains(&id.len()) && id.bytes().all(is_plain)
}

/// A response without a body, for handlers that stream.
pub(crate) fn json_stream(body: Body) -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
}
