//! `anteroom room watch`: how the rooms stand, looked at each second, with the last minute as a line of bars.
//!
//! In a terminal it draws on the alternate screen and leaves the shell as it was; elsewhere it writes a line a second.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::time::Duration;

use anyhow::Context;
use serde_json::Value;

use super::client::Client;
use super::{at, show};

const EACH: Duration = Duration::from_secs(1);

/// Looks that the bars show: a minute.
const SHOWN: usize = 60;

const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// What of a room is drawn as bars.
const DRAWN: [(&str, &str); 3] = [("waiting", "waiting"), ("inside", "active"), ("admitted", "admitted")];

/// Enters and leaves the alternate screen, whatever happens meanwhile.
struct Screen;

impl Screen {
    fn enter() -> anyhow::Result<Self> {
        put(ENTER)?;
        Ok(Self)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that is gone needs no leaving.
        put(LEAVE).ok();
    }
}

const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";
const HOME_AND_CLEAR: &str = "\x1b[H\x1b[2J";

fn put(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// Shows every room, or one, until Ctrl-C.
pub(super) async fn watch(client: &Client, room: Option<&str>, once: bool) -> anyhow::Result<()> {
    let mut history = VecDeque::with_capacity(SHOWN);
    let terminal = std::io::stdout().is_terminal() && !once;
    let first = look(client, room).await.context("there is nothing to watch")?;
    let screen = if terminal { Some(Screen::enter()?) } else { None };
    let mut seen = Ok(first);
    loop {
        if let Ok(rooms) = &seen {
            history.push_back(rooms.clone());
            while history.len() > SHOWN {
                history.pop_front();
            }
        }
        let text = match &seen {
            Ok(rooms) => draw(rooms, &history, room.is_some()),
            Err(error) => format!("{error:#}\n\nLooking again …"),
        };
        if screen.is_some() {
            // In raw lines: the terminal is in its usual mode, so a newline is enough.
            put(&format!("{HOME_AND_CLEAR}{text}\n\nCtrl-C ends this view."))?;
        } else {
            show::line(&text)?;
        }
        if once {
            return Ok(());
        }
        tokio::select! {
            () = tokio::time::sleep(EACH) => {}
            stopped = super::super::serve::told_to_stop() => return stopped,
        }
        seen = look(client, room).await;
    }
}

/// The rooms that are watched, in the shape of their list.
async fn look(client: &Client, room: Option<&str>) -> anyhow::Result<Value> {
    match room {
        None => Ok(client.ask("GET", "/admin/rooms", None, None).await?.body),
        Some(room) => {
            let one = client.ask("GET", &at(room), None, None).await?.body;
            Ok(serde_json::json!({ "rooms": [one] }))
        }
    }
}

fn draw(rooms: &Value, history: &VecDeque<Value>, in_full: bool) -> String {
    let mut text = show::room_table(rooms);
    if !in_full {
        return text;
    }
    for (title, member) in DRAWN {
        let values: Vec<u64> =
            history.iter().map(|rooms| rooms["rooms"][0][member].as_u64().unwrap_or_default()).collect();
        // What only grows is shown by how much it grew in a second.
        let values = if member == "admitted" { growth(&values) } else { values };
        let last = values.last().copied().unwrap_or_default();
        let _ = write!(text, "\n\n{title:<9} {last:>9}  {}", bars(&values));
    }
    let room = &rooms["rooms"][0];
    if let Some(per_place) = room["waitPerPlaceMs"].as_f64() {
        let _ = write!(text, "\n\na place in line takes {per_place:.0} ms");
    }
    if let Some(message) = room["message"].as_str() {
        let _ = write!(text, "\n\nvisitors are told: {}", message.replace(char::is_control, "·"));
    }
    text
}

fn growth(values: &[u64]) -> Vec<u64> {
    values.windows(2).map(|two| two[1].saturating_sub(two[0])).collect()
}

/// Values as bars, the greatest the highest.
fn bars(values: &[u64]) -> String {
    let most = values.iter().copied().max().unwrap_or(0).max(1);
    let steps = u64::try_from(BARS.len() - 1).unwrap_or(1);
    let bar = |value: &u64| BARS[usize::try_from((value * steps).div_ceil(most)).unwrap_or(0).min(BARS.len() - 1)];
    values.iter().map(bar).collect()
}
