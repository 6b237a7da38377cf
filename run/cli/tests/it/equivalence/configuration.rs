//! Configurations over the independent provider that follow from a seed, and changes of them.

use std::fmt::Write;

use crate::support::Random;

/// What an expression comes to.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Type {
    Text,
    Number,
    Bool,
    Texts,
    Numbers,
    TextSet,
    NumberSet,
    TextMap,
    NumberMap,
    Pair,
    Pairs,
    PairSet,
    Tuple,
    ListMap,
    Deep,
    Any,
    /// An object as nested attributes and blocks have them.
    Body,
    /// The same, without what a set's elements do not have.
    Element,
    Bodies,
    ElementSet,
    BodyMap,
    Forced,
}

use Type::*;

/// Attributes by name.
type Attributes = &'static [(&'static str, Type)];

const KINDS: &[(&str, Type)] = &[
    ("string", Text),
    ("number", Number),
    ("bool", Bool),
    ("dynamic", Any),
    ("strings", Texts),
    ("numbers", Numbers),
    ("set_strings", TextSet),
    ("set_numbers", NumberSet),
    ("map_strings", TextMap),
    ("map_numbers", NumberMap),
    ("object", Pair),
    ("tuple", Tuple),
    ("objects", Pairs),
    ("set_objects", PairSet),
    ("map_lists", ListMap),
    ("deep", Deep),
    ("either_string", Text),
    ("either_number", Number),
    ("either_list", Texts),
    ("either_set", TextSet),
    ("either_map", TextMap),
    ("either_object", Pair),
    ("either_dynamic", Any),
    ("secret", Text),
    ("secrets", TextMap),
];
const NESTED: &[(&str, Type)] = &[
    ("single", Body),
    ("list", Bodies),
    ("set", ElementSet),
    ("map", BodyMap),
    ("forced", Forced),
    ("either_single", Body),
    ("either_list", Bodies),
    ("either_map", BodyMap),
    ("hidden", Bodies),
];
const STEADY: &[(&str, Type)] = &[
    ("text", Text),
    ("forced", Text),
    ("forced_map", TextMap),
    ("forced_either", Text),
    ("folded", Text),
    ("fallback", Text),
    ("fallback_list", Texts),
    ("kept", Text),
    ("late_either", Text),
    ("secret_wo", Text),
    ("secret_version", Number),
];
const LEGACY: &[(&str, Type)] = &[
    ("text", Text),
    ("size", Number),
    ("flags", TextMap),
    ("attached", Pairs),
    ("attached_set", PairSet),
    ("forced", Text),
];
const BLOCKS: &[(&str, Type)] = &[("text", Text)];
const OLD: &[(&str, Type)] = &[("labels", Texts), ("text", Text)];

/// The kinds, what may be given to them, and what others may read of them.
const ALL: &[(&str, Attributes, Attributes)] = &[
    (
        "sky_kinds",
        KINDS,
        &[
            ("string", Text),
            ("either_list", Texts),
            ("either_string", Text),
            ("made_bool", Bool),
            ("made_map", TextMap),
            ("made_list", Texts),
            ("key", Text),
            ("set_strings", TextSet),
            ("object", Pair),
            ("either_dynamic", Any),
            ("made_object", Pair),
            ("secrets", TextMap),
        ],
    ),
    (
        "sky_nested",
        NESTED,
        &[("list[*].label", Texts), ("made_list[*].a", Texts), ("made_single.a", Text), ("either_list[*].note", Texts)],
    ),
    ("sky_blocks", BLOCKS, &[("text", Text), ("list", Any), ("group.color", Text), ("must[0].size", Number)]),
    (
        "sky_steady",
        STEADY,
        &[
            ("text", Text),
            ("from", Text),
            ("late", Text),
            ("late_either", Text),
            ("fresh", Text),
            ("kept", Text),
            ("fallback_list", Texts),
        ],
    ),
    ("sky_legacy", LEGACY, &[("attached", Pairs)]),
    ("sky_old", OLD, &[("labels", Texts), ("text", Text)]),
];

