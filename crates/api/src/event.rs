//! `/api/v1/event`, and the whole audit trail as it is exported.

use serde::{Deserialize, Serialize};

/// Who did what to which object, when, with what result (contract/keyfob, "Events").
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// The event's id.
    pub id: String,
    /// When it happened, in unix milliseconds.
    pub created_at: i64,
    /// The account it happened in.
    pub account_id: String,
    /// Who did it.
    pub actor: Actor,
    /// What was done.
    pub action: String,
    /// What it was done to.
    pub object: Object,
    /// The contact it was done for, if any.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub contact_id: Option<String>,
    /// How it ended: `ok`, or a word for what else.
    pub result: String,
    /// More about the result.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub reason: Option<String>,
    /// The address the request came from.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub ip: Option<String>,
    /// The request it was part of.
    pub request_id: String,
    /// The hash chain it is part of; null for one from before there were chains.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub chain: Option<String>,
    /// Its position in the chain, from 1.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub position: Option<i64>,
    /// SHA-256 of all of this and of the hash before it, in hexadecimal digits.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub hash: Option<String>,
    /// The hash of the event before it in its chain.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub previous_hash: Option<String>,
    /// What only the holder of the audit key can have made of the hash; in exports only.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub tag: Option<String>,
}

/// Who did it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Actor {
    /// `key`, `link`, `operator`, `owner` or `keyfob`.
    #[serde(rename = "type")]
    #[cfg_attr(feature = "openapi", schema(value_type = crate::words::ActorType))]
    pub kind: String,
    /// The actor's id.
    pub id: String,
    /// The actor's name at that time.
    pub name: String,
}

/// What it was done to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Object {
    /// The object's noun.
    #[serde(rename = "type")]
    pub kind: String,
    /// The object's id.
    pub id: String,
}

/// Which events are asked for: those that have all of these.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
pub struct EventQuery {
    /// Not before this moment, in unix milliseconds.
    #[cfg_attr(
        feature = "openapi",
        param(nullable = false, minimum = 0, maximum = 253_402_300_799_999_i64)
    )]
    pub since: Option<i64>,
    /// Not after this moment, in unix milliseconds.
    #[cfg_attr(
        feature = "openapi",
        param(nullable = false, minimum = 0, maximum = 253_402_300_799_999_i64)
    )]
    pub until: Option<i64>,
    /// The actor's id.
    #[cfg_attr(feature = "openapi", param(nullable = false))]
    pub actor: Option<String>,
    /// The action's name, or what it begins with before the dot.
    #[cfg_attr(feature = "openapi", param(nullable = false))]
    pub action: Option<String>,
    /// The object: its id, or its noun, `:` and its id.
    #[cfg_attr(feature = "openapi", param(nullable = false))]
    pub object: Option<String>,
    /// The contact's id.
    #[cfg_attr(feature = "openapi", param(nullable = false))]
    pub contact: Option<String>,
    /// How it ended.
    #[cfg_attr(feature = "openapi", param(nullable = false))]
    pub result: Option<String>,
}

/// A line of an exported trail, or of a list of events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "lowercase")]
pub enum TrailLine {
    /// What is signed.
    Checkpoint(Checkpoint),
    /// How a chain begins; its events follow, in order.
    Chain(Chain),
    /// An event of the chain before it, or one that is in none.
    Event(Event),
    /// There are no more: a file that was cut off has no such line.
    End(End),
    /// An event of a list.
    Item(Event),
    /// The list broke off.
    Error {
        /// The cause, for a person.
        message: String,
    },
}

/// A checkpoint, as it is exported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Checkpoint {
    /// Its number in the log, from 1.
    pub number: i64,
    /// When it was made, in unix milliseconds.
    pub created_at: i64,
    /// The hash of the one before it, in hexadecimal digits.
    pub previous: String,
    /// How far chains had come: lines of `head`, chain, position and hash, or of `edge` and the same
    /// and the hash of the chain's birth.
    pub heads: String,
    /// The id of the key that signed it.
    pub key_id: String,
    /// The signature, in hexadecimal digits.
    pub signature: String,
}

/// How a chain begins, as it is exported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Chain {
    /// The chain's id.
    pub id: String,
    /// How it began; null if the row that says so is gone.
    pub birth: Option<Birth>,
}

/// How a chain began, as it is exported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Birth {
    /// When its first event happened, in unix milliseconds.
    pub started_at: i64,
    /// Which process wrote it.
    pub node: String,
    /// The number of the newest checkpoint at that time.
    pub checkpoint: i64,
    /// And its hash, in hexadecimal digits.
    pub checkpoint_hash: String,
}

/// The end of an export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// How many events there are before it.
    pub events: u64,
}
