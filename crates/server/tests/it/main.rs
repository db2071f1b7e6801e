//! The service, tested through its one function from request to response: a fresh database for
//! each test, a clock that is moved by hand, typed callers, and a guard that looks for secrets
//! wherever none may be (`guard.rs`).
//!
//! `KEYFOB_TEST_DATABASE=postgres` runs all of it on PostgreSQL (`tests/with-postgres.sh`).

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "in a test, what must not be is a failure"
)]

mod app;
mod at_provider;
mod call;
mod certificate;
mod database;
mod endpoint;
mod guard;
mod listening;
mod lossy;
mod manual_clock;
mod mcp_client;
mod passed_on;
mod provider;
mod rival;
mod scene;
mod stored;
mod upstream;

mod account;
mod account_delete;
mod audit;
mod authentication;
mod authorize;
mod client_secret;
mod clock;
mod connect_link;
mod connect_page;
mod connection;
mod connection_list;
mod connections;
mod contact;
mod contact_list;
mod deletion;
mod device;
mod discovery;
mod docs;
mod doctor;
mod egress;
mod egress_guard;
mod egress_stream;
mod egress_stream_flow;
mod egress_stream_guard;
mod egress_stream_http2;
mod egress_stream_tls;
mod egress_stream_upgrade;
mod egress_tls;
mod errors;
mod event;
mod event_attack;
mod event_chain;
mod event_lines;
mod event_seal;
mod event_signing;
mod import;
mod isolation;
mod isolation_named;
mod key;
mod key_change;
mod key_limits;
mod key_limits_entries;
mod key_limits_set;
mod key_meanwhile;
mod key_rate;
mod limits;
mod list_scan;
mod lost_answer;
mod mcp;
mod mcp_links;
mod mcp_lists;
mod mcp_message;
mod mcp_reconnect;
mod mcp_request;
mod mcp_site;
mod meta;
mod metrics;
mod mint;
mod openapi;
mod proxy;
mod proxy_destination;
mod proxy_foreign;
mod proxy_foreign_kinds;
mod proxy_headers;
mod proxy_injected;
mod proxy_kept;
mod proxy_key;
mod proxy_leak;
mod proxy_leak_echo;
mod proxy_links;
mod proxy_places;
mod proxy_replay;
mod proxy_socket;
mod proxy_socket_replaced;
mod proxy_stream;
mod proxy_trail;
mod reference;
mod refresh;
mod refresh_client;
mod refresh_job;
mod refresh_lease;
mod refresh_race;
mod registration;
mod revocation;
mod revocation_failure;
mod rival_proxy;
mod runas;
mod sealing;
mod secret;
mod secret_config;
mod shared;
mod shared_grant;
mod template;
mod threads;
mod threat_model;
mod totp_code;
mod totp_create;
mod totp_fetch_update_delete;
mod totp_list;
mod totp_recent;
mod totp_repeat;
mod totp_unique;
mod totp_wait;
mod trial;
mod vectors;
mod weaknesses;
