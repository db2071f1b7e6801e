//! What users of similar systems have reported about renewals, and how others' code goes wrong there; and the
//! test that shows what Keyfob does instead.

use crate::weaknesses::has_test;

/// Where it was reported, or whose code it is in, and where the test is.
const TABLE: &[(&str, &str, &str)] = &[
    // Two at once.
    ("NangoHQ/nango#1005", "refresh", "of_many_callers_at_once_one_asks_and_all_get_its_token"),
    ("IBM/mcp-context-forge#6353", "refresh", "callers_of_two_nodes_have_one_renewal_together"),
    (
        "IBM/mcp-context-forge#6353",
        "refresh_lease",
        "nothing_is_remembered_of_renewals_that_are_over",
    ),
    (
        "openbao/openbao-plugin-secrets-oauthapp#51",
        "refresh",
        "callers_of_two_nodes_have_one_renewal_together",
    ),
    (
        "neondatabase/mcp-server-neon#209",
        "refresh",
        "callers_of_two_nodes_have_one_renewal_together",
    ),
    ("FlowFuse/flowfuse#8270", "refresh", "callers_of_two_nodes_have_one_renewal_together"),
    ("HQBase/hqbase#41", "refresh", "of_many_callers_at_once_one_asks_and_all_get_its_token"),
    (
        "Wei-Shaw/sub2api#1382",
        "refresh_race",
        "a_refusal_of_tokens_that_were_replaced_meanwhile_breaks_nothing",
    ),
    // What an answer says, and what it does not.
    ("NangoHQ/nango#6136", "refresh", "a_rotated_refresh_token_is_stored_each_time"),
    ("UsefulSoftwareCo/executor#1973", "refresh", "a_rotated_refresh_token_is_stored_each_time"),
    ("keycloak/keycloak#5938", "refresh", "an_answer_without_a_refresh_token_keeps_the_old_one"),
    (
        "NangoHQ/nango#6775",
        "refresh",
        "an_answer_without_expires_in_ends_with_its_jwt_or_after_the_configured_time",
    ),
    ("NangoHQ/nango#6775", "refresh", "a_refresh_token_that_says_when_it_ends_is_used_until_then"),
    // What is handed out.
    (
        "keycloak/keycloak#14644",
        "refresh",
        "a_token_that_is_about_to_end_is_renewed_before_it_is_handed_out",
    ),
    (
        "keycloak/keycloak#46373",
        "refresh",
        "a_token_that_is_about_to_end_is_renewed_before_it_is_handed_out",
    ),
    (
        "keycloak/keycloak#46582",
        "refresh",
        "an_outage_keeps_the_grant_and_is_left_alone_for_a_while",
    ),
    (
        "keycloak/keycloak#49341",
        "refresh",
        "an_outage_keeps_the_grant_and_is_left_alone_for_a_while",
    ),
    // What gets lost.
    (
        "NangoHQ/nango#1016",
        "refresh",
        "a_crash_after_the_provider_has_answered_is_seen_by_whoever_comes_next",
    ),
    ("cloudflare/mcp#136", "refresh", "after_a_lost_answer_the_old_token_is_sent_once_more"),
    (
        "cloudflare/workers-oauth-provider#214",
        "refresh",
        "where_a_lost_answer_has_cost_the_grant_the_connection_says_so_and_asks_no_more",
    ),
    // When it is over.
    (
        "rmorlok/authproxy#189",
        "refresh",
        "only_a_grant_that_the_provider_has_ended_is_broken_and_nobody_asks_again",
    ),
    (
        "the-momentum/open-wearables#1203",
        "refresh",
        "only_a_grant_that_the_provider_has_ended_is_broken_and_nobody_asks_again",
    ),
    (
        "czpython/druks#553",
        "refresh",
        "only_a_grant_that_the_provider_has_ended_is_broken_and_nobody_asks_again",
    ),
    // What must go on to work.
    ("ComposioHQ/composio#1914", "refresh", "a_renewal_that_is_asked_for_never_harms_what_works"),
    ("ComposioHQ/composio#2065", "refresh", "a_renewal_that_is_asked_for_never_harms_what_works"),
    (
        "puppetlabs/vault-plugin-secrets-oauthapp#35",
        "refresh_client",
        "a_client_secret_is_replaced_without_a_gap",
    ),
    (
        "imbue-ai/latchkey: two installations",
        "refresh_lease",
        "a_grant_without_its_refresh_token_is_never_renewed",
    ),
    // In the code of others.
    (
        "Agent Vault: not read again inside",
        "refresh_lease",
        "what_was_read_before_the_lease_is_read_again_inside_it",
    ),
    (
        "Agent Vault: no lock in the database",
        "refresh",
        "callers_of_two_nodes_have_one_renewal_together",
    ),
    (
        "Agent Vault: ends with its caller",
        "refresh",
        "a_caller_who_goes_away_does_not_end_the_renewal",
    ),
    (
        "Agent Vault: tries again at once",
        "refresh",
        "an_outage_keeps_the_grant_and_is_left_alone_for_a_while",
    ),
    ("OneCLI: no lock", "refresh", "of_many_callers_at_once_one_asks_and_all_get_its_token"),
    (
        "OneCLI: hands the old token out",
        "refresh",
        "an_outage_keeps_the_grant_and_is_left_alone_for_a_while",
    ),
    (
        "OneCLI: does not mind that it could not store",
        "refresh",
        "new_tokens_wait_for_a_database_that_is_busy",
    ),
    (
        "Nango: a lock without a number",
        "refresh_race",
        "the_tokens_of_a_node_that_was_late_do_not_replace_newer_ones",
    ),
    (
        "Nango: a lock shorter than a request",
        "refresh_lease",
        "a_request_that_could_outlive_its_lease_is_not_sent",
    ),
    (
        "AuthProxy: a lock as long as a request",
        "refresh_lease",
        "a_request_that_could_outlive_its_lease_is_not_sent",
    ),
    ("AuthProxy: one more service", "refresh", "callers_of_two_nodes_have_one_renewal_together"),
];

#[test]
fn every_thread_and_defect_has_the_test_that_the_table_names() {
    for (thread, file, test) in TABLE {
        assert!(has_test(file, test), "{thread}: {file}::{test}");
    }
}
