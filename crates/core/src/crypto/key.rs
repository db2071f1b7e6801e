//! The two levels of keys: the master key wraps data keys, a data key seals values.

use std::fmt;

use data_encoding::{BASE64, HEXLOWER};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{
    MalformedMasterKey, OpenError,
    sealed::{Cipher, Place, Sealed},
};
use crate::{
    audit::{AuditKey, Hash},
    id::AccountId,
    policy::Permit,
    random::{self, Random},
};

/// A master key as text: what the key file holds.
pub type MasterKeyText = SecretString;

/// The key that wraps every account's data key. It never touches a value itself.
pub struct MasterKey {
    cipher: Cipher,
    id: MasterKeyId,
    /// What the audit key is made of: its seed for signatures, and its key for tags.
    audit: [Zeroizing<[u8; 32]>; 2],
}

/// Names a master key without telling anything about it: 16 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MasterKeyId(String);

impl MasterKeyId {
    /// The id as it is stored and shown.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// An id that the store holds.
    #[must_use]
    pub const fn from_stored(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Display for MasterKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl MasterKey {
    /// A new master key, as the text to be kept in the key file.
    pub fn generate(random: &dyn Random) -> MasterKeyText {
        BASE64.encode(&*Zeroizing::new(random::bytes::<32>(random))).into()
    }

    /// Reads a master key: 32 bytes in base64, white space around it allowed.
    pub fn parse(text: &MasterKeyText) -> Result<Self, MalformedMasterKey> {
        let bytes = BASE64.decode(text.expose_secret().trim().as_bytes());
        let bytes = Zeroizing::new(bytes.map_err(|_| MalformedMasterKey)?);
        let key: &[u8; 32] = bytes.as_slice().try_into().map_err(|_| MalformedMasterKey)?;
        let id = MasterKeyId(HEXLOWER.encode(&derive(key, b"keyfob master key id")[..8]));
        let audit = [&b"keyfob audit signature"[..], b"keyfob audit tag"];
        let audit = audit.map(|purpose| Zeroizing::new(derive(key, purpose)));
        Ok(Self { cipher: Cipher::new(0, key), id, audit })
    }

    /// The key that vouches for the audit trail.
    #[must_use]
    pub fn audit_key(&self) -> AuditKey {
        let [seed, tags] = &self.audit;
        AuditKey::new(seed, tags)
    }

    /// The id under which a database remembers that this key sealed it.
    #[must_use]
    pub const fn id(&self) -> &MasterKeyId {
        &self.id
    }

    /// Makes an account's data key number `id` and returns it with its wrapped form for the store. `anchor`: the
    /// hash of the first checkpoint of the vault's audit trail, which is wrapped together with it.
    pub fn make_data_key(
        &self,
        account: &AccountId,
        id: u32,
        anchor: Option<&Hash>,
        random: &dyn Random,
    ) -> (DataKey, Sealed) {
        let bytes = Zeroizing::new(random::bytes::<32>(random));
        (DataKey::new(account, id, &bytes), self.wrap(account, id, &bytes, anchor, random))
    }

    /// The same data key, wrapped together with `anchor`.
    pub fn anchor_data_key(
        &self,
        account: &AccountId,
        id: u32,
        wrapped: &Sealed,
        anchor: Option<&Hash>,
        random: &dyn Random,
    ) -> Result<Sealed, OpenError> {
        let (key, _) = self.unwrap(account, id, wrapped)?;
        Ok(self.wrap(account, id, &key, anchor, random))
    }

    /// The hash of the first checkpoint that the data key was wrapped together with; `None` for one that nobody
    /// has wrapped since there are checkpoints.
    pub fn anchor_of_data_key(
        &self,
        account: &AccountId,
        id: u32,
        wrapped: &Sealed,
    ) -> Result<Option<Hash>, OpenError> {
        Ok(self.unwrap(account, id, wrapped)?.1)
    }

    /// Unwraps the account's data key number `id`.
    pub fn unwrap_data_key(
        &self,
        account: &AccountId,
        id: u32,
        wrapped: &Sealed,
    ) -> Result<DataKey, OpenError> {
        Ok(DataKey::new(account, id, &self.unwrap(account, id, wrapped)?.0))
    }

    /// The key's 32 bytes, and behind them those of the anchor, if there is one.
    fn wrap(
        &self,
        account: &AccountId,
        id: u32,
        key: &[u8; 32],
        anchor: Option<&Hash>,
        random: &dyn Random,
    ) -> Sealed {
        let mut bytes = Zeroizing::new(Vec::with_capacity(64));
        bytes.extend_from_slice(key);
        bytes.extend_from_slice(anchor.map_or(&[], |anchor| anchor.as_bytes()));
        let row = id.to_string();
        self.cipher.seal(&data_key_place(account, &row), &bytes, random)
    }

    fn unwrap(
        &self,
        account: &AccountId,
        id: u32,
        wrapped: &Sealed,
    ) -> Result<(Zeroizing<[u8; 32]>, Option<Hash>), OpenError> {
        let row = id.to_string();
        let bytes = self.cipher.open(&data_key_place(account, &row), wrapped)?;
        let (key, anchor) = bytes.split_first_chunk::<32>().ok_or(OpenError)?;
        let anchor = match anchor {
            [] => None,
            anchor => Some(Hash::from_stored(anchor).ok_or(OpenError)?),
        };
        Ok((Zeroizing::new(*key), anchor))
    }
}

fn data_key_place<'a>(account: &'a AccountId, row: &'a str) -> Place<'a> {
    Place { account: account.as_str(), table: "data_key", row, column: "wrapped" }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKey({})", self.id)
    }
}

/// The key that seals one account's values.
pub struct DataKey {
    account: AccountId,
    cipher: Cipher,
    fingerprint: Zeroizing<[u8; 32]>,
}

impl DataKey {
    fn new(account: &AccountId, id: u32, key: &[u8; 32]) -> Self {
        Self {
            account: account.clone(),
            cipher: Cipher::new(id, key),
            fingerprint: Zeroizing::new(derive(key, b"keyfob fingerprint")),
        }
    }

