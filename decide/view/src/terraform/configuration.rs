//! The definitions of a stack: what is written, not what it comes to.

use std::collections::BTreeMap;
use std::sync::Arc;

use andon_hcl::Step as Written;
use andon_hcl::ast::{Body, Expr, ExprKind};
use andon_lang::FileSet;
use andon_lang::definitions::{Module, ModuleCall, OutputDefinition, ResourceDefinition, Variable, configuration};
use andon_lang::eval::{Inputs, Name, Resolved, Scope, Step, evaluate, resolved};
use andon_schema::{Block, Mode, Nesting, ProviderAddress, Schemas};
use andon_text::{Diagnostic, deeper};
use andon_value::{quote, to_json};
use serde_json::{Map, Value as Json, json};

use super::values::Members;

/// The `configuration` of a stack whose root module is given.
pub fn configuration_json(root: &Module, schemas: &Schemas) -> Json {
    let mut providers = BTreeMap::new();
    let view = View { root, calls: Vec::new(), schemas };
    view.providers(root, &mut providers);
    let providers: Map<String, Json> = providers.into_iter().collect();
    Members::default().unless_empty("provider_config", providers).put("root_module", view.module(root)).json()
}

/// One module of the tree, and the way to it.
struct View<'a> {
    root: &'a Module,
    calls: Vec<&'a ModuleCall>,
    schemas: &'a Schemas,
}

impl<'a> View<'a> {
    /// The address of the module at a depth of the way; empty for the root.
    fn address(&self, depth: usize) -> String {
        let names = self.calls.iter().take(depth).map(|call| format!("module.{}", call.name.name));
        names.collect::<Vec<_>>().join(".")
    }

    /// How a provider configuration is called whose block is in the module at a depth.
    fn key(&self, depth: usize, name: &str, alias: Option<&str>) -> String {
        let name = alias.map_or_else(|| name.to_owned(), |alias| format!("{name}.{alias}"));
        if depth == 0 { name } else { format!("{}:{name}", self.address(depth)) }
    }

