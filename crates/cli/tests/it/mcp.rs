//! `keyfob mcp`: what a client says on stdin reaches the server's `/mcp`, and nothing but what comes back is on stdout.

use std::{
    io::{self, BufRead, BufReader, Write},
    net::TcpListener,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::mpsc,
    thread,
};

use serde_json::{Value, json};

use crate::{
    database::Kind,
    hotp::secret_of,
    process::{Server, keyfob, run, run_with},
    vault::Vault,
};

/// A client that started the command.
struct Client {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Client {
    fn start(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self { stdin: child.stdin.take(), child, stdout }
    }

    #[expect(clippy::needless_pass_by_value, reason = "`json!` in the call reads best")]
    fn say(&mut self, message: Value) {
        writeln!(self.stdin.as_mut().unwrap(), "{message}").unwrap();
    }

    fn write(&mut self, bytes: &[u8]) {
        self.stdin.as_mut().unwrap().write_all(bytes).unwrap();
    }

    fn hear(&mut self) -> Value {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("no message: {line:?}"))
    }

    /// A request, and what is heard next.
    #[expect(clippy::needless_pass_by_value, reason = "`json!` in the call reads best")]
    fn ask(&mut self, id: u64, method: &str, params: Value) -> Value {
        self.say(json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}));
        self.hear()
    }

    /// The client ends; the command's status, and what it still says.
    fn end(mut self) -> (Option<i32>, String) {
        drop(self.stdin.take());
        let mut rest = String::new();
        while self.stdout.read_line(&mut rest).unwrap() > 0 {}
        (self.child.wait().unwrap().code(), rest)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // It may have ended already, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(url: &str, token: &str) -> Command {
    let mut command = keyfob(&["mcp"]);
    command.env("KEYFOB_URL", url).env("KEYFOB_TOKEN", token);
    command
}

fn initialize(capabilities: Value) -> Value {
    let client = json!({"name": "test", "version": "1"});
    let mut params = json!({"protocolVersion": "2025-11-25", "clientInfo": client});
    params["capabilities"] = capabilities;
    params
}

#[expect(clippy::needless_pass_by_value, reason = "`json!` in the call reads best")]
fn cancelled(id: Value) -> Value {
    let params = json!({"requestId": id, "reason": "test"});
    json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params})
}

