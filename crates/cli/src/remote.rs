//! Commands that talk to a running server.

use clap::Args;
use keyfob_client::Client;
use secrecy::{ExposeSecret, SecretString};

use crate::failure::Failure;

/// Which server, as whom.
#[derive(Args, Clone)]
pub(crate) struct RemoteArgs {
    /// URL of the server
    #[arg(long, env = "KEYFOB_URL", value_name = "URL", default_value = "http://127.0.0.1:7117")]
    url: String,
    /// Token of a key; better in the environment than on the command line, which others can see
    #[arg(long, env = "KEYFOB_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    token: Option<SecretString>,
}

impl RemoteArgs {
    /// Whether this says as whom to talk to a server.
    pub(crate) fn is_given(&self) -> bool {
        self.given_token().is_some()
    }

    /// An empty variable is one that was left empty.
    fn given_token(&self) -> Option<&SecretString> {
        self.token.as_ref().filter(|token| !token.expose_secret().is_empty())
    }

    pub(crate) fn client(&self) -> Result<Client, Failure> {
        let missing =
            "set KEYFOB_TOKEN to a key's token (keyfob key create --role backend makes one)";
        let token = self.given_token().ok_or_else(|| Failure::Usage(missing.into()))?;
        Ok(Client::new(&self.url, token.clone())?)
    }
}
