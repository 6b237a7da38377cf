//! Images: from a definition to a recipe, and the key that changes when the image could.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use andon_hcl::ast::{Expr, ExprKind};
use andon_schema::Schemas;
use andon_text::{Diagnostic, Diagnostics, Span};
use andon_value::{Value, encode};

use crate::definitions::{Image, Project, Role};
use crate::eval::evaluate;
use crate::fingerprint::Fingerprint;
use crate::image_output::check_outputs;
use crate::literal;
use crate::reference::{as_reference, name_at};
use crate::role::{Places, Prediction, Roles, find, lineage, origin, params, predict};
use crate::shape::suggest;
use crate::variable::Constants;

/// How an image is baked.
#[derive(Debug, Clone, PartialEq)]
pub struct Recipe {
    /// The image's name.
    pub name: Arc<str>,
    /// What it is baked from, as written: an OCI reference, a release, a path, `host`, or `image.NAME`.
    pub from: String,
    /// The roles baked into it, in order.
    pub roles: Vec<Arc<str>>,
    /// Changes exactly when what the roles ask for could: 64 hexadecimal digits. A comment changes nothing. That
    /// which `from` names has to be added to it.
    pub key: String,
    params: BTreeMap<Arc<str>, Value>,
    whole: BTreeMap<Arc<str>, Value>,
}

impl Recipe {
    /// The parameters of one of its roles: those of the image's that the role has.
    pub fn params_of(&self, role: &str) -> Value {
        self.params.get(role).cloned().unwrap_or(Value::NULL)
    }

    /// All parameters of its roles, by role, also those that have their defaults: what is sensitive is marked so.
    pub fn all_params(&self) -> Value {
        Value::object(self.whole.clone())
    }
}

/// How an image of the project is baked.
pub fn image_recipe(project: &Project, name: &str, schemas: &Schemas) -> Result<Recipe, Diagnostics> {
    let image = find_image(project, name, None)?;
    acyclic(project, image)?;
    let from = base(&image.from)?;
    let given = given(project, image)?;
    let (roles, params, whole) = roles(project, image, &given)?;
    let mut fingerprint = Fingerprint::new(&project.files);
    fingerprint.piece("andon recipe 2");
    let mut out = Diagnostics::new();
    for role in &roles {
        let name = &role.name.name;
        let params = params.get(name).cloned().unwrap_or(Value::NULL);
        let facts = Value::UNKNOWN;
        match predict(Roles::of(project, schemas), name, &params, &facts) {
            Ok(prediction) => add_role(&mut fingerprint, project, role, &prediction, &params)?,
            Err(errors) => out.extend(errors),
        }
    }
    if !out.is_empty() {
        return Err(out);
    }
    let roles = roles.iter().map(|role| role.name.name.clone()).collect();
    Ok(Recipe { name: image.name.name.clone(), from, roles, key: fingerprint.finish(), params, whole })
}

/// The image of a name.
pub(crate) fn find_image<'p>(project: &'p Project, name: &str, place: Option<Span>) -> Result<&'p Image, Diagnostic> {
    project.images.get(name).map(|image| &**image).ok_or_else(|| {
        let diagnostic = Diagnostic::error(format!("there is no image \"{name}\"")).named(Diagnostic::UNDECLARED);
        suggest(Diagnostic { span: place, ..diagnostic }, name, project.images.keys().map(|name| &**name))
    })
}

/// Holds an image's definition against the roles and images that it names.
pub(crate) fn check_image(project: &Project, image: &Image, out: &mut Diagnostics) {
    let mut note = |result: Result<(), Diagnostics>| out.extend(result.err().into_iter().flatten());
    note(acyclic(project, image).map_err(Diagnostics::from));
    note(base(&image.from).map(drop));
    note(given(project, image).and_then(|given| roles(project, image, &given).map(drop)));
    check_outputs(project, image, out);
}

/// What it is baked from: text that is written out, or `image.NAME`.
fn base(from: &Expr) -> Result<String, Diagnostics> {
    if from.kind == ExprKind::Invalid {
        return Ok(String::new());
    }
    if let Some(text) = literal::string(from) {
        return Ok(text.to_string());
    }
    match as_reference(from) {
        Some(reference) if &**reference.root == "image" && reference.steps.len() == 1 => {
            Ok(name_at(&reference, 0).map(|(name, _)| format!("image.{name}")).unwrap_or_default())
        }
        _ => Err(Diagnostic::error("\"from\" must be written out")
            .at(from.span)
            .help("Write text, such as \"debian:bookworm\", or another image: image.NAME")
            .into()),
    }
}

