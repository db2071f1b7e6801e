//! What a request will be.

use std::time::Duration;

use http::{HeaderMap, Method};

use crate::{
    address::Path,
    body::Body,
    retry::{Policy, Replay},
    transport::SharedTransport,
};

/// The server keeps a caller waiting for 55 s at most.
const TIMEOUT: Duration = Duration::from_mins(1);

/// Which answers are no refusals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Takes {
    /// Those whose status says so.
    Success,
    /// Those, and all of an upstream.
    Upstreams,
    /// All.
    Any,
}

/// What will be sent.
#[derive(Clone)]
pub(crate) struct Draft {
    pub(crate) method: Option<Method>,
    pub(crate) path: Path,
    pub(crate) endpoint: Option<String>,
    pub(crate) is_external: bool,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<Body>,
    pub(crate) timeout: Option<Duration>,
    /// What holds if nobody says how long it may take.
    pub(crate) patience: Duration,
    pub(crate) retries: Option<u32>,
    pub(crate) retry_delay: Option<Duration>,
    pub(crate) retry_timeout: Option<bool>,
    pub(crate) transport: Option<SharedTransport>,
    pub(crate) replay: Replay,
    pub(crate) takes: Takes,
}

impl Draft {
    pub(crate) fn new(path: Path) -> Self {
        Self {
            method: None,
            path,
            endpoint: None,
            is_external: false,
            query: Vec::new(),
            headers: HeaderMap::new(),
            body: None,
            timeout: None,
            patience: TIMEOUT,
            retries: None,
            retry_delay: None,
            retry_timeout: None,
            transport: None,
            replay: Replay::Safe,
            takes: Takes::Success,
        }
    }

    /// Sets a value of the query, in the place of the one that is there.
    pub(crate) fn set(&mut self, name: &str, value: String) {
        self.path.remove(name);
        self.query.retain(|(known, _)| known != name);
        self.query.push((name.to_owned(), value));
    }

    pub(crate) fn method(&self) -> &Method {
        let implied = if self.body.is_some() { &Method::POST } else { &Method::GET };
        self.method.as_ref().unwrap_or(implied)
    }

    pub(crate) fn policy(&self, default: Policy) -> Policy {
        Policy {
            retries: self.retries.unwrap_or(default.retries),
            delay: self.retry_delay.unwrap_or(default.delay),
            after_timeout: self.retry_timeout.unwrap_or(default.after_timeout),
        }
    }
}
