//! Ratios taken in one run: the service against a bare route, against bare Redis, against bare Postgres, and against
//! itself with a longer line. Absolute numbers belong to a machine; ratios travel.
//!
//! ```text
//! cargo bench --bench ratios                    everything, some five minutes
//! cargo bench --bench ratios -- line --rounds 2 one part, sooner: line, crowd, booking or payments
//! ```
//!
//! Everything runs in processes of its own: the stores, the service (the built binary), the bare route (this program
//! again), and wrk with 64 connections. This process only makes tokens and reservations beforehand, through the same
//! functions as the service.

mod bare;
mod booking;
mod cpu;
mod crowd;
mod house;
mod line;
mod load;
mod payments;
mod raw;
mod rounds;
mod table;

use std::process::ExitCode;

use anyhow::Context;

use house::House;
use rounds::Plan;
use table::Row;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let done = match arguments.first().map(String::as_str) {
        Some(bare::ROLE) => bare::serve().await,
        _ => measure(&arguments).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn measure(arguments: &[String]) -> anyhow::Result<()> {
    let plan = Plan::read(arguments)?;
    load::find_wrk()?;
    println!("starting the stores, the service and the bare route");
    let house = House::open().await.context("cannot start what is measured")?;
    let measured = parts(&house, &plan).await;
    house.close().await?;
    let rows = measured?;
    table::print(&rows, &plan);
    table::write(&rows)
}

async fn parts(house: &House, plan: &Plan) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    if plan.has("booking") {
        println!("measuring holds");
        rows.extend(booking::measure(house, plan).await.context("booking")?);
    }
    if plan.has("payments") {
        println!("measuring payments");
        rows.extend(payments::measure(house, plan).await.context("payments")?);
    }
    if plan.has("line") || plan.has("crowd") {
        println!("making a line");
        let waiters = line::gather(house).await.context("making the line")?;
        rows.push(waiters.bytes_row());
        if plan.has("line") {
            println!("measuring the line");
            rows.extend(line::measure(house, plan, &waiters).await.context("line")?);
        }
        if plan.has("crowd") {
            println!("measuring a line of a million");
            rows.extend(crowd::measure(house, plan, &waiters).await.context("crowd")?);
        }
    }
    Ok(rows)
}
