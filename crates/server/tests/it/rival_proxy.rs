//! What users of similar systems have reported about proxies that put credentials in, about keys and audit trails,
//! and how others' code went wrong there; and the test that shows what Keyfob does instead. Renewals are in
//! `threads`.

use crate::weaknesses::has_test;

/// Whose hole or promise it is and which, and where the test is.
const TABLE: &[(&str, &str, &str)] = &[
    // agent-vault-proxy: its promises, each of which it tests, and what it leaves open.
    (
        "AVP G1: in no memory of an agent's",
        "proxy",
        "an_agent_uses_a_credential_that_it_cannot_see",
    ),
    ("AVP G1", "proxy_key", "nothing_that_an_agent_asks_for_shows_it_a_value"),
    (
        "AVP G2: within TLS to its server only",
        "egress_stream_tls",
        "nothing_of_a_request_is_on_the_wire_before_tls_is_agreed_on",
    ),
    (
        "AVP G2",
        "proxy_destination",
        "every_destination_of_the_table_is_refused_whatever_the_secret_allows",
    ),
    (
        "AVP G3: name, certificate and Host agree",
        "proxy_destination",
        "a_credential_is_sent_to_whoever_has_proved_to_be_its_host",
    ),
    ("AVP G3", "proxy_destination", "no_spelling_takes_a_credential_to_another_host"),
    ("AVP G4: fails closed", "proxy_trail", "what_the_trail_cannot_take_is_not_sent"),
    (
        "AVP G5: a placeholder is no oracle",
        "proxy_injected",
        "a_placeholder_tells_nothing_of_other_secrets",
    ),
    ("AVP G5", "proxy_injected", "a_placeholder_in_a_url_or_a_body_is_sent_as_it_is"),
    (
        "AVP G6: told on disk before it is sent",
        "proxy",
        "nothing_is_sent_before_the_audit_trail_has_it",
    ),
    (
        "AVP G7: an authority for each host",
        "proxy_stream",
        "the_url_in_the_path_is_read_once_and_sent_as_it_was_read",
    ),
    ("AVP G8: what is rotated counts soon", "proxy_kept", "what_was_replaced_is_sent_no_more"),
    (
        "AVP G9: a restart keeps the trail",
        "proxy_trail",
        "what_was_sent_is_told_with_who_sent_it_for_whom_and_outlives_a_restart",
    ),
    (
        "AVP T-1.5: laundered through a host that is allowed",
        "proxy",
        "a_secret_goes_to_its_hosts_with_its_methods_to_its_paths_and_nowhere_else",
    ),
    (
        "AVP T-9: sent back by the server",
        "proxy_leak",
        "the_credential_comes_back_in_no_encoding_no_coding_and_no_chunks",
    ),
    ("AVP T-9", "proxy_leak", "neither_headers_nor_the_status_line_bring_it_back"),
    // Agent Vault.
    (
        "Agent Vault #140: approves itself",
        "proxy_key",
        "an_agent_changes_nothing_of_what_it_may_use",
    ),
    (
        "Agent Vault #230: taken over by registering again",
        "runas",
        "two_children_do_not_have_one_email_address",
    ),
    (
        "Agent Vault #232: manages an owner's",
        "isolation",
        "a_role_that_may_not_is_told_so_whatever_the_id",
    ),
    (
        "Agent Vault #232",
        "key_limits_set",
        "a_key_makes_and_changes_keys_to_the_same_or_narrower_limits_only",
    ),
    (
        "Agent Vault #231: out of where it is bound to",
        "proxy",
        "a_secret_goes_to_its_hosts_with_its_methods_to_its_paths_and_nowhere_else",
    ),
    ("Agent Vault #231", "proxy_kept", "no_path_leads_from_the_proxy_to_anything_of_keyfobs"),
    (
        "Agent Vault #226, #97: counts the wrong failures",
        "key_rate",
        "only_what_a_key_authenticates_counts_and_nothing_that_is_refused",
    ),
    ("Agent Vault #226, #97", "proxy_key", "an_id_with_the_secret_of_another_key_sends_nothing"),
    (
        "Agent Vault: its key in the clear without a password",
        "sealing",
        "a_master_key_that_others_can_read_is_refused_with_the_remedy",
    ),
    (
        "Agent Vault: resolves, looks, connects to that",
        "proxy_destination",
        "a_name_that_leads_elsewhere_by_the_next_connection_is_refused_then",
    ),
    (
        "Agent Vault: metadata is never reached",
        "proxy_destination",
        "a_server_on_this_machine_notices_nothing_of_what_is_refused",
    ),
    // OneCLI.
    (
        "OneCLI #438: hosts are got around",
        "proxy_destination",
        "no_spelling_takes_a_credential_to_another_host",
    ),
    ("OneCLI #438", "proxy_key", "a_key_that_is_limited_to_hosts_and_methods_reaches_no_others"),
    (
        "OneCLI #251: kept without the host",
        "proxy_kept",
        "what_was_sent_lately_is_nothing_for_another_contact_secret_account_or_host",
    ),
    (
        "OneCLI #178: rules are those of the connection",
        "proxy_kept",
        "rules_are_looked_at_for_each_request_of_a_connection",
    ),
    ("OneCLI #178", "proxy", "a_change_of_hosts_counts_for_the_next_request"),
    (
        "OneCLI 5a96c3f: in logs and queries",
        "proxy_trail",
        "a_credential_in_a_query_is_in_no_event_log_metric_or_error",
    ),
    (
        "OneCLI 097ca93: by another's id",
        "key_limits",
        "the_id_of_what_a_key_does_not_reach_opens_nothing_by_any_name",
    ),
    ("OneCLI 097ca93", "proxy", "a_foreign_account_finds_neither_the_contact_nor_the_secret"),
    ("OneCLI 097ca93", "isolation", "every_route_with_an_id_is_in_the_table"),
    (
        "OneCLI: cookies",
        "proxy",
        "nothing_of_the_caller_reaches_the_server_and_no_cookie_comes_back",
    ),
    ("OneCLI: WebSockets", "proxy_socket", "a_websocket_ends_before_it_brings_the_credential_back"),
    (
        "onecli/onecli#482: puts nothing in",
        "proxy_key",
        "a_key_with_every_limit_has_the_credential_put_in",
    ),
    (
        "onecli #429: two for one host",
        "proxy_injected",
        "credentials_of_one_host_are_each_sent_where_they_are_asked_for",
    ),
    (
        "onecli #356: in a path",
        "proxy_injected",
        "a_placeholder_in_a_url_or_a_body_is_sent_as_it_is",
    ),
    (
        "onecli #194: in a query",
        "proxy_injected",
        "a_credential_in_the_query_takes_the_place_of_every_other_of_its_name",
    ),
    ("onecli #237: batches", "proxy_injected", "a_batch_goes_out_as_it_is_with_one_credential"),
    (
        "OneCLI, Hacker News: nothing of each agent's own",
        "key_limits",
        "two_agents_of_one_account_have_each_what_is_theirs",
    ),
    // AuthProxy.
    (
        "AuthProxy: no secret in logs, errors, metrics",
        "proxy_trail",
        "a_credential_that_came_back_is_in_no_event_and_no_log",
    ),
    (
        "AuthProxy: looks whether looking finds anything",
        "proxy_leak",
        "whoever_looks_finds_it_where_nobody_takes_it_out",
    ),
    (
        "AuthProxy: tenants",
        "isolation",
        "connections_of_others_look_like_connections_that_are_not_there",
    ),
    (
        "AuthProxy: tenants",
        "isolation_named",
        "events_of_what_is_anothers_are_not_there_whatever_they_are_asked_by",
    ),
    (
        "AuthProxy: tenants",
        "isolation_named",
        "a_limit_to_what_is_anothers_is_one_to_what_is_not_there",
    ),
    ("AuthProxy: event streams", "proxy_stream", "an_event_stream_comes_event_by_event"),
    (
        "AuthProxy: limits of one process",
        "key_rate",
        "two_nodes_share_a_rate_exactly_however_many_ask_at_once",
    ),
    (
        "rmorlok/authproxy#159: 401 is renewed once",
        "proxy_replay",
        "a_refused_token_is_renewed_once_and_the_request_sent_once_more",
    ),
    (
        "rmorlok/authproxy#159: and not again",
        "proxy_replay",
        "a_server_that_refuses_the_new_token_too_has_the_last_word",
    ),
    (
        "rmorlok/authproxy#159: 403, 429 and 5xx are not",
        "proxy_replay",
        "no_other_answer_than_401_renews_anything_or_is_sent_again",
    ),
    (
        "rmorlok/authproxy#159: sent again where that is safe",
        "proxy_replay",
        "a_body_that_was_streamed_is_not_sent_again",
    ),
    // Others.
    (
        "dmno-dev/varlock#997: signing",
        "proxy_injected",
        "a_request_is_signed_and_the_key_that_signs_it_is_not_in_it",
    ),
    ("Nango: not encrypted without a key", "sealing", "a_missing_master_key_is_not_made_anew"),
    (
        "Nango: not encrypted without a key",
        "secret",
        "value_and_config_are_sealed_as_they_were_given",
    ),
    (
        "NangoHQ/nango#488: keys are not rotated",
        "proxy_key",
        "a_new_key_takes_over_from_an_old_one_without_a_gap",
    ),
    (
        "Vaultwarden CVE-2026-27801: a limiter that is got around",
        "proxy_key",
        "a_key_that_is_used_up_has_ended_or_was_revoked_sends_nothing_more",
    ),
    (
        "tokenizer: an echo reveals it where any host will do",
        "proxy",
        "a_secret_that_says_no_hosts_goes_nowhere",
    ),
    (
        "tokenizer: an echo reveals it",
        "proxy_leak",
        "the_credential_comes_back_in_no_encoding_no_coding_and_no_chunks",
    ),
    (
        "Bitwarden agent-access: the agent gets the password",
        "proxy_key",
        "nothing_that_an_agent_asks_for_shows_it_a_value",
    ),
    (
        "an authority that each client has to trust",
        "proxy_stream",
        "clients_of_other_services_show_keyfobs_key_in_their_own_headers",
    ),
    // What nobody had.
    (
        "a redirect with the credential",
        "proxy_destination",
        "a_redirect_is_handed_back_and_nothing_is_sent_where_it_leads",
    ),
    (
        "a trail that is proved offline",
        "event_lines",
        "an_export_of_the_whole_trail_is_verified_with_the_public_key_alone",
    ),
    ("a decision that is explained", "proxy", "a_dry_run_explains_and_sends_nothing"),
];

#[test]
fn every_hole_has_the_test_that_the_table_names() {
    for (hole, file, test) in TABLE {
        assert!(has_test(file, test), "{hole}: {file}::{test}");
    }
}
