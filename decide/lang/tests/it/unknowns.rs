//! Unknown values, and what is known of them: `?string` is an unknown string, `?string!` one that is not null, with
//! what it starts with or is between behind it; `secret(…)` is marked.

use andon_value::{Bound, Kind, Range, Value, encode};

use crate::evaluation::scope;
use crate::expressions::value_of;

fn seen(text: &str) -> String {
    match value_of(text, &scope()) {
        Ok(value) => show(&value),
        Err(error) => format!("error: {error}"),
    }
}

fn show(value: &Value) -> String {
    let shown = match value.kind() {
        Kind::Unknown(ty, known) => {
            let null = if known.not_null { "!" } else { "" };
            let end = |bound: &Option<Bound>, open: &str, closed: &str| match bound {
                None => String::new(),
                Some(Bound { number, inclusive: true }) => format!("{closed}{number}"),
                Some(Bound { number, inclusive: false }) => format!("{open}{number}"),
            };
            let range = match known.range.as_deref() {
                None => String::new(),
                Some(Range::Prefix(prefix)) => format!(" {prefix}…"),
                Some(Range::Number { least, most }) => format!(" {}{}", end(least, ">", ">="), end(most, "<", "<=")),
                Some(Range::Length { least, most }) => {
                    format!(" [{least}..{}]", most.map_or(String::new(), |most| most.to_string()))
                }
            };
            format!("?{ty}{null}{range}")
        }
        Kind::Tuple(elements) => format!("[{}]", elements.iter().map(show).collect::<Vec<_>>().join(", ")),
        Kind::List(ty, elements) => {
            format!("list({ty})[{}]", elements.iter().map(show).collect::<Vec<_>>().join(", "))
        }
        Kind::Object(entries) => {
            let entries: Vec<String> =
                entries.iter().map(|(name, value)| format!("{name} = {}", show(value))).collect();
            format!("{{{}}}", entries.join(", "))
        }
        _ => encode(&value.clone().unmark().0).to_string(),
    };
    if value.marks().sensitive { format!("secret({shown})") } else { shown }
}