#[derive(Debug, Clone, PartialEq)]
enum Repeat {
    Once,
    Count(u64),
    Each(Vec<&'static str>),
}

#[derive(Debug, Clone)]
struct Resource {
    kind: usize,
    label: String,
    /// Another of these is another name, and so another object.
    generation: u64,
    repeat: Repeat,
    arguments: Vec<(&'static str, String)>,
    blocks: Vec<String>,
    lifecycle: Vec<String>,
    depends_on: Vec<String>,
}

#[derive(Debug, Clone, Default)]
struct Module {
    resources: Vec<Resource>,
    data: Vec<String>,
    outputs: Vec<(String, String)>,
}

/// A configuration: a root module, and one that it calls.
pub struct Configuration {
    random: Random,
    root: Module,
    module: Module,
    call: Repeat,
    inputs: (String, String),
    next: u64,
}

/// What expressions may read.
type Scope = Vec<(String, Type)>;

impl Configuration {
    pub fn new(seed: u64) -> Configuration {
        let mut made = Configuration {
            random: Random::new(seed),
            root: Module::default(),
            module: Module::default(),
            call: Repeat::Once,
            inputs: (String::new(), String::new()),
            next: 0,
        };
        let in_module = 1 + made.random.below(2);
        for _ in 0..in_module {
            let resource = made.resource(true);
            made.module.resources.push(resource);
        }
        let in_root = 4 + made.random.below(4);
        for _ in 0..in_root {
            let resource = made.resource(false);
            made.root.resources.push(resource);
        }
        made.call = made.repeat();
        let scope = made.scope(&made.root.resources[..2], false);
        made.inputs = (made.expression(Text, &scope), made.expression(Texts, &scope));
        for at in 0..2 {
            let data = made.data(at);
            made.root.data.push(data);
        }
        made.outputs();
        made
    }

    /// What others may read of these resources.
    fn scope(&self, resources: &[Resource], in_module: bool) -> Scope {
        let mut scope = vec![("local.text".to_owned(), Text), ("local.many".to_owned(), Texts)];
        if in_module {
            scope.extend([("var.text".to_owned(), Text), ("var.many".to_owned(), Texts)]);
        }
        for resource in resources {
            let address = resource.address();
            let readable = [("id", Text), ("name", Text), ("serial", Number)];
            // A null that is a secret is one to us for longer.
            let given = |name: &str| {
                let value = resource.arguments.iter().find(|(given, _)| *given == name);
                value.is_some_and(|(_, value)| value.starts_with('{') || value.starts_with("merge"))
            };
            for (name, of) in readable.iter().chain(ALL[resource.kind].2) {
                if *name == "secrets" && !given(name) {
                    continue;
                }
                match (&resource.repeat, of) {
                    (Repeat::Once, of) => scope.push((format!("{address}.{name}"), *of)),
                    (Repeat::Count(_), Text) => {
                        scope.push((format!("{address}[*].{name}"), Texts));
                        scope.push((format!("try({address}[0].{name}, \"none\")"), Text));
                    }
                    (Repeat::Each(_), Text) => {
                        scope.push((format!("[for key, it in {address} : it.{name}]"), Texts));
                        scope.push((format!("{{ for key, it in {address} : key => it.{name} }}"), TextMap));
                    }
                    _ => {}
                }
            }
            if resource.repeat == Repeat::Once {
                scope.push((address, Any));
            }
        }
        scope
    }

    fn repeat(&mut self) -> Repeat {
        match self.random.below(4) {
            0 => Repeat::Count(self.random.below(4)),
            1 => {
                let keys = ["a", "b c", "d.e", "f"];
                Repeat::Each(keys.into_iter().filter(|_| self.random.below(2) == 0).collect())
            }
            _ => Repeat::Once,
        }
    }

