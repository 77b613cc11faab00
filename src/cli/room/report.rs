//! `anteroom room report`: the fairness of a line, in sentences.

use std::fmt::Write as _;

use serde_json::Value;

use super::{at, client, show};

/// The address of a report.
pub(super) fn path(room: &str, times: [(&str, Option<&str>); 2]) -> String {
    let given = times.into_iter().filter_map(|(name, time)| Some(format!("{name}={}", client::escaped(time?))));
    format!("{}/report?{}", at(room), given.collect::<Vec<_>>().join("&"))
}

/// Writes a report; ends with an error where the line was not fair.
pub(super) fn show(answer: &Value, as_json: bool) -> anyhow::Result<()> {
    if as_json {
        show::json(answer)?;
    } else {
        show::line(&told(answer))?;
    }
    let order = &answer["order"];
    let unfair = order["overtaken"] != 0 || answer["people"]["overAdmitted"] != 0;
    anyhow::ensure!(!unfair, "the line was not fair");
    Ok(())
}

fn told(answer: &Value) -> String {
    let (order, people, waits) = (&answer["order"], &answer["people"], &answer["waits"]);
    let count = |value: &Value| value.as_i64().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut told = format!("{}, from {} to {}", text(&answer["room"]), text(&answer["from"]), text(&answer["to"]));
    let _ = match (count(&order["looks"]), count(&order["overtaken"])) {
        (0, _) => write!(told, "\n\nNobody looked at this line in that time."),
        (looks, 0) => write!(
            told,
            "\n\nOrder:  kept. {looks} looks, {} admissions judged, nobody who was there was overtaken.",
            count(&order["judged"]),
        ),
        (looks, overtaken) => write!(
            told,
            "\n\nOrder:  BROKEN. In {looks} looks {overtaken} admissions overtook someone who was there; {} at once at most.",
            count(&order["overtakenMost"]),
        ),
    };
    let _ = write!(
        told,
        "\nPeople: {} joined, {} admitted, {} times passed over while absent, {} places and visits ended; {} steps over capacity.",
        count(&people["joined"]),
        count(&people["admitted"]),
        count(&people["passedOver"]),
        count(&people["ended"]),
        count(&people["overAdmitted"]),
    );
    let seconds = |name: &str| waits[name].as_f64().map_or("–".to_owned(), |seconds| format!("{seconds:.0} s"));
    let _ = write!(
        told,
        "\nWaits:  {} measured: half up to {}, nine in ten up to {}, 99 in 100 up to {}.",
        count(&waits["measured"]),
        seconds("p50Seconds"),
        seconds("p90Seconds"),
        seconds("p99Seconds"),
    );
    if let Some(share) = waits["withinToldP90"].as_f64() {
        let _ = write!(
            told,
            " Of {} who were told a time, {:.0} % came within their p90.",
            count(&waits["told"]),
            share * 100.0
        );
    }
    let epochs = answer["epochs"].as_array().map_or(0, Vec::len);
    if epochs > 1 {
        let _ =
            write!(told, "\nRedis:  forgot the line {} times; whoever asked again stood where they stood.", epochs - 1);
    }
    if let Some(commitment) = answer["draw"]["commitment"].as_str() {
        let _ = write!(
            told,
            "\nDraw:   committed to {commitment}; `anteroom room draw` exports the list, `verify-draw` checks it."
        );
    }
    told
}
