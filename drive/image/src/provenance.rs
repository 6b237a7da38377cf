//! Where an image comes from, as others can check it: an in-toto statement (<https://in-toto.io/Statement/v1>) with a SLSA
//! provenance (<https://slsa.dev/spec/v1.0/provenance>) in a DSSE envelope
//! (<https://github.com/secure-systems-lab/dsse/blob/master/envelope.md>), signed with Ed25519.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;

use andon_schema::Failure;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use serde_json::{Value as Json, json};
use sha2::{Digest as _, Sha256};

use crate::digest::hex;
use crate::history::Baked;
use crate::layer::hash_file;
use crate::trouble::Trouble;
use crate::{Digest, Document, Package, Reference};

const PAYLOAD: &str = "application/vnd.in-toto+json";

/// What stands before the 32 bytes of a public key in its usual form, RFC 8410.
const PUBLIC_HEAD: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// A key that signs what is said of images.
#[derive(Debug)]
pub struct SigningKey(Ed25519KeyPair);

impl SigningKey {
    /// Makes a key in a file that is not there yet, for its owner alone. The public key, in PEM.
    pub fn generate(path: &Path) -> Result<String, Failure> {
        let failed = |_| Failure::new("no key could be made", "This machine gives no random numbers.");
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(failed)?;
        if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
            fs::create_dir_all(directory).doing("make", directory)?;
        }
        let made = fs::File::options().write(true).create_new(true).mode(0o600).open(path);
        if made.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::AlreadyExists) {
            let detail =
                format!("{} is not written over: what it has signed could not be signed again.", path.display());
            return Err(Failure::new("there is such a file already", detail).help("Name another file for the new key."));
        }
        let mut file = made.doing("make the key", path)?;
        std::io::Write::write_all(&mut file, pem("PRIVATE KEY", document.as_ref()).as_bytes()).doing("write", path)?;
        SigningKey::read(path).map(|key| key.public())
    }

    /// Reads a key: PKCS #8 in PEM, as this program or `openssl genpkey -algorithm ed25519` writes it.
    pub fn read(path: &Path) -> Result<SigningKey, Failure> {
        let text = fs::read_to_string(path).doing("read the key", path)?;
        let wrong = || {
            Failure::new("this is no key to sign with", format!("{} holds no private key of Ed25519.", path.display()))
                .help("Make one: `andon image keygen FILE`.")
        };
        let bytes = unpem("PRIVATE KEY", &text).ok_or_else(wrong)?;
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(&bytes).map(SigningKey).map_err(|_| wrong())
    }

    /// The public key, in PEM.
    pub fn public(&self) -> String {
        pem("PUBLIC KEY", &[&PUBLIC_HEAD, self.0.public_key().as_ref()].concat())
    }
}

/// The name that this program's digest of a root file system has among digests. `sha256` is what anybody gets who hashes what
/// is there by a name: a file, a manifest. The specification allows for others:
/// <https://github.com/in-toto/attestation/blob/main/spec/v1/digest_set.md>.
const TREE: &str = "andonTree";

/// What is said of an image: what it was made of, by whom. `finished` is when, as RFC 3339 has it. It is about the image by the
/// digest of its files; by what else it is known where it was written is for [`add_subject`] to say.
pub fn statement(baked: &Baked, finished: &str, packages: &[Package]) -> Json {
    let hash = |digest: &Digest| digest.as_str().trim_start_matches("sha256:").to_owned();
    let mut made_of = vec![base_of(baked)];
    if let Some(commit) = &baked.commit {
        made_of.push(json!({
            "name": "project",
            "digest": { "gitCommit": commit },
            "annotations": { "changed": baked.changed },
        }));
    }
    made_of.extend(packages.iter().map(|package| json!({ "uri": package.url() })));
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{ "name": baked.name, "digest": { TREE: hash(&baked.digest) } }],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": "urn:andon:bake:1",
                "externalParameters": {
                    "image": baked.name,
                    "from": baked.from,
                    "roles": baked.roles,
                    "params": baked.params,
                },
                "internalParameters": { "recipe": baked.recipe },
                "resolvedDependencies": made_of,
            },
            "runDetails": {
                "builder": {
                    "id": format!("urn:andon:{}", baked.by),
                    "version": { "andon": env!("CARGO_PKG_VERSION") },
                },
                "metadata": { "invocationId": baked.recipe, "finishedOn": finished },
            },
        },
    })
}

