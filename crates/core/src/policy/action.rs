//! What can be done, and the narrowest role that may do it (contract/keyfob, "Keys and what they may do").

/// What a key is for (contract/keyfob, "Keys and what they may do").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Uses what it is given: reads codes, never a stored value.
    Agent,
    /// Manages contacts, secrets and one-time-password entries; no keys.
    Backend,
    /// Everything in the account.
    Owner,
}

impl Role {
    /// Every role, from the narrowest.
    pub const ALL: [Self; 3] = [Self::Agent, Self::Backend, Self::Owner];

    /// The role's name, as it is stored and sent.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Backend => "backend",
            Self::Owner => "owner",
        }
    }

    /// The role of this name, if there is one.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == name)
    }
}

/// Makes [`Action`] of one table.
macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $role:ident;)*) => {
        /// Something that can be done. The name is also what the audit event says.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Action {
            $($(#[$doc])* $name,)*
        }

        impl Action {
            /// Every action.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The action's name, as events and key limits have it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }

            /// The narrowest role that may do it.
            pub(super) const fn least_role(self) -> Role {
                match self {
                    $(Self::$name => Role::$role,)*
                }
            }
        }
    };
}

actions! {
    /// Make a child account.
    AccountCreate = "account.create", Owner;
    /// Read what the account is called and where its contacts may be sent back to.
    AccountFetch = "account.fetch", Backend;
    /// Change that.
    AccountUpdate = "account.update", Owner;
    /// Delete a child account with all that belongs to it.
    AccountDelete = "account.delete", Owner;
    /// Make a key.
    KeyCreate = "key.create", Owner;
    /// List keys.
    KeyList = "key.list", Owner;
    /// Read a key's description.
    KeyFetch = "key.fetch", Owner;
    /// Rename a key.
    KeyUpdate = "key.update", Owner;
    /// End a key.
    KeyRevoke = "key.revoke", Owner;
    /// Store a contact, or find it again (`ensure`).
    ContactCreate = "contact.create", Backend;
    /// List contacts.
    ContactList = "contact.list", Backend;
    /// Read a contact.
    ContactFetch = "contact.fetch", Backend;
    /// Change a contact.
    ContactUpdate = "contact.update", Backend;
    /// Delete a contact with its connections.
    ContactDelete = "contact.delete", Backend;
    /// Have all contacts in one file.
    ContactExport = "contact.export", Owner;
    /// Store a secret: the definition of a credential.
    SecretCreate = "secret.create", Backend;
    /// List secrets, without their values.
    SecretList = "secret.list", Agent;
    /// Read a secret's description, which has no value.
    SecretFetch = "secret.fetch", Agent;
    /// Change a secret.
    SecretUpdate = "secret.update", Backend;
    /// Delete a secret with its connections.
    SecretDelete = "secret.delete", Backend;
    /// Ask whether a shared secret has a value that can be used.
    SecretVerify = "secret.verify", Agent;
    /// Have a link made at which a person hands over the value of a shared secret.
    SecretAuthenticate = "secret.authenticate", Agent;
    /// Hand over the value of a shared secret at such a link.
    SecretConnect = "secret.connect", Backend;
    /// Have the tokens of a shared secret renewed.
    SecretRefresh = "secret.refresh", Backend;
    /// Have the token of a shared secret itself.
    SecretMint = "secret.mint", Backend;
    /// Take the value of a shared secret away.
    SecretRevoke = "secret.revoke", Backend;
    /// List what a contact has connected, or could.
    ConnectionList = "connection.list", Agent;
    /// Ask whether a contact has connected a secret.
    ConnectionVerify = "connection.verify", Agent;
    /// Have a link made at which a contact connects a secret.
    ConnectionAuthenticate = "connection.authenticate", Agent;
    /// Store a contact's value of a secret.
    ConnectionConnect = "connection.connect", Backend;
    /// Have the tokens of a contact's connection renewed.
    ConnectionRefresh = "connection.refresh", Backend;
    /// Have the token of a contact's connection itself.
    ConnectionMint = "connection.mint", Backend;
    /// Take a contact's value of a secret away.
    ConnectionRevoke = "connection.revoke", Backend;
    /// See how revocations at providers go.
    RevocationList = "revocation.list", Backend;
    /// Read the audit trail.
    EventList = "event.list", Backend;
    /// Store a one-time-password secret.
    TotpCreate = "totp.create", Backend;
    /// List one-time-password entries.
    TotpList = "totp.list", Agent;
    /// Read an entry's description.
    TotpFetch = "totp.fetch", Agent;
    /// Change an entry's label, issuer or policy.
    TotpUpdate = "totp.update", Backend;
    /// Delete an entry.
    TotpDelete = "totp.delete", Backend;
    /// Have a one-time code.
    TotpCode = "totp.code", Agent;
}