    fn within(&self, call: &'a ModuleCall) -> View<'a> {
        View { calls: self.calls.iter().copied().chain([call]).collect(), ..*self }
    }

    /// Every provider configuration: those with a block, and in the root module all that it requires or uses.
    fn providers(&self, module: &'a Module, found: &mut BTreeMap<String, Json>) {
        let depth = self.calls.len();
        let entry = |name: &str, alias: Option<&str>, version: Option<String>, expressions: Json| {
            let address = module.provider_address(name);
            Members::default()
                .put("name", name)
                .put("full_name", address.to_string())
                .some("alias", alias)
                .unless_empty("version_constraint", version.unwrap_or_default())
                .unless_empty("module_address", self.address(depth))
                .unless_empty("expressions", expressions)
                .json()
        };
        let required = |name: &str| {
            let required = module.settings.required_providers.get(name)?;
            required.version.as_ref().map(|version| version.name.to_string())
        };
        for ((name, alias), definition) in &module.providers {
            let version = required(name).or_else(|| definition.version.as_ref().map(|it| it.name.to_string()));
            let config = self.schemas.providers.get(&module.provider_address(name)).map(|schema| &schema.config);
            let expressions = expressions(&definition.body, config);
            let alias = alias.as_deref();
            found.insert(self.key(depth, name, alias), entry(name, alias, version, expressions));
        }
        if depth == 0 {
            for name in module.settings.required_providers.keys() {
                let key = self.key(depth, name, None);
                found.entry(key).or_insert_with(|| entry(name, None, required(name), Json::Null));
            }
            let used = module.resources.values().map(|resource| module.provider_of(resource));
            let required = module.settings.required_providers.values().map(|required| required.address.clone());
            let blocks = module.providers.keys().map(|(name, _)| module.provider_address(name));
            for address in used.chain(required).chain(blocks) {
                found.entry(address.name.to_string()).or_insert_with(|| implied(&address));
            }
        }
        for call in module.calls.values() {
            deeper(|| self.within(call).providers(&call.module, found));
        }
    }

    fn module(&self, module: &'a Module) -> Json {
        let of_checks = module.checks.values().filter_map(|check| check.data.as_ref());
        let lasting = module.resources.values().filter(|resource| resource.key.mode != Mode::Ephemeral);
        let mut resources: Vec<&Arc<ResourceDefinition>> = lasting.chain(of_checks).collect();
        resources.sort_by_key(|resource| (resource.key.mode, resource.key.kind.clone(), resource.key.name.clone()));
        let resources: Vec<Json> = resources.into_iter().map(|resource| self.resource(module, resource)).collect();
        let calls = module.calls.iter().map(|(name, call)| (name.to_string(), deeper(|| self.call(call))));
        let outputs = module.outputs.iter().map(|(name, definition)| (name.to_string(), output(definition)));
        let variables = module.variables.iter().map(|(name, definition)| (name.to_string(), variable(definition)));
        Members::default()
            .unless_empty("outputs", outputs.collect::<Map<_, _>>())
            .unless_empty("resources", resources)
            .unless_empty("module_calls", calls.collect::<Map<_, _>>())
            .unless_empty("variables", variables.collect::<Map<_, _>>())
            .json()
    }

    fn resource(&self, module: &'a Module, resource: &ResourceDefinition) -> Json {
        let key = &resource.key;
        let provider = module.provider_of(resource);
        let schema = self.schemas.type_of(&provider, key.mode, &key.kind).ok().flatten();
        let provisioners = resource.provisioners.iter().map(|provisioner| {
            let body = expressions(&provisioner.body, None);
            Members::default().put("type", &*provisioner.kind.name).unless_empty("expressions", body).json()
        });
        Members::default()
            .put("address", format!("{}{}.{}", key.mode.prefix(), key.kind, key.name))
            .put("mode", mode(key.mode))
            .put("type", &*key.kind)
            .put("name", &*key.name)
            .put("provider_config_key", self.provider_key(resource))
            .unless_empty("provisioners", provisioners.collect::<Vec<_>>())
            .unless_empty("expressions", expressions(&resource.body, schema.map(|schema| &schema.block)))
            .put("schema_version", schema.map_or(0, |schema| schema.version))
            .unless_empty("count_expression", resource.count.as_deref().map_or(Json::Null, expression))
            .unless_empty("for_each_expression", resource.for_each.as_deref().map_or(Json::Null, expression))
            .unless_empty("depends_on", depends_on(&resource.depends_on))
            .json()
    }

    fn provider_key(&self, resource: &ResourceDefinition) -> String {
        let own = resource.provider_key();
        let found = configuration(self.root, &self.calls, &own);
        match found.definition {
            Some(block) => self.key(found.depth, &block.name.name, block.alias.as_ref().map(|alias| &*alias.name)),
            // Nothing configures it; the root module calls it by a name of its own.
            None => {
                let module = self.calls.last().map_or(self.root, |call| &call.module);
                self.root.provider_name(&module.provider_address(&own.0)).to_string()
            }
        }
    }

    fn call(&self, call: &'a ModuleCall) -> Json {
        Members::default()
            .unless_empty("source", call.source.as_ref().map(|source| source.name.to_string()).unwrap_or_default())
            .unless_empty("expressions", expressions(&call.arguments, None))
            .unless_empty("count_expression", call.count.as_ref().map_or(Json::Null, expression))
            .unless_empty("for_each_expression", call.for_each.as_ref().map_or(Json::Null, expression))
            .put("module", self.within(call).module(&call.module))
            .some("version_constraint", call.version.as_ref().map(|version| &*version.name))
            .unless_empty("depends_on", depends_on(&call.depends_on))
            .json()
    }
}

/// A provider that nothing configures and that only its use tells of.
fn implied(address: &ProviderAddress) -> Json {
    json!({ "name": &*address.name, "full_name": address.to_string() })
}

fn output(output: &OutputDefinition) -> Json {
    Members::default()
        .unless_empty("sensitive", output.sensitive)
        .put("expression", expression(&output.value))
        .unless_empty("depends_on", depends_on(&output.depends_on))
        .unless_empty("description", output.description.as_str())
        .json()
}

fn variable(variable: &Variable) -> Json {
    let default = variable.default.as_ref().and_then(|_| variable.value(None, "variable").ok());
    Members::default()
        .some("default", default.and_then(|value| to_json(&value).ok()))
        .unless_empty("description", variable.description.as_str())
        .unless_empty("sensitive", variable.sensitive)
        .json()
}

pub(super) fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Managed => "managed",
        Mode::Data => "data",
        Mode::Ephemeral => "ephemeral",
    }
}

