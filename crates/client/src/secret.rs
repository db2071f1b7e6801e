//! Secrets, the definitions of credentials. Each is named by its id, as `@alias`, or as `(name)`.

use keyfob_api::secret::{Secret, SecretFields};
use reqwest::Method;

use crate::{Client, Empty, Error, List, ListQuery, NO_BODY, NONE};

/// Which secrets are wanted, and in which order; the default is all, newest first.
#[derive(Clone, Debug, Default)]
pub struct SecretQuery {
    /// By what they hold in their `meta`, and in which order.
    pub list: ListQuery,
    /// Those of this blueprint.
    pub blueprint_id: Option<String>,
}

impl SecretQuery {
    fn pairs(&self) -> Vec<(String, String)> {
        let blueprint = self.blueprint_id.iter().map(|id| ("blueprintId".into(), id.clone()));
        self.list.pairs().into_iter().chain(blueprint).collect()
    }
}

impl Client {
    /// Stores a secret; its id. A repeated call stores another one, unless both have an alias.
    pub async fn create_secret(&self, secret: &SecretFields) -> Result<String, Error> {
        self.change(&["v1", "secret", "create"], secret).await
    }

    /// Changes what is given of a secret; its id.
    pub async fn update_secret(&self, at: &str, change: &SecretFields) -> Result<String, Error> {
        self.change(&["v1", "secret", at, "update"], change).await
    }

    /// Deletes a secret for good; its id.
    pub async fn delete_secret(&self, at: &str) -> Result<String, Error> {
        self.change(&["v1", "secret", at, "delete"], &Empty {}).await
    }

    /// A secret, without its value.
    pub async fn fetch_secret(&self, at: &str) -> Result<Secret, Error> {
        self.call(Method::GET, &["v1", "secret", at, "fetch"], NONE, NO_BODY).await
    }

    /// Secrets, page by page, without their values.
    #[must_use]
    pub fn list_secrets(&self, query: &SecretQuery) -> List<Secret> {
        List::new(self, &["v1", "secret", "list"], query.pairs())
    }
}