    fn resource(&mut self, in_module: bool) -> Resource {
        self.next += 1;
        let before = if in_module { &self.module.resources } else { &self.root.resources };
        let mut scope = self.scope(before, in_module);
        let addresses: Vec<(String, Repeat)> = before.iter().map(|it| (it.address(), it.repeat.clone())).collect();
        if !in_module {
            scope.extend([("module.m[*].ids".to_owned(), Any), ("local.of_module".to_owned(), Texts)]);
        }
        let kind = self.random.below(ALL.len() as u64) as usize;
        let mut resource = Resource {
            kind,
            label: format!("r{}", self.next),
            generation: 0,
            repeat: self.repeat(),
            arguments: Vec::new(),
            blocks: Vec::new(),
            lifecycle: Vec::new(),
            depends_on: Vec::new(),
        };
        resource.own(&mut scope);
        let possible = ALL[kind].1;
        for (name, of) in possible {
            if self.random.below(if possible.len() > 12 { 3 } else { 2 }) == 0 {
                resource.arguments.push((name, self.expression(*of, &scope)));
            }
        }
        self.blocks(&mut resource, &scope);
        if self.random.below(3) == 0 {
            let option = self.lifecycle(kind, &addresses);
            resource.lifecycle.push(option);
        }
        if self.random.below(6) == 0 && !addresses.is_empty() {
            resource.depends_on.push(self.random.pick(&addresses).0.clone());
        }
        resource
    }

    fn lifecycle(&mut self, kind: usize, addresses: &[(String, Repeat)]) -> String {
        let attribute = self.random.pick(ALL[kind].1).0;
        match self.random.below(8) {
            0..=2 => "create_before_destroy = true".to_owned(),
            3 => format!("ignore_changes = [{attribute}]"),
            4 => "ignore_changes = all".to_owned(),
            5 if !addresses.is_empty() => {
                let address = self.random.pick(addresses);
                match self.random.below(2) {
                    0 => format!("replace_triggered_by = [{}]", address.0),
                    _ if address.1 == Repeat::Once => format!("replace_triggered_by = [{}.id]", address.0),
                    _ => format!("replace_triggered_by = [{}]", address.0),
                }
            }
            6 => {
                "postcondition {\n      condition     = length(self.id) > 2\n      error_message = \"too short\"\n    }"
                    .to_owned()
            }
            _ => {
                let limit = self.random.below(6);
                format!(
                    "precondition {{\n      condition     = length(local.text) != {limit}\n      \
                     error_message = \"not so long\"\n    }}"
                )
            }
        }
    }

    fn blocks(&mut self, resource: &mut Resource, scope: &Scope) {
        resource.blocks.clear();
        match ALL[resource.kind].0 {
            "sky_blocks" => {
                let mut found = Vec::new();
                let size = self.random.below(3);
                found.push(format!("must {{\n    size = {size}\n  }}"));
                for (name, of) in [("single", Body), ("list", Body), ("list", Body), ("set", Element), ("map", Body)] {
                    if self.random.below(2) == 0 {
                        let label = if name == "map" { " \"key\"" } else { "" };
                        let inner = match (name, self.random.below(2)) {
                            ("list", 0) => format!("    leaf {{\n{}    }}\n", self.body(Body, scope, "      ")),
                            ("set", 0) => format!("    leaf {{\n{}    }}\n", self.body(Element, scope, "      ")),
                            _ => String::new(),
                        };
                        found.push(format!("{name}{label} {{\n{}{inner}  }}", self.body(of, scope, "    ")));
                    }
                }
                if self.random.below(3) == 0 {
                    let color = self.expression(Text, scope);
                    found.push(format!("group {{\n    color = {color}\n  }}"));
                }
                for _ in 0..self.random.below(3) {
                    let any = self.expression(Any, scope);
                    found.push(format!("mixed {{\n    any = {any}\n  }}"));
                }
                if self.random.below(2) == 0 {
                    let over = self.expression(Texts, scope);
                    let name = self.random.pick(&["set", "set", "mixed"]);
                    let host = if *name == "mixed" { "any " } else { "host" };
                    found.push(format!(
                        "dynamic \"{name}\" {{\n    for_each = {over} == null ? [] : {over}\n    content {{\n      \
                         port = 1\n      {host} = {name}.value\n    }}\n  }}"
                    ));
                }
                resource.blocks = found;
            }
            "sky_legacy" if self.random.below(2) == 0 => {
                let text = self.expression(Text, scope);
                resource.blocks.push(format!("leaf {{\n    text = {text}\n  }}"));
            }
            _ => {}
        }
    }