fn parent<'p>(project: &'p Project, image: &Image) -> Result<Option<&'p Image>, Diagnostic> {
    // Errors of `from` are its own.
    let from = base(&image.from).unwrap_or_default();
    from.strip_prefix("image.").map(|name| find_image(project, name, Some(image.from.span))).transpose()
}

fn acyclic(project: &Project, image: &Image) -> Result<(), Diagnostic> {
    let mut way: Vec<&Image> = vec![image];
    while let Some(next) = way.last().map_or(Ok(None), |image| parent(project, image))? {
        if let Some(from) = way.iter().position(|image| image.name.name == next.name.name) {
            let circle = way.iter().skip(from).map(|image| (format!("image.{}", image.name.name), image.from.span));
            let circle: Vec<_> = circle.collect();
            return Err(crate::role::circle_of("images are baked from each other in a circle", &circle));
        }
        way.push(next);
    }
    Ok(())
}

fn given(project: &Project, image: &Image) -> Result<Value, Diagnostics> {
    let scope = Constants(project.inputs("images"));
    image.params.as_ref().map_or(Ok(Value::NULL), |expr| evaluate(expr, &scope))
}

type OfImage = (Vec<Arc<Role>>, BTreeMap<Arc<str>, Value>, BTreeMap<Arc<str>, Value>);

/// The roles of an image, each with those of the image's parameters that it has, and with all that it has then; every
/// parameter must be of one.
fn roles(project: &Project, image: &Image, given: &Value) -> Result<OfImage, Diagnostics> {
    let mut out = Diagnostics::new();
    let (mut roles, mut values, mut whole) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
    let mut declared: BTreeSet<Arc<str>> = BTreeSet::new();
    let mut is_clear = true;
    let place = |name: &str| image.params.as_ref().and_then(|expr| crate::check::item_span(expr, name));
    let key = |name: &str| image.params.as_ref().and_then(|expr| crate::check::key_span(expr, name));
    let head = Some(image.params.as_ref().map_or(image.span, |expr| expr.span));
    for name in &image.roles {
        let role = match find(&project.roles, &name.name, Some(name.span)) {
            Ok(role) => role,
            Err(error) => {
                out.push(error);
                continue;
            }
        };
        // What is wrong with the role itself is said where the role is checked.
        let Ok(lineage) = lineage(&project.roles, &role) else {
            is_clear = false;
            continue;
        };
        let names: BTreeSet<Arc<str>> = lineage.iter().flat_map(|role| role.params.keys().cloned()).collect();
        let own = given.as_entries().into_iter().flat_map(|entries| entries.iter());
        let own = Value::object(
            own.filter(|(name, _)| names.contains(*name)).map(|(name, value)| (name.clone(), value.clone())),
        );
        match params(&lineage, &own, &Places { of: &place, key: &key, head }) {
            Ok(all) => drop(whole.insert(role.name.name.clone(), Value::object(all))),
            Err(errors) => out.extend(errors),
        }
        declared.extend(names);
        values.insert(role.name.name.clone(), own);
        roles.push(role);
    }
    let extra = given.as_entries().into_iter().flat_map(|entries| entries.keys());
    for name in extra.filter(|name| !declared.contains(*name) && out.is_empty() && is_clear).collect::<Vec<_>>() {
        let diagnostic =
            Diagnostic::error(format!("no role of the image has a parameter \"{name}\"")).named(Diagnostic::UNDECLARED);
        let diagnostic = Diagnostic { span: key(name).or(head), ..diagnostic };
        out.push(suggest(diagnostic, name, declared.iter().map(|name| &**name)));
    }
    if out.is_empty() { Ok((roles, values, whole)) } else { Err(out) }
}