/// What an image was made over: where that is an image of a registry, its manifest, too.
fn base_of(baked: &Baked) -> Json {
    let hash = |digest: &Digest| digest.as_str().trim_start_matches("sha256:").to_owned();
    let files = hash(&baked.base);
    let manifest = baked.manifest.as_ref().and_then(|manifest| Some((manifest, Reference::parse(&baked.from).ok()?)));
    match manifest {
        Some((manifest, reference)) => json!({
            "name": baked.from,
            "uri": package_url(&reference, manifest),
            "digest": { "sha256": hash(manifest), TREE: files },
        }),
        None => json!({ "name": baked.from, "digest": { TREE: files } }),
    }
}

/// The package URL of an image in a registry:
/// <https://github.com/package-url/purl-spec/blob/main/types-doc/oci-definition.md>.
fn package_url(reference: &Reference, manifest: &Digest) -> String {
    let Reference { registry, name, tag, .. } = reference;
    let last = name.rsplit('/').next().unwrap_or(name);
    let version = manifest.as_str().replace(':', "%3A");
    let place = format!("{registry}/{name}").replace(':', "%3A");
    format!("pkg:oci/{last}@{version}?repository_url={place}&tag={tag}")
}

/// A statement in an envelope, signed.
pub fn sign(statement: &Json, key: &SigningKey) -> Json {
    let payload = statement.to_string();
    let signature = key.0.sign(&signed_bytes(payload.as_bytes()));
    json!({
        "payloadType": PAYLOAD,
        "payload": STANDARD.encode(&payload),
        "signatures": [{ "keyid": key_id(key.0.public_key().as_ref()), "sig": STANDARD.encode(signature.as_ref()) }],
    })
}

/// Whether this is a public key of Ed25519, in PEM.
pub fn is_public_key(text: &str) -> bool {
    public_bytes(text).is_some()
}

/// The statement of an envelope that one of these public keys, in PEM, has signed.
pub fn open(envelope: &Json, keys: &[String]) -> Result<Json, Failure> {
    let wrong = |why: &str| Failure::new("the provenance is not to be trusted", why.to_owned());
    let text = |name: &str| envelope.get(name).and_then(Json::as_str);
    let payload = text("payload").filter(|_| text("payloadType") == Some(PAYLOAD));
    let payload =
        payload.and_then(|payload| STANDARD.decode(payload).ok()).ok_or_else(|| wrong("It is no envelope."))?;
    let keys: Vec<Vec<u8>> = keys.iter().filter_map(|key| public_bytes(key)).collect();
    if keys.is_empty() {
        return Err(wrong("There is no public key of Ed25519 to hold it against."));
    }
    let bytes = signed_bytes(&payload);
    let signatures = envelope.get("signatures").and_then(Json::as_array).into_iter().flatten();
    let is_signed = signatures.filter_map(|it| STANDARD.decode(it.get("sig")?.as_str()?).ok()).any(|signature| {
        keys.iter().any(|key| UnparsedPublicKey::new(&ED25519, key).verify(&bytes, &signature).is_ok())
    });
    if !is_signed {
        return Err(wrong("None of these keys has signed it, or it was changed since."));
    }
    serde_json::from_slice(&payload).map_err(|_| wrong("What was signed is no statement."))
}