    /// The account whose values it seals.
    #[must_use]
    pub const fn account(&self) -> &AccountId {
        &self.account
    }

    /// This key's number within the account, from 1.
    #[must_use]
    pub const fn id(&self) -> u32 {
        self.cipher.id
    }

    /// Seals `plaintext` for `column` of the row `row` of `table`.
    pub fn seal(
        &self,
        table: &str,
        row: &str,
        column: &str,
        plaintext: &[u8],
        random: &dyn Random,
    ) -> Sealed {
        self.cipher.seal(&self.place(table, row, column), plaintext, random)
    }

    /// Opens a column of the one row that `permit` was given for.
    pub fn open(
        &self,
        permit: &Permit,
        column: &str,
        sealed: &Sealed,
    ) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        if *permit.account() != self.account {
            return Err(OpenError);
        }
        self.cipher.open(&self.place(permit.table(), permit.row(), column), sealed)
    }

    /// Whether a stored value would open, without giving it out: for checks of a whole database.
    #[must_use]
    pub fn opens(&self, table: &str, row: &str, column: &str, sealed: &Sealed) -> bool {
        self.cipher.open(&self.place(table, row, column), sealed).is_ok()
    }

    /// A keyed fingerprint, to find equal content again without storing it: HMAC-SHA-256 over each
    /// part with its length in front.
    #[must_use]
    pub fn fingerprint(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = keyed(&self.fingerprint);
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }

    fn place<'a>(&'a self, table: &'a str, row: &'a str, column: &'a str) -> Place<'a> {
        Place { account: self.account.as_str(), table, row, column }
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DataKey({} {})", self.account, self.cipher.id)
    }
}

/// A key for one purpose, derived from `key`: HMAC-SHA-256 over the purpose's name, which is one
/// block of HKDF-Expand (RFC 5869 section 2.3) for a key that is already uniformly random.
fn derive(key: &[u8; 32], purpose: &[u8]) -> [u8; 32] {
    let mut mac = keyed(key);
    mac.update(purpose);
    mac.update(&[1]);
    mac.finalize().into_bytes().into()
}

