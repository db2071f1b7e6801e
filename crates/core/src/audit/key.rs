//! The key that vouches for the audit trail.

use std::fmt;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use super::{Checkpoint, Hash, Tag};

/// Length of an Ed25519 public key (RFC 8032, section 5.1.5).
const PUBLIC: usize = 32;

/// Names an audit key: the first 16 hexadecimal digits of its public key's SHA-256.
pub type AuditKeyId = String;

/// Signs checkpoints and tags events. Derived from the master key, so that whoever has only the database has
/// not got it.
pub struct AuditKey {
    pair: Ed25519KeyPair,
    /// Keyed and ready: to set it up costs more than to use it.
    tags: Hmac<Sha256>,
    id: AuditKeyId,
}

impl AuditKey {
    /// The key with this seed for signatures, and this key for tags.
    pub(crate) fn new(seed: &[u8; 32], tags: &[u8; 32]) -> Self {
        #[expect(
            clippy::expect_used,
            reason = "every 32 bytes are a seed (RFC 8032, section 5.1.5)"
        )]
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).expect("a seed of 32 bytes");
        #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
        let tags = Hmac::new_from_slice(tags).expect("a key of any length");
        let id = id_of(pair.public_key().as_ref());
        Self { pair, tags, id }
    }

    /// The key's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What checks its signatures.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        let mut bytes = [0; PUBLIC];
        bytes.copy_from_slice(self.pair.public_key().as_ref());
        PublicKey { bytes, id: self.id.clone() }
    }

    /// Signs a checkpoint.
    pub fn sign(&self, checkpoint: &mut Checkpoint) {
        checkpoint.key_id.clone_from(&self.id);
        checkpoint.signature = self.pair.sign(&checkpoint.signed()).as_ref().to_vec();
    }

    /// The tag of the event with this hash.
    #[must_use]
    pub fn tag(&self, hash: &Hash) -> Tag {
        let mut mac = self.tags.clone();
        mac.update(hash.as_bytes());
        let whole: [u8; 32] = mac.finalize().into_bytes().into();
        let mut half = [0; 16];
        half.copy_from_slice(&whole[..16]);
        Tag::new(half)
    }
}

impl fmt::Debug for AuditKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuditKey({})", self.id)
    }
}

/// Checks signatures of checkpoints; no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    bytes: [u8; PUBLIC],
    id: AuditKeyId,
}

/// The text is not a public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a public key is 64 hexadecimal digits, and this is not")]
pub struct MalformedPublicKey;

impl PublicKey {
    /// Reads a key: its 32 bytes in hexadecimal digits.
    pub fn parse(text: &str) -> Result<Self, MalformedPublicKey> {
        let bytes = super::Bytes::<PUBLIC>::parse(text.trim()).ok_or(MalformedPublicKey)?;
        Self::from_stored(bytes.as_bytes()).ok_or(MalformedPublicKey)
    }

    /// A key as it is stored; `None` if it has another length.
    #[must_use]
    pub fn from_stored(bytes: &[u8]) -> Option<Self> {
        Some(Self { bytes: bytes.try_into().ok()?, id: id_of(bytes) })
    }

    /// The key as it is stored.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The key's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether the holder of the key has signed exactly this checkpoint.
    #[must_use]
    pub fn has_signed(&self, checkpoint: &Checkpoint) -> bool {
        let key = UnparsedPublicKey::new(&ED25519, &self.bytes);
        checkpoint.key_id == self.id
            && key.verify(&checkpoint.signed(), &checkpoint.signature).is_ok()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", super::Bytes::new(self.bytes))
    }
}

fn id_of(public: &[u8]) -> AuditKeyId {
    let hash = Hash::new(Sha256::digest(public).into()).to_string();
    hash[..16].to_owned()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{audit::Head, time::Timestamp};

    pub(in crate::audit) fn key(number: u8) -> AuditKey {
        AuditKey::new(&[number; 32], &[number + 100; 32])
    }

    fn checkpoint() -> Checkpoint {
        let hash = Hash::new([1; 32]);
        let head = Head { chain: "chn_1".into(), position: 3, hash, edge_of: None };
        let mut checkpoint = Checkpoint {
            number: 1,
            created_at: Timestamp::from_millis(5),
            previous: Checkpoint::NOTHING,
            heads: vec![head],
            key_id: String::new(),
            signature: vec![],
        };
        key(1).sign(&mut checkpoint);
        checkpoint
    }

    #[test]
    fn a_signature_holds_for_its_key_and_each_field_as_it_is() {
        let (signed, public) = (checkpoint(), key(1).public());
        assert!(public.has_signed(&signed));
        assert!(!key(2).public().has_signed(&signed));
        let changed = |change: fn(&mut Checkpoint)| {
            let mut checkpoint = checkpoint();
            change(&mut checkpoint);
            public.has_signed(&checkpoint)
        };
        assert!(changed(|_| ()));
        assert!(!changed(|it| it.number = 2));
        assert!(!changed(|it| it.created_at = Timestamp::from_millis(6)));
        assert!(!changed(|it| it.previous = Hash::new([2; 32])));
        assert!(!changed(|it| it.heads[0].chain.push('x')));
        assert!(!changed(|it| it.heads[0].position = 2));
        assert!(!changed(|it| it.heads[0].hash = Hash::new([2; 32])));
        assert!(!changed(|it| it.heads[0].edge_of = Some(Hash::new([1; 32]))));
        assert!(!changed(|it| it.heads.clear()));
        assert!(!changed(|it| it.signature[5] ^= 1));
        assert!(!changed(|it| it.key_id = key(2).id));
    }

    /// The public key of RFC 8032, section 7.1, test 1.
    #[test]
    fn a_public_key_is_that_of_its_seed() {
        let seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
        let public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        let seed: [u8; 32] = Hash::parse(seed).unwrap().as_bytes().try_into().unwrap();
        let key = AuditKey::new(&seed, &[0; 32]).public();
        assert_eq!(key.to_string(), public);
        assert_eq!(PublicKey::parse(public), Ok(key));
        assert_eq!(PublicKey::parse("d75a"), Err(MalformedPublicKey));
    }

    #[test]
    fn a_tag_is_of_one_key_and_one_hash_and_nothing_shows_the_key() {
        let hash = Hash::new([1; 32]);
        assert_eq!(key(1).tag(&hash), key(1).tag(&hash));
        assert_ne!(key(1).tag(&hash), key(2).tag(&hash));
        assert_ne!(key(1).tag(&hash), key(1).tag(&Hash::new([2; 32])));
        assert_eq!(format!("{:?}", key(1)), format!("AuditKey({})", key(1).id));
    }
}
