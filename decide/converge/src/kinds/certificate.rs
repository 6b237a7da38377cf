use std::sync::Arc;

use andon_schema::host::{Act, Bytes, Certificate, CertificatePlace, CertificateWish, KeyKind, Look, Node};
use andon_schema::{Block, Change};
use andon_value::Type;

use super::content::check_parent;
use super::{Decision, Kind, Meta};
use crate::args::{Args, block, check_path, look_at, optional, parent, parse_mode};
use crate::formats;
use crate::world::{World, bytes_of};

/// A certificate and its key, made on the server: the key never leaves it.
pub(super) const KIND: Kind = Kind { name: "certificate", schema, check, looks, decide };

/// How long it lasts where nothing is said, in days: what browsers take at most.
const DAYS: u32 = 398;

const USAGES: [&str; 15] = [
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
    "server_auth",
    "client_auth",
    "code_signing",
    "email_protection",
    "time_stamping",
    "ocsp_signing",
];

fn schema() -> Block {
    let text = |description: &str| optional(Type::String, description);
    let texts = |description: &str| optional(Type::list(Type::String), description);
    let mut attributes = vec![
        ("path", text("Where the certificate is; without it, the label.").format(formats::PATH)),
        (
            "key",
            text("Where its key is; without it, beside the certificate, with `.key` in the place of `.crt`, `.pem`, `.cert` or `.cer`.").format(formats::PATH),
        ),
        (
            "chain",
            text("Where the certificate followed by those that signed it is; without it, nowhere.")
                .format(formats::PATH),
        ),
        (
            "subject",
            optional(
                Type::map(Type::String),
                "Its subject, by `CN`, `O`, `OU`, `C`, `ST` and `L`; a new one without it has its first name as `CN`.",
            ),
        ),
        ("dns_names", texts("The names that it is for, such as `shop.example.org` or `*.example.org`.")),
        ("ip_addresses", texts("The addresses that it is for.")),
        (
            "key_type",
            text(
                "The kind of its key: `ecdsa-p256`, which is so without it, `ecdsa-p384`, `ed25519`, `rsa-2048`, `rsa-3072` or `rsa-4096`, for which the server needs `openssl`.",
            ),
        ),
        ("days", optional(Type::Number, "How many days a new one lasts; 398 without it.")),
        (
            "renew_before",
            optional(
                Type::Number,
                "It is made anew when it lasts fewer days than this; a third of its days, 30 at most, without it.",
            ),
        ),
        (
            "renew_key",
            optional(Type::Bool, "Whether it gets a new key when it is made anew; without it, it keeps its own."),
        ),
        ("is_ca", optional(Type::Bool, "Whether it may sign others.")),
        ("usages", texts("What it is for, such as `digital_signature`, `server_auth` and `client_auth`.")),
        ("ca", text("The certificate that signs it: the path of a file, or its text. Without it, it signs itself.")),
        ("ca_key", text("The key of that certificate: the path of a file, or its text.")),
        ("key_mode", text("The permission bits of the key in octal; without it, `0600`.").format(formats::MODE)),
    ];
    attributes.extend(Meta::schema("0644"));
    block(
        "A certificate and its key, which is made on the server and stays there: it signs itself, or is signed by one \
         that is given. It is made anew when it is about to end, or is not as it is asked for. `absent` removes both.",
        &attributes,
    )
}

