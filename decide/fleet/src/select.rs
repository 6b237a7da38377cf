//! Which servers are meant: `role=web,env=dev`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use andon_text::{Diagnostic, nearest};

/// A server as far as it can be selected by.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Server {
    /// Its name, which no other one has.
    pub name: Arc<str>,
    /// What it calls itself, where others have that name, too: patterns are for it, and names beside other terms.
    pub plain: Option<Arc<str>>,
    /// Other words that mean it, and nothing else: its address in a state.
    pub aliases: Vec<Arc<str>>,
    /// Its tags.
    pub tags: BTreeMap<Arc<str>, Arc<str>>,
    /// The roles that it has.
    pub roles: Vec<Arc<str>>,
}

/// What `--on` says: servers that any one of its arguments means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector {
    arguments: Vec<Argument>,
}

/// One argument: its terms must hold together.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Argument {
    text: String,
    /// Names, of which a server needs one, as it has no more than one.
    names: Vec<String>,
    terms: Vec<Term>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Term {
    /// `None` for the name.
    key: Option<String>,
    pattern: String,
    wanted: bool,
}

/// The word for every server.
const ALL: &str = "all";

impl Selector {
    /// Reads the arguments of `--on`. Terms between commas must hold together: a name, a name with `*` and `?` in it,
    /// `KEY=VALUE` for a tag or a role, each with `!` before it for those of which it does not hold; `KEY!=VALUE` will
    /// do, too. Several names in one argument are several servers.
    pub fn parse<'t>(arguments: impl IntoIterator<Item = &'t str>) -> Result<Selector, Diagnostic> {
        let arguments = arguments.into_iter().map(Argument::parse).collect::<Result<_, _>>()?;
        Ok(Selector { arguments })
    }

    /// Whether a term speaks of this tag.
    pub fn mentions(&self, key: &str) -> bool {
        self.terms().any(|term| term.key.as_deref() == Some(key))
    }

    /// Whether it names this server by its name, not by a pattern.
    pub fn names(&self, name: &str) -> bool {
        self.arguments.iter().flat_map(|argument| &argument.names).any(|it| it == name)
    }

    /// Whether nothing but this name is given.
    pub fn is_only(&self, name: &str) -> bool {
        self.arguments.iter().all(|argument| argument.terms.is_empty() && argument.names.iter().all(|it| it == name))
    }

    /// The places of the servers that are meant: in the order of the arguments, those of one argument in their own order.
    /// An argument that means none is a mistake.
    pub fn select(&self, servers: &[Server]) -> Result<Vec<usize>, Diagnostic> {
        let mut chosen: Vec<usize> = Vec::new();
        let mut is_chosen = BTreeSet::new();
        for argument in &self.arguments {
            let meant: Vec<usize> = (0..).zip(servers).filter(|(_, it)| argument.means(it)).map(|(at, _)| at).collect();
            if meant.is_empty() {
                return Err(argument.means_nothing(servers));
            }
            chosen.extend(meant.into_iter().filter(|place| is_chosen.insert(*place)));
        }
        Ok(chosen)
    }

    fn terms(&self) -> impl Iterator<Item = &Term> {
        self.arguments.iter().flat_map(|argument| &argument.terms)
    }
}

impl Argument {
    fn parse(text: &str) -> Result<Argument, Diagnostic> {
        let mut argument = Argument { text: text.to_owned(), names: Vec::new(), terms: Vec::new() };
        for part in text.split(',').map(str::trim) {
            let (part, wanted) = match part.strip_prefix('!') {
                Some(rest) => (rest.trim_start(), false),
                None => (part, true),
            };
            let (key, pattern, wanted) = match part.split_once('=') {
                Some((key, value)) => match key.strip_suffix('!') {
                    Some(key) => (Some(key.trim()), value.trim(), !wanted),
                    None => (Some(key.trim()), value.trim(), wanted),
                },
                None => (None, part, wanted),
            };
            if pattern.is_empty() && key.is_none() || key == Some("") {
                let diagnostic = Diagnostic::error(format!("`{text}` selects no servers: a part of it is empty"));
                return Err(diagnostic.help("Write names, or terms like: --on role=web,env=dev"));
            }
            match (key, wanted) {
                (None, true) => argument.names.push(pattern.to_owned()),
                (key, wanted) => {
                    argument.terms.push(Term { key: key.map(str::to_owned), pattern: pattern.to_owned(), wanted })
                }
            }
        }
        Ok(argument)
    }

    fn means(&self, server: &Server) -> bool {
        let named = |pattern: &String| pattern == ALL || self.is_named(server, pattern);
        (self.names.is_empty() || self.names.iter().any(named)) && self.terms.iter().all(|term| term.holds(server))
    }

