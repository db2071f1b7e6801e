//! Lists as a command line asks for them.

use keyfob_api::list::Page;
use keyfob_client::{Order, Request};
use serde::de::DeserializeOwned;

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
    pub(crate) fn of<T>(self, list: Request<Page<T>>) -> Request<Page<T>>
    where
        T: DeserializeOwned + Send + 'static,
    {
        let order = if self.oldest_first { Order::Asc } else { Order::Desc };
        let list = list.order(order);
        self.meta.iter().fold(list, |list, (key, value)| list.meta(key, value))
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
