//! Buckets, judged by the clients of others: `aws`, `rclone` and `curl`.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Output};

use andon_lab::Found;
use andon_schema::Identity;
use andon_value::Value;

use crate::Test;
use crate::world::{World, run};

pub const TESTS: &[Test] = &[
    ("bucket_serves_aws", serves_aws),
    ("bucket_serves_rclone", serves_rclone),
    ("bucket_checks_signatures", checks_signatures),
    ("bucket_lists_many", lists_many),
    ("bucket_keeps_versions", keeps_versions),
    ("buckets_share_an_endpoint", share_an_endpoint),
    ("bucket_outlives_its_process", outlives_its_process),
    ("bucket_survives_kills", survives_kills),
    ("bucket_with_objects_stays", with_objects_stays),
];

const KIND: &str = "lab_bucket";

/// A bucket, as a client needs it.
struct Client {
    identity: Identity,
    value: Value,
    home: tempfile::TempDir,
}

impl Client {
    fn new(world: &World, given: &[(&str, Value)]) -> Client {
        let (identity, value) = world.create(KIND, given).unwrap();
        Client { identity, value, home: tempfile::tempdir().unwrap() }
    }

    fn get(&self, name: &str) -> &str {
        self.value.get_str(name).unwrap()
    }

    fn environment(&self) -> BTreeMap<&str, String> {
        let home = self.home.path().display().to_string();
        [
            ("AWS_ACCESS_KEY_ID", self.get("access_key").to_owned()),
            ("AWS_SECRET_ACCESS_KEY", self.get("secret_key").to_owned()),
            ("AWS_DEFAULT_REGION", "eu-central-1".to_owned()),
            ("AWS_ENDPOINT_URL", self.get("endpoint").to_owned()),
            ("AWS_CONFIG_FILE", format!("{home}/config")),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
            ("RCLONE_CONFIG", format!("{home}/rclone.conf")),
            ("RCLONE_CONFIG_LAB_TYPE", "s3".to_owned()),
            ("RCLONE_CONFIG_LAB_PROVIDER", "Other".to_owned()),
            ("RCLONE_CONFIG_LAB_ENV_AUTH", "true".to_owned()),
            ("RCLONE_CONFIG_LAB_ENDPOINT", self.get("endpoint").to_owned()),
        ]
        .into()
    }

    fn try_run(&self, program: &str, arguments: &[&str]) -> Output {
        Command::new(program)
            .args(arguments)
            .env_remove("AWS_CA_BUNDLE")
            .envs(self.environment())
            .current_dir(self.home.path())
            .output()
            .unwrap()
    }

