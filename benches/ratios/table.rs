//! What is printed and written.

use std::path::Path;

use anyhow::Context;
use serde_json::json;

use super::cpu::Cpu;
use super::rounds::{Plan, Rates};

/// What a row must reach.
#[derive(Clone, Copy)]
pub(crate) enum Goal {
    /// Its ratio, at least.
    Ratio(f64),
    /// Its value, at most.
    Value(f64),
}

/// One measurement, beside its baseline where it has one.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) rates: Rates,
    pub(crate) baseline: Option<Rates>,
    pub(crate) goal: Option<Goal>,
    pub(crate) cpu: Cpu,
    pub(crate) how: String,
}

impl Row {
    /// The median of the rounds' ratios: what disturbs the machine for a while disturbs both sides of a round.
    fn ratio(&self) -> Option<f64> {
        self.baseline.as_ref().map(|baseline| self.rates.of(baseline).median())
    }

    fn verdict(&self) -> String {
        let (reached, goal) = match self.goal {
            None => return String::new(),
            Some(Goal::Ratio(goal)) => (self.ratio().is_some_and(|ratio| ratio >= goal), format!("≥ {goal:.2}")),
            Some(Goal::Value(goal)) => (self.rates.median() <= goal, format!("≤ {goal:.0}")),
        };
        format!("{goal} {}", if reached { "pass" } else { "short" })
    }

    fn spread(rates: &Rates) -> String {
        format!("{:.0}–{:.0}", rates.lowest(), rates.highest())
    }
}

/// Prints a line for each row, and how it was measured below.
pub(crate) fn print(rows: &[Row], plan: &Plan) {
    println!(
        "\nMedians of {} rounds of {} s, each candidate right after its baseline; (least–most) says how noisy it was.\n\
         \"service\" and \"Redis\": what one request costs each of them in time of a processor.\n",
        plan.rounds, plan.seconds
    );
    println!(
        "{:<34} {:>10} {:>17}  {:<12} {:>10} {:>17} {:>6} {:>8} {:>8}  goal",
        "", "value", "", "unit", "baseline", "", "ratio", "service", "Redis"
    );
    for row in rows {
        let ratio = row.ratio().map_or(String::new(), |ratio| format!("{ratio:.2}"));
        let (baseline, around) = row.baseline.as_ref().map_or_else(Default::default, |baseline| {
            (format!("{:.0}", baseline.median()), format!("({})", Row::spread(baseline)))
        });
        let micros =
            |rates: &Rates| if rates.is_empty() { String::new() } else { format!("{:.1} µs", rates.median()) };
        println!(
            "{:<34} {:>10.0} {:>17}  {:<12} {baseline:>10} {around:>17} {ratio:>6} {:>8} {:>8}  {}",
            row.name,
            row.rates.median(),
            format!("({})", Row::spread(&row.rates)),
            row.unit,
            micros(&row.cpu.service),
            micros(&row.cpu.redis),
            row.verdict()
        );
    }
    println!();
    for row in rows {
        println!("{}: {}", row.name, row.how);
    }
}

/// Writes `bench.json` beside what was built.
pub(crate) fn write(rows: &[Row]) -> anyhow::Result<()> {
    let list: Vec<_> = rows
        .iter()
        .map(|row| {
            json!({
                "name": row.name,
                "value": row.rates.median(),
                "unit": row.unit,
                "baseline": row.baseline.as_ref().map(Rates::median),
                "ratio": row.ratio(),
            })
        })
        .collect();
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("bench.json");
    std::fs::write(&path, serde_json::to_vec_pretty(&list)?)
        .with_context(|| format!("cannot write {}", path.display()))?;
    println!("\nwritten to {}", path.display());
    Ok(())
}
