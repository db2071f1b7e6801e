//! What a command prints: data on stdout, words for people on stderr.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::json;

/// Prints a line of data.
pub(crate) fn print(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// Prints a part of a line; whatever follows it flushes it.
pub(crate) fn print_part(part: &str) -> io::Result<()> {
    write!(io::stdout().lock(), "{part}")
}

/// Prints data as one JSON document.
pub(crate) fn print_json(data: &impl Serialize) -> io::Result<()> {
    print(&serde_json::to_string(data)?)
}

/// Prints the id of what a command made.
pub(crate) fn print_id(id: &str, json: bool) -> io::Result<()> {
    if json {
        return print_json(&json!({ "id": id }));
    }
    print(id)
}

/// Prints for a program which thing a command changed, or says to a person how.
pub(crate) fn print_changed(id: &str, how: &str, json: bool) -> io::Result<()> {
    if json {
        return print_id(id, json);
    }
    say(&format!("{id} is {how}"));
    Ok(())
}

/// Prints what something holds, a line for each field that is not empty.
pub(crate) fn print_fields(fields: &[(&str, Option<&str>)]) -> io::Result<()> {
    let filled = fields.iter().filter_map(|(name, value)| Some((name, (*value)?)));
    let filled = filled.filter(|(_, value)| !value.is_empty());
    filled.into_iter().try_for_each(|(name, value)| print(&format!("{name:<12} {}", plain(value))))
}

/// Says something to a person. If nobody can hear it there is nothing left to do.
pub(crate) fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Prints a table with aligned columns.
pub(crate) fn print_table(head: &[&str], rows: &[Vec<String>]) -> io::Result<()> {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain(head.get(column).map(|cell| cell.chars().count())).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..head.len()).map(width).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let cells = cells.zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    print(&line(&mut head.iter().copied()))?;
    rows.iter().try_for_each(|row| print(&line(&mut row.iter().map(String::as_str))))
}

/// Text from the server as a terminal may show it: without control characters.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// A moment in UTC. Reckoned as a date, which goes to the end of the year 9999: jiff's moments end a
/// day before. Out of that range the number itself is better than nothing.
pub(crate) fn time(millis: i64) -> String {
    let epoch = jiff::civil::date(1970, 1, 1).at(0, 0, 0, 0);
    let at = epoch.checked_add(jiff::SignedDuration::from_millis(millis));
    at.map_or_else(|_| millis.to_string(), |at| at.strftime("%Y-%m-%d %H:%M:%SZ").to_string())
}
