//! The bare axum server that Keyfob's figures are held against: one route, one word. The route is
//! Keyfob's, so that both are asked with the same bytes.
#![expect(clippy::print_stdout, reason = "the address is what the benchmark reads")]

use axum::{Router, routing::get};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    let app = Router::new().route("/api/v2/totp/code/{id}", get(|| async { "hello" }));
    axum::serve(listener, app).await?;
    Ok(())
}
