use andon_fleet::{Selector, Server};
use proptest::prelude::*;

fn server(name: &str, roles: &[&str], tags: &[(&str, &str)]) -> Server {
    Server {
        name: name.into(),
        plain: None,
        aliases: vec![format!("stack/lab_server.{name}[0]").into()],
        tags: tags.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect(),
        roles: roles.iter().map(|role| (*role).into()).collect(),
    }
}

fn servers() -> Vec<Server> {
    vec![
        server("web-1", &["web"], &[("env", "dev"), ("site", "north")]),
        server("web-2", &["web", "base"], &[("env", "production"), ("site", "south")]),
        server("db-1", &["db", "base"], &[("env", "dev"), ("empty", "")]),
        server("bare", &[], &[]),
    ]
}

fn select(arguments: &[&str]) -> Result<String, String> {
    let all = servers();
    let told = |diagnostic: andon_text::Diagnostic| format!("{} | {}", diagnostic.summary, diagnostic.help.join(" "));
    let chosen = Selector::parse(arguments.iter().copied()).and_then(|it| it.select(&all)).map_err(told)?;
    Ok(chosen.into_iter().map(|at| &*all[at].name).collect::<Vec<_>>().join(" "))
}

#[test]
fn servers_are_selected() {
    for (arguments, expected) in [
        (&["all"][..], "web-1 web-2 db-1 bare"),
        (&["web-1"], "web-1"),
        (&["web-*"], "web-1 web-2"),
        (&["*-1"], "web-1 db-1"),
        (&["*b*"], "web-1 web-2 db-1 bare"),
        (&["web-?"], "web-1 web-2"),
        (&["web-1,db-1"], "web-1 db-1"),
        (&["web-2", "web-1", "all"], "web-2 web-1 db-1 bare"),
        (&["role=web"], "web-1 web-2"),
        (&["role=web,env=dev"], "web-1"),
        (&["role=base,role=web"], "web-2"),
        (&[" role = web , env = dev "], "web-1"),
        (&["role=web", "role=db"], "web-1 web-2 db-1"),
        (&["env=*"], "web-1 web-2 db-1"),
        (&["env!=dev"], "web-2 bare"),
        (&["!env=dev"], "web-2 bare"),
        (&["!env!=dev"], "web-1 db-1"),
        (&["!web-1"], "web-2 db-1 bare"),
        (&["all,!web-*"], "db-1 bare"),
        (&["web-*,!site=north"], "web-2"),
        (&["name=web-*"], "web-1 web-2"),
        (&["empty="], "db-1"),
        (&["stack/lab_server.web-1[0]"], "web-1"),
    ] {
        assert_eq!(select(arguments).as_deref(), Ok(expected), "{arguments:?}");
    }
}

/// Two environments have a server of one name.
#[test]
fn a_name_that_several_have_means_each_of_them() {
    let mut all = servers();
    all.push(Server { plain: Some("web-1".into()), ..server("staging/web-1", &[], &[("env", "staging")]) });
    let check = |argument: &str, expected: &str| {
        let chosen = Selector::parse([argument]).and_then(|it| it.select(&all)).unwrap();
        let names: Vec<&str> = chosen.into_iter().map(|at| &*all[at].name).collect();
        assert_eq!(names.join(" "), expected, "{argument}");
    };
    check("web-1", "web-1");
    check("staging/web-1", "staging/web-1");
    check("web-1,env=staging", "staging/web-1");
    check("env=staging,web-1", "staging/web-1");
    check("web-1,env=dev", "web-1");
    check("web-1,env=*", "web-1 staging/web-1");
    check("web-*,env=staging", "staging/web-1");
    check("web-*", "web-1 web-2 staging/web-1");
    check("name=web-1", "web-1 staging/web-1");
    check("!web-1,env=*", "web-2 db-1");
}

#[test]
fn what_means_nothing_says_what_is_near() {
    for (arguments, expected) in [
        (&["wep-1"][..], "there is no server `wep-1` | Did you mean `web-1`?"),
        (&["nothing-alike"], "there is no server `nothing-alike` | There are web-1, web-2, db-1, bare."),
        (&["all", "nothing*"], "no server is meant by `nothing*` | There are web-1, web-2, db-1, bare."),
        (&["role=wep"], "no server is meant by `role=wep` | Did you mean `role=web`?"),
        (&["env=elsewhere"], "no server is meant by `env=elsewhere` | Of `env` there are dev, production."),
        (&["sita=north"], "no server is meant by `sita=north` | No server has a tag `sita`. Did you mean `site`?"),
        (
            &["role=db,env=production"],
            "no server is meant by `role=db,env=production` | Each part of it holds for some server, and together they hold for none.",
        ),
        (&["!all"], "no server is meant by `!all` | It leaves out all of web-1, web-2, db-1, bare."),
        (&[""], "`` selects no servers: a part of it is empty | Write names, or terms like: --on role=web,env=dev"),
        (
            &["web-1,"],
            "`web-1,` selects no servers: a part of it is empty | Write names, or terms like: --on role=web,env=dev",
        ),
        (&["=x"], "`=x` selects no servers: a part of it is empty | Write names, or terms like: --on role=web,env=dev"),
    ] {
        assert_eq!(select(arguments), Err(expected.to_owned()), "{arguments:?}");
    }
    let none = Selector::parse(["all"]).unwrap().select(&[]).unwrap_err();
    assert!(none.help[0].contains("`*.hosts.hcl`"), "{none:?}");
}

proptest! {
    #[test]
    fn a_pattern_of_stars_matches_what_it_was_made_from(text in "[a-cé]{0,8}", stars in proptest::collection::vec(0usize..9, 0..4)) {
        let mut pattern: Vec<char> = text.chars().collect();
        for at in stars {
            pattern.insert(at.min(pattern.len()), '*');
        }
        let pattern: String = pattern.into_iter().collect();
        prop_assume!(!pattern.is_empty());
        let all = [Server { name: text.as_str().into(), ..Server::default() }];
        prop_assert_eq!(Selector::parse([&*format!("name={pattern}")]).unwrap().select(&all).unwrap(), vec![0]);
    }

    #[test]
    fn what_is_selected_and_what_is_not_are_all(term in "(role|env|site|name)=[a-z*?-]{1,4}") {
        let all = servers();
        let of = |text: &str| Selector::parse([text]).unwrap().select(&all).unwrap_or_default();
        let mut both = of(&term);
        both.extend(of(&format!("!{term}")));
        both.sort_unstable();
        prop_assert_eq!(both, (0..all.len()).collect::<Vec<_>>());
    }

    #[test]
    fn no_argument_panics(text in "\\PC{0,20}") {
        let _ = Selector::parse([&*text]).and_then(|it| it.select(&servers()));
    }
}
