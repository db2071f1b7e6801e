//! `/api/v1/platform/secret`: the catalogue of templates, as the published clients ask for it.

use std::convert::Infallible;

use axum::{
    Json,
    extract::{RawQuery, State},
    http::HeaderMap,
    response::Response,
};
use keyfob_api::template as wire;
use keyfob_store::Page;

use super::{
    body,
    fields::Fields,
    list::{self, Format, List, ListQuery},
};
use crate::{
    broker::{Broker, Caller, Match, MetaFilter, Slice},
    catalogue::{Parameter, Template},
    error::Error,
    openapi::parameters,
};

/// How many a search finds if nothing is said.
const FOUND: u32 = 10;
/// The most that a search finds.
const MOST_FOUND: u32 = 100;

/// Lists the catalogue: how well-known providers are reached.
#[utoipa::path(
    get,
    path = "/api/v1/platform/secret/list",
    operation_id = "listTemplates",
    tag = "Templates",
    params(parameters::List, parameters::Meta),
    responses((
        status = 200,
        description = "A page; as JSON lines, all of them",
        content(
            (keyfob_api::list::Page<wire::Template> = "application/json"),
            (keyfob_api::list::Line<wire::Template> = "application/jsonl"),
        ),
    )),
)]
pub(crate) async fn list(
    State(broker): State<Broker>,
    caller: Caller,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Error> {
    let format = Format::of(&headers, false)?;
    let query = ListQuery::parse(query.as_deref().unwrap_or_default());
    let slice = query.slice(|cursor| Ok::<_, Infallible>(cursor.to_owned()))?;
    let templates = Templates { broker, caller: caller.clone(), filter: query.meta() };
    list::answer(templates, slice, &query, format, &caller).await
}

/// Searches the catalogue.
#[utoipa::path(
    post,
    path = "/api/v1/platform/secret/search",
    operation_id = "searchTemplates",
    tag = "Templates",
    request_body = wire::Search,
    responses((status = 200, description = "The templates that may be meant, the likeliest first", body = wire::Found)),
)]
pub(crate) async fn search(
    State(broker): State<Broker>,
    caller: Caller,
    body: body::Bytes,
) -> Result<Json<wire::Found>, Error> {
    let mut fields: Fields<'_> = body.json()?;
    let search = fields.text("search")?.value().unwrap_or_default();
    let most = fields.count("take", MOST_FOUND)?.value().unwrap_or(FOUND);
    fields.end()?;
    let found = broker.search_templates(&caller, &search, most)?;
    Ok(Json(wire::Found { items: found.into_iter().map(shape_found).collect() }))
}

#[derive(Clone)]
struct Templates {
    broker: Broker,
    caller: Caller,
    filter: MetaFilter,
}

impl List for Templates {
    type Row = &'static Template;
    type Id = String;
    type Item = wire::Template;

    async fn page(&self, slice: Slice<String>) -> Result<Page<&'static Template, String>, Error> {
        self.broker.list_templates(&self.caller, slice, &self.filter).await
    }

    fn id(row: &&'static Template) -> String {
        row.name.clone()
    }

    fn shape(row: &'static Template) -> wire::Template {
        shape(row)
    }
}

fn shape(template: &Template) -> wire::Template {
    let parameters = template.parameters.iter();
    wire::Template {
        id: template.name.clone(),
        name: template.title.clone(),
        description: template.description.clone(),
        template: template.name.clone(),
        kind: template.kind.as_str().into(),
        secret_type: template.secret_type.as_str().into(),
        config: template.config.clone(),
        parameters: parameters.map(|(name, one)| (name.clone(), shape_parameter(one))).collect(),
        pkce: template.pkce.map(|pkce| pkce.as_str().into()),
        documentation: template.documentation.clone(),
        created_at: 0,
        updated_at: 0,
    }
}

fn shape_parameter(parameter: &Parameter) -> wire::Parameter {
    wire::Parameter {
        description: parameter.description.clone(),
        pattern: parameter.pattern.as_str().into(),
        default: parameter.default.clone(),
    }
}

fn shape_found(Match { template, score }: Match) -> wire::FoundTemplate {
    wire::FoundTemplate {
        template: shape(template),
        score,
        excerpt: template.description.clone(),
        link: template.documentation.clone(),
    }
}