    fn data(&mut self, at: u64) -> String {
        let mut scope = self.scope(&self.root.resources, false);
        // Of one of many instances Terraform waits for all.
        scope.retain(|(text, _)| !text.starts_with("try("));
        if self.random.below(2) == 0 {
            let at_random = self.random.below(self.root.resources.len() as u64) as usize;
            let resource = &self.root.resources[at_random];
            let name = match resource.repeat {
                Repeat::Once => format!("{}.name", resource.address()),
                _ => "\"root-r1-0\"".to_owned(),
            };
            let mut text = format!("data \"sky_find\" \"d{at}\" {{\n  name     = {name}\n  optional = true\n");
            if self.random.below(2) == 0 {
                let _ = writeln!(text, "  depends_on = [{}]", resource.address());
            }
            return text + "}\n";
        }
        let (text, any) = (self.expression(Text, &scope), self.expression(Any, &scope));
        let nested = self.expression(BodyMap, &scope).replace("zone", "note");
        let values = self.expression(Texts, &scope);
        format!(
            "data \"sky_echo\" \"d{at}\" {{\n  text = {text}\n  any = {any}\n  nested = {nested}\n  secret = \"s\"\n  \
             filter {{\n    name = \"f\"\n    values = {values} == null ? [] : {values}\n  }}\n}}\n"
        )
    }

    fn outputs(&mut self) {
        let scope = self.scope(&self.root.resources, false);
        let mut outputs = Vec::new();
        for at in 0..4 {
            outputs.push((format!("o{at}"), self.random.pick(&scope).0.clone()));
        }
        outputs.push(("data0".to_owned(), "data.".to_owned() + &kind_of(&self.root.data[0]) + ".d0"));
        outputs.push(("module".to_owned(), "module.m".to_owned()));
        self.root.outputs = outputs;
    }

    /// The attributes of a nested object.
    fn body(&mut self, of: Type, scope: &Scope, indent: &str) -> String {
        let mut text = format!("{indent}port = {}\n", self.random.below(4));
        let mut more = vec![("host", Text), ("tags", TextMap), ("note", Text), ("password", Text)];
        if of == Body {
            more.push(("zone", Text));
        }
        for (name, of) in more {
            if self.random.below(3) == 0 {
                let _ = writeln!(text, "{indent}{name} = {}", self.expression(of, scope));
            }
        }
        text
    }

    fn expression(&mut self, of: Type, scope: &Scope) -> String {
        self.deeper(of, scope, 0)
    }

