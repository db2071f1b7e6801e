//! One-time codes computed apart from the code under test (RFC 4226 section 5.3, RFC 6238).

use data_encoding::BASE32_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::{Digest, Sha1};

/// The code of a step, for SHA-1 and a secret in base32.
pub(crate) fn code(secret: &str, step: i64, digits: u32) -> String {
    let secret = BASE32_NOPAD.decode(secret.as_bytes()).unwrap();
    let mut mac = <Hmac<Sha1> as KeyInit>::new_from_slice(&secret).unwrap();
    mac.update(&step.to_be_bytes());
    let tag = mac.finalize().into_bytes();
    let offset = usize::from(tag[19] & 0x0f);
    let number = u32::from_be_bytes(tag[offset..offset + 4].try_into().unwrap()) & 0x7fff_ffff;
    let width = digits as usize;
    format!("{:0width$}", number % 10_u32.pow(digits))
}

/// A secret that can be known again from a label: what the test needs not remember.
pub(crate) fn secret_of(label: &str) -> String {
    BASE32_NOPAD.encode(&Sha1::digest(label))
}

#[test]
fn the_code_of_rfc_6238_appendix_b_comes_out() {
    let secret = BASE32_NOPAD.encode(b"12345678901234567890");
    assert_eq!(code(&secret, 1_111_111_109 / 30, 8), "07081804");
}
