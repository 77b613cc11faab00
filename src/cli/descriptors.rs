//! File descriptors: each connection is one, and many systems let a program have 1,024 until it asks for more.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Config;

/// What is open beside the connections of visitors: those to the stores, operators, files.
const BESIDE: u64 = 200;

/// How many the settings need.
pub(super) fn needed(config: &Config) -> u64 {
    u64::try_from(config.connections).unwrap_or(u64::MAX).saturating_add(BESIDE)
}

/// Lets this program have so many open, as far as the system allows it. Gives what is said where that is too few.
pub(super) fn raise(needed: u64) -> Option<String> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = maximum.map_or(needed, |most| most.min(needed));
    if current.is_some_and(|now| now < wanted) {
        let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum });
        return too_few(if raised.is_ok() { Some(wanted) } else { current }, needed);
    }
    too_few(current, needed)
}

/// What is said of a limit; nothing where it is high enough.
fn too_few(limit: Option<u64>, needed: u64) -> Option<String> {
    let limit = limit.filter(|limit| *limit < needed)?;
    Some(format!(
        "{limit} file descriptors at most, and the setting connections needs {needed}: raise the hard limit \
         (LimitNOFILE of systemd, ulimit -Hn of a shell), or lower connections"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_raised_as_far_as_is_needed_and_allowed() {
        let before = getrlimit(Resource::Nofile);
        let enough = before.current.unwrap_or(4_096);
        setrlimit(Resource::Nofile, Rlimit { current: Some(enough - 1), ..before }).unwrap();
        assert_eq!(raise(enough), None);
        assert_eq!(getrlimit(Resource::Nofile).current, Some(enough));
        assert_eq!(raise(enough - 1), None);
        assert_eq!(getrlimit(Resource::Nofile).current, Some(enough), "it is never lowered");
    }

    #[test]
    fn what_is_too_few_is_said() {
        assert_eq!(too_few(None, 15_200), None);
        assert_eq!(too_few(Some(15_200), 15_200), None);
        assert!(too_few(Some(4_096), 15_200).unwrap().starts_with("4096 file descriptors at most"));
    }
}
