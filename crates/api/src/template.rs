//! `/api/v1/platform/secret`: the catalogue of templates, in the words of the published clients.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// How a well-known provider is reached.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Template {
    /// What a secret's `config.template` says.
    pub id: String,
    /// What people call the provider.
    pub name: String,
    /// What it is for, and what has to be known.
    pub description: String,
    /// The same as `id`.
    pub template: String,
    /// Whose value a secret should have: `shared` or `personal`.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::words::SecretKind))]
    pub kind: String,
    /// What a secret's value is: `plain`, `basic`, `bearer`, `jwt` or `oauth`.
    #[serde(rename = "type")]
    #[cfg_attr(feature = "openapi", schema(value_type = crate::words::SecretType))]
    pub secret_type: String,
    /// How it is used. A text may hold `((name))` of a parameter.
    pub config: Map<String, Value>,
    /// What a secret fills in (`config.parameters`), by name.
    pub parameters: BTreeMap<String, Parameter>,
    /// What the provider makes of PKCE: `required`, `supported`, `ignored` or `refused`; of `oauth` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<crate::words::Pkce>, nullable = false))]
    pub pkce: Option<String>,
    /// Where the provider says how it authorizes.
    pub documentation: String,
    /// Always 0: the catalogue comes with the server.
    pub created_at: i64,
    /// Always 0.
    pub updated_at: i64,
}

/// What a secret fills in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Parameter {
    /// What to fill in, for people.
    pub description: String,
    /// What fits: `label`, `labels`, `domain` or `word`.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::words::ParameterPattern))]
    pub pattern: String,
    /// What counts where a secret says nothing; without it a secret has to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub default: Option<String>,
}

/// What a search takes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Search {
    /// Words of the provider's name or of what it is for.
    #[cfg_attr(feature = "openapi", schema(max_length = 255, pattern = "[0-9A-Za-z]"))]
    pub search: String,
    /// How many are found at most; 10 by default.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 100))]
    pub take: Option<u32>,
}

/// What a search finds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Found {
    /// The templates, the likeliest first.
    pub items: Vec<FoundTemplate>,
}

/// A template that may be meant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FoundTemplate {
    /// The template.
    #[serde(flatten)]
    pub template: Template,
    /// How well it fits, from 0 to 1.
    pub score: f64,
    /// Its description.
    pub excerpt: String,
    /// Its documentation.
    pub link: String,
}
