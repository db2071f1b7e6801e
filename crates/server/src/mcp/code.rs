//! The tool that hands out a code.

use keyfob_core::id::TotpId;
use rmcp::{
    model::JsonObject,
    schemars::{self, JsonSchema},
};
use serde::Serialize;

use super::{
    arguments::{Arguments, read, required},
    handler::Handler,
};
use crate::{
    broker::{Released, Wish},
    error::Error,
    http::fields::Fields,
};

/// Which code is wanted.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct GetCode {
    /// The id of the entry, as `list_totp` has it.
    id: String,
    /// Seconds that the code must still be valid. The call waits for one that is, 55 s at most.
    min_validity: Option<u32>,
    /// Whether nobody else may be given the same code. The call waits for the next one if the current one is taken.
    unique: Option<bool>,
}

impl Arguments for GetCode {
    fn take(fields: &mut Fields<'_>) -> Result<Self, Error> {
        Ok(Self {
            id: required(fields, "id", "that of the entry, as list_totp has it")?,
            min_validity: fields.number("min_validity")?.value(),
            unique: fields.flag("unique")?.value(),
        })
    }
}

/// A code.
#[derive(Serialize, JsonSchema)]
#[expect(clippy::struct_field_names, reason = "a code is called so in every answer that has one")]
pub(super) struct Code {
    /// The code to type in.
    code: String,
    /// Seconds that it is still valid.
    expires_in: i64,
    /// Until when it is valid, in unix seconds.
    valid_until: i64,
}

impl Handler {
    pub(super) async fn code(&self, arguments: JsonObject) -> Result<Code, Error> {
        let GetCode { id, min_validity, unique } = read(arguments)?;
        let id = TotpId::parse(&id).unwrap_or_else(|_| TotpId::never());
        let wish = Wish { min_validity, unique, next: false };
        let released = self.broker.code(&self.caller, &id, wish).await?;
        let Released { code, step, parameters, at, .. } = released;
        let valid_until = parameters.ends_at(step);
        Ok(Code {
            code: code.as_str().into(),
            expires_in: valid_until - at.as_seconds(),
            valid_until,
        })
    }
}