fn keyed(key: &[u8; 32]) -> Hmac<Sha256> {
    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
    Hmac::<Sha256>::new_from_slice(key).expect("a key of any length")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        policy::{Action, Entry, Grant, Object, Role, decide},
        random::tests::Counting,
    };

    const ROW: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

    fn account(n: u8) -> AccountId {
        AccountId::from_bits([n; 16])
    }

    fn master() -> MasterKey {
        MasterKey::parse(&MasterKey::generate(&Counting::default())).unwrap()
    }

    fn permit(n: u8, row: &str) -> Permit {
        let grant = Grant::new(account(n), Role::Owner);
        let id = crate::id::TotpId::parse(row).unwrap();
        let entry = Entry { id: &id, label: "", contact: None };
        decide(&grant, Action::TotpCode, Object::Totp(entry)).unwrap()
    }

    fn sealed() -> (DataKey, Sealed) {
        let random = Counting::default();
        let (key, _) = master().make_data_key(&account(1), 1, None, &random);
        let sealed = key.seal("totp", ROW, "secret", b"plaintext", &random);
        (key, sealed)
    }

    #[test]
    fn a_value_opens_at_its_place_and_nowhere_else() {
        let (key, sealed) = sealed();
        assert_eq!(*key.open(&permit(1, ROW), "secret", &sealed).unwrap(), b"plaintext");
        let other_row = "01890a5d-ac96-774b-bcce-b302099a8058";
        assert!(key.open(&permit(1, other_row), "secret", &sealed).is_err());
        assert!(key.open(&permit(1, ROW), "label", &sealed).is_err());
        assert!(key.open(&permit(2, ROW), "secret", &sealed).is_err());
        assert!(!key.opens("event", ROW, "secret", &sealed));
    }

    #[test]
    fn every_single_damaged_or_missing_byte_is_noticed() {
        let (key, sealed) = sealed();
        for at in 0..sealed.as_bytes().len() {
            let mut bytes = sealed.as_bytes().to_vec();
            bytes[at] ^= 1;
            let damaged = Sealed::from_stored(bytes);
            assert_eq!(key.open(&permit(1, ROW), "secret", &damaged), Err(OpenError), "byte {at}");
            let short = Sealed::from_stored(sealed.as_bytes()[..at].to_vec());
            assert_eq!(key.open(&permit(1, ROW), "secret", &short), Err(OpenError), "{at} bytes");
        }
    }

    #[test]
    fn a_data_key_unwraps_with_its_master_key_account_and_number_only() {
        let random = Counting::default();
        let (_, wrapped) = master().make_data_key(&account(1), 1, None, &random);
        assert!(master().unwrap_data_key(&account(1), 1, &wrapped).is_ok());
        assert!(master().unwrap_data_key(&account(2), 1, &wrapped).is_err());
        assert!(master().unwrap_data_key(&account(1), 2, &wrapped).is_err());
        let other = MasterKey::parse(&MasterKey::generate(&random)).unwrap();
        assert!(other.unwrap_data_key(&account(1), 1, &wrapped).is_err());
        assert_ne!(other.id(), master().id());
    }

    #[test]
    fn a_data_key_tells_its_anchor_and_stays_the_same_with_another_one() {
        let random = Counting::default();
        let (key, plain) = master().make_data_key(&account(1), 1, None, &random);
        let sealed = key.seal("totp", ROW, "secret", b"plaintext", &random);
        let anchor_of = |wrapped| master().anchor_of_data_key(&account(1), 1, wrapped).unwrap();
        assert_eq!(anchor_of(&plain), None);
        let anchor = Hash::new([7; 32]);
        let anchored = master().anchor_data_key(&account(1), 1, &plain, Some(&anchor), &random);
        let anchored = anchored.unwrap();
        assert_eq!(anchor_of(&anchored), Some(anchor));
        let again = master().unwrap_data_key(&account(1), 1, &anchored).unwrap();
        assert!(again.opens("totp", ROW, "secret", &sealed));
        assert!(master().anchor_of_data_key(&account(2), 1, &anchored).is_err());
    }

    #[test]
    fn equal_content_has_equal_fingerprints_and_parts_do_not_run_together() {
        let (key, _) = sealed();
        assert_eq!(key.fingerprint(&[b"ab", b"c"]), key.fingerprint(&[b"ab", b"c"]));
        assert_ne!(key.fingerprint(&[b"ab", b"c"]), key.fingerprint(&[b"a", b"bc"]));
    }

    #[test]
    fn a_master_key_is_32_bytes_in_base64() {
        let text = MasterKey::generate(&Counting::default());
        assert_eq!(text.expose_secret().len(), 44);
        assert!(MasterKey::parse(&format!("  {}\n", text.expose_secret()).into()).is_ok());
        for bad in ["", "AAAA", "not base64 at all, not even close to it, no"] {
            assert_eq!(MasterKey::parse(&bad.into()).err(), Some(MalformedMasterKey));
        }
    }

    #[test]
    fn debug_shows_no_key() {
        let (key, _) = sealed();
        let account = account(1);
        assert_eq!(format!("{key:?}"), format!("DataKey({account} 1)"));
    }
}
