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
    /// Act as a child account of the key's own: its id, or its e-mail address
    #[arg(long, env = "KEYFOB_RUN_AS", value_name = "ACCOUNT")]
    run_as: Option<String>,
}

/// Which server, as whom, and for whom the answer is.
#[derive(Args)]
pub(crate) struct Where {
    #[command(flatten)]
    pub(crate) remote: RemoteArgs,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
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
        // Whoever types a command sees what happened, and tries again by hand.
        let client = Client::builder().base_url(&self.url).secret(token.clone()).retries(0);
        let client = match self.child() {
            Some(email) if email.contains('@') => client.run_as_child_user_email(email),
            Some(id) => client.run_as_user_id(id),
            None => client,
        };
        Ok(client.build()?)
    }

    fn child(&self) -> Option<&str> {
        self.run_as.as_deref().filter(|account| !account.is_empty())
    }

    /// Refuses to act as a child account where that cannot be done, rather than in its parent.
    pub(crate) fn expect_no_child(&self) -> Result<(), Failure> {
        let text = "--run-as (KEYFOB_RUN_AS) works over HTTP only: leave --data-dir and --database-url away, and set KEYFOB_TOKEN";
        self.child().map_or(Ok(()), |_| Err(Failure::Usage(text.into())))
    }
}