#[test]
fn unknown_values_go_through() {
    for (text, expected) in [
        ("unknown_text", "?string"),
        ("\"a${unknown_text}\"", "?string!"),
        ("\"${unknown_text}\"", "?string"),
        ("upper(unknown_text)", "?string!"),
        ("unknown + 1", "?number!"),
        ("-unknown", "?number!"),
        ("unknown > 1", "?bool!"),
        ("unknown == 1", "?bool!"),
        ("unknown_text == 1", "false"),
        ("unknown_text == null", "?bool!"),
        ("[1, unknown] == [2, unknown]", "false"),
        ("[1, unknown] == [1, 2]", "?bool!"),
        ("false && unknown_bool", "false"),
        ("unknown_bool && false", "false"),
        ("unknown_bool || true", "true"),
        ("unknown_bool || false", "?bool!"),
        ("unknown_bool ? 1 : \"a\"", "?string!"),
        ("unknown_bool ? [1] : [2, 3]", "?list(number)! [1..2]"),
        ("unknown_bool ? secret : \"a\"", "secret(?string!)"),
        ("true ? unknown : 1", "?any"),
        ("true ? unknown_text : 1", "?string"),
        ("true ? 1 : unknown", "1"),
        ("unknown.a.b[0]", "?any"),
        ("unknown_list[0]", "?string"),
        ("unknown_list[unknown]", "?string"),
        ("unknown_map.a", "?number"),
        ("[1, 2][unknown]", "?any"),
        ("[for x in unknown_list : x]", "?any"),
        ("[for x in [1, 2] : x if unknown_bool]", "?any"),
        ("{for x in [1] : unknown_text => x}", "?any"),
        ("{(unknown_text) = 1}", "?any"),
        ("{a = unknown_text}", "{a = ?string}"),
        ("unknown_list[*]", "?list(string)!"),
        ("unknown[*]", "?any"),
        ("server[*].id", "list(string)[\"a\", \"b\"]"),
        ("server[1].port", "?number"),
        ("length(server)", "2"),
        ("length(unknown_list)", "?number! >=0"),
        ("length([unknown])", "1"),
        ("length(toset([unknown_text, \"a\"]))", "?number! >=1<=2"),
        ("keys({a = unknown})", "[\"a\"]"),
        ("merge({a = unknown_text}, {b = 1}).b", "1"),
        ("merge(unknown_map, {b = 1})", "?any"),
        ("concat([unknown], [1])[1]", "1"),
        ("element([unknown, 1], 1)", "1"),
        ("lookup({a = unknown, b = 1}, \"b\", 2)", "1"),
        ("flatten([[unknown_text], [1]])[1]", "1"),
        ("flatten([unknown_list, [1]])", "?any"),
        ("tolist([unknown, \"a\"])", "list(string)[?string, \"a\"]"),
        ("length(tolist([unknown, 1]))", "2"),
        ("length(tomap({a = unknown, b = true}))", "2"),
        ("index([\"a\", unknown], \"a\")", "0"),
        ("index([unknown, \"a\"], \"a\")", "?number!"),
        ("coalesce(\"a\", unknown)", "\"a\""),
        ("coalesce(1, unknown)", "?any"),
        ("length([unknown_text][*])", "1"),
        ("tolist([unknown_text, \"a\"])", "list(string)[?string, \"a\"]"),
        ("tolist(unknown_list)", "?list(string)"),
        ("toset(unknown_list)", "?set(string)"),
        ("tonumber(unknown_text)", "?number"),
        ("jsonencode({a = unknown})", "?string! {…"),
        ("join(\",\", [unknown_text])", "?string!"),
        ("coalesce(unknown_text, \"a\")", "?string!"),
        ("coalesce(\"a\", unknown_text)", "\"a\""),
        ("try(unknown.a, 1)", "?any"),
        ("try(null.a, unknown_text)", "?any"),
        ("can(unknown.a)", "?bool!"),
        ("try(server[number - 5].id, 1)", "\"a\""),
        ("try(server[number].id, \"none\")", "\"none\""),
        ("[for s in server : try(s.port, 1)][0]", "?any"),
        ("try(try(unknown, 1), 2)", "?any"),
        ("[unknown, try(1, 2)][1]", "1"),
        ("upper(unknown_secret)", "secret(?string!)"),
        ("issensitive(unknown_secret)", "true"),
        ("max(unknown_list...)", "?any"),
        ("templatefile(\"a.tftpl\", {name = unknown_text})", "?string! Hello …"),
        ("templatefile(\"a.tftpl\", {name = secret})", "secret(\"Hello hunter2!\")"),
        ("\"%{ if unknown_bool }a%{ endif }\"", "?string!"),
        ("\"%{ for x in unknown_list }a%{ endfor }\"", "?string!"),
        ("secret == \"a\"", "secret(false)"),
        ("secret == \"a\" ? 1 : 2", "secret(2)"),
        ("{(secret) = 1}", "secret({hunter2 = 1})"),
        ("[1, 2][length(secrets)]", "secret(2)"),
        ("[for s in secrets : s]", "secret([\"hunter2\"])"),
        ("[for x in [1] : x if secret != \"a\"]", "secret([1])"),
        ("ephemeralasnull(text)", "\"web\""),
    ] {
        assert_eq!(seen(text), expected, "{text}");
    }
}

