//! Which test shows that Keyfob does not have a weakness of the service whose API it speaks
//! (contract/contacts-and-secrets, section 9).

use std::{collections::BTreeSet, path::Path};

/// The weakness, and where the test of what Keyfob does instead is.
const TABLE: &[(u8, &str, &str)] = &[
    (1, "connect_link", "a_link_works_once"),
    (1, "connect_link", "a_link_belongs_to_the_browser_that_first_sent_its_form"),
    (1, "connect_link", "a_form_that_does_not_come_from_the_page_is_refused"),
    (1, "authorize", "an_answer_works_once_in_the_browser_that_asked_and_with_its_state"),
    (2, "connect_link", "a_credential_is_in_no_address"),
    (2, "authorize", "no_token_is_in_a_url_or_a_page"),
    (3, "reference", "a_reference_overrides_no_key_that_is_not_its_own_to_choose"),
    (3, "template", "a_reference_stands_for_a_template_as_its_target_filled_it_in"),
    (3, "template", "a_config_that_its_template_cannot_use_is_refused_and_nothing_changes"),
    (4, "refresh", "of_many_callers_at_once_one_asks_and_all_get_its_token"),
    (4, "refresh_race", "a_refusal_of_tokens_that_were_replaced_meanwhile_breaks_nothing"),
    (5, "refresh", "an_outage_keeps_the_grant_and_is_left_alone_for_a_while"),
    (5, "trial", "a_token_that_is_refused_is_said_so_and_kept"),
    (6, "refresh", "a_token_that_is_about_to_end_is_renewed_before_it_is_handed_out"),
    (6, "refresh", "an_answer_without_expires_in_ends_with_its_jwt_or_after_the_configured_time"),
    (7, "authorize", "a_person_agrees_at_the_provider_and_the_agent_can_use_it"),
    (7, "authorize", "of_an_answer_that_comes_twice_at_once_one_counts"),
    (8, "authorize", "clients_prove_who_they_are_in_every_way"),
    (9, "revocation", "the_refresh_token_is_revoked_first"),
    (9, "revocation", "whatever_takes_a_connection_away_has_its_grant_revoked_at_the_provider"),
    (9, "revocation", "whatever_takes_a_shared_value_away_has_its_grant_revoked_at_the_provider"),
    (9, "revocation_failure", "after_a_day_without_an_answer_it_has_failed_and_everybody_is_told"),
    (10, "connection", "revoke_takes_the_value_away_and_may_be_repeated"),
    (10, "shared", "revoke_takes_the_value_away_and_may_be_repeated"),
    (11, "connection", "a_shared_secret_is_verified_through_a_contact_and_nothing_else"),
    (12, "proxy", "only_the_secret_that_was_addressed_is_filled_in"),
    (12, "proxy_injected", "a_placeholder_tells_nothing_of_other_secrets"),
    (13, "proxy", "a_secret_goes_to_its_hosts_with_its_methods_to_its_paths_and_nowhere_else"),
    (13, "proxy", "a_secret_that_says_no_hosts_goes_nowhere"),
    (13, "proxy", "nothing_of_the_caller_reaches_the_server_and_no_cookie_comes_back"),
    (13, "proxy_destination", "no_spelling_takes_a_credential_to_another_host"),
    (13, "proxy_kept", "who_uses_anothers_secret_sends_a_value_of_its_own_where_that_may_go"),
    (14, "proxy", "a_redirect_is_blocked_and_its_location_told"),
    (14, "proxy_destination", "a_redirect_is_handed_back_and_nothing_is_sent_where_it_leads"),
    (15, "connection_list", "pages_go_by_the_age_of_connections_and_survive_what_comes_and_goes"),
    (15, "connection_list", "a_list_as_lines_has_all_of_them"),
    (16, "connection", "a_value_that_was_copied_to_another_contact_does_not_open"),
    (17, "secret_config", "what_is_sensitive_is_masked_in_every_answer"),
    (18, "secret_config", "a_config_that_its_type_cannot_use_is_refused_and_no_value_repeated"),
    (19, "isolation", "connections_of_others_look_like_connections_that_are_not_there"),
    (19, "isolation", "every_route_with_an_id_is_in_the_table"),
    (20, "authentication", "what_is_not_connected_is_unauthenticated_with_a_link"),
    (21, "authentication", "a_secret_that_nobody_can_connect_has_no_link"),
    (21, "connect_page", "each_type_has_its_form_and_what_is_typed_is_stored_exactly"),
    (22, "connect_link", "a_link_ends_after_fifteen_minutes"),
    (22, "connect_page", "the_last_page_names_whom_it_tells_and_where_it_goes"),
    (23, "connect_link", "a_state_is_no_key_and_a_key_is_no_state"),
    (24, "authorize", "a_grant_that_nobody_waits_for_any_more_is_queued_to_be_revoked"),
    (24, "connect_link", "a_link_is_withdrawn_with_what_it_was_for"),
    (25, "connection", "each_step_is_an_event_that_names_contact_and_secret"),
    (25, "authentication", "a_key_has_no_more_than_a_hundred_links_of_one_credential_open"),
    (26, "registration", "first_visitors_at_once_on_two_nodes_register_one_client"),
    (26, "registration", "a_registered_client_is_in_no_config_and_not_that_of_another_secret"),
    (27, "contact", "a_hundred_simultaneous_calls_to_ensure_have_one_contact_and_one_answer"),
    (27, "contact", "ensure_takes_a_fingerprint_of_sixteen_characters"),
    (27, "contact", "ensure_refuses_a_contact_that_there_is_nothing_to_know_by"),
    (28, "secret", "everything_may_be_left_out"),
    (28, "secret", "an_update_changes_what_it_names_and_nothing_else"),
    (29, "contact_list", "a_list_as_lines_is_whole_or_as_many_as_were_asked_for"),
    (29, "contact_list", "what_is_wrong_before_the_first_line_is_an_answer_of_its_own"),
    (30, "authentication", "what_is_not_connected_is_unauthenticated_with_a_link"),
    (30, "connection_list", "all_that_a_contact_could_connect_is_listed_with_its_status"),
    (31, "key_limits", "what_a_key_is_restricted_to_confines_every_call_of_contacts_and_secrets"),
    (31, "key_limits", "a_key_that_is_limited_to_one_contact_sees_no_other"),
    (31, "proxy_key", "a_key_of_one_contact_or_one_secret_sends_with_no_other"),
    (31, "proxy_key", "a_key_whose_actions_leave_the_proxy_out_is_told_so_whatever_the_id"),
];

