//! Tickets: 256 random bits that let whoever holds them do one thing, once. The `state` of a link at which
//! a person connects a secret is one (RFC 6749 section 10.12), and what binds the link to a browser is
//! another.

use std::fmt;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::random::{self, Random};

/// Length of 256 bits in base64url.
const LENGTH: usize = 43;

/// The text is not a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed ticket")]
pub struct MalformedTicket;

/// 256 random bits, as 43 characters of base64url. Never stored: only their hash is.
#[derive(Clone)]
pub struct Ticket(SecretString);

impl Ticket {
    /// A new ticket.
    pub fn generate(random: &dyn Random) -> Self {
        let bytes = Zeroizing::new(random::bytes::<32>(random));
        Self(BASE64URL_NOPAD.encode(&*bytes).into())
    }

    /// Reads a ticket that came from outside.
    pub fn parse(text: &str) -> Result<Self, MalformedTicket> {
        let is_one = text.len() == LENGTH && BASE64URL_NOPAD.decode(text.as_bytes()).is_ok();
        is_one.then(|| Self(text.into())).ok_or(MalformedTicket)
    }

    /// The ticket as its holder has it.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// What the vault remembers of it.
    #[must_use]
    pub fn hash(&self) -> TicketHash {
        TicketHash(Sha256::digest(self.expose()).into())
    }

    /// Proves to have been made for this holder and `purpose`: only who holds this ticket can make it, and
    /// it tells nothing of the ticket. 64 hexadecimal digits.
    #[must_use]
    pub fn proof(&self, purpose: &TicketHash) -> String {
        HEXLOWER.encode(&self.mac(purpose).finalize().into_bytes())
    }

    /// Whether `proof` is [`Ticket::proof`] of this ticket and `purpose`, compared in constant time.
    #[must_use]
    pub fn proves(&self, purpose: &TicketHash, proof: &str) -> bool {
        let given = HEXLOWER.decode(proof.as_bytes());
        given.is_ok_and(|given| self.mac(purpose).verify_slice(&given).is_ok())
    }

    fn mac(&self, purpose: &TicketHash) -> Hmac<Sha256> {
        #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
        let mut mac =
            Hmac::<Sha256>::new_from_slice(self.expose().as_bytes()).expect("a key of any length");
        mac.update(purpose.as_bytes());
        mac
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ticket([redacted])")
    }
}

/// The SHA-256 of a ticket: all that the vault stores of it. 256 random bits need no slow hash.
#[derive(Clone, Copy, Debug)]
pub struct TicketHash([u8; 32]);

impl TicketHash {
    /// A hash that the store holds; `None` if it is not 32 bytes.
    #[must_use]
    pub fn from_stored(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The hash as it is stored.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether this is the hash of `ticket`, compared in constant time.
    #[must_use]
    pub fn matches(&self, ticket: &Ticket) -> bool {
        self.0.ct_eq(&ticket.hash().0).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::tests::Counting;

    #[test]
    fn a_ticket_reads_back_and_only_its_own_hash_matches_it() {
        let random = Counting::default();
        let [one, two] = [(); 2].map(|()| Ticket::generate(&random));
        let read = Ticket::parse(one.expose()).unwrap();
        assert!(one.hash().matches(&read));
        assert!(!one.hash().matches(&two));
        let stored = TicketHash::from_stored(one.hash().as_bytes()).unwrap();
        assert!(stored.matches(&one));
        assert!(TicketHash::from_stored(b"short").is_none());
    }

    #[test]
    fn what_is_no_ticket_is_refused() {
        let random = Counting::default();
        let whole = Ticket::generate(&random).expose().to_owned();
        let long = format!("{whole}A");
        for text in ["", "A", &whole[1..], &long, &whole.replace('A', "+"), &"é".repeat(21)] {
            assert!(Ticket::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_proof_holds_for_its_holder_and_its_purpose_only() {
        let random = Counting::default();
        let [holder, other, one, two] = [(); 4].map(|()| Ticket::generate(&random));
        let proof = holder.proof(&one.hash());
        assert!(holder.proves(&one.hash(), &proof));
        assert!(!holder.proves(&two.hash(), &proof));
        assert!(!other.proves(&one.hash(), &proof));
        for wrong in ["", "00", &proof[2..], "é"] {
            assert!(!holder.proves(&one.hash(), wrong), "{wrong}");
        }
    }

    #[test]
    fn debug_shows_no_ticket() {
        assert_eq!(format!("{:?}", Ticket::generate(&Counting::default())), "Ticket([redacted])");
    }
}
