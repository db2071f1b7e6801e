//! The command line.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

/// What to type.
pub(crate) const USAGE: &str = "\
usage: bench [totp_code] [peers] [proxy] [sdk] [memory] [contacts] [waiters] [refresh_storm] [refresh_sweep] [options]
All nine sections by default.
  --seconds N          seconds of one totp_code sample (2); a sample of peers or proxy takes five times that
  --pairs N            pairs of a totp_code mode (5)
  --rounds N           rounds of peers and of proxy (3)
  --stored N           secrets stored for totp_code and peers (10000)
  --memory-stored N    secrets stored for memory (1000000)
  --contacts N         contacts, with three connections each, that contacts compares with 1000 (1000000)
  --waiters N          callers waiting at once (10000)
  --storm-seconds N    how long each storm of refresh_storm lasts (300)
  --grants N           grants that are due at once in refresh_sweep (100000)
  --auth pair|bearer   how the calls authenticate: sb-api-key-id and sb-api-secret-key, or a bearer token (pair)
  --without-peers      do not run the sections peers and proxy
  --without-postgres   leave the PostgreSQL modes out of totp_code, of proxy and of the refresh sections
  --keyfob PATH        the binary under test (beside this one)
  --out DIR            where the results go (bench/results)";

/// The sections, in the order in which they run.
pub(crate) const SECTIONS: [&str; 9] = [
    "totp_code",
    "peers",
    "proxy",
    "sdk",
    "memory",
    "contacts",
    "waiters",
    "refresh_storm",
    "refresh_sweep",
];

/// How the calls authenticate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Auth {
    /// The two headers of the key pair.
    Pair,
    /// `Authorization: Bearer`.
    Bearer,
}

/// What was asked for.
#[derive(Debug)]
pub(crate) struct Args {
    pub(crate) sections: Vec<&'static str>,
    pub(crate) seconds: u64,
    pub(crate) pairs: usize,
    pub(crate) rounds: usize,
    pub(crate) stored: usize,
    pub(crate) memory_stored: usize,
    pub(crate) contacts: usize,
    pub(crate) waiters: usize,
    pub(crate) storm_seconds: u64,
    pub(crate) grants: usize,
    pub(crate) auth: Auth,
    pub(crate) postgres: bool,
    pub(crate) keyfob: Option<PathBuf>,
    pub(crate) out: Option<PathBuf>,
    pub(crate) help: bool,
}

impl Args {
    /// Reads the command line without the program's name.
    pub(crate) fn parse(words: impl IntoIterator<Item = String>) -> Result<Self> {
        let mut args = Self {
            sections: Vec::new(),
            seconds: 2,
            pairs: 5,
            rounds: 3,
            stored: 10_000,
            memory_stored: 1_000_000,
            contacts: 1_000_000,
            waiters: 10_000,
            storm_seconds: 300,
            grants: 100_000,
            auth: Auth::Pair,
            postgres: true,
            keyfob: None,
            out: None,
            help: false,
        };
        let mut without_peers = false;
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().with_context(|| format!("{word} needs a value"));
            match word.as_str() {
                "--seconds" => args.seconds = number(&word, &value()?)?,
                "--pairs" => args.pairs = number(&word, &value()?)?,
                "--rounds" => args.rounds = number(&word, &value()?)?,
                "--stored" => args.stored = number(&word, &value()?)?,
                "--memory-stored" => args.memory_stored = number(&word, &value()?)?,
                "--contacts" => args.contacts = number(&word, &value()?)?,
                "--waiters" => args.waiters = number(&word, &value()?)?,
                "--storm-seconds" => args.storm_seconds = number(&word, &value()?)?,
                "--grants" => args.grants = number(&word, &value()?)?,
                "--auth" => {
                    args.auth = match value()?.as_str() {
                        "pair" => Auth::Pair,
                        "bearer" => Auth::Bearer,
                        other => bail!("--auth is pair or bearer, not {other}"),
                    }
                }
                "--without-peers" => without_peers = true,
                "--without-postgres" => args.postgres = false,
                "--keyfob" => args.keyfob = Some(PathBuf::from(value()?)),
                "--out" => args.out = Some(PathBuf::from(value()?)),
                "--help" | "-h" => args.help = true,
                name => match SECTIONS.iter().find(|section| **section == name) {
                    Some(section) => args.sections.push(section),
                    None => bail!("unknown section or option: {name}"),
                },
            }
        }
        if args.sections.is_empty() {
            args.sections = SECTIONS.to_vec();
        }
        args.sections.retain(|section| !(without_peers && ["peers", "proxy"].contains(section)));
        Ok(args)
    }

    /// Whether that section runs.
    pub(crate) fn runs(&self, section: &str) -> bool {
        self.sections.contains(&section)
    }
}

/// A positive whole number.
fn number<N: std::str::FromStr + PartialEq + From<u8>>(option: &str, text: &str) -> Result<N> {
    match text.parse::<N>() {
        Ok(number) if number != N::from(0) => Ok(number),
        _ => bail!("{option} needs a whole number above 0, not {text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Args> {
        Args::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn everything_runs_by_default() -> Result<()> {
        let args = parse("")?;
        assert_eq!(args.sections, SECTIONS);
        assert_eq!((args.seconds, args.pairs, args.auth), (2, 5, Auth::Pair));
        Ok(())
    }

    #[test]
    fn sections_and_options_are_read() -> Result<()> {
        let args = parse("memory totp_code --pairs 7 --auth bearer --out x --without-postgres")?;
        assert!(args.runs("memory") && args.runs("totp_code") && !args.runs("peers"));
        assert_eq!((args.pairs, args.auth, args.postgres), (7, Auth::Bearer, false));
        let args = parse("--without-peers")?;
        assert!(!args.runs("peers") && !args.runs("proxy") && args.runs("memory"));
        Ok(())
    }

    #[test]
    fn nonsense_is_refused() {
        for line in ["--pairs", "--pairs 0", "--pairs -1", "--auth basic", "mmeory"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
