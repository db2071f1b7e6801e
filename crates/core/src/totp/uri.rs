//! Reading the URI inside an enrolment QR code (Key URI Format of Google Authenticator).
//!
//! Sites and apps write these URIs in many ways, so what is harmless is accepted. What could lead
//! to a wrong code, such as two different secrets, is refused.

use percent_encoding::percent_decode_str;
use zeroize::Zeroizing;

use super::{Algorithm, Invalid, Kind, Parameters, Seed, UriFault};

/// The parameters that mean something here, in the order [`read_query`] gives their values.
const NAMES: [&str; 5] = ["secret", "issuer", "algorithm", "digits", "period"];
/// Those of [`NAMES`] that decide the codes: without one of them they would be wrong ones.
const DECISIVE: [&str; 4] = ["secret", "algorithm", "digits", "period"];

/// One account's one-time password, as a URI describes it.
#[derive(Debug)]
pub struct Enrolment {
    /// The key shared with the site.
    pub seed: Seed,
    /// How the codes are made.
    pub parameters: Parameters,
    /// Who issued the secret, such as `GitHub`; never empty.
    pub issuer: Option<String>,
    /// The account at the issuer, such as an e-mail address; empty if the URI names none.
    pub account: String,
}

impl Enrolment {
    /// A name to show: `<issuer> - <account>`, or whichever of the two exists, or nothing.
    #[must_use]
    pub fn label(&self) -> String {
        match &self.issuer {
            Some(issuer) if self.account.is_empty() => issuer.clone(),
            Some(issuer) => format!("{issuer} - {}", self.account),
            None => self.account.clone(),
        }
    }
}

/// Whether a text is meant as a URI of one-time passwords: `otpauth:`, `otpauth-migration:` or
/// `steam:`, in any case and after blanks.
///
/// People paste a whole URI where a secret is asked for; no secret has a colon.
#[must_use]
pub fn is_uri(text: &str) -> bool {
    let text = text.trim_start();
    ["otpauth:", "otpauth-migration:", "steam:"].iter().any(|scheme| after(scheme, text).is_some())
}

/// Reads `otpauth://totp/…`, `otpauth://steam/…` or `steam://…`.
///
/// Scheme, type and parameter names may be in either case, and unknown parameters are ignored. In
/// the query `+` is a space, in the label it is a plus. The issuer is that of the query, else the
/// part of the label before the colon; that the two differ is no error, as some sites put their
/// domain in one and their name in the other. Numbers are ASCII digits without a sign.
///
/// # Errors
/// Every [`Invalid`] can come up; none holds a part of the secret.
pub fn parse(text: &str) -> Result<Enrolment, Invalid> {
    let text = text.trim();
    if let Some(secret) = after("steam://", text) {
        return bare_steam(secret);
    }
    if after("otpauth-migration:", text).is_some() {
        return Err(Invalid::UseImport);
    }
    let rest = after("otpauth://", text).ok_or(Invalid::Uri(UriFault::Scheme))?;
    let (path, query) = split_or_all(without_fragment(rest)?, '?');
    let (kind, label) = split_or_all(path, '/');
    let kind = Kind::parse(kind)?;
    let [secret, issuer, algorithm, digits, period] = read_query(query)?;
    let seed = read_secret(secret.as_deref().map_or("", String::as_str))?;
    let parameters = read_parameters(kind, [algorithm, digits, period])?;
    let (issuer, account) = read_names(label, issuer.as_deref().map_or("", String::as_str))?;
    Ok(Enrolment { seed, parameters, issuer, account })
}

/// Bitwarden's short form: a Steam secret and nothing else. The name is known all the same.
fn bare_steam(rest: &str) -> Result<Enrolment, Invalid> {
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let secret = percent_decoded([&rest[..end]].into_iter())?;
    Ok(Enrolment {
        seed: read_secret(&secret)?,
        parameters: Parameters::steam(),
        issuer: Some("Steam".to_owned()),
        account: String::new(),
    })
}

fn read_secret(text: &str) -> Result<Seed, Invalid> {
    match text.trim() {
        "" => Err(Invalid::MissingSecret),
        secret => Seed::from_base32(secret),
    }
}