fn vault() -> (Vault, Server, String) {
    let vault = Vault::new(Kind::Sqlite);
    let server = vault.serve();
    let token = vault.key("backend").token;
    (vault, server, token)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_servers_tools_are_the_commands() {
    let (_vault, server, token) = vault();
    let id = server.api(&token).store("GitHub", &secret_of("GitHub"), 30).await;
    let mut client = Client::start(command(&server.url, &token));
    let begun = client.ask(1, "initialize", initialize(json!({"elicitation": {"url": {}}})));
    assert_eq!(begun["result"]["serverInfo"]["name"], "keyfob", "{begun}");
    client.say(json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
    let listed = client.ask(2, "tools/list", json!({}));
    assert_eq!(listed["result"]["tools"].as_array().unwrap().len(), 7);
    let call = |name: &str, arguments: Value| json!({"name": name, "arguments": arguments});
    let code = client.ask(3, "tools/call", call("get_totp_code", json!({"id": id})));
    assert_eq!((&code["id"], &code["result"]["isError"]), (&json!(3), &json!(false)));
    assert_eq!(code["result"]["structuredContent"]["code"].as_str().unwrap().len(), 6);
    let unknown = client.ask(4, "tools/call", call("mint", json!({})));
    assert_eq!(unknown["error"]["code"], -32602);
    // What the client said at the beginning is known to each request.
    let contact = json!({"name": "Ann", "verifiedAt": 1});
    let contact = server.api(&token).post("/api/v1/contact/create", &contact).await.ok();
    let secret = json!({"kind": "personal", "type": "bearer"});
    let secret = server.api(&token).post("/api/v1/secret/create", &secret).await.ok();
    let which = json!({"contact": contact["id"], "secret": secret["id"]});
    let asked = client.ask(5, "tools/call", call("authenticate_secret", which));
    assert_eq!(asked["error"]["code"], -32042, "{asked}");
    let url = asked["error"]["data"]["elicitations"][0]["url"].as_str().unwrap();
    assert!(url.starts_with(&server.url), "{url}");
    assert_eq!(client.end(), (Some(0), String::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_client_cancels_ends_at_the_server() {
    let vault = Vault::new(Kind::Sqlite);
    let server = vault.serve_with(&[("KEYFOB_ADMIN_LISTEN", "127.0.0.1:0")]);
    let token = vault.key("backend").token;
    let api = server.api(&token);
    // One whose step does not end at once: the next one is waited for.
    let mut params = json!({"name": "get_totp_code"});
    for period in [37, 53] {
        let id = api.store("GitHub", &secret_of("GitHub"), period).await;
        let left = api.get(&format!("/api/v2/totp/code/{id}")).await.ok()["expires_in"].clone();
        params["arguments"] = json!({"id": id, "unique": true});
        if left.as_i64().unwrap() > 5 {
            break;
        }
    }
    let mut client = Client::start(command(&server.url, &token));
    client.ask(1, "initialize", initialize(json!({})));
    let admin = api.at(server.admin.as_deref().unwrap());
    let until_waiting = async |count: u32| {
        let wanted = format!("keyfob_totp_waiting {count}\n");
        while !admin.get("/metrics").await.text.contains(&wanted) {
            tokio::task::yield_now().await;
        }
    };
    client.say(json!({"jsonrpc": "2.0", "id": "slow", "method": "tools/call", "params": params}));
    until_waiting(1).await;
    client.say(cancelled(json!("slow")));
    until_waiting(0).await;
    assert_eq!(client.ask(4, "ping", json!({}))["id"], 4);
    assert_eq!(client.end(), (Some(0), String::new()));
}

#[test]
fn who_cannot_begin_is_told_why_in_the_protocol_and_in_words() {
    let (_vault, server, _) = vault();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = format!("http://{}", nobody.local_addr().unwrap());
    drop(nobody);
    for (url, token, status, says) in [
        (&server.url, "kft_nonsense", 3, "Not authenticated"),
        (&closed, "kft_nonsense", 1, "could not be reached"),
    ] {
        for method in ["initialize", "server/discover"] {
            let ask = json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": {}});
            let ended = run_with(command(url, token), &format!("{ask}\n"));
            assert_eq!(ended.status, Some(status), "{}", ended.stderr);
            assert!(ended.stderr.contains(says), "{}", ended.stderr);
            let said: Value = serde_json::from_str(&ended.stdout).unwrap();
            assert_eq!((&said["id"], &said["error"]["code"]), (&json!(7), &json!(-32000)));
            assert!(said["error"]["message"].as_str().unwrap().contains(says), "{said}");
        }
    }
    // A client whose first way to begin is refused tries the other, and is told there as well.
    let mut client = Client::start(command(&server.url, "kft_nonsense"));
    for method in ["server/discover", "initialize"] {
        let refused = client.ask(1, method, json!({}));
        assert!(refused["error"]["message"].as_str().unwrap().contains("Not authenticated"));
    }
    assert_eq!(client.end(), (Some(3), String::new()));
    let ended = run(keyfob(&["mcp"]));
    assert_eq!((ended.status, &*ended.stdout), (Some(2), ""));
    assert!(ended.stderr.contains("KEYFOB_TOKEN"), "{}", ended.stderr);
}

#[test]
fn later_a_server_that_is_away_is_an_error_of_the_request_only() {
    let (_vault, server, token) = vault();
    let mut client = Client::start(command(&server.url, &token));
    client.ask(1, "initialize", initialize(json!({})));
    assert_eq!(server.stop().status, Some(0));
    let away = client.ask(2, "tools/list", json!({}));
    assert_eq!((&away["id"], &away["error"]["code"]), (&json!(2), &json!(-32000)), "{away}");
    assert_eq!(client.end(), (Some(0), String::new()));
}

#[test]
fn what_is_no_message_is_refused_and_nothing_else_goes_to_stdout() {
    let (_vault, server, token) = vault();
    let lines = "nonsense\n\n[1]\n{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":\"ping\"}\n";
    let ended = run_with(command(&server.url, &token), lines);
    let mut said: Vec<Value> =
        ended.ok().lines().map(|it| serde_json::from_str(it).unwrap()).collect();
    let last = said.pop().unwrap();
    assert_eq!((&last["id"], &last["result"]), (&json!("a"), &json!({})));
    let codes: Vec<_> = said.iter().map(|it| it["error"]["code"].as_i64().unwrap()).collect();
    assert_eq!((codes, &*ended.stderr), (vec![-32700, -32600], ""));
}

/// A server that answers one request after another with these and tells what it was sent. Whoever comes then gets no
/// answer, and it tells "left" when they hang up.
fn scripted(answers: Vec<String>) -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        let mut answers = answers.into_iter();
        loop {
            let (stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream);
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                reader.read_line(&mut head).unwrap();
            }
            tell.send(head.to_ascii_lowercase()).unwrap();
            if let Some(answer) = answers.next() {
                reader.get_mut().write_all(answer.as_bytes()).unwrap();
                continue;
            }
            // Who is killed may leave with a reset.
            let _ = io::copy(&mut reader, &mut io::sink());
            tell.send("left".to_owned()).unwrap();
        }
    });
    (url, told)
}

fn answer(headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
    )
}

