//! Bills of materials, as independent readers judge them: the validators of SPDX's and of CycloneDX's own projects.

use std::fs;
use std::path::Path;
use std::process::Command;

use andon_image::{Digest, Package, sbom};

use crate::tree::Data;

const JUDGES: [&str; 2] = ["spdx-tools==0.8.5", "cyclonedx-python-lib[json-validation]==11.12.0"];

const CYCLONEDX: &str = "import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
wrong = JsonStrictValidator(SchemaVersion.V1_5).validate_str(open(sys.argv[1]).read())
sys.exit(str(wrong) if wrong else 0)
";

pub fn bills_are_as_their_schemas_say() {
    let python = match judges() {
        Ok(python) => python,
        Err(reason) => return println!("  skipped: the judges of bills could not be had: {reason}"),
    };
    let data = Data::new("bills");
    fs::create_dir_all(&data.0).unwrap();
    let package = |name: &str, kind, licence: &str| Package {
        name: name.into(),
        version: "1:2.0~a+b-1".into(),
        architecture: "amd64".into(),
        kind,
        distribution: if kind == "deb" { "debian" } else { "alpine" }.into(),
        release: "12".into(),
        maintainer: "A. Maintainer <a@b.example>".into(),
        licence: licence.into(),
    };
    let packages = [
        package("libstdc++6", "deb", ""),
        package("musl", "apk", "MIT"),
        package("busybox", "apk", "GPL-2.0-only AND (MIT OR BSD-3-Clause)"),
        package("odd", "apk", "custom:\"of its own\""),
    ];
    let image = Digest::parse(&format!("sha256:{}", "0123456789abcdef".repeat(4))).unwrap();
    for (number, packages) in [&packages[..], &[]].into_iter().enumerate() {
        let write = |name: &str, bill: serde_json::Value| {
            let path = data.0.join(format!("{number}.{name}"));
            fs::write(&path, format!("{bill:#}")).unwrap();
            path
        };
        let spdx = write("spdx.json", sbom::spdx("web", &image, packages));
        judge(Command::new(python.with_file_name("pyspdxtools")).arg("-i").arg(&spdx));
        let cyclonedx = write("cdx.json", sbom::cyclonedx("web", &image, packages));
        judge(Command::new(&python).args(["-c", CYCLONEDX]).arg(&cyclonedx));
    }
}

fn judge(command: &mut Command) {
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(output.status.success(), "{}", said.concat());
}

/// A Python that has them, installed with pip when it is first asked for.
fn judges() -> Result<std::path::PathBuf, String> {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("judges-of-bills-1");
    let step = |command: &mut Command| match command.output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Err(error.to_string()),
    };
    let whole = directory.join("whole");
    if !whole.exists() {
        step(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&directory))?;
        step(Command::new(directory.join("bin/pip")).args(["install", "--quiet"]).args(JUDGES))?;
        fs::write(&whole, "").map_err(|error| error.to_string())?;
    }
    Ok(directory.join("bin/python"))
}