fn read_parameters(
    kind: Kind,
    [algorithm, digits, period]: [Option<Zeroizing<String>>; 3],
) -> Result<Parameters, Invalid> {
    let usual = match kind {
        Kind::Totp => Parameters::default(),
        Kind::Steam => Parameters::steam(),
    };
    let algorithm = match algorithm {
        Some(name) => Algorithm::parse(&name)?,
        None => usual.algorithm(),
    };
    let digits = match digits {
        Some(text) => number(&text).ok_or(Invalid::Digits)?,
        None => u32::from(usual.digits()),
    };
    let period = match period {
        Some(text) => number(&text).ok_or(Invalid::Period)?,
        None => usual.period(),
    };
    Parameters::new(kind, algorithm, digits, period)
}

/// Issuer and account, from the label (still percent-encoded) and the issuer parameter (decoded).
fn read_names(label: &str, issuer: &str) -> Result<(Option<String>, String), Invalid> {
    let issuer = issuer.trim();
    let whole = in_label(label)?;
    // First the issuer as a prefix: an issuer may hold a colon, which the split below can't know.
    let prefixed = whole.trim_start().strip_prefix(issuer).and_then(|rest| rest.strip_prefix(':'));
    if let Some(account) = prefixed
        && !issuer.is_empty()
    {
        return Ok((Some(issuer.to_owned()), account.trim().to_owned()));
    }
    // A colon as such separates; an escaped one only if there is none, as it may belong to a name.
    let (prefix, account) = match label.split_once(':') {
        Some((prefix, account)) => (in_label(prefix)?, in_label(account)?),
        None => match whole.split_once(':') {
            Some((prefix, account)) => (prefix.to_owned(), account.to_owned()),
            None => (String::new(), whole),
        },
    };
    let issuer = if issuer.is_empty() { prefix.trim() } else { issuer };
    let issuer = (!issuer.is_empty()).then(|| issuer.to_owned());
    Ok((issuer, account.trim().to_owned()))
}

/// The values of [`NAMES`] in a query.
fn read_query(query: &str) -> Result<[Option<Zeroizing<String>>; 5], Invalid> {
    let mut values = NAMES.map(|_| None);
    for pair in query.split('&') {
        let (name, value) = split_or_all(pair, '=');
        let name = percent_decode_str(name).decode_utf8_lossy();
        let known =
            NAMES.iter().zip(&mut values).find(|(known, _)| known.eq_ignore_ascii_case(&name));
        let Some((known, slot)) = known else {
            refuse_html(&name)?;
            continue;
        };
        let value = percent_decoded(value.split('+'))?;
        if slot.as_ref().is_some_and(|earlier| *earlier != value) {
            return Err(Invalid::DuplicateParameter(known));
        }
        *slot = Some(value);
    }
    Ok(values)
}

/// Refuses a query that was copied out of HTML with its `&amp;`: ignoring the parameter behind it
/// would give wrong codes.
fn refuse_html(name: &str) -> Result<(), Invalid> {
    let escaped = after("amp;", name);
    let is_decisive = |name: &str| DECISIVE.iter().any(|known| known.eq_ignore_ascii_case(name));
    if escaped.is_some_and(is_decisive) {
        return Err(Invalid::Uri(UriFault::Html));
    }
    Ok(())
}

/// Cuts off what follows a `#`, unless the URI only makes sense with it: some apps write account
/// names without escaping, and then the query comes after the `#`. A `#` inside the query that would
/// cut off what decides the codes is refused.
fn without_fragment(rest: &str) -> Result<&str, Invalid> {
    match rest.split_once('#') {
        Some((before, fragment)) if before.contains('?') => {
            if DECISIVE.iter().any(|name| has_parameter(name, fragment)) {
                return Err(Invalid::Uri(UriFault::Fragment));
            }
            Ok(before)
        }
        Some((before, fragment)) if !has_parameter("secret", fragment) => Ok(before),
        _ => Ok(rest),
    }
}

