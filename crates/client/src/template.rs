//! Templates: how well-known providers are reached.

use keyfob_api::template::Template;

use crate::{Client, List};

impl Client {
    /// The server's catalogue, page by page, by name.
    #[must_use]
    pub fn list_templates(&self) -> List<Template> {
        let by_name = vec![("order".into(), "asc".into())];
        List::new(self, &["v1", "platform", "secret", "list"], by_name)
    }
}