/// Whether the file of this name, which is one of this program's, has a test of that name.
pub(crate) fn has_test(file: &str, test: &str) -> bool {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let source = std::fs::read_to_string(tests.join(format!("{file}.rs"))).unwrap();
    is_test_of(&source, test) && is_run(include_str!("main.rs"), file)
}

/// Whether a source has this test, by itself or among those of both databases, and not only a function of its name.
pub(crate) fn is_test_of(source: &str, test: &str) -> bool {
    let name = format!("fn {test}(");
    let is_test = |item: &str| item.contains("#[test]") || item.contains("#[tokio::test");
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut items = source.split("\n\n");
    items.any(|item| {
        item.contains(&name) && is_test(item)
            || item.contains("on_both_databases!(")
                && item.split(|c| !is_word(c)).any(|word| word == test)
    })
}

/// Whether the root of a crate has this module.
pub(crate) fn is_run(main: &str, module: &str) -> bool {
    main.contains(&format!("\nmod {module};\n"))
}

#[test]
fn every_weakness_has_the_test_that_the_table_names() {
    for (weakness, file, test) in TABLE {
        assert!(has_test(file, test), "W{weakness}: {file}::{test}");
    }
    let all = TABLE.iter().map(|(weakness, ..)| *weakness).collect::<BTreeSet<_>>();
    assert!(all.into_iter().eq(1..=31), "a weakness has no test");
}

#[test]
fn whoever_looks_for_a_test_that_is_none_notices() {
    assert!(has_test("weaknesses", "whoever_looks_for_a_test_that_is_none_notices"));
    assert!(!has_test("passed_on", "call"));
    assert!(!has_test("proxy", "whoever_looks_for_a_test_that_is_none_notices"));
}
