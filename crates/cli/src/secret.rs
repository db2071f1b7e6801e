//! `keyfob secret`: the definitions of the credentials that agents use, over HTTP.

use clap::Subcommand;
use keyfob_api::{secret::Secret, template::Template};
use keyfob_client::Order;
use serde_json::json;

use crate::{
    connection::{LinkArgs, show_link, show_minted, show_verified},
    failure::Failure,
    list_args::ListArgs,
    output,
    remote::Where,
    secret_fields::FieldArgs,
};

#[derive(clap::Args)]
#[command(after_help = "\
A secret says what a credential is called, of what type it is and where it may go. Its value is one
for everybody (shared) or one for each contact (personal), and is shown to nobody again:
  keyfob secret create --alias ci --type bearer --value-stdin < token.txt     print its id
  keyfob secret update @ci --value-stdin < new-token.txt                      replace its value

SECRET is a secret's id, its @alias, or its '(name)': the oldest secret of that name.")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Store a new secret and print its id
    #[command(after_help = "\
The value is never an argument, as others can see those, and the shell keeps them. Nor should what
is secret in a config be: give it as a file.
  keyfob secret create --name \"Deploy key\" --type jwt --set algorithm=ES256 --value-stdin < key.pem
  keyfob secret create --name \"User and password\" --type basic --value-stdin     asks for user:pass
  keyfob secret create --alias mail --kind personal --type oauth --config-file mail.json")]
    Create {
        #[command(flatten)]
        fields: Box<FieldArgs>,
        #[command(flatten)]
        at: Where,
    },
    /// List secrets, newest first
    List {
        #[command(flatten)]
        list: ListArgs,
        /// Only those of this blueprint
        #[arg(long, value_name = "BLUEPRINT")]
        blueprint_id: Option<String>,
        #[command(flatten)]
        at: Where,
    },
    /// Print all that a secret holds but its value
    #[command(after_help = "\
What is sensitive in a config is ********:
  keyfob secret fetch '(Deploy key)'")]
    Fetch {
        /// The secret: its id, @alias or '(name)'
        secret: String,
        #[command(flatten)]
        at: Where,
    },
    /// Change what is given of a secret, and nothing else
    #[command(after_help = "\
An empty text takes a field away. A shared secret that becomes personal loses its value.
  keyfob secret update @ci --description \"\" --meta team=support --meta trial=

--config and --config-file replace the whole config; a ******** in it keeps what is stored at its
place. --set alone keeps all other keys; of two at once, one may be undone.
  keyfob secret update @mail --set scope=mail.read")]
    Update {
        /// The secret: its id, @alias or '(name)'
        secret: String,
        #[command(flatten)]
        fields: Box<FieldArgs>,
        /// Take its value away
        #[arg(long, conflicts_with = "value_stdin")]
        no_value: bool,
        #[command(flatten)]
        at: Where,
    },
    /// Say whether a shared secret has a value that can be used
    Verify {
        /// The secret: its id, @alias or '(name)'
        secret: String,
        #[command(flatten)]
        at: Where,
    },
    /// Print a link at which a person gives a shared secret its value
    #[command(after_help = "\
Whoever has the link can use it, once, for 15 minutes. A secret that has its value has none: revoke
it first, or replace it with `keyfob secret update`.")]
    Authenticate {
        /// The secret: its id, @alias or '(name)'
        secret: String,
        #[command(flatten)]
        link: LinkArgs,
        #[command(flatten)]
        at: Where,
    },
    /// Have the tokens of a shared secret renewed at the provider now, and print how it stands after that
    Refresh {
        /// The secret: its id, @alias or '(name)'
        secret: String,
        #[command(flatten)]
        at: Where,
    },
    /// Print a token of a shared secret
    #[command(after_help = "\
It is a fresh access token, or, of a secret of type jwt, a token that is signed just now. Whoever has it can
use it: pipe it to where it is needed.")]
    Mint {
        /// The secret: its id, @alias or '(name)'
        secret: String,
        #[command(flatten)]
        at: Where,
    },
    /// Take the value of a shared secret away
    Revoke {
        /// The secret: its id, @alias or '(name)'
        secret: String,
        #[command(flatten)]
        at: Where,
    },
    /// List the templates of well-known providers, by name
    #[command(after_help = "\
A secret of type template says which one, who its client is, and what fills the template's parameters:
  keyfob secret create --name Gmail --kind personal --type template --config-file gmail.json
where gmail.json is {\"template\":\"gmail\",\"clientId\":\"…\",\"clientSecret\":\"…\"}.")]
    Templates {
        #[command(flatten)]
        at: Where,
    },
    /// Delete a secret for good, with what contacts have connected it with
    Delete {
        /// The secret: its id, @alias or '(name)'
        secret: String,
        #[command(flatten)]
        at: Where,
    },
}

