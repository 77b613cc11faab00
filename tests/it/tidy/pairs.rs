//! A Lua script against the Rust function of its name.

use super::scripts::{Script, Slots};
use super::source::{Source, closing, parts, regex, source};

pub(super) fn check(scripts: &[Source], functions: &[Source]) -> Vec<String> {
    let scripts = scripts.iter().filter_map(|file| Script::read(file).ok());
    scripts.flat_map(|script| check_pair(&script, functions)).collect()
}

/// The files of `lua/` are the scripts of `store::scripts::ALL`.
pub(super) fn registered(scripts: &[Source], names: &[&str]) -> Vec<String> {
    let name = |file: &Source| file.path.trim_start_matches("lua/").trim_end_matches(".lua").to_owned();
    let missing = scripts.iter().filter(|file| !names.contains(&name(file).as_str()));
    let mut findings: Vec<String> =
        missing.map(|file| file.finding(0, "is not in store::scripts::ALL of src/store/scripts/mod.rs")).collect();
    for (at, registered) in names.iter().enumerate() {
        if !scripts.iter().any(|file| name(file) == *registered) || names[..at].contains(registered) {
            findings
                .push(format!("src/store/scripts/mod.rs:1: `{registered}` is in ALL twice, or has no file in lua/"));
        }
    }
    findings
}