fn has_parameter(name: &str, text: &str) -> bool {
    let is_here = |(at, _)| after(name, &text[at..]).is_some_and(|rest| rest.starts_with('='));
    text.char_indices().any(is_here)
}

fn in_label(text: &str) -> Result<String, Invalid> {
    Ok(percent_decoded([text].into_iter())?.to_string())
}

/// The parts percent-decoded once, with a space between each two. An escape that isn't one stays.
fn percent_decoded<'a>(
    parts: impl Iterator<Item = &'a str> + Clone,
) -> Result<Zeroizing<String>, Invalid> {
    // Room for everything from the start: a vector that grows leaves copies of the secret behind.
    let room = parts.clone().map(|part| part.len() + 1).sum();
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    for (index, part) in parts.enumerate() {
        if index > 0 {
            bytes.push(b' ');
        }
        bytes.extend(percent_decode_str(part));
    }
    // Not `String::from_utf8`: its error would take the bytes along, and they'd not be zeroed.
    let text = std::str::from_utf8(&bytes).map_err(|_| Invalid::Uri(UriFault::NotUtf8))?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// Digits only; `str::parse` alone would take a `+` in front.
fn number(text: &str) -> Option<u32> {
    let all_digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| all_digits)
}

/// What follows a prefix, whatever its case.
fn after<'a>(prefix: &str, text: &'a str) -> Option<&'a str> {
    let (head, rest) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(rest)
}

