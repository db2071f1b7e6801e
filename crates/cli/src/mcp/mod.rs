//! `keyfob mcp`: an MCP server on standard input and output, whose tools are the server's.

mod endpoint;
mod lines;

use std::{borrow::Cow, collections::HashMap};

use clap::Args as ClapArgs;
use keyfob_client::Error;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use tokio::task::{AbortHandle, JoinSet};

use self::{endpoint::Endpoint, lines::Line};
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
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Cancelled<'a> {
    #[serde(borrow)]
    request_id: &'a RawValue,
}

/// What a client begins with: nothing else is sent before it is answered. One that gets no answer to the second tries
/// the first.
const BEGINNINGS: [&str; 2] = [INITIALIZE, "server/discover"];
const INITIALIZE: &str = "initialize";
const CANCELLED: &str = "notifications/cancelled";

pub(crate) async fn run(args: Args) -> Result<(), Failure> {
    let endpoint = Endpoint::new(args.remote.client()?);
    let mut relay = Relay { endpoint, requests: HashMap::new(), failed: None };
    let mut under_way = JoinSet::new();
    let mut lines = lines::of_stdin();
    while let Some(line) = lines.recv().await {
        match line? {
            Line::Text(line) if line.trim().is_empty() => (),
            Line::Text(line) => relay.take(line, &mut under_way).await?,
            Line::NotUtf8 => print_error(-32700, "Parse error: not UTF-8")?,
            Line::TooLong => print_error(-32600, "Invalid Request: longer than 1 MiB")?,
        }
        while let Some(ended) = under_way.try_join_next() {
            relay.forget(ended);
        }
    }
    while under_way.join_next().await.is_some() {}
    relay.failed.map_or(Ok(()), Err)
}

struct Relay {
    endpoint: Endpoint,
    /// The requests that are under way, by their ids.
    requests: HashMap<String, AbortHandle>,
    /// Why the client could not begin, until it can.
    failed: Option<Failure>,
}

impl Relay {
    async fn take(
        &mut self,
        line: String,
        under_way: &mut JoinSet<Option<String>>,
    ) -> Result<(), Failure> {
        let Ok(message) = serde_json::from_str::<Box<RawValue>>(&line) else {
            return print_error(-32700, "Parse error");
        };
        let Ok(Message { id, method, params }) = serde_json::from_str(message.get()) else {
            return print_error(-32600, "Invalid Request");
        };
        let (id, method) = (id.map(|id| id.get().to_owned()), method.unwrap_or_default());
        if BEGINNINGS.contains(&&*method) {
            self.failed = pass(&self.endpoint, &message).await.err();
            let Some(failure) = &self.failed else { return Ok(()) };
            refuse(id.as_deref(), failure)?;
            return if method == INITIALIZE {
                self.failed.take().map_or(Ok(()), Err)
            } else {
                Ok(())
            };
        }
        if method == CANCELLED {
            self.cancel(params);
            return Ok(());
        }
        let (endpoint, of) = (self.endpoint.clone(), id.clone());
        let request = under_way.spawn(async move {
            if let Err(failure) = pass(&endpoint, &message).await {
                // Nobody who reads the answers is left if it cannot be written.
                let _ = refuse(of.as_deref(), &failure);
            }
            of
        });
        self.requests.extend(id.map(|id| (id, request)));
        Ok(())
    }

    /// Hangs up on the server, which ends what it does for the request.
    fn cancel(&mut self, params: Option<&RawValue>) {
        let cancelled: Option<Cancelled<'_>> =
            params.and_then(|params| serde_json::from_str(params.get()).ok());
        if let Some(request) = cancelled.and_then(|it| self.requests.remove(it.request_id.get())) {
            request.abort();
        }
    }

    fn forget(&mut self, ended: Result<Option<String>, tokio::task::JoinError>) {
        if let Ok(Some(id)) = ended {
            self.requests.remove(&id);
        }
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
fn refuse(id: Option<&str>, failure: &Failure) -> Result<(), Failure> {
    let data = match failure {
        Failure::Refused(Error::Refused(refusal)) => {
            Some(json!({"code": refusal.code, "request_id": refusal.request_id}))
        }
        _ => None,
    };
    let Some(id) = id.and_then(|id| serde_json::from_str(id).ok()) else { return Ok(()) };
    // JSON-RPC 2.0 leaves these codes to servers.
    Ok(output::print_json(&error(Some(&id), -32000, &failure.to_string(), data))?)
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
