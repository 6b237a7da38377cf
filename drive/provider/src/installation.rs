//! Where plugins may be installed on this machine, as Terraform would have it
//! (<https://developer.hashicorp.com/terraform/cli/config/config-file>).

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use andon_hcl::ast::{Body, Expr, ExprKind, TemplatePart};
use andon_hcl::parse_body;
use andon_schema::{DEFAULT_HOST, ProviderAddress, Version};
use andon_text::SourceMap;

/// Every place where a plugin may be, the preferred ones first.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// Directories with the program of a provider under development: they win whatever version is asked for.
    pub(crate) overrides: Vec<(ProviderAddress, PathBuf)>,
    pub(crate) installations: Vec<Installation>,
    /// What could not be read, a sentence each.
    pub unread: Vec<String>,
}

/// One directory with plugins in it: `HOST/NAMESPACE/NAME/VERSION/OS_ARCH/`, or packed as
/// `HOST/NAMESPACE/NAME/terraform-provider-NAME_VERSION_OS_ARCH.zip`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    pub(crate) path: PathBuf,
    /// Only these; all where it is empty.
    include: Vec<String>,
    exclude: Vec<String>,
}

impl Installation {
    fn all(path: impl Into<PathBuf>) -> Installation {
        Installation { path: path.into(), include: Vec::new(), exclude: Vec::new() }
    }

    /// Whether a provider may be taken from it.
    pub(crate) fn offers(&self, address: &ProviderAddress) -> bool {
        let matched = |patterns: &[String]| patterns.iter().any(|pattern| matches(pattern, address));
        (self.include.is_empty() || matched(&self.include)) && !matched(&self.exclude)
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
            Some(methods) => places.installations.extend(methods),
            None => {
                places.installations.extend(below("terraform.d/plugins"));
                let data = path("XDG_DATA_HOME").or_else(|| Some(home.as_ref()?.join(".local/share")));
                let shared = variable("XDG_DATA_DIRS").filter(|value| !value.is_empty());
                let shared = shared.unwrap_or_else(|| "/usr/local/share:/usr/share".into());
                let own = home.iter().map(|home| home.join(".terraform.d/plugins"));
                let data = data.into_iter().chain(std::env::split_paths(&shared));
                let all = own.chain(data.map(|directory| directory.join("terraform/plugins")));
                places.installations.extend(all.map(Installation::all));
            }
        }
        let cache = path("TF_PLUGIN_CACHE_DIR").or(configuration.cache);
        places.installations.extend(cache.map(Installation::all));
        places
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
                match &*method.kind.name {
                    "filesystem_mirror" => {
                        let Some(path) = method.body.attribute("path").and_then(|path| text_of(&path.value)) else {
                            continue;
                        };
                        let include = patterns(&method.body, "include");
                        methods.push(Installation {
                            path: path.into(),
                            include,
                            exclude: patterns(&method.body, "exclude"),
                        });
                    }
                    "dev_overrides" => self.overrides.extend(overrides(&method.body)),
                    // What is fetched over the network is at hand once it was fetched.
                    _ => {}
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
    methods: Option<Vec<Installation>>,
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

fn text_of(expr: &Expr) -> Option<String> {
    let ExprKind::Template(template) = &expr.kind else { return None };
    let parts = template.parts.iter().map(|part| match part {
        TemplatePart::Literal(literal, _) => Some(&**literal),
        _ => None,
    });
    parts.collect()
}

/// The versions that a lock file (`.terraform.lock.hcl`) holds providers to; entries that make no sense are left out.
pub fn locked_versions(text: &str) -> BTreeMap<ProviderAddress, Version> {
    let mut sources = SourceMap::default();
    let (body, _) = parse_body(sources.add(".terraform.lock.hcl", text), text);
    let entries = body.blocks().filter(|block| &*block.kind.name == "provider");
    let entry = |block: &andon_hcl::ast::Block| {
        let address = ProviderAddress::parse(&block.labels.first()?.name).ok()?;
        let version = text_of(&block.body.attribute("version")?.value)?;
        Some((address, version.parse().ok()?))
    };
    entries.filter_map(entry).collect()
}