/// Adds the files of the project that resources are made of. Where it is not known which, all that there are.
fn add_files(fingerprint: &mut Fingerprint<'_>, prediction: &Prediction, lineage: &[Arc<Role>], project: &Project) {
    let mut read: BTreeSet<&Arc<str>> = BTreeSet::new();
    for resource in prediction.catalog.resources.iter().filter(|resource| !resource.absent) {
        if let Some(source) = resource.attributes.get("source") {
            read.extend(sources(prediction, &resource.origin, source.as_str().map(|source| &**source)));
        }
    }
    for definition in lineage.iter().flat_map(|role| &role.resources) {
        let origin = origin(&project.sources, definition.span);
        let is_open = prediction.undecided.iter().any(|undecided| *undecided.origin == *origin);
        if let Some(source) = definition.body.attribute("source").filter(|_| is_open) {
            read.extend(sources(prediction, &origin, literal::string(&source.value).as_deref()));
        }
    }
    for path in read {
        fingerprint.piece(&**path);
        fingerprint.piece([u8::from(prediction.catalog.executable.contains(path))]);
        prediction.catalog.files.get(path).iter().for_each(|bytes| fingerprint.piece(&*bytes.0));
    }
}

/// The files that a `source` means: one, or all that are below a directory. What leads up, or is no path at all, may be
/// any of them.
fn sources<'p>(
    prediction: &'p Prediction,
    origin: &str,
    source: Option<&str>,
) -> impl Iterator<Item = &'p Arc<str>> + use<'p> {
    let file = origin.rsplit_once(':').map_or(origin, |(file, _)| file);
    let directory = file.rsplit_once('/').map_or("", |(directory, _)| directory).to_owned();
    let within = source.map(|source| source.trim_start_matches("./").trim_end_matches('/').to_owned());
    let within = within.filter(|source| !source.split('/').any(|part| matches!(part, "" | "." | "..")));
    prediction.catalog.files.keys().filter(move |path| {
        let Some(within) = &within else { return true };
        let rest = match &*directory {
            "" => Some(&***path),
            directory => path.strip_prefix(directory).and_then(|rest| rest.strip_prefix('/')),
        };
        let rest = rest.and_then(|rest| rest.strip_prefix(&**within));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

/// Adds what a role asks for. What depends on facts that are not known before the bake is added as it is written,
/// with all that it may read.
fn add_role<'p>(
    fingerprint: &mut Fingerprint<'p>,
    project: &'p Project,
    role: &Arc<Role>,
    prediction: &Prediction,
    params: &Value,
) -> Result<(), Diagnostic> {
    add_files(fingerprint, prediction, &lineage(&project.roles, role)?, project);
    let mut open: BTreeSet<&str> = prediction.undecided.iter().map(|undecided| &*undecided.origin).collect();
    for resource in &prediction.catalog.resources {
        fingerprint.piece(&*resource.kind);
        fingerprint.piece(&*resource.name);
        fingerprint.piece([u8::from(resource.absent)]);
        for notify in &resource.notifies {
            fingerprint.piece(&*notify.service);
            fingerprint.piece([u8::from(notify.restart)]);
        }
        match resource.attributes.is_wholly_known() {
            true => fingerprint.piece(encode(&resource.attributes).to_string()),
            false => drop(open.insert(&resource.origin)),
        }
    }
    if open.is_empty() {
        return Ok(());
    }
    fingerprint.piece(encode(params).to_string());
    for role in lineage(&project.roles, role)? {
        // The directory is the project's, and outlives this list of roles.
        let directory = project.roles.get(&role.name.name).map_or("", |role| &*role.directory);
        fingerprint.rebase(directory);
        for param in role.params.values() {
            fingerprint.piece(&*param.name.name);
            param.default.iter().for_each(|default| fingerprint.expr(default));
        }
        for local in role.locals.values() {
            fingerprint.piece(&*local.name.name);
            fingerprint.expr(&local.value);
        }
        for definition in &role.resources {
            if open.contains(&*origin(&project.sources, definition.span)) {
                fingerprint.piece(&*definition.kind.name);
                fingerprint.expr(&definition.label);
                let optional = [&definition.when, &definition.for_each, &definition.absent];
                optional.into_iter().for_each(|expr| {
                    fingerprint.piece([u8::from(expr.is_some())]);
                    expr.iter().for_each(|expr| fingerprint.expr(expr));
                });
                let lists = definition.reloads.iter().chain(&definition.restarts);
                lists.for_each(|expr| fingerprint.expr(expr));
                fingerprint.body(&definition.body);
            }
        }
    }
    Ok(())
}
