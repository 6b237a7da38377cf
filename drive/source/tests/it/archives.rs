//! Archives, sound and not.

use std::io::Write;
use std::path::Path;

use andon_schema::source::{ArchiveFormat, Package};
use andon_source::tree;

use crate::web::web;

/// An entry of an archive that is made by hand: its name, its kind (`0` a file, `1` a second name, `2` a link, `5` a
/// directory, `3` a device), and its content or where it leads.
type Entry<'a> = (&'a str, u8, &'a [u8]);

/// A tar archive that no sound program would make.
fn tar(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut all = Vec::new();
    for (name, kind, content) in entries {
        let mut header = tar::Header::new_ustar();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_mode(0o644);
        header.as_mut_bytes()[156] = *kind;
        let data = if *kind == b'0' { *content } else { b"" };
        header.set_size(data.len() as u64);
        if *kind == b'1' || *kind == b'2' {
            header.as_mut_bytes()[157..157 + content.len()].copy_from_slice(content);
        }
        header.set_cksum();
        all.extend_from_slice(header.as_bytes());
        all.extend_from_slice(data);
        all.resize(all.len().next_multiple_of(512), 0);
    }
    all.resize(all.len() + 1024, 0);
    all
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

pub fn tar_gz(files: &[(&str, &[u8])]) -> Vec<u8> {
    let entries: Vec<Entry<'_>> = files.iter().map(|(name, content)| (*name, b'0', *content)).collect();
    gzip(&tar(&entries))
}

fn zip(files: &[(&str, &[u8])], link: Option<(&str, &str)>) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    for (name, content) in files {
        writer.start_file(*name, options).unwrap();
        writer.write_all(content).unwrap();
    }
    if let Some((name, target)) = link {
        writer.add_symlink(name, target, options).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn unpacked(content: &[u8], format: ArchiveFormat, to: &Path) -> Result<Vec<String>, String> {
    let file = to.with_extension("file");
    std::fs::write(&file, content).unwrap();
    let package = Package::File { path: file.to_str().unwrap().into(), format, checksum: None };
    web().fetch(&package, None, to, &|_, _| {}).map_err(|error| error.to_string())?;
    Ok(tree(to).unwrap().into_iter().map(|(path, _)| path).collect())
}

#[test]
fn archives_of_every_kind_are_unpacked() {
    let directory = tempfile::tempdir().unwrap();
    let plain =
        tar(&[("m/", b'5', b""), ("m/main.tf", b'0', b"x"), ("m/b/c.txt", b'0', b"y"), ("m/l", b'2', b"main.tf")]);
    let mut bzip = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    bzip.write_all(&plain).unwrap();
    let mut cases = vec![
        (ArchiveFormat::Tar, plain.clone()),
        (ArchiveFormat::TarGzip, gzip(&plain)),
        (ArchiveFormat::TarBzip2, bzip.finish().unwrap()),
        (ArchiveFormat::Zip, zip(&[("m/main.tf", b"x"), ("m/b/c.txt", b"y")], Some(("m/l", "main.tf")))),
    ];
    let xz = directory.path().join("plain");
    std::fs::write(&xz, &plain).unwrap();
    match std::process::Command::new("xz").arg(&xz).status() {
        Ok(status) if status.success() => {
            cases.push((ArchiveFormat::TarXz, std::fs::read(xz.with_extension("xz")).unwrap()));
        }
        _ => println!("skipped: there is no xz to make an archive with"),
    }
    for (format, content) in cases {
        let to = directory.path().join(format.name());
        assert_eq!(unpacked(&content, format, &to).unwrap(), ["m/b/c.txt", "m/l", "m/main.tf"], "{format:?}");
        assert_eq!(std::fs::read_to_string(to.join("m/l")).unwrap(), "x");
        // One that ends too early is no archive.
        let cut = &content[..content.len() / 3];
        let broken = unpacked(cut, format, &directory.path().join(format!("{}-cut", format.name())));
        assert!(broken.as_ref().is_err_and(|error| error.contains("cannot be unpacked")), "{format:?}: {broken:?}");
    }
}

#[test]
fn nothing_is_written_outside() {
    let outside = tempfile::tempdir().unwrap();
    let directory = outside.path().join("in/side");
    std::fs::create_dir_all(&directory).unwrap();
    let cases: [(&str, &[Entry<'_>], &str); 11] = [
        ("dots", &[("../x", b'0', b"x")], "`../x` leads out of the package"),
        ("inner dots", &[("a/../../x", b'0', b"x")], "leads out of the package"),
        ("absolute", &[("/x", b'0', b"x")], "leads out of the package"),
        ("backslashes", &[("..\\x", b'0', b"x")], "leads out of the package"),
        ("link out", &[("l", b'2', b"../../x")], "leads out of the package, to `../../x`"),
        ("absolute link", &[("l", b'2', b"/etc/passwd")], "leads out of the package"),
        ("through a link", &[("d", b'2', b"e"), ("d/x", b'0', b"x")], "goes through a link"),
        ("link then file", &[("e", b'5', b""), ("l", b'2', b"e"), ("l/../x", b'0', b"x")], "leads out"),
        ("second name", &[("n", b'1', b"../../x")], "leads out of the package"),
        ("second name of nothing", &[("n", b'1', b"x")], "is a name for what is not in it"),
        ("device", &[("n", b'3', b"")], "is neither a file, a directory nor a link"),
    ];
    for (name, entries, expected) in cases {
        let got = unpacked(&tar(entries), ArchiveFormat::Tar, &directory.join(name));
        assert!(got.as_ref().is_err_and(|error| error.contains(expected)), "{name}: {got:?}");
    }
    let evil = zip(&[("../x", b"x")], None);
    let got = unpacked(&evil, ArchiveFormat::Zip, &directory.join("zip"));
    assert!(got.as_ref().is_err_and(|error| error.contains("leads out")), "{got:?}");
    let evil = zip(&[("a", b"x")], Some(("l", "../../x")));
    let got = unpacked(&evil, ArchiveFormat::Zip, &directory.join("zip link"));
    assert!(got.as_ref().is_err_and(|error| error.contains("leads out")), "{got:?}");
    let got = unpacked(&tar(&[]), ArchiveFormat::Tar, &directory.join("empty"));
    assert!(got.as_ref().is_err_and(|error| error.contains("it is empty")), "{got:?}");
    let there: Vec<_> = std::fs::read_dir(outside.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert_eq!(there, ["in"]);
    assert!(!outside.path().join("in/x").exists());
}