/// The expressions of a body by argument, and of its blocks by kind. Without a schema, those of its arguments. What a
/// `dynamic` block makes is not among them.
fn expressions(body: &Body, schema: Option<&Block>) -> Json {
    let open;
    let body = match schema {
        Some(schema) => {
            open = resolved(body, schema).0;
            &open
        }
        None => body,
    };
    let mut found = Map::new();
    for attribute in body.attributes() {
        found.insert(attribute.name.name.to_string(), expression(&attribute.value));
    }
    for block in body.blocks() {
        let Some(nested) = schema.and_then(|schema| schema.blocks.get(&*block.kind.name)) else {
            // An argument whose elements are objects may be written as blocks.
            if schema.is_some_and(|schema| schema.attributes.contains_key(&*block.kind.name)) {
                let inner = deeper(|| expressions(&block.body, None));
                let all = found.entry(block.kind.name.to_string()).or_insert_with(|| json!([]));
                all.as_array_mut().into_iter().for_each(|all| all.push(inner.clone()));
            }
            continue;
        };
        let inner = deeper(|| expressions(&block.body, Some(&nested.block)));
        let name = block.kind.name.to_string();
        match nested.nesting {
            Nesting::Single | Nesting::Group => drop(found.insert(name, inner)),
            Nesting::List | Nesting::Set => {
                if let Json::Array(all) = found.entry(name).or_insert_with(|| json!([])) {
                    all.push(inner);
                }
            }
            Nesting::Map => {
                let label = block.labels.first().map(|label| label.name.to_string()).unwrap_or_default();
                if let Json::Object(all) = found.entry(name).or_insert_with(|| json!({})) {
                    all.insert(label, inner);
                }
            }
        }
    }
    Json::Object(found)
}

/// What an expression comes to, where it reads nothing and calls nothing; and all that it reads.
fn expression(expr: &Expr) -> Json {
    let mut references = Vec::new();
    expr.references().iter().for_each(|reference| names(&reference.root.name, &reference.steps, &mut references));
    let mut calls = false;
    expr.walk(&mut |part| calls |= matches!(part.kind, ExprKind::Call { .. }));
    let constant = (references.is_empty() && !calls).then(|| constant(expr)).flatten();
    Members::default().some("constant_value", constant).unless_empty("references", references).json()
}

fn constant(expr: &Expr) -> Option<Json> {
    let files = FileSet::new();
    let value = evaluate(expr, &Nothing(Inputs::of_files(&files, "", ""))).ok()?;
    to_json(&value).ok()
}

/// A scope without a name in it.
struct Nothing<'a>(Inputs<'a>);

impl Scope for Nothing<'_> {
    fn resolve(&self, root: Name<'_>, _: &[Step]) -> Result<Resolved, Diagnostic> {
        Err(Diagnostic::error("nothing can be read here").at(root.span))
    }

    fn inputs(&self) -> Inputs<'_> {
        self.0
    }
}

/// A reference as the format has it: all of it, then ever less of it, down to what it names. What it names of several is
/// followed by all of them.
fn names(root: &str, steps: &[Written], found: &mut Vec<String>) {
    let known = steps.iter().take_while(|step| !matches!(step, Written::Unknown(_) | Written::Splat(_)));
    let texts: Vec<String> = known
        .map(|step| match step {
            Written::Attribute(name) => format!(".{}", name.name),
            Written::Number(digits, _) => format!("[{digits}]"),
            Written::Key(key, _) => format!("[{}]", quote(key)),
            Written::Unknown(_) | Written::Splat(_) => String::new(),
        })
        .collect();
    let is_key = |at: usize| texts.get(at).is_some_and(|text| text.starts_with('['));
    // How many steps name one thing; and how many, beneath that, name all of them.
    let (own, all) = match root {
        "var" | "local" | "each" | "count" | "path" | "terraform" => (1, None),
        "self" => (0, None),
        "module" => {
            let keyed = 1 + usize::from(is_key(1));
            match texts.get(keyed).is_some_and(|text| text.starts_with('.')) {
                true => (keyed + 1, Some(keyed)),
                false => (keyed, (keyed > 1).then_some(1)),
            }
        }
        _ => {
            let plain = if matches!(root, "data" | "ephemeral") { 2 } else { 1 };
            (plain + usize::from(is_key(plain)), is_key(plain).then_some(plain))
        }
    };
    if texts.len() < own {
        return;
    }
    let text = |count: usize| format!("{root}{}", texts.iter().take(count).map(String::as_str).collect::<String>());
    found.extend((own..=texts.len()).rev().map(text));
    found.extend(all.map(text));
}

fn depends_on(all: &[Expr]) -> Vec<String> {
    let written = all.iter().filter_map(Expr::as_reference);
    let whole = written.filter_map(|reference| {
        let mut found = Vec::new();
        names(&reference.root.name, &reference.steps, &mut found);
        found.into_iter().next()
    });
    whole.collect()
}