fn check_pair(script: &Script<'_>, functions: &[Source]) -> Vec<String> {
    let (room, verb) = (script.room, script.verb);
    let (file, folder) = (format!("src/store/scripts/{room}.rs"), format!("src/store/scripts/{room}/"));
    let found = functions
        .iter()
        .filter(|source| source.path == file || source.path.starts_with(&folder))
        .find_map(|source| Some((source, Function::find(source, verb)?)));
    let Some((source, function)) = found else {
        return vec![script.file.finding(0, format!("has no `fn {verb}` in {file}"))];
    };
    let declared = regex(&format!(r#"script!\(\s*(\w+)\s*,\s*"{room}/{verb}"\s*\)"#));
    let Some(constant) = declared.captures(&source.text).map(|found| found[1].to_owned()) else {
        return vec![source.finding(0, format!("has no `script!(…, \"{room}/{verb}\")`"))];
    };
    function.disagreements(script, &constant).into_iter().map(|what| source.finding(function.at, what)).collect()
}

/// What the source of a function says of its call.
struct Function {
    at: usize,
    script: String,
    /// None where the keys are not listed, but computed.
    keys: Option<usize>,
    arguments: usize,
    believes: bool,
}

impl Function {
    fn find(file: &Source, name: &str) -> Option<Self> {
        let code = file.code();
        let at = regex(&format!(r"\bfn {name}\s*[(<]")).find(&code)?.start();
        let open = at + code[at..].find('{')?;
        let body = &code[open..=open + closing(&code[open..])?];
        let call = body.find("Call::new(").map_or("", |start| &body[start + "Call::new".len()..]);
        let inside = closing(call).map_or("", |end| &call[1..end]);
        let given = parts(inside);
        let keys = given.get(1).and_then(|keys| keys.strip_prefix("&[")?.strip_suffix(']'));
        let told = body.contains("call_in(");
        Some(Self {
            at,
            script: given.first().copied().unwrap_or_default().to_owned(),
            keys: keys.map(|keys| parts(keys).len()),
            arguments: body.matches(".arg(").count() + usize::from(told),
            believes: told || body.contains("incarnation("),
        })
    }

    fn disagreements(&self, script: &Script<'_>, constant: &str) -> Vec<String> {
        let Script { verb, keys, arguments, .. } = script;
        let mut found = Vec::new();
        if self.script != format!("&{constant}") {
            found.push(format!("`{verb}` must call `Call::new(&{constant}, &[…])` itself, not `{}`", self.script));
        }
        match self.keys {
            Some(given) if !fits(given, keys) => {
                found.push(format!("`{verb}` passes {given} keys, its script's header has {}", say(keys)));
            }
            None if !keys.more => found.push(format!("`{verb}` must list its keys: {} of them", keys.fixed)),
            _ => {}
        }
        if !fits(self.arguments, arguments) {
            let (given, has) = (self.arguments, say(arguments));
            found.push(format!("`{verb}` passes {given} arguments, its script's header has {has}"));
        }
        if self.believes != script.checks_incarnation() {
            found.push(format!("of `{verb}` and its script only one has ARGV[1] as the incarnation"));
        }
        found
    }
}

fn fits(given: usize, slots: &Slots) -> bool {
    given == slots.fixed || (slots.more && given > slots.fixed)
}

fn say(slots: &Slots) -> String {
    if slots.more { format!("{} and more", slots.fixed) } else { slots.fixed.to_string() }
}

const LUA: &str = "#!lua\n-- Frees a seat.\n-- KEYS[1] hash: meta\n-- KEYS[2] zset: held\n-- ARGV[1] incarnation\n\
    -- ARGV[2] reservation\n-- Answers: 'freed'.\n-- Cost: O(1).\n";
const RUST: &str = "script!(RELEASE, \"seats/release\");\n\npub(crate) async fn release(db: &Db) -> Result<(), Fault> {\n\
    let call = Call::new(&RELEASE, &[&keys::meta(schedule, 1), &k.held]);\n\
    redis.call_in(epoch, call, |c| c.arg(id)).await\n}\nfn other() { c.arg(1).arg(2) }\n";

fn check_texts(lua: &str, rust: &str) -> Vec<String> {
    check(&[source("lua/seats/release.lua", lua)], &[source("src/store/scripts/seats.rs", rust)])
}

#[test]
fn a_good_pair_passes() {
    assert_eq!(check_texts(LUA, RUST), Vec::<String>::new());
    let elsewhere = [source("src/store/scripts/seats/release.rs", RUST)];
    assert_eq!(check(&[source("lua/seats/release.lua", LUA)], &elsewhere), Vec::<String>::new());
}

#[test]
fn more_keys_and_arguments_may_follow_where_the_header_says_so() {
    let lua = LUA.replace("KEYS[2]", "KEYS[2..]").replace("ARGV[2]", "ARGV[2..]");
    assert_eq!(check_texts(&lua, &RUST.replace("c.arg(id)", "c.arg(id).arg(x)")), Vec::<String>::new());
    let computed = RUST.replace("&[&keys::meta(schedule, 1), &k.held]", "&names");
    assert_eq!(check_texts(&lua, &computed), Vec::<String>::new());
    assert_eq!(check_texts(&lua, &RUST.replace("&keys::meta(schedule, 1), &k.held", "")).len(), 1);
}

#[test]
fn each_disagreement_is_seen() {
    for (good, bad) in [
        ("fn release(", "fn free("),
        ("\"seats/release\"", "\"seats/free\""),
        ("&RELEASE", "&HOLD"),
        (", &k.held]", "]"),
        ("&[&keys::meta(schedule, 1), &k.held]", "&names"),
        ("c.arg(id)", "c"),
        ("c.arg(id)", "c.arg(id).arg(id)"),
        ("call_in(epoch, call, |c| c", "call(call.arg(1)"),
    ] {
        assert!(RUST.contains(good), "{good}");
        assert_eq!(check_texts(LUA, &RUST.replacen(good, bad, 1)).len(), 1, "{good} → {bad}");
    }
}

#[test]
fn a_script_that_is_not_registered_is_seen() {
    let files = [source("lua/seats/release.lua", LUA)];
    assert_eq!(registered(&files, &["seats/release"]), Vec::<String>::new());
    assert_eq!(registered(&files, &[]).len(), 1);
    assert_eq!(registered(&files, &["seats/release", "seats/release"]).len(), 1);
    assert_eq!(registered(&files, &["seats/release", "seats/hold"]).len(), 1);
}
