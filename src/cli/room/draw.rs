//! A draw's list: fetched into a file, and checked from the file alone.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;

use super::client::Client;
use super::{at, show};
use crate::ids::UserId;
use crate::queue::draw::proof::{self, DrawList};

/// Flags of `anteroom room verify-draw`.
#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// The list, as `anteroom room draw` writes it.
    file: PathBuf,
    /// The commitment that was published before the opening: the list must be of that draw.
    #[arg(long, value_name = "HEX")]
    commitment: Option<String>,
    /// A visitor of the draw: says which place is theirs.
    #[arg(long, value_name = "NAME", requires = "secret")]
    user: Option<String>,
    /// What `GET /queue/draw` told that visitor.
    #[arg(long, value_name = "HEX", requires = "user")]
    secret: Option<String>,
}

/// Fetches every page of a list.
pub(super) async fn export(client: &Client, room: &str, out: Option<&Path>) -> anyhow::Result<()> {
    let page = async |page: u64| {
        let answer = client.ask("GET", &format!("{}/draw?page={page}", at(room)), None, None).await?;
        serde_json::from_value::<DrawList>(answer.body).context("the service sent no list of a draw")
    };
    let mut list = page(0).await?;
    let count = list.count.context("the list is not complete yet: fetch it soon after the opening")?;
    for number in 1.. {
        if u64::try_from(list.tickets.len()).is_ok_and(|has| has >= count) {
            break;
        }
        let more = page(number).await?.tickets;
        anyhow::ensure!(!more.is_empty(), "the list ends before its {count} tickets");
        list.tickets.extend(more);
    }
    let text = serde_json::to_string(&list)?;
    let Some(file) = out else { return show::line(&text) };
    std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
    show::line(&format!("{count} tickets in {}", file.display()))
}

/// Checks a list; an error says what is wrong with it.
pub(super) fn verify(args: &VerifyArgs) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(&args.file).with_context(|| format!("cannot read {}", args.file.display()))?;
    let list: DrawList = serde_json::from_str(&text).context("this is not a list of a draw")?;
    list.verify(args.commitment.as_deref())?;
    show::line(&format!(
        "right: all {} places follow from the seed, and the seed fits the commitment {}",
        list.tickets.len(),
        list.commitment
    ))?;
    if args.commitment.is_none() {
        show::line("not compared: the commitment that was published before the opening (--commitment)")?;
    }
    if let (Some(beacon), Some(value)) = (&list.beacon, &list.beacon_value) {
        show::line(&format!("check yourself: the beacon \"{beacon}\" had the value \"{value}\""))?;
    }
    let (Some(user), Some(secret)) = (&args.user, &args.secret) else { return Ok(()) };
    match list.place_of(&proof::ticket(&UserId::parse(user)?, secret)) {
        Some(place) => show::line(&format!("{user} has place {place} of {}", list.tickets.len())),
        None => bail!("{user} with this secret is not in the list"),
    }
}