    fn deeper(&mut self, of: Type, scope: &Scope, depth: u32) -> String {
        let readable: Vec<&String> = scope.iter().filter(|(_, it)| *it == of).map(|(text, _)| text).collect();
        let chance = self.random.below(12);
        if chance < 4 && !readable.is_empty() {
            return (*self.random.pick(&readable)).clone();
        }
        if chance == 4 && depth == 0 {
            return "null".to_owned();
        }
        if depth > 3 {
            return simple(of).to_owned();
        }
        let texts: Vec<&String> = scope.iter().filter(|(_, it)| *it == Text).map(|(text, _)| text).collect();
        let text = (*self.random.pick(&texts)).clone();
        let deeper = depth + 1;
        match of {
            Text => {
                let literals = [
                    "\"\"",
                    "\"a\"",
                    "\"B\"",
                    "\"b\"",
                    "\"Ä ö\"",
                    "\"two\\nlines\"",
                    "\"$${x}\"",
                    "\"12\"",
                    "\"true\"",
                ];
                match self.random.below(6) {
                    0 => format!("try(\"x-${{{text}}}\", \"n\")"),
                    1 => format!("try(upper({text}), \"N\")"),
                    2 => "tostring(12.50)".to_owned(),
                    3 => format!("sensitive(try(\"s-${{{text}}}\", \"n\"))"),
                    _ => (*self.random.pick(&literals)).to_owned(),
                }
            }
            Number => {
                let literals = ["0", "-1", "1.5", "\"12\"", "100000000000000000000", "1e-7", "3"];
                match self.random.below(4) {
                    0 => format!("try(length({text}), 0)"),
                    _ => (*self.random.pick(&literals)).to_owned(),
                }
            }
            Bool => self.random.pick(&["true", "false", "\"true\"", "local.text == \"a\""]).to_string(),
            Texts | TextSet => match self.random.below(5) {
                0 => "[]".to_owned(),
                1 => format!("[{}]", self.deeper(Text, scope, deeper)),
                2 => format!("[for it in [{text}, \"z\"] : try(\"${{it}}!\", \"i\")]"),
                3 => format!("concat([\"c\"], [{text}])"),
                _ => format!("[{}, {}]", self.deeper(Text, scope, deeper), self.deeper(Text, scope, deeper)),
            },
            Numbers | NumberSet => {
                format!("[{}, {}, 7]", self.deeper(Number, scope, deeper), self.deeper(Number, scope, deeper))
            }
            TextMap => match self.random.below(4) {
                0 => "{}".to_owned(),
                1 => format!("merge({{ m = \"1\" }}, {{ k = {} }})", self.deeper(Text, scope, deeper)),
                _ => format!(
                    "{{ a = {}, \"b c\" = {} }}",
                    self.deeper(Text, scope, deeper),
                    self.deeper(Text, scope, deeper)
                ),
            },
            NumberMap => format!("{{ a = {}, z = 2 }}", self.deeper(Number, scope, deeper)),
            Pair => {
                format!("{{ a = {}, b = {} }}", self.deeper(Text, scope, deeper), self.deeper(Number, scope, deeper))
            }
            Pairs | PairSet => match self.random.below(4) {
                0 => "[]".to_owned(),
                1 => format!("[for it in [{text}, \"q\"] : {{ a = it, b = 1 }}]"),
                _ => format!("[{}, {}]", self.deeper(Pair, scope, deeper), self.deeper(Pair, scope, deeper)),
            },
            Tuple => format!(
                "[{}, {}, {}]",
                self.deeper(Text, scope, deeper),
                self.deeper(Number, scope, deeper),
                self.deeper(Bool, scope, deeper)
            ),
            ListMap => format!("{{ a = {}, b = [] }}", self.deeper(Texts, scope, deeper)),
            Deep => format!(
                "{{ in = [{{ set = {}, any = {} }}] }}",
                self.deeper(TextSet, scope, deeper),
                self.deeper(Bool, scope, deeper)
            ),
            Any => {
                let of = *self.random.pick(&[Text, Number, Bool, Texts, TextMap, Pair, Tuple, Pairs]);
                self.deeper(of, scope, deeper)
            }
            Body | Element => {
                let body = self.body(of, scope, "");
                format!("{{ {} }}", body.trim().replace('\n', ", "))
            }
            Bodies => match self.random.below(3) {
                0 => "[]".to_owned(),
                1 => format!("[for it in [{text}, \"q\"] : {{ port = 5, host = it }}]"),
                _ => format!("[{}, {}]", self.deeper(Body, scope, deeper), self.deeper(Body, scope, deeper)),
            },
            ElementSet => match self.random.below(3) {
                0 => format!("[for it in [{text}, \"q\"] : {{ port = 5, host = it }}]"),
                _ => format!("[{}, {}]", self.deeper(Element, scope, deeper), self.deeper(Element, scope, deeper)),
            },
            BodyMap => match self.random.below(3) {
                0 => "{}".to_owned(),
                _ => format!(
                    "{{ a = {}, \"b c\" = {} }}",
                    self.deeper(Body, scope, deeper),
                    self.deeper(Body, scope, deeper)
                ),
            },
            Forced => {
                let size = self.random.below(3);
                format!("{{ size = {size}, color = {} }}", self.deeper(Text, scope, deeper))
            }
        }
    }