/// Progress and what a server asks of a client come as events, ahead of the answer.
#[test]
fn what_a_server_streams_passes_as_it_comes() {
    let begun = r#"{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-11-25"}}"#;
    let json = "content-type: application/json\r\n";
    let progress = r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":1}}"#;
    let done = r#"{"jsonrpc":"2.0","id":2,"result":{"new":"field"}}"#;
    let events =
        format!(": alive\n\nid: 1\ndata:\n\ndata: {progress}\n\nevent: message\ndata: {done}\n\n");
    let session = format!("{json}mcp-session-id: url.1\r\n");
    let (url, told) = scripted(vec![
        answer(&session, begun),
        answer("content-type: text/event-stream\r\n", &events),
        answer(json, "{\"jsonrpc\":\"2.0\",\n \"id\":3,\"result\":{}}"),
    ]);
    let mut client = Client::start(command(&url, "kft_x"));
    client.ask(1, "initialize", initialize(json!({})));
    assert!(!told.recv().unwrap().contains("mcp-session-id"));
    let first = client.ask(2, "tools/call", json!({"name": "x", "arguments": {}}));
    assert_eq!(first["method"], "notifications/progress");
    assert_eq!(client.hear()["result"]["new"], "field");
    let head = told.recv().unwrap();
    for header in ["mcp-session-id: url.1\r\n", "mcp-protocol-version: 2025-11-25\r\n"] {
        assert!(head.contains(header), "{head}");
    }
    // A later version says all of that with each request.
    let version = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28"});
    let params = json!({"name": "ünknown", "arguments": {}, "_meta": version});
    assert_eq!(client.ask(3, "tools/call", params)["id"], 3);
    let head = told.recv().unwrap();
    for header in [
        "mcp-protocol-version: 2026-07-28\r\n",
        "mcp-method: tools/call\r\n",
        "mcp-name: =?base64?w7xua25vd24=?=\r\n".to_ascii_lowercase().as_str(),
    ] {
        assert!(head.contains(header), "{head}");
    }
    assert!(!head.contains("mcp-session-id"), "{head}");
    assert_eq!(client.end(), (Some(0), String::new()));
}

/// What is no text ends neither the command nor what is under way.
#[test]
fn bytes_that_are_no_text_and_lines_that_are_too_long_are_refused_alone() {
    let (_vault, server, token) = vault();
    let mut client = Client::start(command(&server.url, &token));
    client.write(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xff\"}\n");
    let refused = client.hear();
    assert_eq!((&refused["id"], &refused["error"]["code"]), (&Value::Null, &json!(-32700)));
    // More than one of what is read at a time is left out.
    let long = format!("{:?}\n", "x".repeat(5 * 1024 * 1024));
    client.write(long.as_bytes());
    assert_eq!(client.hear()["error"]["code"], -32600);
    assert_eq!(client.ask(2, "ping", json!({}))["id"], 2);
    // What is only just too long is the server's to refuse.
    let params = json!({"arguments": "x".repeat(1024 * 1024)});
    let refused = client.ask(3, "tools/call", params);
    assert_eq!((&refused["id"], &refused["error"]["code"]), (&json!(3), &json!(-32000)));
    assert_eq!(client.end(), (Some(0), String::new()));
}

#[test]
fn a_server_that_says_nothing_keeps_no_client_that_begins() {
    let (url, told) = scripted(Vec::new());
    let mut client = Client::start(command(&url, "kft_x"));
    let discover = json!({"jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": {}});
    client.say(discover);
    assert!(told.recv().unwrap().starts_with("post /mcp"));
    client.say(cancelled(json!(1)));
    assert_eq!(told.recv().unwrap(), "left");
    // What comes after it waits for it, and stdin may end meanwhile.
    client.say(json!({"jsonrpc": "2.0", "id": 2, "method": "initialize", "params": {}}));
    assert!(told.recv().unwrap().starts_with("post /mcp"));
    client.say(json!({"jsonrpc": "2.0", "id": 3, "method": "ping"}));
    assert_eq!(client.end(), (Some(1), String::new()));
    assert_eq!(told.recv().unwrap(), "left");
    assert!(told.try_recv().is_err());
}

#[test]
fn a_request_is_cancelled_however_its_id_is_written_and_however_often_it_was_used() {
    let json = "content-type: application/json\r\n";
    let answered = r#"{"jsonrpc":"2.0","id":"a","result":{}}"#;
    let (url, told) = scripted(vec![answer(json, answered)]);
    let mut client = Client::start(command(&url, "kft_x"));
    let ask = json!({"jsonrpc": "2.0", "id": "a", "method": "tools/list"});
    client.say(ask.clone());
    assert_eq!(client.hear()["id"], "a");
    assert!(told.recv().unwrap().starts_with("post /mcp"));
    for id in ["a", "\\u0061"] {
        client.say(ask.clone());
        assert!(told.recv().unwrap().starts_with("post /mcp"));
        // Cancels nothing, and has what is over forgotten.
        client.say(cancelled(json!("other")));
        let cancel = cancelled(json!("a")).to_string().replace("\"a\"", &format!("\"{id}\""));
        client.write(format!("{cancel}\n").as_bytes());
        assert_eq!(told.recv().unwrap(), "left", "{cancel}");
    }
    assert_eq!(client.end(), (Some(0), String::new()));
}