    /// Whether a name of this argument means a server. A name alone is that of one server.
    fn is_named(&self, server: &Server, pattern: &str) -> bool {
        let is_alone = self.terms.is_empty() && !pattern.contains(['*', '?']);
        if is_alone { is_its_own(server, pattern) } else { is_named(server, pattern) }
    }

    /// What to say of an argument that means no server.
    fn means_nothing(&self, servers: &[Server]) -> Diagnostic {
        let diagnostic = Diagnostic::error(match self.names.as_slice() {
            [name] if self.terms.is_empty() && !name.contains(['*', '?']) => format!("there is no server `{name}`"),
            _ => format!("no server is meant by `{}`", self.text),
        });
        if servers.is_empty() {
            return diagnostic
                .help("`local` is this machine. Servers are listed in `*.hosts.hcl`, or made by stacks: `andon up`.");
        }
        // The first part that no server satisfies by itself is the likely mistake.
        let names: Vec<&str> = servers.iter().map(|server| &*server.name).collect();
        let stray = self.names.iter().find(|it| *it != ALL && !servers.iter().any(|server| is_named(server, it)));
        if let Some(stray) = stray {
            return match nearest(stray, names.iter().copied()) {
                Some(near) => diagnostic.help(format!("Did you mean `{near}`?")),
                None => diagnostic.help(format!("There are {}.", listed(&names))),
            };
        }
        let unmet = self.terms.iter().find(|term| !servers.iter().any(|server| term.holds(server)));
        let Some(term) = unmet else {
            return diagnostic.help("Each part of it holds for some server, and together they hold for none.");
        };
        let Some(key) = term.key.as_deref().filter(|_| term.wanted) else {
            return diagnostic.help(format!("It leaves out all of {}.", listed(&names)));
        };
        let keys: BTreeSet<&str> =
            servers.iter().flat_map(|server| server.tags.keys()).map(|key| &**key).chain(["name", "role"]).collect();
        if !keys.contains(key) {
            return match nearest(key, keys.iter().copied()) {
                Some(near) => diagnostic.help(format!("No server has a tag `{key}`. Did you mean `{near}`?")),
                None => diagnostic.help(format!("No server has a tag `{key}`.")),
            };
        }
        let values: BTreeSet<&str> = servers.iter().flat_map(|server| values_of(server, key)).collect();
        match nearest(&term.pattern, values.iter().copied()) {
            Some(near) => diagnostic.help(format!("Did you mean `{key}={near}`?")),
            None if values.is_empty() => diagnostic.help(format!("No server has a {key}.")),
            None => {
                diagnostic.help(format!("Of `{key}` there are {}.", listed(&values.into_iter().collect::<Vec<_>>())))
            }
        }
    }
}

impl Term {
    fn holds(&self, server: &Server) -> bool {
        let holds = match &self.key {
            None => self.pattern == ALL || is_named(server, &self.pattern),
            Some(key) => values_of(server, key).any(|value| matches(&self.pattern, value)),
        };
        holds == self.wanted
    }
}

fn is_named(server: &Server, pattern: &str) -> bool {
    is_its_own(server, pattern) || server.plain.as_ref().is_some_and(|plain| matches(pattern, plain))
}

fn is_its_own(server: &Server, pattern: &str) -> bool {
    matches(pattern, &server.name) || server.aliases.iter().any(|alias| **alias == *pattern)
}

fn values_of<'s>(server: &'s Server, key: &'s str) -> impl Iterator<Item = &'s str> {
    let roles = server.roles.iter().filter(move |_| key == "role").map(|role| &**role);
    let names = [Some(&server.name), server.plain.as_ref()].into_iter().flatten().map(|name| &**name);
    let names = names.filter(move |_| key == "name");
    roles.chain(names).chain(server.tags.get(key).map(|value| &**value))
}

fn listed(names: &[&str]) -> String {
    const SHOWN: usize = 10;
    match names.len() {
        ..=SHOWN => names.join(", "),
        count => {
            format!("{} and {} more", names.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", "), count - SHOWN)
        }
    }
}

/// Whether a text is as a pattern has it: `*` stands for any letters, `?` for one.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut at, mut from) = (0, 0);
    // Where the last `*` is, and how far the text was when it was met: there it may take one letter more.
    let mut last: Option<(usize, usize)> = None;
    while let Some(letter) = text.get(from) {
        match pattern.get(at) {
            Some('*') => {
                last = Some((at, from));
                at += 1;
            }
            Some(wanted) if wanted == letter || *wanted == '?' => {
                at += 1;
                from += 1;
            }
            _ => match &mut last {
                Some((star, taken)) => {
                    *taken += 1;
                    at = *star + 1;
                    from = *taken;
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(at).all(|letter| *letter == '*')
}
