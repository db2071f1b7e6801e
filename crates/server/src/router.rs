//! Every route of the service.

use std::sync::Arc;

use axum::{
    Router,
    routing::{any, get, post},
};
use utoipa::{OpenApi as _, openapi::OpenApi};

use crate::{
    broker::Broker,
    error::Error,
    http::{
        account, connect, connection, connection_list, contact, docs, event, health, key, proxy,
        proxy_stream, revocation, secret, template, totp,
    },
    mcp,
    metrics::Metrics,
};

/// Makes [`ROUTES`], the router and its description of one list, so that no route is in only one of them.
macro_rules! routes {
    ($($path:literal => $($method:ident($noun:ident::$handler:ident)).+,)*) => {
        /// Every route of the API that needs a caller: what metrics tell apart, and what a test calls
        /// with other accounts' ids.
        pub const ROUTES: &[&str] = &[$($path),*];

        fn with_routes(router: Router<Broker>) -> Router<Broker> {
            router$(.route($path, $($method($noun::$handler)).+))*
        }

        /// What each handler says of itself.
        pub(crate) fn described() -> OpenApi {
            // Each by itself: a handler may answer two methods.
            let mut all = OpenApi::default();
            $($({
                #[derive(utoipa::OpenApi)]
                #[openapi(paths($noun::$handler))]
                struct One;
                all.merge(One::openapi());
            })+)*
            all
        }
    };
}

routes! {
    "/api/v2/totp/code/{id}" => get(totp::code),
    "/api/v2/totp/secrets" => get(totp::list).post(totp::create),
    "/api/v2/totp/secrets/{id}" => get(totp::fetch).patch(totp::update).delete(totp::delete),
    "/api/v1/account/create" => post(account::create),
    "/api/v1/account/fetch" => get(account::fetch),
    "/api/v1/account/update" => post(account::update),
    "/api/v1/account/{id}/delete" => post(account::delete),
    "/api/v1/contact/create" => post(contact::create),
    "/api/v1/contact/ensure" => post(contact::ensure),
    "/api/v1/contact/list" => get(contact::list),
    "/api/v1/contact/export" => get(contact::export),
    "/api/v1/contact/{contact}/fetch" => get(contact::fetch),
    "/api/v1/contact/{contact}/update" => post(contact::update),
    "/api/v1/contact/{contact}/delete" => post(contact::delete),
    "/api/v1/contact/{contact}/secret/list" => get(connection_list::list),
    "/api/v1/contact/{contact}/secret/{secret}/verify" => post(connection::verify),
    "/api/v1/contact/{contact}/secret/{secret}/authenticate" => post(connection::authenticate),
    "/api/v1/contact/{contact}/secret/{secret}/connect" => post(connection::connect),
    "/api/v1/contact/{contact}/secret/{secret}/refresh" => post(connection::refresh),
    "/api/v1/contact/{contact}/secret/{secret}/mint" => post(connection::mint),
    "/api/v1/contact/{contact}/secret/{secret}/proxy" => post(proxy::send),
    "/api/v1/contact/{contact}/secret/{secret}/revoke" => post(connection::revoke),
    "/api/v1/secret/create" => post(secret::create),
    "/api/v1/secret/list" => get(secret::list),
    "/api/v1/secret/{secret}/fetch" => get(secret::fetch),
    "/api/v1/secret/{secret}/update" => post(secret::update),
    "/api/v1/secret/{secret}/delete" => post(secret::delete),
    "/api/v1/secret/{secret}/verify" => post(connection::verify_shared),
    "/api/v1/secret/{secret}/authenticate" => post(connection::authenticate_shared),
    "/api/v1/secret/{secret}/refresh" => post(connection::refresh_shared),
    "/api/v1/secret/{secret}/mint" => post(connection::mint_shared),
    "/api/v1/secret/{secret}/proxy" => post(proxy::send_shared),
    "/api/v1/secret/{secret}/revoke" => post(connection::revoke_shared),
    "/proxy/{contact}/{secret}/{*url}" => any(proxy_stream::pass),
    "/mcp" => post(mcp::serve),
    "/api/v1/revocation/list" => get(revocation::list),
    "/api/v1/event/list" => get(event::list),
    "/api/v1/platform/secret/list" => get(template::list),
    "/api/v1/platform/secret/search" => post(template::search),
    "/api/v1/key/create" => post(key::create),
    "/api/v1/key/list" => get(key::list).post(key::list),
    "/api/v1/key/{id}/fetch" => get(key::fetch).post(key::fetch),
    "/api/v1/key/{id}/update" => post(key::update),
    "/api/v1/key/{id}/revoke" => post(key::revoke),
}

/// The API and the pages.
pub(crate) fn api(broker: Broker) -> Router {
    let pages = Router::new()
        .route("/connect/{state}", get(connect::show).post(connect::submit))
        .route("/secrets/oauth/callback", get(connect::back))
        .route("/openapi.json", get(docs::document))
        .route("/docs", get(docs::show))
        .route("/docs/{file}", get(docs::file));
    with_fallbacks(with_routes(health_routes().merge(pages)).with_state(broker))
}

/// Metrics and health.
pub(crate) fn admin(broker: Broker, metrics: Arc<Metrics>) -> Router {
    let depth = broker.clone();
    let render = move || std::future::ready(health::metrics(&metrics, &depth));
    with_fallbacks(health_routes().route("/metrics", get(render)).with_state(broker))
}

fn health_routes() -> Router<Broker> {
    Router::new().route("/healthz", get(health::live)).route("/readyz", get(health::ready))
}

fn with_fallbacks(router: Router) -> Router {
    router
        .fallback(async || Error::NotFound)
        .method_not_allowed_fallback(async || Error::MethodNotAllowed)
}
