//! Where plugins are looked for.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

use andon_provider::{Found, NotFound, Places, Program, Request, find};
use andon_schema::ProviderAddress;

/// Finds a provider among files, with this command-line configuration and these variables; a path below the directory.
fn check(files: &[&str], configuration: &str, variables: &[(&str, &str)], source: &str, constraint: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    for file in files {
        let path = root.join(file.replace("PLATFORM", platform()));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }
    fs::create_dir_all(root.join("home")).unwrap();
    fs::write(root.join("home/.terraformrc"), configuration.replace("ROOT", root.to_str().unwrap())).unwrap();
    let absolute = |path: &str| OsString::from(root.join(path));
    let mut all = BTreeMap::from([("HOME", absolute("home")), ("XDG_DATA_DIRS", absolute("share"))]);
    all.extend(variables.iter().map(|(name, value)| (*name, absolute(value))));
    let project = root.join("project");
    let places = Places::new(&[&project], |name| all.get(name).cloned());
    let address = ProviderAddress::parse(source).unwrap();
    let request = Request { address, constraint: constraint.parse().unwrap(), locked: None };
    let shown = |path: &Path| path.strip_prefix(root).unwrap().to_str().unwrap().replace(platform(), "PLATFORM");
    let mut said = match find(&request, &places) {
        Ok(Found { program: Program::File(path), .. }) => shown(&path),
        Ok(Found { program: Program::Packed(path), .. }) => format!("packed in {}", shown(&path)),
        Err(NotFound::NoProgram(path)) => format!("no program in {}", shown(&path)),
        Err(error) => error.to_string(),
    };
    for unread in &places.unread {
        said.push_str(&format!("; {}", unread.replace(root.to_str().unwrap(), "ROOT")));
    }
    said
}

fn platform() -> &'static str {
    match std::env::consts::ARCH {
        "aarch64" => "linux_arm64",
        _ => "linux_amd64",
    }
}

#[test]
fn plugins_are_found() {
    const OWN: &str = "project/.terraform/providers/registry.terraform.io/hashicorp/toy/1.0.0/PLATFORM/terraform-provider-toy_v1.0.0_x5";
    const HOME: &str =
        "home/.terraform.d/plugins/registry.terraform.io/hashicorp/toy/1.1.0/PLATFORM/terraform-provider-toy";
    const MIRROR: &str = "mirror/registry.terraform.io/hashicorp/toy/1.2.0/PLATFORM/terraform-provider-toy.exe";
    const OTHER: &str = "mirror/example.com/shop/toy/3.0.0/PLATFORM/terraform-provider-toy";
    const CACHE: &str = "cache/registry.terraform.io/hashicorp/toy/1.3.0/PLATFORM/terraform-provider-toy";
    const DEVELOPED: &str = "developed/terraform-provider-toy";
    let files = [OWN, HOME, MIRROR, OTHER, CACHE, DEVELOPED];
    let mirror = |rest: &str| {
        format!(
            "provider_installation {{\n  filesystem_mirror {{\n    path = \"ROOT/mirror\"\n{rest}  }}\n  direct {{}}\n}}\n"
        )
    };
    let overrides = "provider_installation {\n  dev_overrides {\n    \"hashicorp/toy\" = \"ROOT/developed\"\n  }\n}\n";
    let with_cache = [("TF_PLUGIN_CACHE_DIR", "cache")];
    for (configuration, variables, source, constraint, expected) in [
        ("", &[][..], "toy", "", HOME),
        ("", &[], "toy", "1.0.0", OWN),
        ("", &[], "toy", ">= 2", "1.0.0, 1.1.0 are installed, and >= 2.0.0 is wanted"),
        ("", &[], "shop/toy", "", "it is not installed"),
        ("", &with_cache, "toy", "", CACHE),
        ("plugin_cache_dir = \"ROOT/cache\"\n", &[], "toy", "", CACHE),
        (&mirror(""), &[], "toy", "", MIRROR),
        (&mirror(""), &[], "example.com/shop/toy", "", OTHER),
        (&mirror("    include = [\"example.com/*/*\"]\n"), &[], "toy", "", OWN),
        (&mirror("    include = [\"hashicorp/*\"]\n"), &[], "toy", "", MIRROR),
        (&mirror("    exclude = [\"hashicorp/toy\"]\n"), &[], "toy", "", OWN),
        (&mirror("    exclude = [\"*/*/*\"]\n"), &[], "example.com/shop/toy", "", "it is not installed"),
        (overrides, &[], "toy", ">= 2", DEVELOPED),
    ] {
        assert_eq!(check(&files, configuration, variables, source, constraint), expected, "{configuration} {source}");
    }
}

#[test]
fn what_is_no_plugin_is_none() {
    const BASE: &str = "project/.andon/providers/registry.terraform.io/hashicorp/toy";
    for (file, expected) in [
        ("1.0.0/PLATFORM/terraform-provider-toy_v1", "BASE/1.0.0/PLATFORM/terraform-provider-toy_v1"),
        ("1.0.0/PLATFORM/terraform-provider-toyland", "no program in BASE/1.0.0/PLATFORM"),
        ("1.0.0/plan9_mips/terraform-provider-toy", "it is not installed"),
        ("terraform-provider-toy_1.0.0_PLATFORM.zip", "packed in BASE/terraform-provider-toy_1.0.0_PLATFORM.zip"),
        ("terraform-provider-toy_1.0.0_plan9_mips.zip", "it is not installed"),
        ("newest/PLATFORM/terraform-provider-toy", "it is not installed"),
        ("README", "it is not installed"),
    ] {
        assert_eq!(check(&[&format!("{BASE}/{file}")], "", &[], "toy", ""), expected.replace("BASE", BASE), "{file}");
    }
    let said = check(&[], "= = =", &[], "toy", "");
    assert!(said.starts_with("it is not installed; ROOT/home/.terraformrc cannot be understood: "), "{said}");
}
