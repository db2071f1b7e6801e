//! Randomness: the operating system's, through AWS-LC.

use keyfob_core::random::Random;

/// The operating system's random number generator.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) {
        // Nothing can be sealed or issued without randomness, so there is nothing to fall back to.
        #[expect(clippy::expect_used, reason = "a machine without randomness must not go on")]
        aws_lc_rs::rand::fill(bytes).expect("the operating system's random number generator");
    }
}
