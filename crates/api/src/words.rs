//! The words that a text on the wire can be, for its schema: the types themselves have texts, so that a client goes on
//! to work where a newer server says another word.

use utoipa::ToSchema;

/// A moment in unix milliseconds, also as a text of its digits. 0 counts as absent.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(
    missing_docs,
    reason = "utoipa takes the docs of such a variant for a schema of an object"
)]
pub enum Moment {
    Number(#[schema(inline)] Millis),
    Text(#[schema(inline)] Digits),
}

/// Up to the end of the year 9999, and as long before 1970.
#[derive(ToSchema)]
#[schema(minimum = -253_402_300_799_999_i64, maximum = 253_402_300_799_999_i64)]
pub struct Millis(pub f64);

/// The digits of a number.
#[derive(ToSchema)]
#[schema(pattern = r"^-?[0-9]{1,14}$")]
pub struct Digits(pub String);

/// What a token allows.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(
    missing_docs,
    reason = "utoipa takes the docs of such a variant for a schema of an object"
)]
pub enum Scopes {
    Text(#[schema(inline)] ScopeText),
    List(#[schema(inline)] ScopeList),
}

/// As OAuth has them (RFC 6749, section 3.3).
#[derive(ToSchema)]
#[schema(pattern = r"^[!-~ ]*$")]
pub struct ScopeText(pub String);

/// As answers have them.
#[derive(ToSchema)]
#[schema(max_items = 500)]
pub struct ScopeList(pub Vec<String>);

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident: $($word:ident = $text:literal),+;)*) => {$(
        $(#[$doc])*
        #[derive(ToSchema)]
        pub enum $name {
            $(#[doc = concat!("`", $text, "`")] #[schema(rename = $text)] $word,)+
        }
    )*};
}

words! {
    /// Whose value a secret has.
    SecretKind: Shared = "shared", Personal = "personal";
    /// What a secret's value is.
    SecretType: Plain = "plain", Basic = "basic", Bearer = "bearer", Jwt = "jwt", Oauth = "oauth", Template = "template", Reference = "reference";
    /// Who may use a secret beside its own account: nobody, the accounts related to it, or everybody.
    Visibility: Private = "private", Protected = "protected", Public = "public";
    /// Whether a credential can be used; strict clients know no third word.
    VerifiedStatus: Authenticated = "authenticated", Unauthenticated = "unauthenticated";
    /// Whether a credential can be used, and if not, what it lacks.
    ConnectionStatus: Authenticated = "authenticated", Unauthenticated = "unauthenticated", Expired = "expired", Broken = "broken";
    /// What a person can do.
    ActType: Authenticate = "authenticate";
    /// What a key may do.
    Role: Owner = "owner", Backend = "backend", Agent = "agent";
    /// Who did something: a key, whoever opened a link, the operator on the command line, the owner of an account above, or Keyfob itself.
    ActorType: Key = "key", Link = "link", Operator = "operator", Owner = "owner", Keyfob = "keyfob";
    /// How a revocation at a provider goes.
    RevocationStatus: Pending = "pending", Revoked = "revoked", Unsupported = "unsupported", Failed = "failed";
    /// What a provider makes of PKCE.
    Pkce: Required = "required", Supported = "supported", Ignored = "ignored", Refused = "refused";
    /// What fits into a parameter of a template.
    ParameterPattern: Label = "label", Labels = "labels", Domain = "domain", Word = "word";
    /// The hash that a code is made with.
    Algorithm: Sha1 = "SHA1", Sha256 = "SHA256", Sha512 = "SHA512";
    /// How a code is written.
    TotpType: Totp = "totp", Steam = "steam";
    /// A method of HTTP.
    Method: Get = "GET", Post = "POST", Put = "PUT", Patch = "PATCH", Delete = "DELETE", Head = "HEAD", Options = "OPTIONS";
    /// It went well.
    Ok: Ok = "OK";
}
