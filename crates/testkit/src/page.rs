//! The pages that people see. They work without JavaScript.

use askama::Template;
use axum::{
    http::StatusCode,
    response::{Html, IntoResponse, Response},
};

/// A page: a heading, a text, and where something is to be decided a form.
#[derive(Template)]
#[template(path = "page.html")]
pub(crate) struct Page<'a> {
    pub(crate) title: &'a str,
    pub(crate) text: &'a str,
    pub(crate) form: Option<Form<'a>>,
}

/// A form with the buttons Approve and Deny.
pub(crate) struct Form<'a> {
    pub(crate) action: &'a str,
    /// Names and values.
    pub(crate) hidden: Vec<(&'a str, &'a str)>,
    /// Names, labels and values.
    pub(crate) shown: Vec<(&'a str, &'a str, &'a str)>,
}

impl Page<'_> {
    pub(crate) fn answer(&self, status: StatusCode) -> Response {
        match self.render() {
            Ok(page) => (status, Html(page)).into_response(),
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    }
}

/// A page that only says something.
pub(crate) fn message(status: StatusCode, title: &str, text: &str) -> Response {
    Page { title, text, form: None }.answer(status)
}
