//! Templates in Jinja: what a role makes of `*.j2` files.

use andon_value::{Value, render as render_value};

use crate::role::{catalog_of, facts, object, project};

/// What a template comes to with these variables, or what is wrong with it. `files` are more files, as in a project's text.
fn filled(template: &str, variables: &str, files: &str) -> String {
    let text = format!(
        "== roles/a.role.hcl\nrole \"a\" {{\n  file \"/x\" {{ content = templatefile(\"web/t.j2\", {variables}) }}\n}}\n\
         == roles/web/t.j2\n{template}\n{files}"
    );
    let project = project(&text);
    match catalog_of(&project, &object("{}"), &facts()) {
        Ok(catalog) => match catalog.resources[0].attributes.get("content").unwrap() {
            content if content.is_secret() => "(a secret)".to_owned(),
            content => content.as_str().map_or_else(|| render_value(content, 0), ToString::to_string),
        },
        Err(errors) => {
            errors.iter().map(|error| format!("{}: {}\n{}\n", error.summary, error.label, error.detail)).collect()
        }
    }
}

/// What is wrong with a case, if anything is. A mark stands behind the template, so that its last line break is seen.
fn wrong(template: &str, variables: &str, expected: &str) -> Option<String> {
    let said = filled(&format!("{template}¶"), variables, "");
    (said != format!("{expected}¶\n")).then(|| format!("{template}\n  {said:?}\n  {expected:?}"))
}

#[test]
fn what_ends_with_a_line_break_still_does() {
    for (template, expected) in [
        // `filled` puts a line break behind a template.
        ("{% if a %}web{% endif %}", "web\n"),
        ("{% if a %}web{% endif %}\n", "web\n\n"),
        ("{{ a }}", "true\n"),
        ("{% if not a %}\nweb\n{% endif %}", "\n"),
    ] {
        assert_eq!(filled(template, "{ a = true }", "").to_lowercase(), expected, "{template}");
    }
}

