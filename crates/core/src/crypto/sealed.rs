//! The sealed format, version 1, and the AEAD under it.
//!
//! ```text
//! 1 byte   version, 1
//! 4 bytes  id of the key that sealed it, big-endian
//! 12 bytes nonce, random
//! n bytes  ciphertext, as long as the plaintext
//! 16 bytes tag
//! ```

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use zeroize::Zeroizing;

use super::OpenError;
use crate::random::{self, Random};

const VERSION: u8 = 1;
const HEADER: usize = 5;
const PREFIX: usize = HEADER + NONCE_LEN;
const TAG: usize = 16;

/// A value as it is stored: ciphertext that only its account's data key opens, at its place only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed(Vec<u8>);

impl Sealed {
    /// A sealed value that the store holds. Whether it opens is found out when it is opened.
    #[must_use]
    pub const fn from_stored(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The value as it is stored.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Which of the account's data keys sealed it.
    pub fn key_id(&self) -> Result<u32, OpenError> {
        match self.0.split_first_chunk::<HEADER>() {
            Some(([VERSION, id @ ..], _)) => Ok(u32::from_be_bytes(*id)),
            _ => Err(OpenError),
        }
    }
}

/// Where a value is stored. Sealing binds the value to it.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The account's id.
    pub account: &'a str,
    /// The table's name.
    pub table: &'a str,
    /// The row's id within the account.
    pub row: &'a str,
    /// The column's name.
    pub column: &'a str,
}

impl Place<'_> {
    /// Each part with its length in front, so that no two places give the same bytes.
    fn additional_data(&self, header: &[u8]) -> Vec<u8> {
        let parts = [self.account, self.table, self.row, self.column];
        let length = header.len() + parts.iter().map(|part| part.len() + 4).sum::<usize>();
        let mut data = Vec::with_capacity(length);
        data.extend_from_slice(header);
        for part in parts {
            data.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
            data.extend_from_slice(part.as_bytes());
        }
        data
    }
}

/// An AES-256-GCM key and the id under which sealed values name it.
///
/// The key schedule lives in memory that AWS-LC overwrites when it is freed.
pub(super) struct Cipher {
    key: LessSafeKey,
    pub(super) id: u32,
}

impl Cipher {
    pub(super) fn new(id: u32, key: &[u8; 32]) -> Self {
        #[expect(clippy::expect_used, reason = "the key has the algorithm's length by its type")]
        let key = UnboundKey::new(&AES_256_GCM, key).expect("a key of 32 bytes");
        Self { key: LessSafeKey::new(key), id }
    }

    pub(super) fn seal(&self, place: &Place<'_>, plaintext: &[u8], random: &dyn Random) -> Sealed {
        let nonce: [u8; NONCE_LEN] = random::bytes(random);
        let mut bytes = Vec::with_capacity(PREFIX + plaintext.len() + TAG);
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.id.to_be_bytes());
        let aad = Aad::from(place.additional_data(&bytes));
        bytes.extend_from_slice(&nonce);
        bytes.extend_from_slice(plaintext);
        let nonce = Nonce::assume_unique_for_key(nonce);
        #[expect(clippy::expect_used, reason = "sealing fails only beyond 64 GiB of plaintext")]
        let tag = self
            .key
            .seal_in_place_separate_tag(nonce, aad, &mut bytes[PREFIX..])
            .expect("a plaintext below 64 GiB");
        bytes.extend_from_slice(tag.as_ref());
        Sealed(bytes)
    }

    pub(super) fn open(
        &self,
        place: &Place<'_>,
        sealed: &Sealed,
    ) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        if sealed.key_id()? != self.id {
            return Err(OpenError);
        }
        let (prefix, ciphertext) = sealed.0.split_at_checked(PREFIX).ok_or(OpenError)?;
        let (header, nonce) = prefix.split_at(HEADER);
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| OpenError)?;
        let aad = Aad::from(place.additional_data(header));
        let mut bytes = Zeroizing::new(ciphertext.to_vec());
        let length = self.key.open_in_place(nonce, aad, &mut bytes).map_err(|_| OpenError)?.len();
        bytes.truncate(length);
        Ok(bytes)
    }
}
