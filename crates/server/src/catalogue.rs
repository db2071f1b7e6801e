//! The catalogue: how well-known providers are reached. Data, a file for each in `crates/server/catalogue`,
//! whose form is `schema.json` there; what is made of it are rules, in `broker/template.rs`.

use std::{collections::BTreeMap, sync::LazyLock};

use keyfob_core::secret::{Kind, SecretType};
use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::{Map, Value};

macro_rules! files {
    ($($name:literal)*) => {
        /// Each file's name and text, by name.
        const FILES: &[(&str, &str)] =
            &[$(($name, include_str!(concat!("../catalogue/", $name, ".json"))),)*];
    };
}

files! {
    "airtable" "airtable-token" "anthropic" "asana" "auth0" "aws" "azure-openai" "bitbucket"
    "box" "brave-search" "calendly" "clickup" "cloudflare" "cohere" "confluence" "datadog"
    "deepgram" "deepl" "deepseek" "digitalocean" "discord" "discord-bot" "docusign" "dropbox"
    "elevenlabs" "eventbrite" "exa" "facebook" "figma" "figma-token" "fitbit" "freshdesk"
    "gemini" "github" "github-app-user" "github-git" "github-token" "gitlab"
    "gitlab-self-managed" "gitlab-token" "gmail" "google-calendar" "google-contacts"
    "google-docs" "google-drive" "google-maps" "google-sheets" "groq" "harvest" "heroku"
    "hubspot" "hubspot-token" "huggingface" "intercom" "jira" "jira-token" "linear"
    "linear-token" "linkedin" "mailchimp" "mailgun" "microsoft-graph" "microsoft-onedrive"
    "microsoft-outlook" "miro" "mistral" "monday" "notion" "notion-token" "okta" "openai"
    "openrouter" "openweather" "pagerduty" "patreon" "paypal" "perplexity" "pinecone"
    "pinterest" "pipedrive" "postmark" "quickbooks" "reddit" "replicate" "resend" "salesforce"
    "sendgrid" "sentry" "serpapi" "shopify" "slack" "slack-token" "slack-user" "snowflake"
    "spotify" "square" "strava" "stripe" "stripe-connect" "tavily" "todoist" "twilio" "twitch"
    "typeform" "vimeo" "webex" "wordpress" "x" "xero" "zendesk" "zoom"
}

/// How a provider is reached.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// What a secret's `config.template` says.
    pub name: String,
    /// What people call the provider.
    pub title: String,
    /// What it is for, and what has to be known.
    pub description: String,
    /// Where the provider says how it authorizes: an https URL.
    pub documentation: String,
    /// Whose value a secret should have.
    #[serde(deserialize_with = "kind")]
    pub kind: Kind,
    /// What a secret's value is: neither a template nor a reference.
    #[serde(rename = "type", deserialize_with = "base_type")]
    pub secret_type: SecretType,
    /// What the provider makes of PKCE; of `oauth` templates only.
    #[serde(default)]
    pub pkce: Option<Pkce>,
    /// The config, in which texts may hold `((name))` of a parameter.
    pub config: Map<String, Value>,
    /// What a secret fills in, by name.
    #[serde(default)]
    pub parameters: BTreeMap<String, Parameter>,
}

/// What a provider makes of PKCE (RFC 7636). Keyfob sends S256 always.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pkce {
    /// Wants it.
    Required,
    /// Checks it.
    Supported,
    /// Takes no notice, as RFC 6749, section 3.1, has it.
    Ignored,
    /// Refuses a token request that has it.
    Refused,
}

impl Pkce {
    /// The word, as files and answers have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::Supported => "supported",
            Self::Ignored => "ignored",
            Self::Refused => "refused",
        }
    }
}

/// What a secret fills in.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// What to fill in, for people.
    pub description: String,
    /// What fits.
    pub pattern: Pattern,
    /// What counts where a secret says nothing; without it a secret has to.
    #[serde(default)]
    pub default: Option<String>,
}

