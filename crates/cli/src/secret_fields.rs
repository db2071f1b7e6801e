//! What a secret is to hold, as a command line says it.

use std::{fs::File, path::PathBuf};

use anyhow::Context;
use keyfob_api::secret::{Config, SecretFields};
use keyfob_client::Client;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

use crate::{
    failure::Failure,
    input,
    meta::{MetaArgs, pair},
};

/// The fields of a secret.
#[derive(clap::Args)]
pub(crate) struct FieldArgs {
    /// What it may be called by, as @ALIAS: a-z, 0-9, - and _; no two secrets have the same
    #[arg(long)]
    alias: Option<String>,
    /// What people call it
    #[arg(long)]
    name: Option<String>,
    /// More about it, for people
    #[arg(long)]
    description: Option<String>,
    /// The blueprint it belongs to, in your own words
    #[arg(long, value_name = "BLUEPRINT")]
    blueprint_id: Option<String>,
    /// Whose value it has: shared = one for everybody; personal = one for each contact
    #[arg(long, value_parser = ["shared", "personal"])]
    kind: Option<String>,
    /// What its value is
    #[arg(
        long = "type",
        value_name = "TYPE",
        value_parser = ["plain", "basic", "bearer", "jwt", "oauth", "template", "reference"],
    )]
    secret_type: Option<String>,
    /// Who may use it: private = the account; protected = its parent and children too; public = all
    #[arg(long, value_parser = ["private", "protected", "public"])]
    visibility: Option<String>,
    /// Read the value of a shared secret from stdin, without the line break at its end
    #[arg(long)]
    value_stdin: bool,
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    meta: MetaArgs,
}

/// How a secret is used.
#[derive(clap::Args)]
struct ConfigArgs {
    /// All of its config, as a JSON object; one that holds secrets belongs in a file
    #[arg(long, value_name = "JSON")]
    // Not parsed here: clap repeats in its errors what it cannot parse.
    config: Option<SecretString>,
    /// All of its config, from a file with a JSON object; `-` is stdin
    #[arg(long, value_name = "PATH", conflicts_with = "config")]
    config_file: Option<PathBuf>,
    /// A text of its config; with no text the key is taken away; repeatable
    #[arg(long, value_name = "KEY=TEXT", value_parser = pair)]
    set: Vec<(String, String)>,
}

impl FieldArgs {
    /// A secret that is to be stored.
    pub(crate) fn create(self) -> Result<SecretFields, Failure> {
        self.check_stdin()?;
        let config = match self.config.whole()? {
            None if self.config.set.is_empty() => None,
            whole => Some(self.config.over(whole.unwrap_or_default())),
        };
        let meta = self.meta.create();
        self.fields(config, meta)
    }

    /// What is to change of the secret that is named so. Where single keys of its config are to change,
    /// the others are those that are stored; what is masked in them stays what it is.
    pub(crate) async fn update(
        self,
        client: &Client,
        secret: &str,
        no_value: bool,
    ) -> Result<SecretFields, Failure> {
        self.check_stdin()?;
        let config = match self.config.whole()? {
            None if self.config.set.is_empty() => None,
            None => Some(client.secrets().fetch(secret).await?.config.unwrap_or_default()),
            whole => whole,
        };
        let config = config.map(|config| self.config.over(config));
        let meta = self.meta.update();
        let mut change = self.fields(config, meta)?;
        if no_value {
            change.value = Some(SecretString::default());
        }
        if change.is_empty() {
            return Err(Failure::Usage("say what is to change, such as --name NAME".into()));
        }
        Ok(change)
    }

    /// One stdin cannot be two things.
    fn check_stdin(&self) -> Result<(), Failure> {
        if self.value_stdin && self.config.is_on_stdin() {
            let text = "stdin is the value: give the config as --config-file PATH";
            return Err(Failure::Usage(text.into()));
        }
        Ok(())
    }

    fn fields(
        self,
        config: Option<Config>,
        meta: Option<Map<String, Value>>,
    ) -> Result<SecretFields, Failure> {
        Ok(SecretFields {
            alias: self.alias,
            name: self.name,
            description: self.description,
            blueprint_id: self.blueprint_id,
            kind: self.kind,
            secret_type: self.secret_type,
            value: self.value_stdin.then(input::stdin_value).transpose()?,
            config,
            visibility: self.visibility,
            meta,
        })
    }
}

impl ConfigArgs {
    fn is_on_stdin(&self) -> bool {
        self.config_file.as_ref().is_some_and(|path| path.as_os_str() == "-")
    }

    /// The config that is given as a whole.
    fn whole(&self) -> Result<Option<Map<String, Value>>, Failure> {
        if let Some(text) = &self.config {
            return object(text, "--config").map(Some);
        }
        let Some(path) = &self.config_file else { return Ok(None) };
        let name = path.display().to_string();
        let text = if self.is_on_stdin() {
            input::stdin_text()?
        } else {
            input::text(File::open(path).with_context(|| format!("opening {name}"))?, &name)?
        };
        object(&text, "--config-file").map(Some)
    }

    /// A config with the texts that are given one by one.
    fn over(&self, mut config: Map<String, Value>) -> Config {
        for (key, text) in &self.set {
            if text.is_empty() {
                config.remove(key);
            } else {
                config.insert(key.clone(), text.as_str().into());
            }
        }
        Config(config)
    }
}

/// The JSON object that a text is. The error repeats nothing of it.
fn object(text: &SecretString, option: &str) -> Result<Map<String, Value>, Failure> {
    serde_json::from_str(text.expose_secret()).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        Failure::Usage(format!(
            "{option} is no JSON object, such as '{{\"schema\":\"Token\"}}': see line {line}, column {column}"
        ))
    })
}