fn split_or_all(text: &str, separator: char) -> (&str, &str) {
    text.split_once(separator).unwrap_or((text, ""))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECRET: &str = "JBSWY3DPEHPK3PXP";

    fn totp(rest: &str) -> Result<Enrolment, Invalid> {
        parse(&format!("otpauth://totp/{rest}"))
    }

    fn names(label: &str, issuer: &str) -> (Option<String>, String) {
        let read = totp(&format!("{label}?secret={SECRET}&issuer={issuer}")).unwrap();
        (read.issuer, read.account)
    }

    #[test]
    fn the_label_to_show_has_issuer_and_account_or_the_one_there_is() {
        let label = |text: &str| totp(&format!("{text}?secret={SECRET}")).unwrap().label();
        assert_eq!(label("GitHub:agent@example.com"), "GitHub - agent@example.com");
        assert_eq!(label("GitHub:"), "GitHub");
        assert_eq!(label(":agent"), "agent");
        assert_eq!(label("agent"), "agent");
        assert_eq!(label(""), "");
    }

    #[test]
    fn issuers_that_differ_are_no_error_and_the_parameter_wins() {
        assert_eq!(names("Apple:me", "apple.com"), (Some("apple.com".to_owned()), "me".to_owned()));
    }

    #[test]
    fn a_label_is_not_a_path() {
        assert_eq!(names("a/../b", "").1, "a/../b");
    }

    #[test]
    fn digits_and_period_are_ascii_digits_without_a_sign() {
        let digits = |text: &str| totp(&format!("x?secret={SECRET}&digits={text}")).map(|_| ());
        for text in ["6", "7", "8", "06"] {
            assert_eq!(digits(text), Ok(()), "{text}");
        }
        for text in ["", "5", "9", "+6", "-6", "6.0", " 6", "٦", "4294967302"] {
            assert_eq!(digits(text), Err(Invalid::Digits), "{text}");
        }
        let long = totp(&format!("x?secret={SECRET}&period=3601")).unwrap_err();
        assert_eq!(long, Invalid::Period);
    }

    #[test]
    fn a_repeated_parameter_is_refused_by_name_even_in_another_case() {
        let error = totp(&format!("x?secret={SECRET}&issuer=A&ISSUER=B")).unwrap_err();
        assert_eq!(error, Invalid::DuplicateParameter("issuer"));
    }

    #[test]
    fn a_parameters_name_may_be_escaped_like_its_value() {
        let read = totp(&format!("x?secr%65t={SECRET}&digit%73=8&%FF=1")).unwrap();
        assert_eq!(read.parameters.digits(), 8);
    }

    #[test]
    fn a_raw_number_sign_that_cuts_off_what_decides_the_codes_is_refused() {
        let cut = |rest: &str| totp(&format!("x?secret={SECRET}&issuer=a{rest}")).map(|_| ());
        for rest in ["#b&digits=8", "#&PERIOD=60", "#b?Algorithm=SHA256", "#secret=x", "#é#digits="]
        {
            assert_eq!(cut(rest), Err(Invalid::Uri(UriFault::Fragment)), "{rest}");
        }
        for rest in ["#", "#b", "#b&image=x", "#b&digits", "#b%26digits%3D8"] {
            assert_eq!(cut(rest), Ok(()), "{rest}");
        }
        let escaped = totp(&format!("x?secret={SECRET}&issuer=a%23b&digits=8")).unwrap();
        assert_eq!((escaped.issuer.as_deref(), escaped.parameters.digits()), (Some("a#b"), 8));
        // Where the query only begins behind it, it belongs to the account's name.
        let account = totp(&format!("x#1?secret={SECRET}&issuer=a#b&digits=8")).unwrap();
        assert_eq!((account.account.as_str(), account.parameters.digits()), ("x#1", 8));
    }

    #[test]
    fn a_query_that_was_copied_out_of_html_is_refused() {
        let html = |rest: &str| totp(&format!("x?secret={SECRET}{rest}")).map(|_| ());
        for rest in ["&amp;digits=8", "&AMP;Period=60", "&amp;algorithm=SHA256", "&amp;secret=x"] {
            assert_eq!(html(rest), Err(Invalid::Uri(UriFault::Html)), "{rest}");
        }
        for rest in ["&amp;issuer=Ex", "&amp;image=x", "&amp;", "&ampdigits=8"] {
            assert_eq!(html(rest), Ok(()), "{rest}");
        }
    }

    #[test]
    fn no_error_repeats_the_secret() {
        let secret = "SECRETSECRET0SECRET";
        for uri in [
            format!("otpauth://totp/x?secret={secret}"),
            format!("otpauth://totp/x?secret=SECRETSECRET&secret={secret}"),
            format!("otpauth://totp/x?secret={secret}%FF"),
            format!("otpauth://totp/x?issuer=#&secret={secret}"),
            format!("otpauth://totp/x?digits=6&amp;secret={secret}"),
            format!("otpauth://{secret}"),
            format!("steam://{secret}"),
            secret.to_owned(),
        ] {
            let error = parse(&uri).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("SECRET"), "{error:?}");
        }
    }

    #[test]
    fn a_steam_uri_may_only_say_what_steam_does() {
        let steam = |rest: &str| parse(&format!("otpauth://steam/x?secret={SECRET}{rest}"));
        let full = steam("&digits=5&period=30&algorithm=SHA1").unwrap();
        assert_eq!(full.parameters, Parameters::steam());
        assert_eq!(steam("&digits=6").unwrap_err(), Invalid::Digits);
    }

    #[test]
    fn a_bare_steam_secret_is_labelled_steam() {
        let read = parse(&format!("Steam://{SECRET}/")).unwrap();
        assert_eq!(read.label(), "Steam");
        assert_eq!(parse("steam://").unwrap_err(), Invalid::MissingSecret);
    }

    #[test]
    fn a_uri_where_a_secret_is_asked_for_is_noticed() {
        for text in [" OTPAUTH://x", "otpauth-migration://offline", "steam://ABC", "otpauth:"] {
            assert!(is_uri(text), "{text}");
        }
        for text in ["", SECRET, "steam", "STEAMABC", "https://x", "ötpauth:"] {
            assert!(!is_uri(text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".*") {
            let _ = (is_uri(&text), parse(&text).map(|read| read.label()));
        }

        #[test]
        fn no_otpauth_text_makes_it_panic(
            text in r"(otpauth|steam)://(totp|steam)?[/?#%:=&+A-C0-9é ]{0,40}(secret=)?[/?#%:=&+A-C2-7]{0,20}",
        ) {
            if let Ok(read) = parse(&text) {
                prop_assert_ne!(read.issuer.as_deref(), Some(""));
                prop_assert_eq!(read.account.trim(), &read.account);
            }
        }
    }
}
