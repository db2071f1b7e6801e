//! The bare axum server that Keyfob's figures are held against: one route, one word. The route is
//! Keyfob's, so that both are asked with the same bytes. A second one has a contact, always the same, for clients.
#![expect(clippy::print_stdout, reason = "the address is what the benchmark reads")]

use axum::{Router, http::header, routing::get};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const JSON: [(header::HeaderName, &str); 1] = [(header::CONTENT_TYPE, "application/json")];
const CONTACT: &str = r#"{"id":"c9qzy1f0o0002l8j5s7d3k4mn","name":"Ann","description":"","fingerprint":"customer:00000042","email":"ann@example.com","phone":null,"nick":null,"preferences":null,"verifiedAt":1790000000000,"meta":{"team":"sales"},"createdAt":1790000000000,"updatedAt":1790000000000}"#;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    let app = Router::new()
        .route("/api/v2/totp/code/{id}", get(|| async { "hello" }))
        .route("/api/v1/contact/{contact}/fetch", get(|| async { (JSON, CONTACT) }));
    axum::serve(listener, app).await?;
    Ok(())
}