#[test]
fn text_as_configuration_tools_make_it() {
    let mut failures = Vec::new();
    for (template, variables, expected) in [
        ("plain", "{}", "plain"),
        ("{{ a }}-{{ b }}-{{ c }}", "{ a = \"x\", b = 2, c = true }", "x-2-True"),
        // Null is nothing; numbers keep what they are.
        ("[{{ n }}] {{ 1.5 + h }} {{ 7 // 2 }} {{ 7 / 2 }}", "{ n = null, h = 0.5 }", "[] 2.0 3 3.5"),
        ("{{ l }} {{ m }}", "{ l = [1, \"a\"], m = { k = \"v\" } }", "[1, 'a'] {'k': 'v'}"),
        // A block takes its line break along, and leaves the blanks before it.
        ("a\n{% if true %}\nb\n  {% endif %}\nc", "{}", "a\nb\n  c"),
        ("#jinja2: lstrip_blocks: True\na\n  {% if true %}\nb\n  {% endif %}\nc", "{}", "a\nb\nc"),
        ("#jinja2: trim_blocks: False\na{% if true %}\nb{% endif %}\nc", "{}", "a\nb\nc"),
        (
            "{% for x in l %}\n{{ loop.index }}={{ x }}{{ \",\" if not loop.last }}\n{% endfor %}",
            "{ l = [\"a\", \"b\"] }",
            "1=a,\n2=b\n",
        ),
        ("{% for k, v in m.items() %}{{ k }}:{{ v }} {% endfor %}", "{ m = { a = 1, b = 2 } }", "a:1 b:2 "),
        ("{% set x = 1 %}{{ x }}{# nothing #}{% raw %}{{ y }}{% endraw %}", "{}", "1{{ y }}"),
        ("{% macro f(a, b=2) %}{{ a }}+{{ b }}{% endmacro %}{{ f(1) }} {{ f(1, b=3) }}", "{}", "1+2 1+3"),
        ("{% for x in range(3) if x != 1 %}{{ x }}{% else %}none{% endfor %}", "{}", "02"),
        ("{% for x in range(9) %}{% if x == 2 %}{% break %}{% endif %}{{ x }}{% endfor %}", "{}", "01"),
        ("<{{ a }}>", "{ a = \"<b>&\" }", "<<b>&>"),
        ("{{ 'yes' if a is defined else 'no' }} {{ b is not defined }}", "{ a = 1 }", "yes True"),
        ("{{ a.b['c'][0] }}", "{ a = { b = { c = [\"deep\"] } } }", "deep"),
        (
            "{{ x | default('d') }} {{ e | default('d', true) }} {{ n | default('d', true) }}",
            "{ e = \"\", n = null }",
            "d d d",
        ),
        (
            "{{ l | join(', ') }} {{ l | length }} {{ l | first }} {{ l | last }} {{ l | reverse | list }}",
            "{ l = [\"a\", \"b\"] }",
            "a, b 2 a b ['b', 'a']",
        ),
        (
            "{{ a | upper }} {{ a | lower }} {{ a | capitalize }} {{ a | title }} {{ a | replace('l', 'L') }}",
            "{ a = \"heLlo you\" }",
            "HELLO YOU hello you Hello you Hello You heLLo you",
        ),
        (
            "{{ l | map(attribute='n') | join('+') }} {{ l | selectattr('n', 'gt', 1) | map(attribute='n') | list }}",
            "{ l = [{ n = 1 }, { n = 2 }] }",
            "1+2 [2]",
        ),
        (
            "{{ m | to_json }}",
            "{ m = { b = [1, true, null], a = \"ü\" } }",
            "{\"a\": \"\\u00fc\", \"b\": [1, true, null]}",
        ),
        ("{{ m | to_nice_json(indent=2) }}", "{ m = { a = 1 } }", "{\n  \"a\": 1\n}"),
        (
            "{{ m | to_yaml }}|{{ m | to_nice_yaml(indent=2) }}|",
            "{ m = { a = [1, \"x\"], b = \"no\" } }",
            "a: [1, x]\nb: 'no'\n|a:\n- 1\n- x\nb: 'no'\n|",
        ),
        ("{{ ('{\"a\": [1]}' | from_json).a[0] }} {{ ('a: [x]' | from_yaml).a }}", "{}", "1 ['x']"),
        ("{{ a | b64encode }} {{ 'aGk=' | b64decode }}", "{ a = \"hi\" }", "aGk= hi"),
        ("{{ a | ternary('y', 'n') }} {{ none | ternary('y', 'n', 'z') }}", "{ a = true }", "y z"),
        (
            "{{ a | regex_replace('^(\\\\w+)=(.*)$', '\\\\2=\\\\1') }} {{ a | regex_replace('O', 'u', ignorecase=true) }}",
            "{ a = \"foo=bar\" }",
            "bar=foo fuu=bar",
        ),
        (
            "{{ a | regex_search('[0-9]+') }} {{ a | regex_search('v([0-9])([0-9])', '\\\\1', '\\\\2') }} {{ a | regex_findall('[a-z]') }}",
            "{ a = \"v12\" }",
            "12 ['1', '2'] ['v']",
        ),
        (
            "{{ p | basename }} {{ p | dirname }} {{ 'a b' | quote }} {{ 'a' | quote }}",
            "{ p = \"/etc/x.conf\" }",
            "x.conf /etc 'a b' a",
        ),
        ("{{ 'a' | hash('sha256') | length }} {{ 'a' | md5 }}", "{}", "64 0cc175b9c0f1b6a831c399e269772661"),
        (
            "{{ a | combine({'y': 2}) }} {{ a | combine({'x': {'p': 1}}, recursive=true) }}",
            "{ a = { x = { q = 0 } } }",
            "{'x': {'q': 0}, 'y': 2} {'x': {'p': 1, 'q': 0}}",
        ),
        (
            "{{ m | dict2items | map(attribute='key') | list }} {{ [[1, [2]], 3] | flatten }}",
            "{ m = { a = 1 } }",
            "['a'] [1, 2, 3]",
        ),
        (
            "{{ [1, 2, 2] | union([3]) }} {{ [1, 2] | difference([2]) }} {{ [1, 2] | intersect([2]) }} {{ [2, 1, 2] | unique | sort }}",
            "{}",
            "[1, 2, 3] [1] [2] [1, 2]",
        ),
        (
            "{{ '1.10' is version('1.9', '>=') }} {{ 'abc' is match('b') }} {{ 'abc' is search('b') }} {{ [1] is contains(1) }}",
            "{}",
            "True False True True",
        ),
        (
            "{{ s.split(',')[1] }} {{ s.upper() }} {{ s.startswith('a') }} {{ m.get('z', 'none') }} {{ ','.join(m.keys()) }}",
            "{ s = \"a,b\", m = { k = 1 } }",
            "b A,B True none k",
        ),
        ("{{ 'x' | comment }}", "{}", "#\n# x\n#"),
        (
            "{{ a | int + 1 }} {{ '3.7' | float | round | int }} {{ a | string ~ '!' }} {{ 'no' | bool }}",
            "{ a = \"41\" }",
            "42 4 41! False",
        ),
        ("{{ t | indent(2) }}|{{ t | indent(2, true) }}", "{ t = \"a\\nb\" }", "a\n  b|  a\n  b"),
    ] {
        failures.extend(wrong(template, variables, expected));
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn templates_include_others() {
    let files = "== roles/web/part.j2\npart {{ a }}\n== roles/base.j2\n[{% block body %}{% endblock %}]\n== roles/lib/m.j2\n{% macro m(x) %}<{{ x }}>{% endmacro %}";
    for (template, expected) in [
        ("{% include 'part.j2' %}!", "part 1\n!"),
        ("{% extends 'base.j2' %}{% block body %}inner{% endblock %}", "[inner]"),
        ("{% from 'lib/m.j2' import m %}{{ m(a) }}", "<1>"),
        ("{% import '../lib/m.j2' as lib %}{{ lib.m(2) }}", "<2>"),
        ("{% include 'none.j2' ignore missing %}ok", "ok"),
    ] {
        assert_eq!(filled(template, "{ a = 1 }", files).trim_end(), expected, "{template}");
    }
}

#[test]
fn what_is_wrong_has_its_file_and_line() {
    let files = "== roles/web/part.j2\n\n{{ nothing }}";
    for (template, expected) in [
        ("a\n{{ nope }}", "roles/web/t.j2:2: undefined value"),
        ("{{ a.b.c }}", "roles/web/t.j2:1: undefined value"),
        ("{% if %}", "roles/web/t.j2:1: syntax error: unexpected"),
        ("x\n\n{% for x in y %}", "roles/web/t.j2:3: syntax error"),
        ("{{ a | nope }}", "roles/web/t.j2:1: unknown filter: filter nope is unknown"),
        ("{{ lookup('env', 'HOME') }}", "roles/web/t.j2:1: unknown function: lookup is unknown"),
        ("{% include 'part.j2' %}", "roles/web/part.j2:2: undefined value"),
        ("{% include 'none.j2' %}", "template not found"),
        ("{% include '../../secret' %}", "template not found"),
        ("{% include '/etc/passwd' %}", "template not found"),
        ("{% include 't.j2' %}", "recursion"),
        ("{{ a | mandatory }}{{ b | mandatory }}", "a mandatory value is not defined"),
        ("{{ 'x' | regex_replace('(', '') }}", "not a regular expression"),
        (
            "{% for a in range(90000) %}{% for b in range(90000) %}{% endfor %}{% endfor %}",
            "it does more than a template may",
        ),
        ("{% for a in range(2000) %}{{ 'xxxxxxxxxx' * 1000 }}{% endfor %}", "it comes to more than 16 MiB"),
        ("{{ 'x' * 10000000000 }}", "repeated string is too large"),
    ] {
        let said = filled(template, "{ a = {} }", files);
        assert!(
            said.starts_with("invalid") || said.starts_with("\"templatefile\" has no result"),
            "{template}\n{said}"
        );
        assert!(said.contains(expected), "{template}\n{said}");
    }
}

#[test]
fn unknown_and_secret_values_go_through() {
    for (template, expected) in [
        ("{{ a }}", "(known after apply)"),
        ("{% for x in a %}{{ x.y }}{% endfor %}", "(known after apply)"),
        ("{{ s }}", "(a secret)"),
        ("{{ deep.k.s }}", "(a secret)"),
        ("{% if s == 'x' %}1{% endif %}", "(a secret)"),
        // What is not read leaves no mark.
        ("plain {{ open }}", "plain o"),
    ] {
        let text = format!(
            "== roles/a.role.hcl\nrole \"a\" {{\n  param \"a\" {{ type = any }}\n  file \"/x\" {{\n    content = templatefile(\"t.j2\", {{ a = param.a, s = secret(\"db\"), open = \"o\", deep = {{ k = {{ s = secret(\"db\") }} }} }})\n  }}\n}}\n== roles/t.j2\n{template}"
        );
        let project = project(&text);
        let schemas = crate::schemas::schemas();
        let foreseen = andon_lang::predict(
            andon_lang::Roles::of(&project, &schemas),
            "a",
            &object("{ a = unknown }"),
            &Value::UNKNOWN,
        );
        let said = match expected {
            "(a secret)" => {
                let catalog = catalog_of(&project, &object("{ a = 1 }"), &facts()).unwrap();
                let content = catalog.resources[0].attributes.get("content").unwrap();
                if content.is_secret() { "(a secret)".to_owned() } else { "open".to_owned() }
            }
            _ => foreseen.unwrap().catalog.resources[0]
                .attributes
                .get("content")
                .map(|it| it.as_str().map_or_else(|| render_value(it, 0), |text| text.trim_end().to_owned()))
                .unwrap(),
        };
        assert_eq!(said, expected, "{template}");
    }
    // Nothing of a secret is said where it does not fit.
    let said = filled("{{ s | int }} {{ s.nope.x }}", "{ s = sensitive(\"hunter2\") }", "");
    assert!(said.contains("roles/web/t.j2:1") && !said.contains("hunter2"), "{said}");
}
