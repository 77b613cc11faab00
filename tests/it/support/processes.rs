//! Processes of the machine, as a test sees and signals them.

use std::process::Command;

/// Sends a signal, such as `KILL` or `INT`, to a process that is there.
pub(crate) fn signal(pid: u32, name: &str) {
    assert!(Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status().unwrap().success());
}

/// All processes of the machine that live, each with its parent. Those that ended and that nobody asked about yet, as
/// they may stay for seconds where their parent ended first, do not count.
pub(crate) fn processes() -> Vec<(u32, u32)> {
    let listed = Command::new("ps").args(["-A", "-o", "stat=,pid=,ppid="]).output().unwrap();
    let lines = String::from_utf8(listed.stdout).unwrap();
    let pair = |line: &str| {
        let mut words = line.split_whitespace();
        words.next().filter(|state| !state.starts_with('Z'))?;
        let mut numbers = words.map(|number| number.parse().unwrap());
        Some((numbers.next()?, numbers.next()?))
    };
    lines.lines().filter_map(pair).collect()
}

/// A process' children, their children, and so on.
pub(crate) fn descendants(pid: u32) -> Vec<u32> {
    let all = processes();
    let mut family = vec![pid];
    let mut next = 0;
    while next < family.len() {
        let parent = family[next];
        family.extend(all.iter().filter(|(_, of)| *of == parent).map(|(child, _)| child));
        next += 1;
    }
    family.split_off(1)
}