    /// Changes something; what was changed.
    pub fn change(&mut self) -> String {
        let in_module = self.random.below(5) == 0;
        let count = if in_module { self.module.resources.len() } else { self.root.resources.len() } as u64;
        if count == 0 || self.random.below(10) == 0 {
            let resource = self.resource(in_module);
            let address = resource.address();
            if in_module { &mut self.module } else { &mut self.root }.resources.push(resource);
            return format!("added {address}");
        }
        if self.random.below(12) == 0 {
            self.call = self.repeat();
            return format!("the module is called {:?}", self.call);
        }
        let at = self.random.below(count) as usize;
        let all = if in_module { &self.module.resources } else { &self.root.resources };
        let mut scope = self.scope(&all[..at], in_module);
        let addresses: Vec<(String, Repeat)> = all[..at].iter().map(|it| (it.address(), it.repeat.clone())).collect();
        let mut resource = all[at].clone();
        resource.own(&mut scope);
        let address = resource.address();
        let done = match self.random.below(12) {
            0 => {
                resource.generation += 1;
                "another name".to_owned()
            }
            1 if resource.repeat != Repeat::Once => {
                resource.repeat = match resource.repeat {
                    Repeat::Count(_) => Repeat::Count(self.random.below(4)),
                    _ => Repeat::Each(["a", "f", "g"].into_iter().filter(|_| self.random.below(2) == 0).collect()),
                };
                format!("{:?}", resource.repeat)
            }
            2 => {
                resource.lifecycle = match self.random.below(2) {
                    0 => Vec::new(),
                    _ => vec![self.lifecycle(resource.kind, &addresses)],
                };
                format!("{:?}", resource.lifecycle)
            }
            3 if !resource.arguments.is_empty() => {
                let at = self.random.below(resource.arguments.len() as u64) as usize;
                let gone = resource.arguments.remove(at);
                format!("without {}", gone.0)
            }
            4 => {
                self.blocks(&mut resource, &scope);
                "other blocks".to_owned()
            }
            5 if !self.is_read(&address) => {
                let all = if in_module { &mut self.module } else { &mut self.root };
                all.resources.remove(at);
                return format!("removed {address}");
            }
            _ => {
                let (name, of) = *self.random.pick(ALL[resource.kind].1);
                let value = self.expression(of, &scope);
                resource.arguments.retain(|(given, _)| *given != name);
                let done = format!("{name} = {value}");
                resource.arguments.push((name, value));
                done
            }
        };
        if in_module { &mut self.module } else { &mut self.root }.resources[at] = resource;
        format!("{}{address}: {done}", if in_module { "module.m." } else { "" })
    }

    fn is_read(&self, address: &str) -> bool {
        let text = format!("{}{}", self.root_text(), self.module_text());
        text.match_indices(address)
            .any(|(at, _)| !text[at + address.len()..].starts_with(|next: char| next.is_ascii_digit()))
    }

    /// A number below this one, from the configuration's own seed.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.random.below(limit)
    }

    /// The address of a resource that is there once.
    pub fn single(&mut self) -> Option<String> {
        let single = self.root.resources.iter().filter(|it| it.repeat == Repeat::Once);
        let single: Vec<String> = single.map(Resource::address).collect();
        (!single.is_empty()).then(|| self.random.pick(&single).clone())
    }

    pub fn root_text(&self) -> String {
        let mut text = "terraform {\n  required_providers {\n    sky = { source = \"example.com/test/sky\" }\n  }\n}\n\
             variable \"cloud\" {}\nprovider \"sky\" {\n  cloud = var.cloud\n}\n\
             locals {\n  text = \"a\"\n  many = [\"a\", \"b\"]\n  of_module = flatten(module.m[*])[*].first\n}\n"
            .replace(
                "flatten(module.m[*])[*].first",
                match self.call {
                    Repeat::Once => "[module.m.first]",
                    Repeat::Count(_) => "module.m[*].first",
                    Repeat::Each(_) => "values(module.m)[*].first",
                },
            );
        let (repeat, suffix) = self.call.text();
        let _ = write!(
            text,
            "module \"m\" {{\n  source = \"./m\"\n{repeat}  prefix = \"m{suffix}\"\n  text = {}\n  many = {}\n}}\n",
            self.inputs.0, self.inputs.1
        );
        self.root.resources.iter().for_each(|resource| text += &resource.text("root"));
        self.root.data.iter().for_each(|data| text += data);
        for (name, value) in &self.root.outputs {
            let _ = write!(text, "output \"{name}\" {{\n  value     = {value}\n  sensitive = true\n}}\n");
        }
        text.replace("module.m[*].ids", "module.m")
    }