fn check(args: &Args) -> Vec<String> {
    let mut wrong = Meta::check(args);
    let paths = [Some(args.subject("path")), args.text("key"), args.text("chain")];
    wrong.extend(paths.iter().flatten().filter_map(|path| check_path(path)));
    wrong.extend(args.text("key_mode").and_then(|mode| crate::args::check_mode(&mode)));
    if args.text("key").is_some_and(|key| key == args.subject("path")) {
        wrong.push("the certificate and its key cannot be one file".to_owned());
    }
    if let Some(kind) = args.text("key_type").filter(|kind| key_kind(kind).is_none()) {
        wrong.push(format!(
            "`key_type` is `{kind}`, not ecdsa-p256, ecdsa-p384, ed25519, rsa-2048, rsa-3072 or rsa-4096"
        ));
    }
    for (part, value) in args.pairs("subject") {
        if !["CN", "O", "OU", "C", "ST", "L"].contains(&&*part) || value.is_empty() {
            wrong.push(format!("`{part}` is not a part of a subject, or is empty: CN, O, OU, C, ST, L"));
        }
    }
    let name = |name: &str| {
        let rest = name.strip_prefix("*.").unwrap_or(name);
        let label = |label: &str| {
            !label.is_empty()
                && label.len() < 64
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        };
        rest.len() < 254 && rest.split('.').all(label)
    };
    let names = args.texts("dns_names").into_iter().filter(|text| !name(text));
    wrong.extend(names.map(|text| format!("`{text}` in `dns_names` is not a name")));
    let addresses = args.texts("ip_addresses").into_iter().filter(|text| octets(text).is_none());
    wrong.extend(addresses.map(|text| format!("`{text}` in `ip_addresses` is not an address")));
    let usages = args.texts("usages").into_iter().filter(|usage| !USAGES.contains(&&**usage));
    wrong.extend(usages.map(|usage| format!("`{usage}` is not a usage: {}", USAGES.join(", "))));
    let days = |attribute: &str| args.whole(attribute).filter(|days| (1..=36_500).contains(days));
    for attribute in ["days", "renew_before"] {
        wrong.extend(
            (args.has(attribute) && days(attribute).is_none())
                .then(|| format!("`{attribute}` is not a number of days from 1 to 36500")),
        );
    }
    if let (Some(before), all) = (days("renew_before"), days("days").unwrap_or(u64::from(DAYS)))
        && before >= all
    {
        wrong.push("it would be made anew each time, because `renew_before` is not less than `days`".to_owned());
    }
    if args.has("ca") != args.has("ca_key") {
        wrong.push("`ca` and `ca_key` are given together, or neither is".to_owned());
    }
    let is_pem = |text: &str| text.trim_start().starts_with("-----BEGIN ");
    for attribute in ["ca", "ca_key"] {
        let sound = args.text(attribute).is_none_or(|text| is_pem(&text) || check_path(&text).is_none());
        wrong.extend(
            (!sound).then(|| format!("`{attribute}` is neither the path of a file nor what such a file holds")),
        );
    }
    wrong
}

fn key_kind(name: &str) -> Option<KeyKind> {
    Some(match name {
        "ecdsa-p256" => KeyKind::P256,
        "ecdsa-p384" => KeyKind::P384,
        "ed25519" => KeyKind::Ed25519,
        "rsa-2048" => KeyKind::Rsa(2048),
        "rsa-3072" => KeyKind::Rsa(3072),
        "rsa-4096" => KeyKind::Rsa(4096),
        _ => return None,
    })
}

fn name_of(kind: Option<KeyKind>) -> String {
    match kind {
        Some(KeyKind::P256) => "ecdsa-p256".to_owned(),
        Some(KeyKind::P384) => "ecdsa-p384".to_owned(),
        Some(KeyKind::Ed25519) => "ed25519".to_owned(),
        Some(KeyKind::Rsa(bits)) => format!("rsa-{bits}"),
        None => "another".to_owned(),
    }
}

/// The bytes of an address, however it is written.
fn octets(text: &str) -> Option<Vec<u8>> {
    if !text.contains(':') {
        let parts: Vec<&str> = text.split('.').collect();
        let part = |part: &&str| {
            part.parse::<u8>().ok().filter(|_| part.len() < 4 && part.bytes().all(|it| it.is_ascii_digit()))
        };
        return (parts.len() == 4).then(|| parts.iter().map(part).collect()).flatten();
    }
    let group = |part: &str| (1..=4).contains(&part.len()).then(|| u16::from_str_radix(part, 16).ok()).flatten();
    let groups = |text: &str| -> Option<Vec<u16>> {
        if text.is_empty() { Some(Vec::new()) } else { text.split(':').map(group).collect() }
    };
    let all = match text.split_once("::") {
        Some((front, back)) => {
            let (mut front, back) = (groups(front)?, groups(back)?);
            let missing = 8_usize.checked_sub(front.len() + back.len()).filter(|missing| *missing > 0)?;
            front.extend(std::iter::repeat_n(0, missing));
            front.extend(back);
            front
        }
        None => groups(text)?,
    };
    (all.len() == 8).then(|| all.iter().flat_map(|group| group.to_be_bytes()).collect())
}