#[test]
fn what_is_known_of_them_goes_through() {
    for (text, expected) in [
        ("id == null", "false"),
        ("id != null", "true"),
        ("unknown_text == null", "?bool!"),
        ("ami == \"vpc-1\"", "false"),
        ("ami == \"ami-1\"", "?bool!"),
        ("\"${ami}x\"", "?string! ami-…"),
        ("\"arn:aws:${id}:x\"", "?string! arn:aws:…"),
        ("\"${id}-x\"", "?string!"),
        ("\"a-%{ if unknown_bool }b%{ endif }\"", "?string! a-…"),
        ("\"x: ${ami}\"", "?string! x: ami-…"),
        ("startswith(ami, \"ami\")", "true"),
        ("startswith(ami, \"ami-1\")", "?bool!"),
        ("startswith(ami, \"vpc\")", "false"),
        ("unknown_bool ? id : ami", "?string!"),
        ("unknown_bool ? \"ami-1\" : ami", "?string! ami-…"),
        ("unknown_bool ? \"a\" : null", "?string a…"),
        ("unknown_bool ? null : ami", "?string ami-…"),
        ("unknown_bool ? 1 : 5", "?number! >=1<=5"),
        ("unknown_bool ? 5 : 5", "5"),
        ("unknown_bool ? tolist([\"a\"]) : some", "?list(string)! [1..3]"),
        ("unknown_bool ? [id] : []", "?list(string)! [0..1]"),
        ("size > 0", "true"),
        ("size >= 1", "true"),
        ("size < 1", "false"),
        ("size > 9", "false"),
        ("size > 5", "?bool!"),
        ("size == 20", "false"),
        ("size + 1", "?number! >=2<=10"),
        ("size - 1", "?number! >=0<=8"),
        ("1 - size", "?number! >=-8<=0"),
        ("size * -2", "?number! >=-18<=-2"),
        ("-size", "?number! >=-9<=-1"),
        ("size / 2", "?number!"),
        ("length(some)", "?number! >=1<=3"),
        ("length(some) > 0", "true"),
        ("length(unknown_list) >= 0", "true"),
        ("length(ami)", "?number! >=3"),
        ("length(toset([id, ami]))", "?number! >=1<=2"),
        ("length(unknown_text)", "?number! >=0"),
        ("some[*]", "?list(string)! [1..3]"),
        ("[for x in [id] : x]", "[?string!]"),
        ("toset(some)", "?set(string)! [1..3]"),
        ("tolist(toset(some))", "?list(string)! [1..3]"),
        ("keys(unknown_map)", "?list(string)!"),
        ("values(unknown_map)", "?list(number)!"),
        ("reverse(some)", "?list(string)! [1..3]"),
        ("sort(some)", "?list(string)! [1..3]"),
        ("distinct(some)", "?list(string)! [1..3]"),
        ("compact(some)", "?list(string)! [0..3]"),
        ("concat(some, some)", "?list(string)! [2..6]"),
        ("element(some, 0)", "?string"),
        ("one(some)", "?string"),
        ("slice(some, 0, 1)", "?list(string)! [0..3]"),
        ("chunklist(some, 1)", "?list(list(string))! [1..3]"),
        ("merge(unknown_map, tomap({a = 1}))", "?map(number)! [1..]"),
        ("lookup(unknown_map, \"a\", 1)", "?number"),
        ("format(\"web-%s\", id)", "?string! web-…"),
        ("formatlist(\"%s\", some)", "?list(string)! [1..3]"),
        ("jsonencode([id])", "?string! […"),
        ("jsonencode({a = id})", "?string! {…"),
        ("jsonencode(unknown_text)", "?string!"),
        ("upper(id)", "?string!"),
        ("max(size, 4)", "?number! >=4"),
        ("min(size, 4)", "?number! <=4"),
        ("abs(unknown)", "?number! >=0"),
        ("signum(size)", "?number! >=-1<=1"),
        ("coalesce(null, id)", "?string!"),
        ("coalesce(ami, \"x\")", "?string! ami-…"),
        ("coalesce(null, size, 3)", "?number! >=1<=9"),
        ("alltrue([false, unknown_bool])", "false"),
        ("alltrue([true, unknown_bool])", "?bool!"),
        ("anytrue([true, unknown_bool])", "true"),
        ("contains([1, unknown], 1)", "true"),
        ("contains([1, size], 20)", "false"),
        ("contains([id, \"a\"], \"b\")", "?bool!"),
        ("tostring(size)", "?string!"),
        ("tostring(id)", "?string!"),
        ("try(id, 1)", "?any"),
        ("can(id)", "?bool!"),
        ("sensitive(ami)", "secret(?string! ami-…)"),
        ("nonsensitive(ami)", "?string! ami-…"),
        ("setunion(toset([\"a\"]), toset([id])) == null", "false"),
        ("{a = id}.a == null", "false"),
        ("!unknown_bool", "?bool!"),
        ("unknown_bool && true", "?bool!"),
        ("sum([size, 1])", "?number!"),
        ("split(\",\", id)", "?list(string)!"),
        ("join(\",\", some)", "?string!"),
        ("zipmap(some, some)", "?map(string)! [0..3]"),
    ] {
        assert_eq!(seen(text), expected, "{text}");
    }
}
