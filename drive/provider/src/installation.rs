//! Where plugins may be installed on this machine, as Terraform would have it
//! (<https://developer.hashicorp.com/terraform/cli/config/config-file>).

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use andon_hcl::ast::{Body, Expr, ExprKind, TemplatePart};
use andon_hcl::parse_body;
use andon_schema::{DEFAULT_HOST, ProviderAddress};
use andon_text::SourceMap;

use crate::find::available;

/// Every place where a plugin may be, the preferred ones first.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// Directories with the program of a provider under development: they win whatever version is asked for.
    pub(crate) overrides: Vec<(ProviderAddress, PathBuf)>,
    pub(crate) installations: Vec<Installation>,
    /// Where packages come from that are not installed yet.
    methods: Vec<(Selection, Origin)>,
    /// Without a configuration, what directories have is not looked for elsewhere.
    implied: bool,
    /// The directory of packages that all projects of the user share.
    pub cache: Option<PathBuf>,
    /// What could not be read, a sentence each.
    pub unread: Vec<String>,
}

/// Where packages of providers come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A directory of packages.
    Directory(PathBuf),
    /// A web server with packages of any registry: the URL that its files are below.
    Mirror(String),
    /// The registry that the provider's address names.
    Registry,
}

/// One directory with plugins in it: `HOST/NAMESPACE/NAME/VERSION/OS_ARCH/`, or packed as
/// `HOST/NAMESPACE/NAME/terraform-provider-NAME_VERSION_OS_ARCH.zip`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    pub(crate) path: PathBuf,
    selection: Selection,
}

/// The providers that something is for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Selection {
    /// Only these; all where it is empty.
    include: Vec<String>,
    exclude: Vec<String>,
}

impl Selection {
    fn has(&self, address: &ProviderAddress) -> bool {
        let matched = |patterns: &[String]| patterns.iter().any(|pattern| matches(pattern, address));
        (self.include.is_empty() || matched(&self.include)) && !matched(&self.exclude)
    }
}

impl Installation {
    fn all(path: impl Into<PathBuf>) -> Installation {
        Installation { path: path.into(), selection: Selection::default() }
    }

    /// Whether a provider may be taken from it.
    pub(crate) fn offers(&self, address: &ProviderAddress) -> bool {
        self.selection.has(address)
    }
}

/// Whether a pattern such as `hashicorp/*` or `example.com/*/*` means a provider.
fn matches(pattern: &str, address: &ProviderAddress) -> bool {
    let parts: Vec<&str> = pattern.split('/').collect();
    let (host, namespace, name) = match parts.as_slice() {
        [namespace, name] => (DEFAULT_HOST, *namespace, *name),
        [host, namespace, name] => (*host, *namespace, *name),
        _ => return false,
    };
    let own = [&address.host, &address.namespace, &address.name];
    [host, namespace, name].iter().zip(own).all(|(pattern, own)| *pattern == "*" || pattern.eq_ignore_ascii_case(own))
}

impl Places {
    /// The places for definitions in these directories, the innermost first; `variable` gives the environment's
    /// variables. Only the command-line configuration is read.
    pub fn new(directories: &[&Path], variable: impl Fn(&str) -> Option<OsString>) -> Places {
        let mut places = Places::default();
        let path = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = path("HOME");
        let below = |suffix: &str| directories.iter().map(|it| Installation::all(it.join(suffix))).collect::<Vec<_>>();
        places.installations.extend(below(".terraform/providers"));
        places.installations.extend(below(".andon/providers"));
        let named = path("TF_CLI_CONFIG_FILE").or_else(|| path("TERRAFORM_CONFIG"));
        let configuration = named.or_else(|| Some(home.as_ref()?.join(".terraformrc")));
        let configuration = configuration.map(|file| places.read_configuration(&file)).unwrap_or_default();
        match configuration.methods {
            Some(methods) => places.methods = methods,
            None => {
                places.implied = true;
                let data = path("XDG_DATA_HOME").or_else(|| Some(home.as_ref()?.join(".local/share")));
                let shared = variable("XDG_DATA_DIRS").filter(|value| !value.is_empty());
                let shared = shared.unwrap_or_else(|| "/usr/local/share:/usr/share".into());
                let own = home.iter().map(|home| home.join(".terraform.d/plugins"));
                let data = data.into_iter().chain(std::env::split_paths(&shared));
                let beside = directories.iter().map(|it| it.join("terraform.d/plugins"));
                let all = beside.chain(own).chain(data.map(|directory| directory.join("terraform/plugins")));
                let origins = all.map(Origin::Directory).chain([Origin::Registry]);
                places.methods = origins.map(|origin| (Selection::default(), origin)).collect();
            }
        }
        places.installations.extend(places.methods.iter().filter_map(|(selection, origin)| match origin {
            Origin::Directory(path) => Some(Installation { path: path.clone(), selection: selection.clone() }),
            _ => None,
        }));
        places.cache = path("TF_PLUGIN_CACHE_DIR").or(configuration.cache);
        places.installations.extend(places.cache.iter().map(Installation::all));
        places
    }