pub(crate) async fn run(args: Args) -> Result<(), Failure> {
    match args.command {
        Command::Create { fields, at } => {
            // Before anyone is asked to paste a value.
            let client = at.remote.client()?;
            let id = client.secrets().create(&fields.create()?).await?.id;
            Ok(output::print_id(&id, at.json)?)
        }
        Command::List { list: ListArgs { which, take }, blueprint_id, at } => {
            let list = which.of(at.remote.client()?.secrets().list());
            let list = match &blueprint_id {
                Some(id) => list.blueprint(id),
                None => list,
            };
            show_list(&list.items().try_take(take).await?, at.json)
        }
        Command::Fetch { secret, at } => {
            show(&at.remote.client()?.secrets().fetch(&secret).await?, at.json)
        }
        Command::Update { secret, fields, no_value, at } => {
            let client = at.remote.client()?;
            let change = fields.update(&client, &secret, no_value).await?;
            let id = client.secrets().update(&secret, &change).await?.id;
            Ok(output::print_changed(&id, "changed", at.json)?)
        }
        Command::Verify { secret, at } => {
            show_verified(&at.remote.client()?.secrets().verify(&secret).await?, at.json)
        }
        Command::Authenticate { secret, link, at } => {
            let client = at.remote.client()?;
            show_link(&link.back(client.secrets().authenticate(&secret)).await?, at.json)
        }
        Command::Refresh { secret, at } => {
            show_verified(&at.remote.client()?.secrets().refresh(&secret).await?, at.json)
        }
        Command::Mint { secret, at } => {
            show_minted(&at.remote.client()?.secrets().mint(&secret).await?, at.json)
        }
        Command::Revoke { secret, at } => {
            let id = at.remote.client()?.secrets().revoke(&secret).await?.id;
            Ok(output::print_changed(&id, "revoked", at.json)?)
        }
        Command::Templates { at } => {
            let by_name = at.remote.client()?.templates().list().order(Order::Asc);
            show_templates(&by_name.items().try_take(usize::MAX).await?, at.json)
        }
        Command::Delete { secret, at } => {
            let id = at.remote.client()?.secrets().delete(&secret).await?.id;
            Ok(output::print_changed(&id, "deleted", at.json)?)
        }
    }
}

fn show_list(secrets: &[Secret], json: bool) -> Result<(), Failure> {
    if json {
        return Ok(output::print_json(&secrets)?);
    }
    let rows: Vec<_> = secrets.iter().map(row).collect();
    Ok(output::print_table(&["ID", "KIND", "TYPE", "VISIBILITY", "ALIAS", "NAME"], &rows)?)
}

fn row(secret: &Secret) -> Vec<String> {
    let alias = secret.alias.as_deref().unwrap_or_default();
    let texts = [&*secret.kind, &*secret.secret_type, &*secret.visibility, alias, &*secret.name];
    [secret.id.clone()].into_iter().chain(texts.map(output::plain)).collect()
}

fn show_templates(templates: &[Template], json: bool) -> Result<(), Failure> {
    if json {
        return Ok(output::print_json(&templates)?);
    }
    let rows: Vec<_> = templates.iter().map(template_row).collect();
    Ok(output::print_table(&["TEMPLATE", "KIND", "TYPE", "PARAMETERS", "NAME"], &rows)?)
}

fn template_row(template: &Template) -> Vec<String> {
    let parameters: Vec<_> = template.parameters.keys().map(String::as_str).collect();
    let parameters = parameters.join(",");
    let Template { id, kind, secret_type, name, .. } = template;
    [id, kind, secret_type, &parameters, name].map(|text| output::plain(text)).into()
}

/// What a secret holds, a line for each field that is not empty.
fn show(secret: &Secret, json: bool) -> Result<(), Failure> {
    if json {
        return Ok(output::print_json(secret)?);
    }
    let [config, meta] =
        [&secret.config, &secret.meta].map(|map| map.as_ref().map(|map| json!(map).to_string()));
    let fields = [
        ("id", Some(&*secret.id)),
        ("alias", secret.alias.as_deref()),
        ("name", Some(&*secret.name)),
        ("description", Some(&*secret.description)),
        ("blueprint", secret.blueprint_id.as_deref()),
        ("kind", Some(&*secret.kind)),
        ("type", Some(&*secret.secret_type)),
        ("visibility", Some(&*secret.visibility)),
        ("config", config.as_deref()),
        ("meta", meta.as_deref()),
        ("created", Some(&*output::time(secret.created_at))),
        ("updated", Some(&*output::time(secret.updated_at))),
    ];
    Ok(output::print_fields(&fields)?)
}
