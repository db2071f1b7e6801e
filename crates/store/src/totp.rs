//! Table `totp`: stored one-time-password secrets and their parameters.

use keyfob_core::{
    crypto::Sealed,
    id::{AccountId, ContactId, TotpId},
    policy::Entry,
    time::Timestamp,
    totp::{Algorithm, Invalid, Kind, Parameters, Step},
};

use crate::{
    Page, ReadTx, StoreError, WriteTx,
    conn::{Row, sql},
};

/// What is known of an entry without opening it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Totp {
    /// Its id.
    pub id: TotpId,
    /// The contact it belongs to, if to one.
    pub contact: Option<ContactId>,
    /// What people call it.
    pub label: String,
    /// The service it belongs to, if known.
    pub issuer: Option<String>,
    /// How its codes are made.
    pub parameters: Parameters,
    /// What holds for its codes when a caller does not say.
    pub policy: Policy,
    /// When it was stored.
    pub created_at: Timestamp,
    /// When its label, issuer or policy last changed.
    pub updated_at: Timestamp,
}

impl Totp {
    /// What of it matters to who may use it.
    #[must_use]
    pub fn entry(&self) -> Entry<'_> {
        Entry { id: &self.id, label: &self.label, contact: self.contact.as_ref() }
    }
}

/// What holds for an entry's codes when a caller does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// A time step is handed out at most once.
    pub unique: bool,
    /// Seconds that a code must still be valid when it is handed out.
    pub min_validity: u32,
}

/// What a code is made of, still sealed.
#[derive(Clone, Debug)]
pub struct SealedTotp {
    /// The contact it belongs to, if to one.
    pub contact: Option<ContactId>,
    /// What people call it.
    pub label: String,
    /// How its codes are made.
    pub parameters: Parameters,
    /// What holds when a caller does not say.
    pub policy: Policy,
    /// The last step that was reserved, or told to callers who do not need it for themselves.
    pub last_step: Step,
    /// The last step that was told to such callers.
    pub last_told: Step,
    /// The sealed secret.
    pub secret: Sealed,
}

/// Reads the six columns of parameters and policy, which begin at `at`.
fn read_shape(row: &Row<'_>, at: usize) -> Result<(Parameters, Policy), StoreError> {
    let damaged = |column| row.damaged(column);
    let number = |index: usize, column| {
        u32::try_from(row.get::<i64>(at + index)?).map_err(|_| damaged(column))
    };
    let kind = Kind::parse(&row.get::<String>(at)?).map_err(|_| damaged("kind"))?;
    let algorithm =
        Algorithm::parse(&row.get::<String>(at + 1)?).map_err(|_| damaged("algorithm"))?;
    let parameters = Parameters::new(kind, algorithm, number(2, "digits")?, number(3, "period")?)
        .map_err(|invalid| {
        damaged(if invalid == Invalid::Digits { "digits" } else { "period" })
    })?;
    let min_validity = number(5, "policy_min_validity")?;
    if min_validity > parameters.period() {
        return Err(damaged("policy_min_validity"));
    }
    Ok((parameters, Policy { unique: row.get(at + 4)?, min_validity }))
}

fn read_contact(row: &Row<'_>, at: usize) -> Result<Option<ContactId>, StoreError> {
    Ok(row.get::<Option<String>>(at)?.map(|id| ContactId::from_stored(&id)))
}

fn read(row: &Row<'_>) -> Result<Totp, StoreError> {
    let id: String = row.get(0)?;
    let (parameters, policy) = read_shape(row, 3)?;
    Ok(Totp {
        label: row.get(1)?,
        issuer: row.get(2)?,
        parameters,
        policy,
        created_at: row.time(9)?,
        updated_at: row.time(10)?,
        contact: read_contact(row, 11)?,
        id: TotpId::from_stored(&id),
    })
}

macro_rules! columns {
    () => {
        "id, label, issuer, kind, algorithm, digits, period, policy_unique, policy_min_validity,
         created_at, updated_at, contact_id"
    };
}

macro_rules! select {
    ($rest:literal) => {
        sql!(totp, concat!("SELECT ", columns!(), " FROM totp ", $rest))
    };
}

/// The account's entry with this id.
pub fn find(
    tx: &mut ReadTx<'_>,
    account: &AccountId,
    id: &TotpId,
) -> Result<Option<Totp>, StoreError> {
    let find = select!("WHERE account_id = $1 AND id = $2");
    tx.one(find, &[&account.as_str(), &id.as_str()], read)
}