/// Says of a statement that it is about an image by another digest, too: that of its manifest, or of a file.
pub fn add_subject(statement: &mut Json, digest: &Digest) {
    let name = statement.pointer("/subject/0/name").cloned().unwrap_or_default();
    let hash = digest.as_str().trim_start_matches("sha256:");
    if let Some(subjects) = statement.get_mut("subject").and_then(Json::as_array_mut) {
        subjects.push(json!({ "name": name, "digest": { "sha256": hash } }));
    }
}

/// Says of a statement that a document was made with the image, such as a bill of materials: whoever believes the statement
/// knows which one it was.
pub fn add_byproduct(statement: &mut Json, name: &str, document: &Document) {
    let digest = document.digest();
    let hash = digest.as_str().trim_start_matches("sha256:");
    let byproduct = json!({ "name": name, "mediaType": document.media_type, "digest": { "sha256": hash } });
    if let Some(details) = statement.pointer_mut("/predicate/runDetails").and_then(Json::as_object_mut)
        && let Some(all) = details.entry("byproducts").or_insert_with(|| json!([])).as_array_mut()
    {
        all.push(byproduct);
    }
}

/// The documents that a statement names: the name, the type and the digest of each.
pub fn byproducts(statement: &Json) -> Vec<(&str, &str, Digest)> {
    let all = statement.pointer("/predicate/runDetails/byproducts").and_then(Json::as_array).into_iter().flatten();
    let one = |it| {
        let text = |name: &str| Json::get(it, name).and_then(Json::as_str);
        let hash = it.get("digest")?.get("sha256")?.as_str()?;
        Some((text("name")?, text("mediaType")?, Digest::parse(&format!("sha256:{hash}"))?))
    };
    all.filter_map(one).collect()
}

/// The digest of a file, by which a statement may be about it.
pub fn digest_of_file(path: &Path, interrupt: &AtomicBool) -> Result<Digest, Failure> {
    let hash = hash_file(path, &mut vec![0; 256 << 10], interrupt).doing("read", path)?;
    Digest::parse(&format!("sha256:{}", hex(&hash)))
        .ok_or_else(|| Failure::new("a file has no digest", path.display().to_string()))
}

/// Whether a statement is about what this digest names: a file, a manifest, or the files of an image.
pub fn is_about(statement: &Json, digest: &Digest) -> bool {
    let subjects = statement.get("subject").and_then(Json::as_array).into_iter().flatten();
    let hash = digest.as_str().trim_start_matches("sha256:");
    let digests = subjects.filter_map(|it| it.get("digest"));
    digests.flat_map(|it| ["sha256", TREE].map(|name| it.get(name)?.as_str())).any(|it| it == Some(hash))
}

/// The image that a statement is about, by the digest of its files. Earlier versions called that `sha256`, too.
pub fn subject(statement: &Json) -> Option<Digest> {
    let digest = statement.get("subject")?.get(0)?.get("digest")?;
    let hash = [TREE, "sha256"].iter().find_map(|name| digest.get(*name)?.as_str())?;
    Digest::parse(&format!("sha256:{hash}"))
}

/// What is signed: the payload with its type and both their lengths.
fn signed_bytes(payload: &[u8]) -> Vec<u8> {
    let mut bytes = format!("DSSEv1 {} {PAYLOAD} {} ", PAYLOAD.len(), payload.len()).into_bytes();
    bytes.extend(payload);
    bytes
}

fn key_id(public: &[u8]) -> String {
    format!("sha256:{}", hex(&Sha256::digest([&PUBLIC_HEAD, public].concat())))
}

fn public_bytes(pem: &str) -> Option<Vec<u8>> {
    let bytes = unpem("PUBLIC KEY", pem)?;
    Some(bytes.strip_prefix(&PUBLIC_HEAD)?.to_owned()).filter(|key| key.len() == 32)
}

