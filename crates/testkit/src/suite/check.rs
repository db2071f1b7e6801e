//! The checks by name, and what came of them.

use std::fmt;

use futures_util::future::LocalBoxFuture;
use serde::Serialize;

use super::{
    broker::Broker,
    outage, race, renewal,
    scene::{Stage, Wrong},
};

/// What a check saw.
pub(super) type Finding = Result<String, Wrong>;

/// A check, by its name.
pub(super) struct Check<B> {
    pub(super) name: &'static str,
    pub(super) run: fn(Stage<B>) -> LocalBoxFuture<'static, Finding>,
}

macro_rules! checks {
    ($($module:ident::$name:ident),+ $(,)?) => {
        /// The names of all checks.
        pub const NAMES: &[&str] = &[$(stringify!($name)),+];

        pub(super) fn all<B: Broker>() -> Vec<Check<B>> {
            vec![$(Check {
                name: stringify!($name),
                run: |stage| Box::pin($module::$name(stage)),
            }),+]
        }
    };
}

checks![
    renewal::a_rotated_refresh_token_is_kept,
    renewal::an_answer_without_a_refresh_token_keeps_the_old_one,
    renewal::an_answer_without_expires_in_ends_with_its_jwt,
    renewal::a_token_that_has_expired_is_never_handed_out,
    renewal::answers_are_read_in_every_style,
    renewal::a_client_says_who_it_is_as_the_provider_wants,
    renewal::a_client_secret_is_replaced_without_a_gap,
    race::many_callers_share_one_refresh,
    race::callers_of_all_nodes_share_one_refresh,
    race::a_caller_who_hangs_up_ends_no_refresh,
    race::a_refusal_of_a_grant_that_was_replaced_meanwhile_breaks_nothing,
    race::forced_refreshes_harm_nothing,
    outage::an_outage_costs_no_grant,
    outage::a_provider_that_hangs_costs_no_grant,
    outage::a_lost_answer_is_asked_for_once_more,
    outage::a_lost_answer_that_cost_the_grant_is_told,
    outage::a_grant_that_the_provider_has_ended_is_told_and_left_alone,
    outage::revoking_ends_the_grant_at_the_provider,
];

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// It holds.
    Passed,
    /// It does not.
    Failed,
    /// It could not be made of this broker.
    NotMade,
}

/// What came of a check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// Its name: a sentence with underscores.
    pub name: &'static str,
    /// How it ended.
    pub verdict: Verdict,
    /// What was seen.
    pub seen: String,
}

impl Checked {
    pub(super) fn new(name: &'static str, finding: Finding) -> Self {
        let (verdict, seen) = match finding {
            Ok(seen) => (Verdict::Passed, seen),
            Err(wrong @ Wrong::OneNode) => (Verdict::NotMade, wrong.to_string()),
            Err(wrong) => (Verdict::Failed, wrong.to_string()),
        };
        Self { name, verdict, seen }
    }
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            Verdict::Passed => "ok  ",
            Verdict::Failed => "FAIL",
            Verdict::NotMade => "-   ",
        };
        write!(f, "{verdict} {}: {}", self.name.replace('_', " "), self.seen)
    }
}