/// What the code of the account's entry with this id is made of.
pub fn find_sealed(
    tx: &mut ReadTx<'_>,
    account: &AccountId,
    id: &TotpId,
) -> Result<Option<SealedTotp>, StoreError> {
    let find = sql!(
        totp,
        "SELECT id, kind, algorithm, digits, period, policy_unique, policy_min_validity, last_step,
                last_told, secret, label, contact_id
         FROM totp WHERE account_id = $1 AND id = $2"
    );
    tx.one(find, &[&account.as_str(), &id.as_str()], |row| {
        let (parameters, policy) = read_shape(row, 1)?;
        Ok(SealedTotp {
            parameters,
            policy,
            last_step: Step::new(row.get(7)?),
            last_told: Step::new(row.get(8)?),
            secret: Sealed::from_stored(row.get(9)?),
            label: row.get(10)?,
            contact: read_contact(row, 11)?,
        })
    })
}

/// Up to `limit` entries of the account after `after`, oldest first.
pub fn list(
    tx: &mut ReadTx<'_>,
    account: &AccountId,
    after: Option<&TotpId>,
    limit: u32,
) -> Result<Page<Totp, TotpId>, StoreError> {
    let list = select!("WHERE account_id = $1 AND id > $2 ORDER BY id LIMIT $3");
    let after = after.map_or("", TotpId::as_str);
    tx.page(list, &[&account.as_str(), &after, &i64::from(limit)], (0, TotpId::from_stored), read)
}

/// Stores a new entry, of which no step was handed out.
pub fn insert(
    tx: &mut WriteTx<'_>,
    account: &AccountId,
    totp: &Totp,
    secret: &Sealed,
) -> Result<(), StoreError> {
    let insert = sql!(
        totp,
        "INSERT INTO totp (account_id, id, label, issuer, kind, algorithm, digits, period, secret,
                           policy_unique, policy_min_validity, last_step, last_told, created_at,
                           updated_at, contact_id)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, -1, -1, $12, $13, $14)"
    );
    let Parts { kind, algorithm, digits, period } = parts(totp.parameters);
    tx.execute(
        insert,
        &[
            &account.as_str(),
            &totp.id.as_str(),
            &totp.label,
            &totp.issuer,
            &kind,
            &algorithm,
            &digits,
            &period,
            &secret.as_bytes(),
            &totp.policy.unique,
            &i64::from(totp.policy.min_validity),
            &totp.created_at.as_millis(),
            &totp.updated_at.as_millis(),
            &totp.contact.as_ref().map(ContactId::as_str),
        ],
    )
    .map(drop)
}

struct Parts {
    kind: &'static str,
    algorithm: &'static str,
    digits: i64,
    period: i64,
}

fn parts(parameters: Parameters) -> Parts {
    Parts {
        kind: parameters.kind().as_str(),
        algorithm: parameters.algorithm().as_str(),
        digits: parameters.digits().into(),
        period: parameters.period().into(),
    }
}

/// Begins a change at `now`: what the entry holds, which nobody else changes until the unit ends.
pub fn touch(
    tx: &mut WriteTx<'_>,
    account: &AccountId,
    id: &TotpId,
    now: Timestamp,
) -> Result<Option<Totp>, StoreError> {
    // A read would not do: of two units that read and then write, one would undo the other.
    let touch = sql!(
        totp,
        concat!(
            "UPDATE totp SET updated_at = $3 WHERE account_id = $1 AND id = $2 RETURNING ",
            columns!()
        )
    );
    tx.change(touch, &[&account.as_str(), &id.as_str(), &now.as_millis()], read)
}

/// Changes contact, label, issuer and policy to what `totp` holds, after [`touch`].
pub fn update(tx: &mut WriteTx<'_>, account: &AccountId, totp: &Totp) -> Result<(), StoreError> {
    let update = sql!(
        totp,
        "UPDATE totp SET label = $3, issuer = $4, policy_unique = $5, policy_min_validity = $6,
                         contact_id = $7
         WHERE account_id = $1 AND id = $2"
    );
    tx.execute(
        update,
        &[
            &account.as_str(),
            &totp.id.as_str(),
            &totp.label,
            &totp.issuer,
            &totp.policy.unique,
            &i64::from(totp.policy.min_validity),
            &totp.contact.as_ref().map(ContactId::as_str),
        ],
    )
    .map(drop)
}

