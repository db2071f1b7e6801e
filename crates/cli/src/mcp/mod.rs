//! `keyfob mcp`: an MCP server on standard input and output, whose tools are the server's.

mod endpoint;
mod lines;

use std::{borrow::Cow, collections::HashMap, time::Duration};

use clap::Args as ClapArgs;
use keyfob_client::Error;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use tokio::{
    sync::watch,
    task::{AbortHandle, JoinError, JoinSet},
    time,
};

use self::{
    endpoint::{BEGINNINGS, Endpoint, INITIALIZE},
    lines::Line,
};
use crate::{failure::Failure, output, remote::RemoteArgs};

#[derive(ClapArgs)]
#[command(after_help = "\
An MCP client starts this and talks to it over stdin and stdout. It passes everything on to the
server's own MCP endpoint, KEYFOB_URL + /mcp, with the key in KEYFOB_TOKEN. Clients that speak HTTP
need it not: give them that URL, and the token in `Authorization: Bearer`.

In the configuration of a client:
  {\"mcpServers\": {\"keyfob\": {
    \"command\": \"keyfob\", \"args\": [\"mcp\"],
    \"env\": {\"KEYFOB_URL\": \"http://127.0.0.1:7117\", \"KEYFOB_TOKEN\": \"kft_...\"}}}}

Give it an agent's key that reaches only what this agent is to use:
  keyfob key create --role agent --contact CONTACT --secret SECRET

It ends when stdin ends and what was asked is answered. Exit status 1 and 3 say that the server
could not be reached, or refused the key, when the client began.")]
pub(crate) struct Args {
    #[command(flatten)]
    remote: RemoteArgs,
}

/// What is needed of a message to pass it on.
#[derive(Deserialize)]
struct Message<'a> {
    id: Option<Value>,
    #[serde(borrow)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Cancelled {
    request_id: Value,
}

const CANCELLED: &str = "notifications/cancelled";
/// Who closes stdin while it begins has given up, or has said all at once and still listens: it gets so much longer.
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) async fn run(args: Args) -> Result<(), Failure> {
    let mut relay = Relay::new(Endpoint::new(args.remote.client()?));
    let mut lines = lines::of_stdin();
    loop {
        tokio::select! {
            line = lines.recv() => match line {
                Some(line) => relay.hear(line?)?,
                None => break,
            },
            Some(ended) = relay.under_way.join_next() => relay.settle(ended)?,
        }
    }
    if time::timeout(PATIENCE, relay.begun.changed()).await.is_err() {
        return Err(anyhow::anyhow!("stdin ended, and the server had not answered yet").into());
    }
    while let Some(ended) = relay.under_way.join_next().await {
        relay.settle(ended)?;
    }
    relay.failed.map_or(Ok(()), Err)
}

/// How a client's beginning ended.
struct Beginning {
    is_last: bool,
    failed: Option<Failure>,
}

struct Relay {
    endpoint: Endpoint,
    /// Closed as soon as the client has begun, or could not.
    begun: watch::Receiver<()>,
    /// What was passed on and is not over.
    under_way: JoinSet<Option<Beginning>>,
    /// The requests among that, by their ids.
    requests: HashMap<Value, AbortHandle>,
    /// Why the client could not begin, until it can.
    failed: Option<Failure>,
}

impl Relay {
    fn new(endpoint: Endpoint) -> Self {
        let (_, begun) = watch::channel(());
        let (under_way, requests) = (JoinSet::new(), HashMap::new());
        Self { endpoint, begun, under_way, requests, failed: None }
    }

    fn hear(&mut self, line: Line) -> Result<(), Failure> {
        match line {
            Line::Text(line) if line.trim().is_empty() => Ok(()),
            Line::Text(line) => self.take(&line),
            Line::NotUtf8 => print_error(-32700, "Parse error: not UTF-8"),
            Line::TooLong => print_error(-32600, "Invalid Request: longer than 1 MiB"),
        }
    }

    fn take(&mut self, line: &str) -> Result<(), Failure> {
        let Ok(message) = serde_json::from_str::<Box<RawValue>>(line) else {
            return print_error(-32700, "Parse error");
        };
        let Ok(Message { id, method, params }) = serde_json::from_str(message.get()) else {
            return print_error(-32600, "Invalid Request");
        };
        let method = method.unwrap_or_default();
        if method == CANCELLED {
            self.cancel(params);
            return Ok(());
        }
        let mut begun = self.begun.clone();
        let begins = BEGINNINGS.contains(&&*method).then(|| {
            let (until_begun, begun) = watch::channel(());
            self.begun = begun;
            (until_begun, method == INITIALIZE)
        });
        let (endpoint, of) = (self.endpoint.clone(), id.clone());
        let request = self.under_way.spawn(async move {
            // Nothing is ever sent here: it ends when the other side is gone.
            let _ = begun.changed().await;
            let failed = pass(&endpoint, &message).await.err();
            if let Some(failure) = &failed {
                // Nobody who reads the answers is left if it cannot be written.
                let _ = refuse(of.as_ref(), failure);
            }
            begins.map(|(_until_begun, is_last)| Beginning { is_last, failed })
        });
        self.requests.extend(id.map(|id| (id, request)));
        Ok(())
    }

    /// Hangs up on the server, which ends what it does for the request.
    fn cancel(&mut self, params: Option<&RawValue>) {
        let cancelled: Option<Cancelled> =
            params.and_then(|params| serde_json::from_str(params.get()).ok());
        if let Some(request) = cancelled.and_then(|it| self.requests.remove(&it.request_id)) {
            request.abort();
        }
    }

    fn settle(&mut self, ended: Result<Option<Beginning>, JoinError>) -> Result<(), Failure> {
        self.requests.retain(|_, request| !request.is_finished());
        if let Ok(Some(Beginning { is_last, failed })) = ended {
            self.failed = failed;
            if is_last {
                return self.failed.take().map_or(Ok(()), Err);
            }
        }
        Ok(())
    }
}

/// Passes a message on, and prints what comes back.
async fn pass(endpoint: &Endpoint, message: &RawValue) -> Result<(), Failure> {
    let mut printed = Ok(());
    let print = |answer: &RawValue| {
        if printed.is_ok() {
            // A message is a line; in its texts line breaks are written as `\n`.
            printed = output::print(&answer.get().replace(['\r', '\n'], " "));
        }
    };
    endpoint.send(message, print).await?;
    Ok(printed?)
}

/// Tells the client why a request got no answer of the server's. What is no request is not answered.
fn refuse(id: Option<&Value>, failure: &Failure) -> Result<(), Failure> {
    let data = match failure {
        Failure::Refused(Error::Refused(refusal)) => {
            Some(json!({"code": refusal.code, "request_id": refusal.request_id}))
        }
        _ => None,
    };
    let Some(id) = id else { return Ok(()) };
    // JSON-RPC 2.0 leaves these codes to servers.
    Ok(output::print_json(&error(Some(id), -32000, &failure.to_string(), data))?)
}

/// Tells the client that what it said was no message.
fn print_error(code: i32, message: &str) -> Result<(), Failure> {
    Ok(output::print_json(&error(None, code, message, None))?)
}

fn error(id: Option<&Value>, code: i32, message: &str, data: Option<Value>) -> Value {
    let mut error = json!({"code": code, "message": message});
    if let Some(data) = data {
        error["data"] = data;
    }
    json!({"jsonrpc": "2.0", "id": id, "error": error})
}
