//! The words of secrets, the definitions of credentials (contract/contacts-and-secrets, section 3.2).
//!
//! Strict clients refuse a word that they do not know: these enumerations never grow.

macro_rules! words {
    ($(#[$doc:meta])* $name:ident {
        $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)*
    }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $name {
            /// Every one of them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The word, as it is stored and sent.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }

            /// What this word means, if anything.
            #[must_use]
            pub fn parse(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|known| known.as_str() == word)
            }
        }
    };
}

words! {
    /// Whose value a secret has.
    Kind {
        /// One for everybody, stored with the secret.
        Shared = "shared",
        /// One for each contact, stored as the contact's connection.
        Personal = "personal",
    }
}

words! {
    /// What a secret's value is, and what is made of it when it is used.
    SecretType {
        /// A text, used as it is.
        Plain = "plain",
        /// A user name and a password (RFC 7617).
        Basic = "basic",
        /// A token (RFC 6750).
        Bearer = "bearer",
        /// A private key that signs tokens (RFC 7519).
        Jwt = "jwt",
        /// The tokens of an authorization server (RFC 6749).
        OAuth = "oauth",
        /// As a preset of the catalogue has it.
        Template = "template",
        /// As another secret has it.
        Reference = "reference",
    }
}

words! {
    /// Who may use a secret.
    Visibility {
        /// Its account.
        Private = "private",
        /// Its account, that account's parent and its children.
        Protected = "protected",
        /// Every account.
        Public = "public",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_the_contract_and_read_back() {
        let kinds: Vec<_> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
        assert_eq!(kinds, ["shared", "personal"]);
        let types: Vec<_> = SecretType::ALL.iter().map(|form| form.as_str()).collect();
        assert_eq!(types, ["plain", "basic", "bearer", "jwt", "oauth", "template", "reference"]);
        let visibilities: Vec<_> = Visibility::ALL.iter().map(|seen| seen.as_str()).collect();
        assert_eq!(visibilities, ["private", "protected", "public"]);
        assert!(types.iter().all(|word| SecretType::parse(word).is_some()));
        assert_eq!(Kind::parse("personal"), Some(Kind::Personal));
        assert_eq!(Visibility::parse("Private"), None);
    }
}
