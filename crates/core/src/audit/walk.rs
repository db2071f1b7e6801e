//! Where verification is in a chain.

use super::{At, Hash};

/// How far the chain that is being walked is seen.
#[derive(Default)]
pub(super) struct Walk {
    pub(super) chain: String,
    /// The position that comes next.
    pub(super) next: i64,
    /// The hash that the next event follows, if that is known.
    pub(super) follows: Option<Hash>,
    /// The event before, unless something was found about it.
    pub(super) before: Option<At>,
    /// Whether all before it were removed, as was signed.
    pub(super) is_after_edge: bool,
    /// The last position that is as a checkpoint signed it.
    pub(super) signed: i64,
    /// Whether it was found that it is not what was signed.
    pub(super) is_rewritten: bool,
}
