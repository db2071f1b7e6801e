//! How a site makes its codes: hash, length and time step.

use super::{Code, Invalid, Seed, TimeBeforeEpoch, code, steam};

/// The hash inside the HMAC (RFC 6238 section 1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// SHA-1, which nearly all sites use. Its weakness, collisions, does not touch an HMAC.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

impl Algorithm {
    /// The name as the Key URI Format writes it: `SHA1`, `SHA256` or `SHA512`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
            Self::Sha512 => "SHA512",
        }
    }

    /// Reads a name in either case, also as `SHA-256` or `HmacSHA256`, which some apps write.
    /// Fails with [`Invalid::Algorithm`].
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let is = |names: [&str; 3]| names.iter().any(|name| name.eq_ignore_ascii_case(text));
        if is(["SHA1", "SHA-1", "HmacSHA1"]) {
            Ok(Self::Sha1)
        } else if is(["SHA256", "SHA-256", "HmacSHA256"]) {
            Ok(Self::Sha256)
        } else if is(["SHA512", "SHA-512", "HmacSHA512"]) {
            Ok(Self::Sha512)
        } else {
            Err(Invalid::Algorithm)
        }
    }
}

/// The shape of the codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Decimal digits (RFC 6238).
    Totp,
    /// The five letters and digits of Steam Guard.
    Steam,
}

impl Kind {
    /// The name as a URI writes it: `totp` or `steam`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Totp => "totp",
            Self::Steam => "steam",
        }
    }

    /// Reads a name in either case. Fails with [`Invalid::Type`], also for `hotp`.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        [Self::Totp, Self::Steam]
            .into_iter()
            .find(|kind| kind.as_str().eq_ignore_ascii_case(text))
            .ok_or(Invalid::Type)
    }
}

/// The number of a time step: how many whole periods have passed since 1970 (RFC 6238 section 4.2).
///
/// It is 0 or more when it comes from [`Parameters::step_at`], and 64 bits wide, so it has no end
/// in 2038.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Step(i64);

impl Step {
    /// The step of that number, such as one read back from a store.
    #[must_use]
    pub fn new(number: i64) -> Self {
        Self(number)
    }

    /// The number of the step.
    #[must_use]
    pub fn get(self) -> i64 {
        self.0
    }

    /// The step after this one; the last one that can be written has itself as its next.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// Everything besides the key that two sides must agree on to get the same code.
///
/// Only values that can make a code exist: a period of 0, say, can't be built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameters {
    kind: Kind,
    algorithm: Algorithm,
    digits: u8,
    period: u32,
}

impl Parameters {
    /// Checks and puts together the parameters.
    ///
    /// `digits` is 6, 7 or 8, and `period` 1 to 3600 seconds. Steam has no choice: SHA-1, 5 and 30.
    /// Fails with [`Invalid::Digits`], [`Invalid::Period`] or [`Invalid::Algorithm`].
    pub fn new(
        kind: Kind,
        algorithm: Algorithm,
        digits: u32,
        period: u32,
    ) -> Result<Self, Invalid> {
        let digits = match (kind, digits) {
            (Kind::Totp, 6) => 6,
            (Kind::Totp, 7) => 7,
            (Kind::Totp, 8) => 8,
            (Kind::Steam, 5) => steam::LENGTH,
            _ => return Err(Invalid::Digits),
        };
        match kind {
            Kind::Totp if !(1..=3600).contains(&period) => Err(Invalid::Period),
            Kind::Steam if period != Self::steam().period => Err(Invalid::Period),
            Kind::Steam if algorithm != Self::steam().algorithm => Err(Invalid::Algorithm),
            _ => Ok(Self { kind, algorithm, digits, period }),
        }
    }

    /// What Steam uses: SHA-1, 5 characters, 30 seconds.
    #[must_use]
    pub fn steam() -> Self {
        Self { kind: Kind::Steam, digits: steam::LENGTH, ..Self::default() }
    }

    /// The shape of the codes.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The hash inside the HMAC.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// How many characters a code has: 6, 7 or 8, for Steam 5.
    #[must_use]
    pub fn digits(&self) -> u8 {
        self.digits
    }

    /// How long a code is valid, in seconds: 1 to 3600.
    #[must_use]
    pub fn period(&self) -> u32 {
        self.period
    }

    /// The step that a time, in unix seconds, lies in (RFC 6238 section 4.2). Fails for a time
    /// before 1970, which only a broken clock gives.
    pub fn step_at(&self, unix_seconds: i64) -> Result<Step, TimeBeforeEpoch> {
        match unix_seconds {
            0.. => Ok(Step(unix_seconds / i64::from(self.period))),
            _ => Err(TimeBeforeEpoch),
        }
    }

    /// The first second of a step, in unix seconds. A step past the end of time gives the last
    /// second an `i64` holds.
    #[must_use]
    pub fn starts_at(&self, step: Step) -> i64 {
        step.0.saturating_mul(i64::from(self.period))
    }

    /// The first second after a step, in unix seconds: its code is valid before, but not at that
    /// time. Saturates as [`Parameters::starts_at`] does.
    #[must_use]
    pub fn ends_at(&self, step: Step) -> i64 {
        self.starts_at(step).saturating_add(i64::from(self.period))
    }

    /// How many seconds the code of a time, in unix seconds, is still valid: 1 to the period, never
    /// 0. Fails for a time before 1970.
    pub fn expires_in(&self, unix_seconds: i64) -> Result<u32, TimeBeforeEpoch> {
        let seconds = u64::try_from(unix_seconds).map_err(|_| TimeBeforeEpoch)?;
        #[expect(clippy::cast_possible_truncation, reason = "less than the period, which is a u32")]
        let elapsed = (seconds % u64::from(self.period)) as u32;
        Ok(self.period - elapsed)
    }