fn place(args: &Args) -> CertificatePlace {
    let certificate = args.subject("path");
    let beside = || {
        let stem = [".crt", ".pem", ".cert", ".cer"].iter().find_map(|end| certificate.strip_suffix(end));
        format!("{}.key", stem.unwrap_or(&certificate)).into()
    };
    let key = args.text("key").unwrap_or_else(beside);
    CertificatePlace { certificate, key, authority: args.text("ca") }
}

fn paths(args: &Args) -> Vec<Arc<str>> {
    let place = place(args);
    [place.key, place.certificate].into_iter().chain(args.text("chain")).collect()
}

/// The files that sign it, and what each is.
fn signers(args: &Args) -> Vec<(&'static str, Arc<str>)> {
    let given = [("the certificate that signs it", "ca"), ("the key that signs it", "ca_key")];
    let given = given.into_iter().filter_map(|(what, attribute)| Some((what, args.text(attribute)?)));
    given.filter(|(_, text)| text.starts_with('/')).collect()
}

fn looks(args: &Args, world: &World) -> Vec<Look> {
    let mut looks: Vec<Look> = paths(args).iter().map(|path| look_at(path)).collect();
    if args.absent {
        return looks;
    }
    looks.push(Look::Certificate(place(args)));
    looks.extend(Meta::of(args).looks());
    for path in paths(args) {
        if let Ok(None) = world.entry(&path) {
            looks.push(look_at(parent(&path)));
        }
    }
    looks.extend(signers(args).iter().map(|(_, path)| look_at(path)));
    if let Some(chain) = args.text("chain") {
        let given = place(args).authority.filter(|authority| authority.starts_with('/'));
        let read = [Some(chain), Some(args.subject("path")), given].into_iter().flatten();
        looks.extend(read.map(|path| Look::Path { path, content: true }));
    }
    looks
}

fn decide(args: &Args, world: &World) -> Result<Decision, String> {
    let paths = paths(args);
    if args.absent {
        let there = |path: &&Arc<str>| matches!(world.entry(path), Ok(Some(_)));
        let acts: Vec<Act> = paths.iter().filter(there).map(|path| Act::Remove { path: path.clone() }).collect();
        let change = if acts.is_empty() { Change::None } else { Change::Remove };
        return Ok(Decision::new(change, Vec::new(), acts));
    }
    for path in &paths {
        if matches!(world.entry(path)?.map(|entry| &entry.node), Some(Node::Directory | Node::Other)) {
            return Err(format!("{path} is not a file"));
        }
    }
    let place = place(args);
    let found = world.certificate(&place)?;
    let meta = Meta::of(args);
    let key_mode = args.text("key_mode").and_then(|mode| parse_mode(&mode)).unwrap_or(0o600);
    let wanted = args.text("key_type").and_then(|kind| key_kind(&kind));
    let mut differences = match found {
        Some(found) => differing(args, found, wanted),
        None => Vec::new(),
    };
    if found.is_some() && differences.is_empty() {
        return keep(args, &meta, key_mode, world);
    }
    meta.check_known(world)?;
    for path in &paths {
        check_parent(path, world)?;
    }
    for (what, path) in signers(args) {
        if world.entry(&path)?.is_none() && !world.loose {
            return Err(format!("{what}, {path}, is not on this server; define it before this resource"));
        }
    }
    let keeps = found.is_some_and(|found| {
        found.key_fits && args.truth("renew_key") != Some(true) && wanted.is_none_or(|wanted| found.key == Some(wanted))
    });
    let wish = wish(args, found, (!keeps).then(|| wanted.unwrap_or(KeyKind::P256)), &meta, key_mode);
    if found.is_none() {
        let names = wish.dns.iter().chain(&wish.ips).map(|name| name.to_string()).collect::<Vec<_>>();
        differences.push(format!("{}, for {} days", name_of(wish.new_key), wish.days));
        differences.extend((!names.is_empty()).then(|| format!("for {}", names.join(", "))));
    }
    let change = if world.entry(&place.certificate)?.is_some() { Change::Update } else { Change::Create };
    let mut acts = vec![Act::MakeCertificate { place: place.clone(), wish }];
    if let Some(entry) = world.entry(&place.key)?.filter(|_| keeps) {
        let meta = Meta { mode: Some(key_mode), ..meta };
        let (changed, act) = meta.decide(args, &place.key, entry);
        differences.extend(changed.into_iter().map(|line| format!("{}: {line}", place.key)));
        acts.extend(act);
    }
    Ok(Decision::new(change, differences, acts))
}

