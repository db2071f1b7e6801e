//! What goes into the log at all, whatever level it is asked for.

use tracing::Metadata;

/// The library that speaks MCP logs whole messages, and with them codes, links and what upstreams have answered.
/// What is worth knowing of its requests the service logs itself.
const SILENT: &str = "rmcp";

/// Whether what is about to be logged may be: that it holds no secret is known of it.
#[must_use]
pub fn is_loggable(metadata: &Metadata<'_>) -> bool {
    let module = metadata.target().split("::").next();
    module != Some(SILENT)
}
