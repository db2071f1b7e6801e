//! The catalogue as it is told: the same for every account, since there is nothing of anybody's in it.

use keyfob_core::policy::{Action, Object};
use keyfob_store::Page;

use super::{Broker, Caller, MetaFilter, Slice};
use crate::{
    catalogue::{self, Template},
    error::Error,
};

/// A word of a search and one of a name are the same if they are so alike.
const ALIKE: f64 = 0.9;
/// What a word counts that only the description has.
const DESCRIBED: f64 = 0.7;
/// What does not fit so well is not found.
const LEAST: f64 = 0.5;
/// The longest search, in characters.
const LONGEST: usize = 255;

/// A template that a search found, and how well it fits, from 0 to 1.
pub struct Match {
    /// The template.
    pub template: &'static Template,
    /// How well it fits.
    pub score: f64,
}

impl Broker {
    /// Templates by name, from the end of the alphabet unless the oldest are asked for first: all are of the
    /// same age, and lists go by age and then by id. None has a `meta`.
    pub async fn list_templates(
        &self,
        caller: &Caller,
        slice: Slice<String>,
        filter: &MetaFilter,
    ) -> Result<Page<&'static Template, String>, Error> {
        let caller = &self.reauthenticate(caller).await?;
        caller.decide(Action::SecretList, Object::Account)?;
        let follows = |template: &&Template| match (&slice.after, slice.oldest_first) {
            (None, _) => true,
            (Some(after), true) => template.name > *after,
            (Some(after), false) => template.name < *after,
        };
        let mut all: Vec<_> = catalogue::all().iter().collect();
        if !slice.oldest_first {
            all.reverse();
        }
        let rows = all.into_iter().filter(|_| filter.matches(None)).filter(follows);
        let rows: Vec<_> = rows.take(slice.take as usize).collect();
        let last = rows.last().map(|template| template.name.clone());
        Ok(Page { rows, damaged: Vec::new(), last })
    }

    /// Up to so many templates that fit a search, the likeliest first.
    pub fn search_templates(
        &self,
        caller: &Caller,
        search: &str,
        most: u32,
    ) -> Result<Vec<Match>, Error> {
        caller.decide(Action::SecretList, Object::Account)?;
        if search.chars().count() > LONGEST {
            let text = format!("\"search\" must have at most {LONGEST} characters");
            return Err(Error::invalid("bad_request", text));
        }
        let wanted = words(search);
        if wanted.is_empty() {
            return Err(Error::invalid("bad_request", "\"search\" must have a word"));
        }
        let all = catalogue::all().iter();
        let scored = all.map(|template| Match { template, score: score(template, &wanted) });
        let mut found: Vec<_> = scored.filter(|found| found.score >= LEAST).collect();
        // Stable: what fits alike stays in the order of names.
        found.sort_by(|a, b| b.score.total_cmp(&a.score));
        found.truncate(most as usize);
        Ok(found)
    }
}

fn words(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect()
}

/// How well a template fits all the words together, from 0 to 1.
fn score(template: &Template, wanted: &[String]) -> f64 {
    let names = [words(&template.name), words(&template.title)].concat();
    let described = words(&template.description);
    let scores = wanted.iter().map(|word| {
        let likeness = names.iter().map(|name| strsim::jaro_winkler(name, word));
        let likeness = likeness.fold(0.0, f64::max);
        let described = if described.contains(word) { DESCRIBED } else { 0.0 };
        if likeness >= ALIKE { likeness } else { described }
    });
    scores.sum::<f64>() / f64::from(u32::try_from(wanted.len()).unwrap_or(u32::MAX))
}
