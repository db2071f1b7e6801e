//! Any answer of a token endpoint: no panic, and what is read of it can be used and repeated.
#![no_main]

use std::time::Duration;

use keyfob_core::oauth::TokenAnswer;
use libfuzzer_sys::fuzz_target;
use secrecy::ExposeSecret;

const TEN_YEARS: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

fuzz_target!(|answer: (u16, Option<&str>, &[u8])| {
    let (status, content_type, body) = answer;
    match TokenAnswer::parse(status, content_type, body) {
        TokenAnswer::Tokens(tokens) => {
            assert!((200..300).contains(&status));
            let token = tokens.access_token.expose_secret();
            assert!(!token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()));
            let lives = [tokens.expires_in, tokens.refresh_token_expires_in];
            assert!(lives.into_iter().flatten().all(|life| life <= TEN_YEARS));
        }
        TokenAnswer::Refused(refused) => {
            assert!(matches!(status, 200..=299 | 400..=499));
            assert!((1..=64).contains(&refused.code.len()));
            let text = refused.description.unwrap_or_default();
            assert!(text.len() <= 200 && text.bytes().all(|byte| (0x20..0x7f).contains(&byte)));
        }
        TokenAnswer::Unclear(why) => assert!(!why.is_empty()),
    }
});