/// Forgets the steps after `current` if one after `reach` is taken, further ahead than any queue: they
/// were noted while the clock was ahead. Whether there were any.
pub fn forget_steps_ahead(
    tx: &mut WriteTx<'_>,
    account: &AccountId,
    id: &TotpId,
    current: Step,
    reach: Step,
) -> Result<bool, StoreError> {
    let forget = sql!(
        totp,
        "UPDATE totp SET last_step = $3,
                         last_told = CASE WHEN last_told > $3 THEN $3 ELSE last_told END
         WHERE account_id = $1 AND id = $2 AND last_step > $4"
    );
    let params: [&dyn crate::conn::Bind; 4] =
        [&account.as_str(), &id.as_str(), &current.get(), &reach.get()];
    Ok(tx.execute(forget, &params)? == 1)
}

/// Deletes the entry. `false` if there is none.
pub fn delete(tx: &mut WriteTx<'_>, account: &AccountId, id: &TotpId) -> Result<bool, StoreError> {
    let delete = sql!(totp, "DELETE FROM totp WHERE account_id = $1 AND id = $2");
    Ok(tx.execute(delete, &[&account.as_str(), &id.as_str()])? == 1)
}

/// Deletes all entries that belong to the contact; which. The caller holds the contact
/// ([`crate::contact::hold`]): it gets no further ones.
pub fn delete_of_contact(
    tx: &mut WriteTx<'_>,
    account: &AccountId,
    contact: &ContactId,
) -> Result<Vec<TotpId>, StoreError> {
    let delete =
        sql!(totp, "DELETE FROM totp WHERE account_id = $1 AND contact_id = $2 RETURNING id");
    let params: [&dyn crate::conn::Bind; 2] = [&account.as_str(), &contact.as_str()];
    tx.change_many(delete, &params, |row| Ok(TotpId::from_stored(&row.get::<String>(0)?)))
}

/// Notes that a step is told to somebody who does not need it for himself, so that nobody is given it
/// as a step of his own. Does nothing if it, or a later one, is noted already.
pub fn note_told(
    tx: &mut WriteTx<'_>,
    account: &AccountId,
    id: &TotpId,
    step: Step,
) -> Result<(), StoreError> {
    let note = sql!(
        totp,
        "UPDATE totp SET last_told = $3,
                         last_step = CASE WHEN last_step < $3 THEN $3 ELSE last_step END
         WHERE account_id = $1 AND id = $2 AND last_told < $3"
    );
    tx.execute(note, &[&account.as_str(), &id.as_str(), &step.get()]).map(drop)
}

/// Reserves the first free step from `earliest` on, for one caller only. `None` if that would be
/// after `latest` (or the entry is gone). Of any number of concurrent calls no two get one step.
pub fn reserve_step(
    tx: &mut WriteTx<'_>,
    account: &AccountId,
    id: &TotpId,
    earliest: Step,
    latest: Step,
) -> Result<Option<Step>, StoreError> {
    let reserve = sql!(
        totp,
        "UPDATE totp SET last_step = CASE WHEN last_step < $3 THEN $3 ELSE last_step + 1 END
         WHERE account_id = $1 AND id = $2 AND last_step < $4 AND $3 <= $4
         RETURNING last_step"
    );
    let params: [&dyn crate::conn::Bind; 4] =
        [&account.as_str(), &id.as_str(), &earliest.get(), &latest.get()];
    tx.change(reserve, &params, |row| Ok(Step::new(row.get(0)?)))
}

/// Gives a reserved step back whose caller went away before it came. Does nothing if a later step
/// is reserved, because the queue does not move up, or if somebody was told its code meanwhile.
pub fn return_step(
    tx: &mut WriteTx<'_>,
    account: &AccountId,
    id: &TotpId,
    step: Step,
) -> Result<bool, StoreError> {
    let give_back = sql!(
        totp,
        "UPDATE totp SET last_step = last_step - 1
         WHERE account_id = $1 AND id = $2 AND last_step = $3 AND last_told < $3"
    );
    Ok(tx.execute(give_back, &[&account.as_str(), &id.as_str(), &step.get()])? == 1)
}
