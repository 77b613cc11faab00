//! Answers for people: a table for what is many, a line for each member of what is one.

use std::io::Write as _;

use serde_json::Value;

/// The columns of a list of rooms: a title, and the member that it shows.
const ROOM_COLUMNS: [(&str, &str); 9] = [
    ("room", "room"),
    ("state", "effectiveState"),
    ("inside", "active"),
    ("capacity", "capacity"),
    ("waiting", "waiting"),
    ("aside", "aside"),
    ("rate/s", "admitPerSecond"),
    ("last min", "admittedPerMinute"),
    ("version", "version"),
];

/// Writes a line. A reader that is gone ends the command in order.
pub(super) fn line(text: &str) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout(), "{text}")?)
}

pub(super) fn json(answer: &Value) -> anyhow::Result<()> {
    line(&serde_json::to_string_pretty(answer)?)
}

pub(super) fn rooms(answer: &Value, as_json: bool) -> anyhow::Result<()> {
    if as_json { json(answer) } else { line(&room_table(answer)) }
}

/// Every room as a table.
pub(super) fn room_table(answer: &Value) -> String {
    let rooms = answer["rooms"].as_array().map(Vec::as_slice).unwrap_or_default();
    let titles = ROOM_COLUMNS.map(|(title, _)| title.to_owned()).to_vec();
    let rows = rooms.iter().map(|room| ROOM_COLUMNS.map(|(_, member)| text(&room[member])).to_vec());
    table(&std::iter::once(titles).chain(rows).collect::<Vec<_>>())
}

pub(super) fn room(answer: &Value, as_json: bool) -> anyhow::Result<()> {
    if as_json { json(answer) } else { object(answer) }
}

/// The members of an object, one a line; nested ones with a dot.
pub(super) fn object(answer: &Value) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    flatten("", answer, &mut rows);
    line(&table(&rows))
}

fn flatten(path: &str, value: &Value, rows: &mut Vec<Vec<String>>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                flatten(&path, value, rows);
            }
        }
        value => rows.push(vec![path.to_owned(), text(value)]),
    }
}

/// A list of objects, each on a line.
pub(super) fn list(answer: &Value, member: &str, as_json: bool) -> anyhow::Result<()> {
    if as_json {
        return json(answer);
    }
    let items = answer[member].as_array().map(Vec::as_slice).unwrap_or_default();
    let Some(Value::Object(first)) = items.first() else { return line("none") };
    let titles: Vec<_> = first.keys().cloned().collect();
    let rows = items.iter().map(|item| titles.iter().map(|title| text(&item[title])).collect());
    line(&table(&std::iter::once(titles.clone()).chain(rows).collect::<Vec<_>>()))
}

pub(super) fn audit(answer: &Value, as_json: bool) -> anyhow::Result<()> {
    if as_json {
        return json(answer);
    }
    for entry in answer["entries"].as_array().map(Vec::as_slice).unwrap_or_default() {
        let of = |member: &str| text(&entry[member]);
        line(&format!("{}  {}  {}  {}", of("at"), of("action"), of("room"), of("reason")))?;
        for (setting, before, after) in differences(&entry["before"], &entry["after"]) {
            line(&format!("    {setting}: {before} → {after}"))?;
        }
    }
    Ok(())
}

fn differences(before: &Value, after: &Value) -> Vec<(String, String, String)> {
    let Value::Object(members) = after else { return Vec::new() };
    let changed = members.iter().filter(|(name, value)| before.get(name.as_str()) != Some(value) && *name != "version");
    changed.map(|(name, value)| (name.clone(), text(&before[name]), text(value))).collect()
}

pub(super) fn checks(answer: &Value, as_json: bool) -> anyhow::Result<()> {
    if as_json {
        json(answer)?;
    } else {
        for check in answer["checks"].as_array().map(Vec::as_slice).unwrap_or_default() {
            let word = if check["ok"] == true { "ok    " } else { "BROKEN" };
            line(&format!("{word}  {}: {}", text(&check["name"]), text(&check["detail"])))?;
        }
    }
    anyhow::ensure!(answer["ok"] == true, "an invariant does not hold");
    Ok(())
}

/// What a change would mean.
pub(super) fn foresight(answer: &Value) -> anyhow::Result<()> {
    line("Nothing was changed. This change would be:")?;
    for change in answer["changes"].as_array().map(Vec::as_slice).unwrap_or_default() {
        line(&format!("    {}: {} → {}", text(&change["setting"]), text(&change["from"]), text(&change["to"])))?;
    }
    for means in answer["means"].as_array().map(Vec::as_slice).unwrap_or_default() {
        line(&text(means))?;
    }
    Ok(())
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "–".to_owned(),
        Value::String(text) => printable(text),
        other => other.to_string(),
    }
}

/// What visitors or operators typed may not steer the terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '·' } else { c }).collect()
}

/// Rows with their columns aligned.
fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<_> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let lines = rows.iter().map(|row| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}