    pub fn module_text(&self) -> String {
        let mut text = "terraform {\n  required_providers {\n    sky = { source = \"example.com/test/sky\" }\n  }\n}\n\
             variable \"prefix\" {}\nvariable \"text\" {\n  type     = string\n  default  = \"t\"\n  nullable = false\n}\n\
             variable \"many\" {\n  type     = list(string)\n  default  = []\n  nullable = false\n}\n\
             locals {\n  text = var.text\n  many = concat(var.many, [\"l\"])\n}\n"
            .to_owned();
        self.module.resources.iter().for_each(|resource| text += &resource.text("${var.prefix}"));
        let first = self.module.resources.first().map_or("\"\"".to_owned(), |it| match it.repeat {
            Repeat::Once => format!("{}.id", it.address()),
            Repeat::Count(_) => format!("join(\",\", {}[*].id)", it.address()),
            Repeat::Each(_) => format!("join(\",\", values({})[*].id)", it.address()),
        });
        let _ = write!(text, "output \"first\" {{\n  value = {first}\n}}\n");
        text
    }
}

/// The kind of a data source, from its text.
fn kind_of(data: &str) -> String {
    data.split('"').nth(1).unwrap_or_default().to_owned()
}

/// The simplest that a type has.
fn simple(of: Type) -> &'static str {
    match of {
        Text | Any => "\"s\"",
        Number => "1",
        Bool => "true",
        Texts | Numbers | TextSet | NumberSet | Pairs | PairSet | Bodies | ElementSet => "[]",
        TextMap | NumberMap | ListMap | BodyMap => "{}",
        Pair => "{ a = \"p\", b = 1 }",
        Tuple => "[\"t\", 1, true]",
        Deep => "{ in = [] }",
        Body | Element => "{ port = 1 }",
        Forced => "{ size = 1 }",
    }
}

impl Repeat {
    /// The argument, and what tells a name apart from those of other instances.
    fn text(&self) -> (String, &'static str) {
        match self {
            Repeat::Once => (String::new(), "-0"),
            Repeat::Count(count) => (format!("  count = {count}\n"), "-${count.index}"),
            Repeat::Each(keys) => (format!("  for_each = toset({keys:?})\n"), "-${each.key}"),
        }
    }
}

impl Resource {
    fn address(&self) -> String {
        format!("{}.{}", ALL[self.kind].0, self.label)
    }

    /// What only its own expressions read.
    fn own(&self, scope: &mut Scope) {
        match self.repeat {
            Repeat::Once => {}
            Repeat::Count(_) => scope.push(("tostring(count.index)".to_owned(), Text)),
            Repeat::Each(_) => scope.push(("each.key".to_owned(), Text)),
        }
    }

    fn text(&self, prefix: &str) -> String {
        let (repeat, suffix) = self.repeat.text();
        let generation = if self.generation == 0 { String::new() } else { format!("g{}", self.generation) };
        let mut text = format!(
            "resource \"{}\" \"{}\" {{\n{repeat}  name = \"{prefix}-{}{generation}{suffix}\"\n",
            ALL[self.kind].0, self.label, self.label
        );
        for (name, value) in &self.arguments {
            let _ = writeln!(text, "  {name} = {value}");
        }
        for block in &self.blocks {
            let _ = writeln!(text, "  {block}");
        }
        if !self.lifecycle.is_empty() {
            let _ = writeln!(text, "  lifecycle {{\n    {}\n  }}", self.lifecycle.join("\n    "));
        }
        if !self.depends_on.is_empty() {
            let _ = writeln!(text, "  depends_on = [{}]", self.depends_on.join(", "));
        }
        text + "}\n"
    }
}