    /// Takes packages from these directories alone, whatever the configuration says.
    pub fn only(&mut self, directories: &[PathBuf]) {
        let origins = directories.iter().cloned().map(Origin::Directory);
        self.methods = origins.map(|origin| (Selection::default(), origin)).collect();
        self.implied = false;
    }

    /// Takes packages from one origin alone, whatever the configuration says.
    pub fn only_from(&mut self, origin: Origin) {
        self.methods = vec![(Selection::default(), origin)];
        self.implied = false;
    }

    /// Where packages of a provider come from, the preferred origins first.
    pub fn origins(&self, address: &ProviderAddress) -> Vec<&Origin> {
        let fitting = self.methods.iter().filter(|(selection, _)| selection.has(address)).map(|(_, origin)| origin);
        let mut origins: Vec<&Origin> = fitting.collect();
        let has = |origin: &&Origin| matches!(origin, Origin::Directory(path) if !available(path, address).is_empty());
        if self.implied && origins.iter().any(has) {
            origins.retain(|origin| **origin != Origin::Registry);
        }
        origins
    }

    /// The directory with the program of a provider under development.
    pub fn under_development(&self, address: &ProviderAddress) -> Option<&Path> {
        let found = self.overrides.iter().find(|(overridden, _)| overridden == address);
        found.map(|(_, directory)| directory.as_path())
    }

    fn read_configuration(&mut self, file: &Path) -> Configuration {
        let text = match fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Configuration::default(),
            Err(error) => {
                self.unread.push(format!("{} cannot be read: {error}", file.display()));
                return Configuration::default();
            }
        };
        let mut sources = SourceMap::default();
        let source = sources.add(file.display().to_string(), text.as_str());
        let (body, errors) = parse_body(source, &text);
        // The file is in an older form of the language, which has names in quotes: what was understood counts.
        if let Some(error) = errors.iter().find(|error| error.is_error() && body.items.is_empty()) {
            self.unread.push(format!("{} cannot be understood: {}", file.display(), error.summary));
        }
        let mut configuration = Configuration {
            cache: body
                .attribute("plugin_cache_dir")
                .and_then(|attribute| text_of(&attribute.value))
                .map(PathBuf::from),
            methods: None,
        };
        for block in body.blocks().filter(|block| &*block.kind.name == "provider_installation") {
            let methods = configuration.methods.get_or_insert_default();
            for method in block.body.blocks() {
                let text = |name: &str| method.body.attribute(name).and_then(|it| text_of(&it.value));
                let selection = Selection {
                    include: patterns(&method.body, "include"),
                    exclude: patterns(&method.body, "exclude"),
                };
                let origin = match &*method.kind.name {
                    "filesystem_mirror" => text("path").map(|path| Origin::Directory(path.into())),
                    "network_mirror" => text("url").map(Origin::Mirror),
                    "direct" => Some(Origin::Registry),
                    "dev_overrides" => {
                        self.overrides.extend(overrides(&method.body));
                        continue;
                    }
                    other => {
                        let what = format!("`provider_installation` has no `{other}`");
                        self.unread.push(format!("{} is only partly understood: {what}", file.display()));
                        continue;
                    }
                };
                match origin {
                    Some(origin) => methods.push((selection, origin)),
                    None => {
                        let what = format!("`{}` does not say where it is", method.kind.name);
                        self.unread.push(format!("{} is only partly understood: {what}", file.display()));
                    }
                }
            }
        }
        configuration
    }
}

/// What the command-line configuration says of plugins.
#[derive(Default)]
struct Configuration {
    cache: Option<PathBuf>,
    methods: Option<Vec<(Selection, Origin)>>,
}

fn patterns(body: &Body, name: &str) -> Vec<String> {
    let Some(attribute) = body.attribute(name) else { return Vec::new() };
    match &attribute.value.kind {
        ExprKind::Tuple(elements) => elements.iter().filter_map(text_of).collect(),
        _ => Vec::new(),
    }
}

fn overrides(body: &Body) -> Vec<(ProviderAddress, PathBuf)> {
    let named = body.attributes().filter_map(|it| Some((it.name.name.to_string(), text_of(&it.value)?)));
    named.filter_map(|(name, path)| Some((ProviderAddress::parse(&name).ok()?, path.into()))).collect()
}

pub(crate) fn text_of(expr: &Expr) -> Option<String> {
    let ExprKind::Template(template) = &expr.kind else { return None };
    let parts = template.parts.iter().map(|part| match part {
        TemplatePart::Literal(literal, _) => Some(&**literal),
        _ => None,
    });
    parts.collect()
}
