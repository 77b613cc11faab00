//! Rounds: baseline and candidates take turns, so that what disturbs the machine disturbs all of them.

use anyhow::{Context, bail};

/// Parts that can be asked for alone.
const PARTS: [&str; 4] = ["line", "crowd", "booking", "payments"];

/// What to measure, and how long.
pub(crate) struct Plan {
    parts: Vec<String>,
    pub(crate) rounds: usize,
    pub(crate) seconds: u64,
}

impl Plan {
    /// Reads `[part …] [--rounds N] [--seconds N]`.
    pub(crate) fn read(arguments: &[String]) -> anyhow::Result<Self> {
        let mut plan = Self { parts: Vec::new(), rounds: 5, seconds: 3 };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let mut number = || arguments.next().and_then(|text| text.parse().ok()).filter(|number| *number > 0);
            match argument.as_str() {
                "--rounds" => plan.rounds = usize::try_from(number().context("--rounds needs a number")?)?,
                "--seconds" => plan.seconds = number().context("--seconds needs a number")?,
                part if PARTS.contains(&part) => plan.parts.push(part.to_owned()),
                other => bail!("{other} is no part of this: {}", PARTS.join(", ")),
            }
        }
        Ok(plan)
    }

    pub(crate) fn has(&self, part: &str) -> bool {
        self.parts.is_empty() || self.parts.iter().any(|named| named == part)
    }
}

/// One rate for each round, in the rounds' order.
#[derive(Default, Clone)]
pub(crate) struct Rates(Vec<f64>);

impl Rates {
    pub(crate) fn note(&mut self, rate: f64) {
        self.0.push(rate);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn median(&self) -> f64 {
        let sorted = self.sorted();
        let middle = sorted.len() / 2;
        match sorted.len() {
            0 => f64::NAN,
            even if even % 2 == 0 => f64::midpoint(sorted[middle - 1], sorted[middle]),
            _ => sorted[middle],
        }
    }

    pub(crate) fn lowest(&self) -> f64 {
        self.sorted().first().copied().unwrap_or(f64::NAN)
    }

    pub(crate) fn highest(&self) -> f64 {
        self.sorted().last().copied().unwrap_or(f64::NAN)
    }

    /// What each round reached of its own baseline, which was measured right before it.
    pub(crate) fn of(&self, baseline: &Self) -> Self {
        Self(self.0.iter().zip(&baseline.0).map(|(rate, base)| rate / base).collect())
    }

    fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
    }
}

/// Whether a round at this rate used fewer things than there are: what is used again costs less.
pub(crate) fn enough(rate: f64, plan: &Plan, there: usize) -> bool {
    let seconds = u32::try_from(plan.seconds).map_or(f64::MAX, f64::from);
    u32::try_from(there).is_ok_and(|there| rate * seconds < f64::from(there))
}