/// What fits into a placeholder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pattern {
    /// A part of a host name between dots.
    Label,
    /// Such parts, with dots between them.
    Labels,
    /// A whole host name.
    Domain,
    /// A part of a path between slashes.
    Word,
}

impl Pattern {
    /// The word, as files and answers have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Label => "label",
            Self::Labels => "labels",
            Self::Domain => "domain",
            Self::Word => "word",
        }
    }
}

fn kind<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Kind, D::Error> {
    let word = <&str>::deserialize(deserializer)?;
    Kind::parse(word).ok_or_else(|| D::Error::custom("no such kind"))
}

fn base_type<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SecretType, D::Error> {
    let word = <&str>::deserialize(deserializer)?;
    let stands_for_another =
        |known: &SecretType| matches!(known, SecretType::Template | SecretType::Reference);
    let found = SecretType::parse(word).filter(|known| !stands_for_another(known));
    found.ok_or_else(|| D::Error::custom("no type that a template can have"))
}

static TEMPLATES: LazyLock<Vec<Template>> = LazyLock::new(|| FILES.iter().map(parse).collect());

fn parse((name, text): &(&str, &str)) -> Template {
    let parsed = serde_json::from_str(text);
    // Only a build whose tests failed gets here.
    parsed.unwrap_or_else(|error| panic!("catalogue/{name}.json: {error}"))
}

/// Every template, by name.
#[must_use]
pub fn all() -> &'static [Template] {
    &TEMPLATES
}

/// The template of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Template> {
    let at = TEMPLATES.binary_search_by(|template| template.name.as_str().cmp(name)).ok()?;
    TEMPLATES.get(at)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    fn folder() -> &'static Path {
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/catalogue"))
    }

    #[test]
    fn every_file_is_listed_by_the_name_that_it_gives_itself_in_order() {
        let files = fs::read_dir(folder()).unwrap().map(|file| file.unwrap().file_name());
        let files = files.map(|file| file.into_string().unwrap());
        let files = files.filter_map(|file| file.strip_suffix(".json").map(str::to_owned));
        let files: BTreeSet<_> = files.filter(|name| name != "schema").collect();
        assert!(files.iter().eq(FILES.iter().map(|(name, _)| *name)), "{files:?}");
        assert!(all().iter().map(|template| &template.name).eq(&files));
        assert!(files.iter().all(|name| find(name).unwrap().name == *name));
        assert!(find("nobody").is_none());
    }

    #[test]
    fn every_file_has_the_form_of_the_schema() {
        let schema = fs::read_to_string(folder().join("schema.json")).unwrap();
        let schema: Value = serde_json::from_str(&schema).unwrap();
        assert!(jsonschema::meta::is_valid(&schema));
        let schema = jsonschema::validator_for(&schema).unwrap();
        for (name, text) in FILES {
            let file: Value = serde_json::from_str(text).unwrap();
            let errors: Vec<_> = schema.iter_errors(&file).map(|error| error.to_string()).collect();
            assert!(errors.is_empty(), "{name}: {errors:?}");
        }
        for wrong in [r#"{"name": "x"}"#, "[]"] {
            assert!(!schema.is_valid(&serde_json::from_str(wrong).unwrap()), "{wrong}");
        }
    }

    #[test]
    fn the_words_of_the_schema_are_those_of_the_types() {
        let schema = fs::read_to_string(folder().join("schema.json")).unwrap();
        let schema: Value = serde_json::from_str(&schema).unwrap();
        for word in schema["properties"]["pkce"]["enum"].as_array().unwrap() {
            let pkce: Pkce = serde_json::from_value(word.clone()).unwrap();
            assert_eq!(pkce.as_str(), word);
        }
        let pattern = &schema["$defs"]["parameter"]["properties"]["pattern"];
        for word in pattern["enum"].as_array().unwrap() {
            let pattern: Pattern = serde_json::from_value(word.clone()).unwrap();
            assert_eq!(pattern.as_str(), word);
        }
    }
}
