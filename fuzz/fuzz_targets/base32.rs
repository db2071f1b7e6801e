//! Any text as a base32 secret: no panic, and what is accepted survives writing and reading.
#![no_main]

use keyfob_core::totp::Seed;
use libfuzzer_sys::fuzz_target;
use secrecy::ExposeSecret;

fuzz_target!(|text: &str| {
    if let Ok(seed) = Seed::from_base32(text) {
        let written = seed.to_base32();
        let again = Seed::from_base32(written.expose_secret()).expect("our own writing is valid");
        assert_eq!(again.as_bytes(), seed.as_bytes());
    }
});
