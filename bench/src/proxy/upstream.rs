//! The provider that all candidates lead to.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::{
    candidate::{fill_in, nginx},
    events::Events,
};
use crate::{
    context::Context,
    process::{Server, free_ports},
};

/// nginx, which answers 70 bytes to whoever brings the credential, and an event stream that wants the same.
pub(super) struct Upstream {
    pub(super) server: Server,
    pub(super) port: u16,
    pub(super) events: Events,
    pub(super) folder: PathBuf,
}

impl Upstream {
    pub(super) async fn start(context: &Context) -> Result<Self> {
        let folder = context.folder("proxy-upstream")?.canonicalize()?;
        let [port] = free_ports()?;
        let values = [("folder", text(&folder)?), ("port", port.to_string())];
        let config = fill_in(&folder, "nginx/upstream.conf", &values)?;
        let server = Server::spawn("nginx as the upstream", nginx(&folder, &config))?;
        Ok(Self { server, port, events: Events::start().await?, folder })
    }

    /// A candidate's configuration that leads here, in its folder.
    pub(super) fn fill(&self, folder: &Path, from: &str, port: u16) -> Result<PathBuf> {
        let values = [
            ("folder", text(folder)?),
            ("port", port.to_string()),
            ("upstream", self.port.to_string()),
            ("events", self.events.port.to_string()),
        ];
        fill_in(folder, from, &values)
    }
}

fn text(folder: &Path) -> Result<String> {
    Ok(folder.to_str().context("the folder's name is not text")?.to_owned())
}