    fn run(&self, program: &str, arguments: &[&str]) -> String {
        let output = self.try_run(program, arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {arguments:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn aws(&self, arguments: &[&str]) -> String {
        self.run("aws", arguments)
    }

    fn refused(&self, arguments: &[&str], word: &str) {
        let output = self.try_run("aws", arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(word), "{arguments:?}: {said}");
    }

    fn path(&self, name: &str) -> String {
        self.home.path().join(name).display().to_string()
    }

    fn delete(&self, world: &World) {
        if self.value.get("force_destroy").and_then(Value::as_bool) != Some(true) {
            let given = [("name", self.get("name").into()), ("force_destroy", true.into())];
            world.update(KIND, &self.identity, &self.value, &given).unwrap();
        }
        world.delete(KIND, &self.identity);
    }
}

fn has(program: &str) -> bool {
    let there = Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    if !there {
        println!("skipped: there is no `{program}`");
    }
    there
}

/// Bytes that do not repeat.
fn bytes(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        })
        .collect()
}

fn serves_aws(world: &World) {
    if !has("aws") {
        return;
    }
    let client = Client::new(world, &[("name", "backups".into()), ("force_destroy", true.into())]);
    let (small, large) = (bytes(10_000, 1), bytes(21 << 20, 2));
    fs::write(client.path("small"), &small).unwrap();
    fs::write(client.path("large"), &large).unwrap();
    assert!(client.aws(&["s3", "ls"]).contains("backups"));
    // The large one goes in parts.
    client.aws(&["s3", "cp", "small", "s3://backups/a/ö +&%.txt", "--metadata", "who=me"]);
    client.aws(&["s3", "cp", "large", "s3://backups/large"]);
    client.aws(&["s3", "cp", "s3://backups/a/ö +&%.txt", "small.back"]);
    client.aws(&["s3", "cp", "s3://backups/large", "large.back"]);
    assert!(fs::read(client.path("small.back")).unwrap() == small);
    assert!(fs::read(client.path("large.back")).unwrap() == large);
    let listed = client.aws(&["s3", "ls", "s3://backups/"]);
    assert!(listed.contains("PRE a/") && listed.contains(&format!("{} large", large.len())), "{listed}");
    let api = |arguments: &[&str]| client.aws(&[&["s3api"], arguments, &["--bucket", "backups"]].concat());
    let head = api(&["head-object", "--key", "a/ö +&%.txt"]);
    assert!(
        head.contains("\"who\": \"me\"") && head.contains("binary/octet-stream") && head.contains("10000"),
        "{head}"
    );
    let etag = run("md5sum", &[&client.path("small")]);
    assert!(head.contains(&etag[..32]), "{head}");
    assert!(api(&["head-object", "--key", "large"]).contains("-3\\\""));
    api(&["get-object", "--key", "large", "--range", "bytes=100-299", "part"]);
    assert!(fs::read(client.path("part")).unwrap() == large[100..300]);
    // Copies, whole and in parts, and moves.
    client.aws(&["s3", "cp", "s3://backups/large", "s3://backups/copy"]);
    client.aws(&["s3", "mv", "s3://backups/copy", "s3://backups/moved"]);
    client.aws(&["s3", "cp", "s3://backups/moved", "moved.back"]);
    assert!(fs::read(client.path("moved.back")).unwrap() == large);
    client.refused(&["s3api", "head-object", "--bucket", "backups", "--key", "copy"], "404");
    // Conditions, tags, checksums of several kinds.
    api(&["put-object", "--key", "once", "--body", "small", "--if-none-match", "*", "--tagging", "env=dev&site=n"]);
    client.refused(
        &["s3api", "put-object", "--bucket", "backups", "--key", "once", "--if-none-match", "*"],
        "PreconditionFailed",
    );
    assert!(api(&["get-object-tagging", "--key", "once"]).contains("\"site\""));
    api(&["put-object-tagging", "--key", "once", "--tagging", "TagSet=[{Key=one,Value=two}]"]);
    assert!(api(&["get-object-tagging", "--key", "once"]).contains("\"two\""));
    for algorithm in ["CRC32", "SHA1", "SHA256"] {
        api(&["put-object", "--key", "sum", "--body", "small", "--checksum-algorithm", algorithm]);
        let head = api(&["head-object", "--key", "sum", "--checksum-mode", "ENABLED"]);
        assert!(head.contains(&format!("Checksum{algorithm}")), "{head}");
    }
    api(&["put-object", "--key", "sum", "--body", "small", "--content-md5", &base64_md5(&small)]);
    client.refused(
        &[
            "s3api",
            "put-object",
            "--bucket",
            "backups",
            "--key",
            "sum",
            "--body",
            "large",
            "--content-md5",
            &base64_md5(&small),
        ],
        "BadDigest",
    );
    // Uploads that were begun.
    let begun = api(&["create-multipart-upload", "--key", "never"]);
    let id = begun.split('"').skip_while(|word| *word != "UploadId").nth(2).unwrap().to_owned();
    api(&["upload-part", "--key", "never", "--part-number", "1", "--upload-id", &id, "--body", "small"]);
    assert!(api(&["list-multipart-uploads"]).contains(&id));
    assert!(api(&["list-parts", "--key", "never", "--upload-id", &id]).contains("10000"));
    api(&["abort-multipart-upload", "--key", "never", "--upload-id", &id]);
    assert!(!api(&["list-multipart-uploads"]).contains(&id));
    // What a bucket says of itself.
    for question in
        ["get-bucket-location", "get-bucket-versioning", "get-bucket-acl", "get-bucket-logging", "head-bucket"]
    {
        api(&[question]);
    }
    client.refused(&["s3api", "get-bucket-policy", "--bucket", "backups"], "NoSuchBucketPolicy");
    client.refused(&["s3", "ls", "s3://other"], "NoSuchBucket");
    client.refused(&["s3", "mb", "s3://other"], "`lab_bucket`");
    client.refused(
        &["s3api", "get-object-retention", "--bucket", "backups", "--key", "once"],
        "NoSuchObjectLockConfiguration",
    );
    // Presigned, for whoever has the URL.
    let url = client.aws(&["s3", "presign", "s3://backups/a/ö +&%.txt"]);
    let got = Command::new("curl").args(["-sf", url.trim()]).output().unwrap();
    assert!(got.status.success() && got.stdout == small);
    let changed =
        Command::new("curl").args(["-s", &url.trim().replace("Expires=3600", "Expires=3601")]).output().unwrap();
    assert!(String::from_utf8_lossy(&changed.stdout).contains("SignatureDoesNotMatch"));
    // In this region the client signs URLs with the version before.
    let old = client.aws(&["s3", "presign", "s3://backups/a/ö +&%.txt", "--region", "us-east-1"]);
    assert!(old.contains("AWSAccessKeyId="), "{old}");
    let got = Command::new("curl").args(["-sf", old.trim()]).output().unwrap();
    assert!(got.status.success() && got.stdout == small);
    presigned(&client);
    // A tree of files there and back.
    fs::create_dir_all(client.path("tree/b/c")).unwrap();
    for name in ["tree/one", "tree/b/two", "tree/b/c/three", "tree/b/empty"] {
        fs::write(client.path(name), if name.ends_with("empty") { "" } else { name }).unwrap();
    }
    client.aws(&["s3", "sync", "tree", "s3://backups/tree"]);
    client.aws(&["s3", "sync", "s3://backups/tree", "tree.back"]);
    assert_eq!(run("diff", &["-r", &client.path("tree"), &client.path("tree.back")]), "");
    assert!(!client.aws(&["s3", "sync", "tree", "s3://backups/tree"]).contains("upload"));
    client.aws(&["s3", "rm", "--recursive", "s3://backups/"]);
    assert_eq!(client.aws(&["s3", "ls", "s3://backups/"]), "");
    client.delete(world);
}

/// Signs a request for each of the lines of standard input, `region operation parameters`, and writes its URL.
const SIGN: &str = r#"
import botocore.config, botocore.session, json, sys
session = botocore.session.get_session()
for line in sys.stdin:
    region, operation, given = line.split(" ", 2)
    version = "s3" if region == "us-east-1" else "s3v4"
    config = botocore.config.Config(signature_version=version, s3={"addressing_style": "path"})
    client = session.create_client("s3", region_name=region, config=config)
    print(client.generate_presigned_url(operation, Params=json.loads(given)))
"#;

/// What others do by URLs of both versions: write, read, look, delete, and all that in parts.
fn presigned(client: &Client) {
    // The same libraries as those of `aws`, where it came as a package of Python.
    if !client.try_run("python3", &["-c", "import botocore"]).status.success() {
        println!("skipped: Python has no `botocore`, which signs requests of all kinds");
        return;
    }
    let sign = |region: &str, requests: &[(&str, &str)]| -> Vec<String> {
        let line = |(operation, given): &(&str, &str)| {
            let key = if operation.starts_with("list_obj") { "" } else { r#""Key": "by/ä url","# };
            format!("{region} {operation} {{{key} \"Bucket\": \"backups\" {given}}}\n")
        };
        fs::write(client.path("requests"), requests.iter().map(line).collect::<String>()).unwrap();
        fs::write(client.path("sign.py"), SIGN).unwrap();
        client.run("sh", &["-c", "python3 sign.py < requests"]).lines().map(str::to_owned).collect()
    };
    let curl = |arguments: &[&str]| {
        let output =
            Command::new("curl").args(["-s"]).args(arguments).current_dir(client.home.path()).output().unwrap();
        String::from_utf8_lossy(&output.stdout).replace('\r', "")
    };
    fs::write(client.path("text"), "by URL").unwrap();
    let md5 = base64_md5(b"by URL");
    let described = format!(r#", "ContentType": "a/b", "ContentMD5": "{md5}", "Metadata": {{"who": "me"}}"#);
    for region in ["us-east-1", "eu-central-1"] {
        let requests = [
            ("put_object", ""),
            ("get_object", r#", "ResponseContentType": "c/d""#),
            ("head_object", ""),
            ("list_objects_v2", r#", "Prefix": "by/""#),
            ("put_object", &described),
            ("delete_object", ""),
            ("create_multipart_upload", ""),
        ];
        let urls = sign(region, &requests);
        let [put, get, head, list, whole, delete, begin] = urls.as_slice() else { panic!("{urls:?}") };
        let is_old = |url: &String| url.contains("AWSAccessKeyId=") && !url.contains("X-Amz-");
        assert!(urls.iter().all(|url| is_old(url) == (region == "us-east-1")), "{urls:?}");
        let code = |arguments: &[&str]| curl(&[&["-o", "answer", "-w", "%{http_code}"], arguments].concat());
        assert_eq!(code(&["-T", "text", put]), "200", "{region}");
        let got = curl(&["-i", get]);
        assert!(got.contains("content-type: c/d\n") && got.ends_with("\n\nby URL"), "{region}: {got}");
        let found = curl(&["-I", head]);
        assert!(found.contains(" 200 ") && found.contains("content-length: 6\n"), "{region}: {found}");
        assert!(curl(&[list]).contains("<KeyCount>1<"), "{region}");
        assert!(curl(&["-T", "text", get]).contains("SignatureDoesNotMatch"), "{region}");
        // With headers that are signed: in the URL, or as they are sent.
        let md5 = format!("content-md5: {md5}");
        let headers = ["-H", "content-type: a/b", "-H", &md5, "-H", "x-amz-meta-who: me"];
        assert_eq!(code(&[&headers[..], &["-T", "text", whole]].concat()), "200", "{region}");
        let found = curl(&["-I", head]);
        assert!(found.contains("content-type: a/b\n") && found.contains("x-amz-meta-who: me\n"), "{region}: {found}");
        let other = [&headers[..4], &["-H", "x-amz-meta-who: you", "-T", "text", whole]].concat();
        assert!(curl(&other).contains("SignatureDoesNotMatch"), "{region}");
        assert_eq!(code(&["-X", "DELETE", delete]), "204", "{region}");
        assert_eq!(code(&[get]), "404", "{region}");
        if is_old(whole) {
            assert_eq!(code(&["-T", "text", whole]), "200");
            let found = curl(&["-I", head]);
            assert!(found.contains("content-type: a/b\n") && found.contains("x-amz-meta-who: me\n"), "{found}");
            fs::write(client.path("other"), "not it").unwrap();
            assert!(curl(&["-T", "other", whole]).contains("BadDigest"));
        }
        // In parts.
        let begun = curl(&["-X", "POST", begin]);
        let (_, id) = begun.split_once("<UploadId>").unwrap();
        let upload = format!(r#", "UploadId": "{}""#, id.split_once('<').unwrap().0);
        let part = format!(r#"{upload}, "PartNumber": 1"#);
        let all = [("upload_part", &*part), ("list_parts", &upload), ("complete_multipart_upload", &upload)];
        let urls = sign(region, &all);
        let [part, parts, complete] = urls.as_slice() else { panic!("{urls:?}") };
        let sent = curl(&["-D", "-", "-T", "text", part]);
        let etag = sent.split('"').nth(1).unwrap();
        assert!(curl(&[parts]).contains(etag), "{region}: {sent}");
        let document = format!("<Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>");
        let document = format!("<CompleteMultipartUpload>{document}</CompleteMultipartUpload>");
        let done = curl(&["-H", "content-type:", "-d", &document, complete]);
        assert!(done.contains("<CompleteMultipartUploadResult"), "{region}: {done}");
        assert!(curl(&[get]).ends_with("by URL"), "{region}");
        assert_eq!(code(&["-X", "DELETE", delete]), "204", "{region}");
    }
}

fn base64_md5(bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bytes");
    fs::write(&path, bytes).unwrap();
    let command = format!("openssl dgst -md5 -binary {} | base64", path.display());
    run("sh", &["-c", &command]).trim().to_owned()
}

fn serves_rclone(world: &World) {
    if !has("rclone") {
        return;
    }
    let client = Client::new(world, &[("name", "mirror".into())]);
    let folder = Path::new(&client.path("from")).to_owned();
    fs::create_dir_all(folder.join("deep/er")).unwrap();
    for (at, length) in [0, 1, 1000, 300_000, 12 << 20].into_iter().enumerate() {
        fs::write(folder.join(format!("deep/{at} of ü")), bytes(length, at as u64 + 1)).unwrap();
        fs::write(folder.join(format!("deep/er/{at}")), bytes(length / 2, at as u64 + 7)).unwrap();
    }
    let rclone = |arguments: &[&str]| {
        client.run("rclone", &[&["--s3-chunk-size=5M", "--s3-upload-cutoff=6M"], arguments].concat())
    };
    rclone(&["sync", "from", "lab:mirror/tree"]);
    rclone(&["check", "--download", "from", "lab:mirror/tree"]);
    rclone(&["check", "from", "lab:mirror/tree"]);
    rclone(&["copy", "lab:mirror/tree", "lab:mirror/other"]);
    rclone(&["sync", "lab:mirror/other", "to"]);
    assert_eq!(run("diff", &["-r", folder.to_str().unwrap(), &client.path("to")]), "");
    assert!(rclone(&["lsf", "lab:mirror"]).lines().eq(["other/", "tree/"]));
    rclone(&["touch", "lab:mirror/tree/deep/er/1"]);
    fs::remove_file(folder.join("deep/er/2")).unwrap();
    rclone(&["sync", "from", "lab:mirror/tree"]);
    assert_eq!(rclone(&["lsf", "-R", "lab:mirror/tree/deep/er"]).lines().count(), 4);
    rclone(&["purge", "lab:mirror/other"]);
    client.delete(world);
}

fn checks_signatures(world: &World) {
    let client = Client::new(world, &[("name", "closed".into())]);
    let endpoint = client.get("endpoint");
    let curl = |arguments: &[&str]| run("curl", &[&["-s"], arguments].concat());
    assert!(curl(&[&format!("{endpoint}/closed/")]).contains("AccessDenied"));
    assert!(curl(&["-X", "PUT", "-d", "x", &format!("{endpoint}/closed/a")]).contains("AccessDenied"));
    let signed = |user: &str, rest: &[&str]| {
        curl(
            &[&["--aws-sigv4", "aws:amz:any:s3", "-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD", "-u", user], rest]
                .concat(),
        )
    };
    let (access, secret) = (client.get("access_key"), client.get("secret_key"));
    let url = format!("{endpoint}/closed/a");
    let right = format!("{access}:{secret}");
    assert_eq!(signed(&right, &["-X", "PUT", "-H", "content-type: a/b", "-d", "x", &url]), "");
    assert_eq!(signed(&right, &[&url]), "x");
    assert!(signed(&format!("{access}:{secret}x"), &[&url]).contains("SignatureDoesNotMatch"));
    assert!(signed(&format!("{access}x:{secret}"), &[&url]).contains("InvalidAccessKeyId"));
    // Requests that are none, and one that is cut off.
    let listen = client.get("listen");
    for text in
        ["GET / HTTP/1.1\r\n\r\n", "\r\n\r\n", "PUT /closed/b HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nabc"]
    {
        TcpStream::connect(listen).unwrap().write_all(text.as_bytes()).unwrap();
    }
    assert_eq!(signed(&right, &[&url]), "x");
    // Whoever sends much of what is refused gets the answer, and no end of the connection in place of it.
    let mut refused = TcpStream::connect(listen).unwrap();
    refused.write_all(b"PUT /closed/b HTTP/1.1\r\nhost: a\r\ncontent-length: 33554432\r\n\r\n").unwrap();
    refused.write_all(&vec![b'x'; 32 << 20]).unwrap();
    let mut answer = String::new();
    refused.read_to_string(&mut answer).unwrap();
    assert!(answer.contains(" 403 ") && answer.ends_with("</Error>"), "{answer}");
    // Whoever asks whether to go on with an empty body is not left with a connection on which nothing was said of it.
    let expecting = ["-i", "-X", "PUT", "-H", "expect: 100-continue", "--data-binary"];
    let empty = signed(&right, &[&expecting[..], &["", &url]].concat());
    assert!(empty.starts_with("HTTP/1.1 200") && empty.contains("connection: close"), "{empty}");
    let other = signed(&right, &[&expecting[..], &["x", &url]].concat());
    assert!(other.contains("100 Continue") && !other.contains("connection: close"), "{other}");
    client.delete(world);
}

fn lists_many(world: &World) {
    if !has("aws") || !has("rclone") {
        return;
    }
    let client = Client::new(world, &[("name", "many".into())]);
    let folder = client.path("many");
    for at in 0..3000 {
        let path = format!("{folder}/{}/{}", at % 30, at % 7);
        fs::create_dir_all(&path).unwrap();
        fs::write(format!("{path}/{at}"), "x").unwrap();
    }
    client.run("rclone", &["copy", "--transfers=8", "--no-check-dest", &folder, "lab:many"]);
    let listed = client.aws(&["s3api", "list-objects-v2", "--bucket", "many", "--query", "length(Contents)"]);
    assert_eq!(listed.trim(), "3000");
    let listed =
        client.aws(&["s3api", "list-objects", "--bucket", "many", "--query", "length(Contents)", "--page-size", "70"]);
    assert_eq!(listed.trim(), "3000");
    let list = ["s3api", "list-objects-v2", "--bucket", "many", "--delimiter", "/"];
    assert_eq!(
        client.aws(&[&list[..], &["--query", "length(CommonPrefixes)", "--page-size", "7"]].concat()).trim(),
        "30"
    );
    let below = client.aws(&[&list[..], &["--prefix", "7/", "--query", "length(CommonPrefixes)"]].concat());
    assert_eq!(below.trim(), "7");
    client.aws(&["s3", "rm", "--recursive", "--quiet", "s3://many/"]);
    assert_eq!(client.aws(&["s3", "ls", "s3://many/"]), "");
    client.delete(world);
}

fn keeps_versions(world: &World) {
    if !has("aws") {
        return;
    }
    let client = Client::new(world, &[("name", "history".into()), ("versioning", true.into())]);
    let api = |arguments: &[&str]| client.aws(&[&["s3api"], arguments, &["--bucket", "history"]].concat());
    assert!(api(&["get-bucket-versioning"]).contains("Enabled"));
    for text in ["one", "two"] {
        fs::write(client.path("body"), text).unwrap();
        assert!(api(&["put-object", "--key", "a", "--body", "body"]).contains("VersionId"));
    }
    api(&["delete-object", "--key", "a"]);
    client.refused(&["s3api", "get-object", "--bucket", "history", "--key", "a", "out"], "NoSuchKey");
    let versions = api(&["list-object-versions", "--query", "Versions[].VersionId", "--output", "text"]);
    let versions: Vec<&str> = versions.split_whitespace().collect();
    assert_eq!(versions.len(), 2);
    api(&["get-object", "--key", "a", "--version-id", versions[1], "out"]);
    assert_eq!(fs::read_to_string(client.path("out")).unwrap(), "one");
    // The marker goes, and the object is back.
    let marker = api(&["list-object-versions", "--query", "DeleteMarkers[].VersionId", "--output", "text"]);
    api(&["delete-object", "--key", "a", "--version-id", marker.trim()]);
    api(&["get-object", "--key", "a", "out"]);
    assert_eq!(fs::read_to_string(client.path("out")).unwrap(), "two");
    // Kept no longer, what is deleted is gone for who asks for it, and the versions of before are there for who names them.
    let given = [("name", "history".into()), ("versioning", false.into())];
    world.update(KIND, &client.identity, &client.value, &given).unwrap();
    assert!(api(&["delete-object", "--key", "a"]).contains("\"DeleteMarker\": true"));
    client.refused(&["s3api", "get-object", "--bucket", "history", "--key", "a", "out"], "NoSuchKey");
    api(&["get-object", "--key", "a", "--version-id", versions[0], "out"]);
    client.delete(world);
}

fn share_an_endpoint(world: &World) {
    let secrets = [("access_key", Value::from("shared")), ("secret_key", Value::from("not-so-secret"))];
    let given = |name: &str| [&[("name", name.into())], secrets.as_slice()].concat();
    let (one, value) = world.create(KIND, &given("one")).unwrap();
    let (two, other) = world.create(KIND, &given("two")).unwrap();
    let (three, own) = world.create(KIND, &[("name", "three".into())]).unwrap();
    for other in [&other, &own] {
        assert_eq!(other.get_str("endpoint"), value.get_str("endpoint"));
    }
    let processes = run("pgrep", &["-fc", &format!("__lab-store.*{}", world.data.path().display())]);
    assert_eq!(processes.trim(), "1");
    let here = ("listen", value.get_str("listen").unwrap().into());
    let failure = world.create(KIND, &[&given("one")[..], std::slice::from_ref(&here)].concat()).unwrap_err();
    assert!(failure.summary.contains("already"), "{failure}");
    // The same bucket in another environment of the project has an endpoint of its own.
    let (again, elsewhere) = world.create(KIND, &given("one")).unwrap();
    assert_ne!(elsewhere.get_str("endpoint"), value.get_str("endpoint"));
    world.delete(KIND, &again);
    let endpoint = value.get_str("endpoint").unwrap();
    let get = |user: &str, path: &str| {
        let sign = ["-s", "--aws-sigv4", "aws:amz:any:s3", "-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD", "-u", user];
        run("curl", &[&sign[..], &[&format!("{endpoint}{path}")]].concat())
    };
    let listed = get("shared:not-so-secret", "/");
    assert!(listed.contains("<Name>one<") && listed.contains("<Name>two<") && !listed.contains("three"), "{listed}");
    assert!(get("shared:not-so-secret", "/three").contains("AccessDenied"));
    // The secret of a key changes from bucket to bucket: in between each is opened by its own.
    let anew = |name: &str| [("name", name.into()), secrets[0].clone(), ("secret_key", "another-one".into())];
    world.update(KIND, &one, &value, &anew("one")).unwrap();
    for (user, open, shut) in [("shared:another-one", "one", "two"), ("shared:not-so-secret", "two", "one")] {
        let listed = get(user, "/");
        assert!(listed.contains(&format!("<Name>{open}<")) && !listed.contains(shut), "{user}: {listed}");
        assert!(get(user, &format!("/{open}")).contains("<ListBucketResult"), "{user}");
        assert!(get(user, &format!("/{shut}")).contains("AccessDenied"), "{user}");
    }
    world.update(KIND, &two, &other, &anew("two")).unwrap();
    assert!(get("shared:not-so-secret", "/two").contains("SignatureDoesNotMatch"));
    let listed = get("shared:another-one", "/");
    assert!(listed.contains("<Name>one<") && listed.contains("<Name>two<"), "{listed}");
    // One of them is to move to where it cannot be, and stays as it was; then to another address, with its objects.
    let user = format!("{}:{}", own.get_str("access_key").unwrap(), own.get_str("secret_key").unwrap());
    assert!(get(&user, "/three").contains("<Name>three<"));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let busy = taken.local_addr().unwrap().to_string();
    let to_busy = [("name", "three".into()), ("listen", busy.as_str().into())];
    let failure = world.update(KIND, &three, &own, &to_busy).unwrap_err();
    assert!(failure.summary.contains("listen"), "{failure}");
    assert_eq!(world.lab.read(KIND, &three, &own).unwrap().as_ref(), Some(&own));
    assert!(get(&user, "/three").contains("<Name>three<"));
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let listen = format!("127.0.0.1:{port}");
    let moved = world
        .update(KIND, &three, &own, &[("name", "three".into()), ("listen", listen.as_str().into())])
        .unwrap()
        .value;
    assert_eq!(moved.get_str("endpoint"), Some(format!("http://{listen}").as_str()));
    assert!(!get(&user, "/three").contains("<Name>three<"));
    for identity in [&one, &two, &three] {
        world.delete(KIND, identity);
    }
}

fn outlives_its_process(world: &World) {
    let client = Client::new(world, &[("name", "lasting".into())]);
    let url = format!("{}/lasting/a", client.get("endpoint"));
    let user = format!("{}:{}", client.get("access_key"), client.get("secret_key"));
    let curl = |rest: &[&str]| {
        let sign = ["-s", "--aws-sigv4", "aws:amz:any:s3", "-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD", "-u", &user];
        run("curl", &[&sign[..], rest, &[&url]].concat())
    };
    assert_eq!(curl(&["-X", "PUT", "-H", "content-type: a/b", "-d", "kept"]), "");
    run("pkill", &["-9", "-f", &format!("__lab-store.*{}", world.data.path().display())]);
    let now = world.lab.read(KIND, &client.identity, &client.value).unwrap().unwrap();
    assert_eq!(now.get("running").and_then(Value::as_bool), Some(false));
    assert!(matches!(world.lab.resolve(KIND, &client.identity).unwrap(), Found::Complete(_)));
    let again = world.update(KIND, &client.identity, &now, &[("name", "lasting".into())]).unwrap().value;
    assert_eq!(again, client.value);
    assert_eq!(curl(&[]), "kept");
    client.delete(world);
}

fn survives_kills(world: &World) {
    let mut victims = 0;
    for attempt in 0..12_u64 {
        let identity = world.identity();
        let data = world.data.path().to_str().unwrap();
        let mut victim = Command::new("/proc/self/exe")
            .args(["victim-create", data, KIND, identity.as_str(), "name=victim"])
            .spawn()
            .unwrap();
        std::thread::sleep(std::time::Duration::from_micros(attempt * 1700));
        victim.kill().unwrap();
        victim.wait().unwrap();
        match world.lab.resolve(KIND, &identity).unwrap() {
            Found::Complete(_) | Found::Partial => {
                victims += 1;
                world.delete(KIND, &identity);
            }
            Found::Absent => {}
        }
    }
    println!("{victims} of 12 were cut off after they had begun");
}

fn with_objects_stays(world: &World) {
    let client = Client::new(world, &[("name", "precious".into())]);
    let url = format!("{}/precious/a", client.get("endpoint"));
    let user = format!("{}:{}", client.get("access_key"), client.get("secret_key"));
    let sign = ["-s", "--aws-sigv4", "aws:amz:any:s3", "-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD", "-u", &user];
    run("curl", &[&sign[..], &["-X", "PUT", "-H", "content-type: a/b", "-d", "kept", &url]].concat());
    let check = || {
        let failure = world.lab.delete(KIND, &client.identity).unwrap_err();
        assert!(failure.summary.contains("not empty") && failure.detail.contains("One object"), "{failure}");
        let said = world.lab.sweep(&[].into(), crate::world::OWNER);
        assert!(said.len() == 1 && said[0].contains("not empty"), "{said:?}");
    };
    check();
    assert_eq!(run("curl", &[&sign[..], &[&url]].concat()), "kept");
    run("pkill", &["-9", "-f", &format!("__lab-store.*{}", world.data.path().display())]);
    check();
    client.delete(world);
}