    /// The code of a key in a step (RFC 4226 section 5.3).
    #[must_use]
    pub fn code(&self, seed: &Seed, step: Step) -> Code {
        let number = code::number(self.algorithm, seed, step);
        match self.kind {
            Kind::Totp => Code::decimal(number, self.digits),
            Kind::Steam => steam::code(number),
        }
    }
}

impl Default for Parameters {
    /// What a site uses that says nothing: SHA-1, 6 digits, 30 seconds (Key URI Format).
    fn default() -> Self {
        Self { kind: Kind::Totp, algorithm: Algorithm::Sha1, digits: 6, period: 30 }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn totp(digits: u32, period: u32) -> Result<Parameters, Invalid> {
        Parameters::new(Kind::Totp, Algorithm::Sha1, digits, period)
    }

    #[test]
    fn a_totp_has_6_to_8_digits() {
        for digits in 0..=12 {
            assert_eq!(totp(digits, 30).is_ok(), (6..=8).contains(&digits), "{digits}");
        }
        assert_eq!(totp(256 + 6, 30), Err(Invalid::Digits));
    }

    #[test]
    fn a_period_has_1_to_3600_seconds() {
        assert!(totp(6, 1).is_ok() && totp(6, 3600).is_ok());
        assert_eq!(totp(6, 0), Err(Invalid::Period));
        assert_eq!(totp(6, 3601), Err(Invalid::Period));
    }

    #[test]
    fn steam_leaves_no_choice() {
        let steam =
            |algorithm, digits, period| Parameters::new(Kind::Steam, algorithm, digits, period);
        assert_eq!(steam(Algorithm::Sha1, 5, 30), Ok(Parameters::steam()));
        assert_eq!(steam(Algorithm::Sha1, 6, 30), Err(Invalid::Digits));
        assert_eq!(steam(Algorithm::Sha1, 5, 60), Err(Invalid::Period));
        assert_eq!(steam(Algorithm::Sha256, 5, 30), Err(Invalid::Algorithm));
        assert_eq!(totp(5, 30), Err(Invalid::Digits));
    }

    #[test]
    fn the_default_is_what_nearly_all_sites_use() {
        assert_eq!(totp(6, 30), Ok(Parameters::default()));
    }

    #[test]
    fn names_are_read_in_any_case_and_in_the_forms_apps_write() {
        for name in ["SHA256", "sha256", "Sha-256", "HmacSHA256", "HMACSHA256"] {
            assert_eq!(Algorithm::parse(name), Ok(Algorithm::Sha256), "{name}");
        }
        for name in ["", "MD5", "SHA", "SHA3-256", "SHA224", " SHA1"] {
            assert_eq!(Algorithm::parse(name), Err(Invalid::Algorithm), "{name}");
        }
        for algorithm in [Algorithm::Sha1, Algorithm::Sha256, Algorithm::Sha512] {
            assert_eq!(Algorithm::parse(algorithm.as_str()), Ok(algorithm));
        }
        assert_eq!(Kind::parse("TOTP"), Ok(Kind::Totp));
        assert_eq!(Kind::parse("Steam"), Ok(Kind::Steam));
        assert_eq!(Kind::parse("hotp"), Err(Invalid::Type));
    }

    #[test]
    fn a_step_past_the_end_of_time_stays_at_the_end() {
        let parameters = Parameters::default();
        let last = Step::new(i64::MAX);
        assert_eq!(last.next(), last);
        assert_eq!(parameters.starts_at(last), i64::MAX);
        assert_eq!(parameters.ends_at(last), i64::MAX);
    }

    #[test]
    fn the_last_second_of_a_step_and_the_first_of_the_next_differ() {
        let parameters = Parameters::default();
        assert_eq!(parameters.step_at(29), Ok(Step::new(0)));
        assert_eq!(parameters.step_at(30), Ok(Step::new(1)));
        assert_eq!(parameters.expires_in(29), Ok(1));
        assert_eq!(parameters.expires_in(30), Ok(30));
    }

    proptest! {
        #[test]
        fn a_time_lies_within_its_step(time in 0..=i64::MAX - 7200, period in 1_u32..=3600) {
            let parameters = totp(6, period).unwrap();
            let step = parameters.step_at(time).unwrap();
            let left = parameters.expires_in(time).unwrap();
            prop_assert!((1..=period).contains(&left));
            prop_assert!(parameters.starts_at(step) <= time);
            prop_assert_eq!(parameters.ends_at(step) - time, i64::from(left));
            prop_assert_eq!(parameters.step_at(parameters.ends_at(step)), Ok(step.next()));
        }

        #[test]
        fn a_time_before_1970_is_never_a_step(time in i64::MIN..0) {
            prop_assert_eq!(Parameters::default().step_at(time), Err(TimeBeforeEpoch));
            prop_assert_eq!(Parameters::default().expires_in(time), Err(TimeBeforeEpoch));
        }

        #[test]
        fn a_code_has_its_digits(
            key in prop::collection::vec(any::<u8>(), 1..200),
            digits in 6_u32..=8,
            step in 0..=i64::MAX,
        ) {
            let seed = Seed::from_bytes(key).unwrap();
            let step = Step::new(step);
            for algorithm in [Algorithm::Sha1, Algorithm::Sha256, Algorithm::Sha512] {
                let code = Parameters::new(Kind::Totp, algorithm, digits, 30).unwrap().code(&seed, step);
                prop_assert_eq!(code.as_str().len(), digits as usize);
                prop_assert!(code.as_str().bytes().all(|character| character.is_ascii_digit()));
            }
            prop_assert_eq!(Parameters::steam().code(&seed, step).as_str().len(), 5);
        }
    }
}
