//! `KEYFOB_EGRESS_ALLOW`: what may be reached although it is not public.

use crate::{
    database::Kind,
    process::{keyfob, run},
    vault::Vault,
};

#[test]
fn a_list_that_is_unclear_says_what_to_write() {
    for (list, advice) in [
        ("10.1.2.3/8", "write 10.0.0.0/8 for the network"),
        ("provider.internal", "write provider.internal:443"),
    ] {
        let vault = Vault::new(Kind::Sqlite);
        let mut command = vault.server(&[]);
        command.env("KEYFOB_EGRESS_ALLOW", list);
        let ended = run(command);
        assert_eq!(ended.status, Some(2), "{}", ended.stderr);
        assert!(ended.stderr.contains(advice), "{}", ended.stderr);
        assert!(ended.stderr.contains("--egress-allow"), "{}", ended.stderr);
        assert!(!vault.data_dir().exists(), "nothing is made");
    }
}

#[test]
fn a_server_starts_with_a_list_and_the_doctor_says_it() {
    let vault = Vault::new(Kind::Sqlite);
    let _server = vault.serve_with(&[("KEYFOB_EGRESS_ALLOW", "127.0.0.0/8,::1")]);
    let list = "provider.internal:8443";
    let doctor = vault.run(&["doctor", "--egress-allow", list]);
    assert!(doctor.ok().contains(list), "{}", doctor.stdout);
    assert!(vault.run(&["doctor"]).ok().contains("to public addresses, and nothing else"));
    let mut unclear = keyfob(&["doctor"]);
    unclear.env("KEYFOB_EGRESS_ALLOW", "provider.internal");
    assert_eq!(run(unclear).status, Some(2));
}