/// How a certificate is not as it is asked for.
fn differing(args: &Args, found: &Certificate, wanted: Option<KeyKind>) -> Vec<String> {
    let mut differences = Vec::new();
    let before = renew_before(args);
    if found.lasts_s < i64::from(before) * 86_400 {
        differences.push(match found.lasts_s.div_euclid(86_400) {
            days if days < 0 => "it has ended".to_owned(),
            days => format!("it ends in {days} days, and is made anew {before} days before"),
        });
    }
    if !found.key_fits {
        differences.push("its key is missing, or is another's".to_owned());
    }
    if !found.signed {
        let by = if args.has("ca") { "by the certificate that is given" } else { "by itself" };
        differences.push(format!("it is not signed {by}"));
    }
    if let Some(kind) = wanted.filter(|kind| found.key != Some(*kind)) {
        differences.push(args.difference("key_type", &name_of(found.key), &name_of(Some(kind))));
    }
    if args.has("is_ca") && args.truth("is_ca") != Some(found.authority) {
        differences.push(args.difference("is_ca", &found.authority.to_string(), &(!found.authority).to_string()));
    }
    let joined = |names: &[Arc<str>]| names.iter().map(|name| name.to_string()).collect::<Vec<_>>().join(", ");
    let sorted = |mut names: Vec<Arc<str>>| {
        names.sort();
        names.dedup();
        names
    };
    let lower = |names: &[Arc<str>]| names.iter().map(|name| name.to_lowercase().into()).collect::<Vec<Arc<str>>>();
    let mut list = |attribute: &str, same: bool, now: &[Arc<str>], wanted: &[Arc<str>]| {
        if args.has(attribute) && !same {
            differences.push(args.difference(attribute, &joined(now), &joined(wanted)));
        }
    };
    let names = args.texts("dns_names");
    list("dns_names", sorted(lower(&found.dns)) == sorted(lower(&names)), &found.dns, &names);
    let addresses = args.texts("ip_addresses");
    let bytes = |addresses: &[Arc<str>]| {
        let mut all: Vec<_> = addresses.iter().map(|address| octets(address)).collect();
        all.sort();
        all.dedup();
        all
    };
    list("ip_addresses", bytes(&found.ips) == bytes(&addresses), &found.ips, &addresses);
    let usages = sorted(args.texts("usages"));
    list("usages", sorted(found.usages.clone()) == usages, &found.usages, &usages);
    let mut subject = args.pairs("subject");
    subject.sort();
    if args.has("subject") && subject != found.subject {
        let shown = |subject: &[(Arc<str>, Arc<str>)]| {
            subject.iter().map(|(part, value)| format!("{part}={value}")).collect::<Vec<_>>().join(", ")
        };
        differences.push(args.difference("subject", &shown(&found.subject), &shown(&subject)));
    }
    differences
}

