//! The Keyfob service as a library.
//!
//! One natural path: `router` → `http` or `mcp` → [`broker`] → store, policy, crypto. Rules live in the
//! broker only, statuses in [`error`] only.

pub mod app;
pub mod audit;
pub mod broker;
pub mod catalogue;
pub mod clock;
pub mod config;
pub mod delivery;
pub mod doctor;
pub mod egress;
pub mod error;
pub mod jobs;
pub mod leak;
pub mod local;
pub mod log;
pub mod metrics;
pub mod openapi;
pub mod random;
pub mod router;
pub mod serve;
pub mod vault;

mod auth;
mod http;
mod key_file;
mod mcp;
mod notary;
mod oauth;
mod page;
mod text;
mod unread;
