//! Any text as an enrolment URI: no panic, and what is accepted can make a code.
#![no_main]

use keyfob_core::totp::uri;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(read) = uri::parse(text) {
        assert!(uri::is_uri(text));
        let step = read.parameters.step_at(59).expect("59 is after 1970");
        let code = read.parameters.code(&read.seed, step);
        assert_eq!(code.as_str().len(), usize::from(read.parameters.digits()));
        assert!(read.label().contains(&read.account));
    }
});
