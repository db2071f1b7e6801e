//! What a section found, as JSON, as Markdown and on the terminal.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::args::SECTIONS;

/// What a section found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Section {
    pub(crate) name: &'static str,
    pub(crate) title: String,
    /// How it was measured, in a sentence or two.
    pub(crate) how: String,
    pub(crate) head: Vec<&'static str>,
    pub(crate) rows: Vec<Vec<String>>,
    pub(crate) goals: Vec<Goal>,
    /// Every figure that was taken.
    pub(crate) figures: Value,
}

/// A figure that was promised.
#[derive(Clone, Debug)]
pub(crate) struct Goal {
    pub(crate) what: String,
    pub(crate) promised: String,
    pub(crate) measured: String,
    pub(crate) met: bool,
}

impl Goal {
    /// The measured figure is to be `least` or more.
    pub(crate) fn at_least(what: &str, least: f64, measured: f64) -> Self {
        Self {
            what: what.to_owned(),
            promised: format!("at least {least}"),
            measured: short(measured),
            met: measured >= least,
        }
    }

    /// The measured figure is to be `most` or less.
    pub(crate) fn at_most(what: &str, most: f64, measured: f64) -> Self {
        Self {
            what: what.to_owned(),
            promised: format!("at most {most}"),
            measured: short(measured),
            met: measured <= most,
        }
    }
}

/// About three digits.
pub(crate) fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// Where and when the figures were taken.
pub(crate) fn circumstances(date: &str, keyfob: &str) -> Value {
    let field = |file: &str, name: &str| -> String {
        fs::read_to_string(file)
            .unwrap_or_default()
            .lines()
            .find_map(|line| line.strip_prefix(name)?.split_once(':'))
            .map(|(_, value)| value.trim().to_owned())
            .unwrap_or_default()
    };
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let memory = field("/proc/meminfo", "MemTotal");
    let kib: u64 = memory.trim_end_matches(" kB").parse().unwrap_or(0);
    json!({
        "date": date,
        "keyfob": keyfob,
        "processor": field("/proc/cpuinfo", "model name"),
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "memory": format!("{} GiB", kib.div_ceil(1024 * 1024)),
        "kernel": kernel.split('-').next().unwrap_or_default().trim(),
    })
}

impl Section {
    /// Writes `<name>.json`, and `latest.md` from all that lies in the folder.
    pub(crate) fn write(&self, out: &Path, circumstances: &Value) -> Result<()> {
        fs::create_dir_all(out).with_context(|| format!("{} cannot be made", out.display()))?;
        let value = json!({
            "name": self.name,
            "circumstances": circumstances,
            "figures": self.figures,
            "goals": self.goals.iter().map(|goal| json!({
                "what": goal.what,
                "promised": goal.promised,
                "measured": goal.measured,
                "met": goal.met,
            })).collect::<Vec<_>>(),
            "markdown": self.markdown(circumstances),
        });
        let file = file(out, self.name);
        fs::write(&file, format!("{value:#}\n"))
            .with_context(|| format!("{} cannot be written", file.display()))?;
        fs::write(out.join("latest.md"), latest(out)).context("latest.md cannot be written")?;
        Ok(())
    }

    /// Prints the section for people.
    pub(crate) fn print(&self, circumstances: &Value) -> Result<()> {
        writeln!(std::io::stdout(), "{}", self.markdown(circumstances))?;
        Ok(())
    }

    fn markdown(&self, circumstances: &Value) -> String {
        let text = |name: &str| circumstances[name].as_str().unwrap_or_default().to_owned();
        let mut lines = vec![format!("## {}", self.title), String::new(), self.how.clone()];
        lines.push(String::new());
        lines.push(format!(
            "{}, {}; {} cores ({}), {}, Linux {}.",
            text("date"),
            text("keyfob"),
            circumstances["cores"],
            text("processor"),
            text("memory"),
            text("kernel")
        ));
        lines.push(String::new());
        let head: Vec<String> = self.head.iter().map(|&name| name.to_owned()).collect();
        lines.extend(table(&head, &self.rows));
        if !self.goals.is_empty() {
            lines.push(String::new());
            let head = ["goal", "promised", "measured", ""].map(str::to_owned);
            let rows: Vec<Vec<String>> = self
                .goals
                .iter()
                .map(|goal| {
                    let met = if goal.met { "met" } else { "**missed**" };
                    vec![
                        goal.what.clone(),
                        goal.promised.clone(),
                        goal.measured.clone(),
                        met.to_owned(),
                    ]
                })
                .collect();
            lines.extend(table(&head, &rows));
        }
        lines.push(String::new());
        lines.join("\n")
    }
}

/// A Markdown table that is also easy to read as it stands.
fn table(head: &[String], rows: &[Vec<String>]) -> Vec<String> {
    let width = |column: usize| {
        rows.iter()
            .map(Vec::as_slice)
            .chain([head])
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |row: &[String]| {
        let cells: Vec<String> = widths
            .iter()
            .enumerate()
            .map(|(column, &width)| {
                let cell = row.get(column).map_or("", String::as_str);
                if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
            })
            .collect();
        format!("| {} |", cells.join(" | "))
    };
    let rule: Vec<String> = widths
        .iter()
        .enumerate()
        .map(|(column, &width)| match column {
            0 => "-".repeat(width + 2),
            _ => format!("{}:", "-".repeat(width + 1)),
        })
        .collect();
    let mut lines = vec![line(head), format!("|{}|", rule.join("|"))];
    lines.extend(rows.iter().map(|row| line(row)));
    lines
}

fn file(out: &Path, name: &str) -> PathBuf {
    out.join(format!("{name}.json"))
}

/// The sections measured last, in order.
fn latest(out: &Path) -> String {
    let sections: Vec<String> = SECTIONS
        .iter()
        .filter_map(|name| {
            let value: Value = serde_json::from_slice(&fs::read(file(out, name)).ok()?).ok()?;
            value["markdown"].as_str().map(str::to_owned)
        })
        .collect();
    format!(
        "# Latest figures\n\nWritten by the benchmark; see ../README.md.\n\n{}",
        sections.join("\n")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_aligned() {
        let head = ["a", "bb"].map(str::to_owned);
        let rows = vec![vec!["long".to_owned(), "1".to_owned()]];
        assert_eq!(table(&head, &rows), ["| a    | bb |", "|------|---:|", "| long |  1 |"]);
    }

    #[test]
    fn goals_know_whether_they_are_met() {
        assert!(Goal::at_least("x", 0.2, 0.2).met && !Goal::at_least("x", 0.2, 0.19).met);
        assert!(Goal::at_most("x", 8.0, 7.0).met && !Goal::at_most("x", 8.0, 8.1).met);
    }
}
