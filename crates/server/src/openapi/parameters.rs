//! The parameters of operations, as their document names them. What is made of them is where each is read:
//! `http/list.rs`,
//! `http/wish.rs`, `http/repeat.rs` and the handlers.

#![expect(dead_code, reason = "the document is made of these types, and nothing else")]

use std::collections::BTreeMap;

use utoipa::{IntoParams, ToSchema};

/// Which items come first.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(crate) enum Order {
    Asc,
    Desc,
}

/// What all lists of `/api/v1` have in common.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct List {
    /// How many items at most: of a page 1 to 100, of a stream any number. Without it, a page of 100, and all of a
    /// stream. What is no number
    /// counts as absent.
    #[param(minimum = 1, nullable = false)]
    take: Option<u64>,
    /// The oldest first (`asc`), or the newest (`desc`, and whatever else is said).
    #[param(inline, nullable = false)]
    order: Option<Order>,
    /// Where the last page ended: its `cursor`, or the id of its last item.
    #[param(nullable = false)]
    cursor: Option<String>,
}

/// A filter by `meta`.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Meta {
    /// Only items whose `meta` has these values: `meta[KEY]=VALUE`, or `meta.KEY=VALUE`, once or more often. Dots in a
    /// key lead into nested
    /// objects; `true` and `false` are compared as booleans, everything else as text.
    #[param(style = DeepObject, explode, nullable = false)]
    meta: Option<BTreeMap<String, String>>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Blueprint {
    /// Only what belongs to this blueprint.
    #[param(rename = "blueprintId", nullable = false)]
    blueprint_id: Option<String>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Connectable {
    /// `all`: also what the contact could connect.
    #[param(inline, nullable = false)]
    status: Option<All>,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(crate) enum All {
    All,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Revocation {
    /// Only revocations that are so.
    #[param(nullable = false)]
    status: Option<keyfob_api::words::RevocationStatus>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct DryRun {
    /// `1`: only what would be sent is told.
    #[param(inline, nullable = false)]
    dry_run: Option<Flag>,
}

/// A boolean of a query.
#[derive(ToSchema)]
pub(crate) enum Flag {
    #[schema(rename = "1")]
    One,
    #[schema(rename = "0")]
    Zero,
    #[schema(rename = "true")]
    True,
    #[schema(rename = "false")]
    False,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Code {
    /// For so many seconds the code must still be valid when it is told: if the current one is not, the answer waits
    /// for the next. Not more
    /// than the entry's `period`. Its policy says what holds without it.
    #[param(minimum = 0, nullable = false)]
    min_validity: Option<u32>,
    /// The code of a time step that nobody has been told, and nobody will be. Its policy says what holds without it.
    #[param(inline, nullable = false)]
    unique: Option<Flag>,
    /// `next`: the code after that, too.
    #[param(inline, nullable = false)]
    include: Option<Include>,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(crate) enum Include {
    Next,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub(crate) struct IdempotencyKey {
    /// Chosen by the caller, for this create: sent again within ten minutes, it makes nothing new. With other content
    /// it is a 409.
    #[param(
        rename = "Idempotency-Key",
        min_length = 1,
        max_length = 255,
        pattern = r"^[\t -~]+$",
        nullable = false
    )]
    idempotency_key: Option<String>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct Totp {
    /// The entry's id, a UUID.
    #[param(min_length = 1)]
    id: String,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct Key {
    /// The key's id.
    #[param(min_length = 1)]
    id: String,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct Account {
    /// The account's id.
    #[param(min_length = 1)]
    id: String,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct Contact {
    /// The contact's id.
    #[param(min_length = 1)]
    contact: String,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct Secret {
    /// The secret: its id, `@alias`, `(name)`; of another account that lets it be used, `@@alias` for the parent's and
    /// `@ACCOUNT@alias` for
    /// one of the family's.
    #[param(min_length = 1)]
    secret: String,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct ContactAndSecret {
    /// The contact's id.
    #[param(min_length = 1)]
    contact: String,
    /// The secret: its id, `@alias`, `(name)`; of another account that lets it be used, `@@alias` for the parent's and
    /// `@ACCOUNT@alias` for
    /// one of the family's.
    #[param(min_length = 1)]
    secret: String,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct PassedOn {
    /// The contact's id, or `-` for a shared secret.
    #[param(min_length = 1)]
    contact: String,
    /// The secret, as elsewhere.
    #[param(min_length = 1)]
    secret: String,
    /// All that follows, with its slashes and its query as they are: `https://api.example.com/v1/items?page=2`. Or
    /// it is encoded as a whole, its query included, as generated clients do.
    #[param(min_length = 1)]
    url: String,
}