fn days(args: &Args) -> u32 {
    args.whole("days").and_then(|days| days.try_into().ok()).unwrap_or(DAYS)
}

fn renew_before(args: &Args) -> u32 {
    let given = args.whole("renew_before").and_then(|days| days.try_into().ok());
    given.unwrap_or_else(|| (days(args) / 3).min(30))
}

/// What a new one is to be. What is not said stays as it was.
fn wish(
    args: &Args,
    found: Option<&Certificate>,
    new_key: Option<KeyKind>,
    meta: &Meta,
    key_mode: u32,
) -> CertificateWish {
    let old = found.cloned().unwrap_or_default();
    let list = |attribute: &str, old: Vec<Arc<str>>| if args.has(attribute) { args.texts(attribute) } else { old };
    let is_authority = args.truth("is_ca").unwrap_or(old.authority);
    let dns = list("dns_names", old.dns);
    let ips = list("ip_addresses", old.ips);
    let mut usages = list("usages", old.usages);
    if usages.is_empty() && !args.has("usages") {
        let usual: &[&str] =
            if is_authority { &["cert_sign", "crl_sign"] } else { &["digital_signature", "server_auth"] };
        usages = usual.iter().map(|usage| Arc::from(*usage)).collect();
    }
    let mut subject = if args.has("subject") { args.pairs("subject") } else { old.subject };
    if subject.is_empty() && !args.has("subject") {
        let file = || args.label().rsplit('/').next().unwrap_or_default().into();
        let name = dns.first().or(ips.first()).cloned().unwrap_or_else(file);
        subject.push(("CN".into(), name));
    }
    CertificateWish {
        subject,
        dns,
        ips,
        usages,
        is_authority,
        days: days(args),
        new_key,
        authority_key: args.text("ca_key").map(|key| Bytes::from(&*key)),
        chain: args.text("chain"),
        mode: meta.mode.unwrap_or(0o644),
        key_mode,
        owner: meta.owner.clone(),
        group: meta.group.clone(),
    }
}

/// A certificate that is as it should be: its files have their mode and owner, and its chain is there.
fn keep(args: &Args, meta: &Meta, key_mode: u32, world: &World) -> Result<Decision, String> {
    let place = place(args);
    let (mut differences, mut acts) = (Vec::new(), Vec::new());
    for path in paths(args) {
        let is_key = path == place.key;
        let meta = Meta { mode: if is_key { Some(key_mode) } else { meta.mode }, ..meta.clone() };
        let Some(entry) = world.entry(&path)?.filter(|entry| matches!(entry.node, Node::File(_))) else { continue };
        let (changed, act) = meta.decide(args, &path, entry);
        differences.extend(changed.into_iter().map(|line| format!("{path}: {line}")));
        acts.extend(act);
    }
    if let Some(path) = args.text("chain") {
        let read = |path: &str| -> Result<Option<Vec<u8>>, String> {
            Ok(bytes_of(world.entry(path)?).map(|it| it.0.to_vec()))
        };
        let mut text = read(&place.certificate)?;
        if let (Some(text), Some(authority)) = (&mut text, &place.authority) {
            text.extend(if authority.starts_with('/') {
                read(authority)?.unwrap_or_default()
            } else {
                authority.as_bytes().to_vec()
            });
        }
        if let Some(text) = text.filter(|text| read(&path).ok().flatten().as_ref() != Some(text)) {
            check_parent(&path, world)?;
            differences
                .push(format!("{path} {}", if world.entry(&path)?.is_some() { "differs" } else { "is missing" }));
            let (owner, group) = (meta.owner.clone(), meta.group.clone());
            let mode = Some(meta.mode.unwrap_or(0o644));
            acts.push(Act::WriteFile { path, content: text.into(), mode, owner, group, validate: None });
        }
    }
    if !acts.is_empty() {
        meta.check_known(world)?;
    }
    Ok(Decision::update(differences, acts))
}
