//! `clientFetch`, with each of its options.

use std::time::Duration;

use keyfob_client::{Client, Error, File, Method};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::{Done, of, send};

const PATH: &str = "/api/v1/contact/list";
const REPORT: &str = "/api/v1/report/1";

pub(crate) async fn send_all(client: &Client) -> Done {
    let fetch = |path| client.fetch::<Value>(path);
    send("clientFetch", fetch(PATH)).await?;
    let query = json!({ "take": 2, "q": "a b&c=d/é~*'", "yes": true, "no": false, "none": null, "meta": { "n": 1e21 } });
    send("clientFetch: query", fetch(PATH).query(&query)).await?;
    send(
        "clientFetch: query beside one of the path",
        fetch("/a?x=1+2&y=%20").query(&json!({ "z": 3 })),
    )
    .await?;
    let record = json!({ "text": "é \u{1f98a} \"q\" \\ \u{7f}", "deep": { "er": [null, 1.5, -2, false, {}] }, "none": null });
    send("clientFetch: record", fetch(REPORT).record(&record)).await?;
    send("clientFetch: method", fetch(REPORT).method(Method::DELETE)).await?;
    let put = fetch(REPORT).method(Method::PUT).record(&json!({}));
    send("clientFetch: method with a record", put).await?;
    send("clientFetch: buffer", fetch(REPORT).buffer(vec![0, 1, 13, 10, 0xff, 0xfe])).await?;
    let typed = fetch(REPORT).buffer("a,b\n").header("content-type", "text/csv");
    send("clientFetch: buffer of a type", typed).await?;
    send("clientFetch: file", fetch(REPORT).file(&File::new("just text"))).await?;
    let file =
        File::new(vec![0, 1, 13, 10, 0xff]).name("re \"port\" é.bin").media_type("image/png");
    send("clientFetch: file with a name", fetch(REPORT).file(&file)).await?;
    let headers = fetch(PATH).header("x-team", "sales").header("x-timezone", "UTC");
    send("clientFetch: headers", headers).await?;
    let other = fetch(PATH).header("authorization", "Bearer another");
    send("clientFetch: headers that replace", other).await?;

    let mirrored = client.to_builder().endpoint("contacts", "/mirror/contacts").build()?;
    send("clientFetch: endpoint", mirrored.fetch::<Value>(PATH).endpoint("contacts")).await?;
    let external = client.to_builder().header("x-team", "sales").timezone("UTC");
    let external =
        external.run_as_user_id("acc_1").run_as_child_user_email("kid@example.com").build()?;
    send(
        "clientFetch: external",
        external.fetch::<Value>("/hook").external().record(&json!({ "a": 1 })),
    )
    .await?;

    let own = reqwest::Client::new().map_request(|mut request: reqwest::Request| {
        request.headers_mut().insert("x-own", http::HeaderValue::from_static("yes"));
        request
    });
    send("clientFetch: fetchFn", fetch(PATH).fetch_with(own)).await?;
    lines(client).await?;
    unlike(client).await?;
    retries(client).await
}

/// What the published client sends otherwise, or elsewhere.
async fn unlike(client: &Client) -> Done {
    let typed = client.fetch::<Value>(REPORT).buffer("a,b\n").header("Content-Type", "text/csv");
    send("clientFetch: a header in capitals", typed).await?;
    let hook = format!("{}/hook", elsewhere()?);
    let refused = of("clientFetch: another server", client.fetch::<Value>(&hook)).await;
    refused
        .err()
        .filter(|error| matches!(error, Error::Invalid(_)))
        .ok_or("the key would go elsewhere")?;
    let external = client.fetch::<Value>(&hook).external();
    send("clientFetch: another server that is external", external).await
}

/// The same server by another name.
fn elsewhere() -> Result<String, std::env::VarError> {
    Ok(std::env::var("KEYFOB_URL")?.replace("127.0.0.1", "localhost"))
}

async fn lines(client: &Client) -> Done {
    let mut lines = of("clientFetch: as a stream", client.fetch::<Value>(PATH)).lines::<Value>();
    while lines.try_next().await?.is_some() {}
    Ok(())
}

/// The server refuses the first requests, as many as `x-refuse` says, with 503.
async fn retries(client: &Client) -> Done {
    let fetch = || client.fetch::<Value>(PATH).retry_delay(Duration::from_millis(1));
    send("clientFetch: retryDelay", fetch().header("x-refuse", "3")).await?;
    let post = fetch().record(&json!({ "a": 1 })).header("x-refuse", "2");
    send("clientFetch: retryDelay of a record", post).await?;
    let case = "clientFetch: retries";
    let refused = of(case, fetch().retries(1).header("x-refuse", "9")).await;
    refused.err().and_then(|error| error.status()).ok_or("no refusal")?;
    let silent = fetch().timeout(Duration::from_millis(100)).header("x-silent", "1");
    send("clientFetch: timeout", silent).await?;
    let silent =
        fetch().timeout(Duration::from_millis(100)).retry_timeout(false).header("x-silent", "9");
    let late = of("clientFetch: retryTimeout", silent).await;
    late.err().ok_or("an answer of a silent server")?;
    Ok(())
}