fn pem(label: &str, bytes: &[u8]) -> String {
    let text = STANDARD.encode(bytes);
    let lines: Vec<String> =
        text.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

fn unpem(label: &str, text: &str) -> Option<Vec<u8>> {
    let (_, rest) = text.split_once(&format!("-----BEGIN {label}-----"))?;
    let (body, _) = rest.split_once(&format!("-----END {label}-----"))?;
    STANDARD.decode(body.split_whitespace().collect::<String>()).ok()
}

/// The commit of the directory, and whether anything in it differs from that; `None` where it is under no version
/// control, has no commit yet, or there is no git. What is written at these paths, and beside them with an ending more, does
/// not count. Of somebody else's checkout root asks as its owner: git would refuse root, as what is set in there may run
/// programs.
///
/// # Errors
/// Where there is a checkout that git does not speak about, with what it says.
pub fn commit_of(directory: &Path, written: &[String]) -> Result<Option<(String, bool)>, Failure> {
    let directory = &directory.canonicalize().unwrap_or_else(|_| directory.to_owned());
    let checkout = directory.ancestors().map(|above| above.join(".git")).find_map(|git| fs::metadata(git).ok());
    let owner = checkout.as_ref().map(|it| (it.uid(), it.gid()));
    let git = |arguments: &[&str]| {
        let mut git = Command::new("git");
        git.arg("--no-optional-locks").arg("-C").arg(directory).args(arguments).stdin(Stdio::null());
        if let Some((user, group)) = owner.filter(|(user, _)| *user != 0 && nix::unistd::geteuid().is_root()) {
            // What root has set is not theirs to read.
            git.uid(user).gid(group).env_remove("HOME").env_remove("XDG_CONFIG_HOME").current_dir("/");
        }
        match git.output() {
            Ok(output) if output.status.success() => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
            Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
            Err(error) => Err(error.to_string()),
        }
    };
    let unknown = |why: String| {
        let why = why.lines().next().unwrap_or_default().trim_end_matches('.').to_owned();
        Failure::new("it is not known of which commit the project is", format!("git says: {why}."))
    };
    let commit = match git(&["rev-parse", "--verify", "HEAD"]) {
        Ok(commit) => commit,
        Err(_) if checkout.is_none() || !has_git() => return Ok(None),
        Err(_) => return git(&["rev-parse", "--git-dir"]).map(|_| None).map_err(unknown),
    };
    // gitglossary(7), pathspec.
    let but: Vec<String> = written
        .iter()
        .map(|path| path.trim_start_matches("./").trim_end_matches('/'))
        .flat_map(|path| {
            // What is beside it, too: bills and provenance, the mark of a directory, what is in the making.
            let (above, name) = path.rsplit_once('/').map_or(("", path), |(above, name)| (above, name));
            let slash = if path.contains('/') { "/" } else { "" };
            [
                format!(":(exclude,literal){path}"),
                format!(":(exclude){path}.*"),
                format!(":(exclude){above}{slash}.{name}.*"),
            ]
        })
        .collect();
    let mut question = vec!["status", "--porcelain", "--untracked-files=all", "--", "."];
    question.extend(but.iter().map(String::as_str));
    let changes = git(&question).map_err(unknown)?;
    Ok(Some((commit, !changes.is_empty())))
}

fn has_git() -> bool {
    let quiet = Stdio::null;
    Command::new("git").arg("--version").stdin(quiet()).stdout(quiet()).stderr(quiet()).status().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> SigningKey {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        SigningKey(Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap())
    }

    #[test]
    fn only_what_was_signed_by_a_known_key_is_believed() {
        let (own, other) = (key(), key());
        let statement = json!({ "subject": [{ "digest": { "sha256": "0".repeat(64) } }] });
        let envelope = sign(&statement, &own);
        assert_eq!(open(&envelope, &[other.public(), own.public()]).unwrap(), statement);
        assert_eq!(subject(&statement).unwrap().as_str(), format!("sha256:{}", "0".repeat(64)));
        assert!(open(&envelope, &[other.public()]).is_err());
        assert!(open(&envelope, &[]).is_err());
        for (name, value) in
            [("payload", json!(STANDARD.encode("{}"))), ("payloadType", json!("text")), ("signatures", json!([]))]
        {
            let mut changed = envelope.clone();
            changed[name] = value;
            assert!(open(&changed, &[own.public()]).is_err(), "{name}");
        }
    }

    #[test]
    fn a_statement_is_about_files_by_one_name_and_about_an_image_by_another() {
        let digest = |digit: &str| Digest::parse(&format!("sha256:{}", digit.repeat(64))).unwrap();
        let (tree, file, bill) = (digest("1"), digest("2"), Document { media_type: "a/b".into(), bytes: b"x".into() });
        let mut said = json!({ "subject": [{ "name": "web", "digest": { TREE: "1".repeat(64) } }], "predicate": { "runDetails": {} } });
        assert!(is_about(&said, &tree) && !is_about(&said, &file) && subject(&said) == Some(tree.clone()));
        add_subject(&mut said, &file);
        assert!(is_about(&said, &tree) && is_about(&said, &file) && subject(&said) == Some(tree.clone()));
        assert_eq!(said["subject"][1], json!({ "name": "web", "digest": { "sha256": "2".repeat(64) } }));
        assert_eq!(byproducts(&said), []);
        add_byproduct(&mut said, "spdx.json", &bill);
        assert_eq!(byproducts(&said), [("spdx.json", "a/b", bill.digest())]);
        // As earlier versions wrote it.
        let earlier = json!({ "subject": [{ "digest": { "sha256": "1".repeat(64) } }] });
        assert!(is_about(&earlier, &tree) && subject(&earlier) == Some(tree));
    }

    #[test]
    fn what_is_written_of_an_image_is_no_change() {
        let folder = tempfile::tempdir().unwrap();
        let git = |words: &[&str]| {
            let own = ["-c", "user.name=a", "-c", "user.email=a@b.example", "-c", "init.defaultBranch=main", "-C"];
            Command::new("git").args(own).arg(folder.path()).args(words).output().is_ok_and(|ran| ran.status.success())
        };
        let put = |path: &str| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        };
        if !git(&["init", "--quiet"]) {
            println!("skipped: git is not installed");
            return;
        }
        let written = ["./out/web", "out/web.tar", "disk.raw"].map(str::to_owned);
        assert_eq!(commit_of(folder.path(), &written), Ok(None));
        put("web.image.hcl");
        assert!(git(&["add", "."]) && git(&["commit", "--quiet", "-m", "a"]));
        let commit = commit_of(folder.path(), &written).unwrap().unwrap();
        assert!(commit.0.len() >= 40 && !commit.1, "{commit:?}");
        for path in ["out/web/etc/motd", "out/web.spdx.json", "out/web.tar", "out/web.tar.provenance.json"] {
            put(path);
        }
        for path in ["out/.web.andon-root", "out/.web.tar.andon-draft", "out/.web.andon-draft/etc/motd"] {
            put(path);
        }
        put(".disk.raw.andon-draft");
        assert_eq!(commit_of(folder.path(), &written), Ok(Some(commit.clone())));
        put("out/other");
        assert_eq!(commit_of(folder.path(), &written), Ok(Some((commit.0.clone(), true))));
        // Somebody else's: root asks as they would.
        if nix::unistd::geteuid().is_root() {
            fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
            let mut owned = Command::new("chown");
            assert!(owned.args(["-R", "4711:4711"]).arg(folder.path()).status().unwrap().success());
            assert_eq!(commit_of(folder.path(), &written), Ok(Some((commit.0, true))));
            // The files are root's, the rest is not: whom to believe git does not know, and says so.
            assert!(Command::new("chown").arg("0:0").arg(folder.path()).status().unwrap().success());
            let wrong = commit_of(folder.path(), &written).unwrap_err();
            assert!(wrong.detail.contains("dubious ownership"), "{wrong:?}");
        }
    }
}
