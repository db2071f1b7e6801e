//! That the provider does what it says, seen by a plain HTTP client.

#![expect(clippy::unwrap_used, reason = "in a test, what must not be is a failure")]

mod app;
mod assertion;
mod authorize;
mod client_auth;
mod control;
mod device;
mod fault;
mod fault_answer;
mod in_flight;
mod metadata;
mod process;
mod refresh;
mod register;
mod revoke;
mod style;
mod suite;
