//! Lists as a command line asks for them.

use keyfob_client::ListQuery;

use crate::meta::filter;

/// Which items, and in which order.
#[derive(clap::Args)]
pub(crate) struct Which {
    /// Only those whose meta has this value at this key; dots in KEY walk into objects; repeatable
    #[arg(long, value_name = "KEY=VALUE", value_parser = filter)]
    meta: Vec<(String, String)>,
    /// Begin with the oldest
    #[arg(long)]
    oldest_first: bool,
}

impl Which {
    pub(crate) fn query(self) -> ListQuery {
        ListQuery { meta: self.meta, oldest_first: self.oldest_first }
    }
}

/// Which items, and how many.
#[derive(clap::Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub(crate) which: Which,
    /// Print so many at the most
    #[arg(long, value_name = "N", default_value_t = usize::MAX, hide_default_value = true)]
    pub(crate) take: usize,
}
