//! What is in an image, as bills of materials: SPDX 2.3 (<https://spdx.github.io/spdx-spec/v2.3/>) and CycloneDX 1.5
//! (<https://cyclonedx.org/docs/1.5/json/>). The same image always gives the same text.

use serde_json::{Value as Json, json};

use crate::{Digest, Package};

/// When every bill is said to be made.
const CREATED: &str = "2024-01-01T00:00:00Z";

/// What has no value in SPDX.
const UNSAID: &str = "NOASSERTION";

/// The packages of an image in SPDX 2.3.
pub fn spdx(name: &str, image: &Digest, packages: &[Package]) -> Json {
    let id = |text: &str| -> String {
        text.chars().map(|at| if at.is_ascii_alphanumeric() || at == '.' { at } else { '-' }).collect()
    };
    let root = "SPDXRef-Image";
    let mut all = vec![json!({
        "SPDXID": root,
        "name": name,
        "versionInfo": image.as_str(),
        "downloadLocation": UNSAID,
        "filesAnalyzed": false,
        "licenseConcluded": UNSAID,
        "licenseDeclared": UNSAID,
        "copyrightText": UNSAID,
        "primaryPackagePurpose": "CONTAINER",
        "checksums": [{ "algorithm": "SHA256", "checksumValue": image.as_str().trim_start_matches("sha256:") }],
    })];
    let mut relations = vec![json!({
        "spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": root,
    })];
    for (number, package) in packages.iter().enumerate() {
        let own = format!("SPDXRef-Package-{}-{}", id(&package.name), number + 1);
        let supplier = match package.maintainer.as_str() {
            "" => UNSAID.to_owned(),
            maintainer => format!("Person: {}", maintainer.replace('<', "(").replace('>', ")")),
        };
        all.push(json!({
            "SPDXID": own,
            "name": package.name,
            "versionInfo": package.version,
            "supplier": supplier,
            "downloadLocation": UNSAID,
            "filesAnalyzed": false,
            "licenseConcluded": UNSAID,
            "licenseDeclared": licence(package).unwrap_or(UNSAID),
            "copyrightText": UNSAID,
            "externalRefs": [{
                "referenceCategory": "PACKAGE-MANAGER",
                "referenceType": "purl",
                "referenceLocator": package.url(),
            }],
        }));
        relations.push(json!({
            "spdxElementId": root, "relationshipType": "CONTAINS", "relatedSpdxElement": own,
        }));
    }
    json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": name,
        "documentNamespace": format!("urn:andon:image:{image}"),
        "creationInfo": { "created": CREATED, "creators": [format!("Tool: andon-{}", env!("CARGO_PKG_VERSION"))] },
        "packages": all,
        "relationships": relations,
    })
}

/// A package's licence where it may be an SPDX expression: names, numbers, `AND`, `OR`, `WITH` and parentheses.
fn licence(package: &Package) -> Option<&str> {
    let fits = |at: char| at.is_ascii_alphanumeric() || " ().-+".contains(at);
    Some(package.licence.as_str()).filter(|licence| !licence.is_empty() && licence.chars().all(fits))
}

/// The packages of an image in CycloneDX 1.5.
pub fn cyclonedx(name: &str, image: &Digest, packages: &[Package]) -> Json {
    let components = packages.iter().map(|package| {
        let url = package.url();
        let licences: Vec<Json> =
            licence(package).into_iter().map(|licence| json!({ "license": { "name": licence } })).collect();
        json!({
            "type": "library",
            "bom-ref": url,
            "name": package.name,
            "version": package.version,
            "licenses": licences,
            "purl": url,
        })
    });
    let root = json!({
        "type": "operating-system",
        "bom-ref": image.as_str(),
        "name": name,
        "version": image.as_str(),
        "hashes": [{ "alg": "SHA-256", "content": image.as_str().trim_start_matches("sha256:") }],
    });
    let tool = json!({ "type": "application", "name": "andon", "version": env!("CARGO_PKG_VERSION") });
    json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": format!("urn:uuid:{}", uuid(image)),
        "version": 1,
        "metadata": { "timestamp": CREATED, "tools": { "components": [tool] }, "component": root },
        "components": components.collect::<Vec<_>>(),
    })
}

/// A UUID of version 8, RFC 9562, made of a digest.
fn uuid(image: &Digest) -> String {
    let hex = image.as_str().trim_start_matches("sha256:");
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    format!("{}-{}-8{}-8{}-{}", part(0, 8), part(8, 12), part(13, 16), part(17, 20), part(20, 32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_name_every_package_once() {
        let package = Package {
            name: "libstdc++6".into(),
            version: "12".into(),
            architecture: "amd64".into(),
            kind: "deb",
            distribution: "debian".into(),
            release: "12".into(),
            maintainer: "A <a@b>".into(),
            licence: String::new(),
        };
        let image = Digest::parse(&format!("sha256:{}", "0123456789abcdef".repeat(4))).unwrap();
        let bill = spdx("web", &image, std::slice::from_ref(&package));
        assert_eq!(bill["packages"][1]["SPDXID"], "SPDXRef-Package-libstdc--6-1");
        assert_eq!(bill["packages"].as_array().unwrap().len(), 2);
        assert_eq!(bill["relationships"].as_array().unwrap().len(), 2);
        let bill = cyclonedx("web", &image, &[package]);
        assert_eq!(bill["components"][0]["purl"], "pkg:deb/debian/libstdc%2B%2B6@12?arch=amd64&distro=debian-12");
        assert_eq!(bill["serialNumber"], "urn:uuid:01234567-89ab-8def-8123-456789abcdef");
    }
}
