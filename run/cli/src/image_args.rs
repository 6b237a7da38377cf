//! What the user typed after `bake` and `image`.

use std::path::PathBuf;

use andon_image::DiskFormat;
use andon_lang::{archive_place, layout_place};
use andon_schema::Failure;
use clap::{Args, Subcommand};

#[derive(Debug, Clone, Args)]
pub struct BakeArguments {
    /// Images of the project; all where none is named
    #[arg(value_name = "IMAGE")]
    pub images: Vec<String>,
    /// Push to a registry as well: REGISTRY/NAME:TAG
    #[arg(long, value_name = "REFERENCE")]
    pub push: Vec<String>,
    /// Write to PATH as well: a directory, a file ending with `.tar` or `.qcow2`, or `oci:PATH`
    ///
    /// `oci:DIRECTORY` is a layout of the Open Container Initiative, `oci:FILE.tar` the same as one archive. Any other file
    /// ending with `.tar`, `.tar.gz`, `.tgz`, `.tar.zst` or `.tzst` is an archive of the root file system; one ending with `.qcow2`, `.raw`
    /// or `.img` is a disk that a machine boots from; and any other path is a directory with the root file system.
    #[arg(long, short, value_name = "PATH")]
    pub output: Vec<String>,
    /// Take bases and packages as they are to be had now, and lock these
    ///
    /// Else an image is baked with the versions that .andon.lock.hcl names; what it does not name is added to it.
    #[arg(long)]
    pub update: bool,
    /// Write no outputs of the definitions
    #[arg(long)]
    pub no_outputs: bool,
    /// Write no bills of materials and no provenance beside what is written or pushed
    #[arg(long)]
    pub no_attestations: bool,
    /// The key that the provenance is signed with, as `andon image keygen` makes it
    #[arg(long, value_name = "FILE", env = "ANDON_IMAGE_KEY")]
    pub key: Option<PathBuf>,
}

#[derive(Debug, Clone, Args)]
pub struct ImageArguments {
    /// What is done
    #[command(subcommand)]
    pub command: ImageCommand,
}

#[derive(Debug, Clone, Subcommand)]
pub enum ImageCommand {
    /// List the images on this machine
    List,
    /// Show an image: where it comes from, its layers and its packages
    Show(OneImage),
    /// Show what changed between two images, by package and file
    Diff(DiffArguments),
    /// Show when images were baked, of what and by whom
    History(HistoryArguments),
    /// Hold every file of an image, or of all, against its digest
    Verify(VerifyArguments),
    /// Remove images that nothing refers to, and what only they are made of
    Prune(PruneArguments),
    /// Say what an image was made of and by whom, signed: an in-toto statement with a SLSA provenance
    Attest(AttestArguments),
    /// Make a key to sign with, and print its public half
    Keygen {
        /// Where it is kept
        file: PathBuf,
    },
}

#[derive(Debug, Clone, Args)]
pub struct OneImage {
    /// An image: a name of the project, a digest, or its beginning
    pub image: String,
    /// Its packages as a bill of materials
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub sbom: Option<Sbom>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Sbom {
    /// SPDX 2.3
    Spdx,
    /// CycloneDX 1.5
    Cyclonedx,
}

#[derive(Debug, Clone, Args)]
pub struct DiffArguments {
    /// The image before: a name of the project, a digest, or its beginning
    pub before: String,
    /// The image after
    pub after: String,
}

#[derive(Debug, Clone, Args)]
pub struct HistoryArguments {
    /// Only of this image of the project
    pub image: Option<String>,
    /// Of all projects on this machine, with the directory of each
    #[arg(long)]
    pub all: bool,
}

#[derive(Debug, Clone, Args)]
pub struct VerifyArguments {
    /// Images: names of the project, digests, or their beginnings; all on this machine where none is named
    ///
    /// A reference to a registry, REGISTRY/NAME:TAG, is held against the provenance that is there beside it; so is what was
    /// written: an archive, a disk, a directory, or a layout, `oci:DIRECTORY` or `oci:DIRECTORY:TAG`. What begins with `.` or
    /// `/` is a path.
    pub images: Vec<String>,
    /// Hold this provenance against the keys as well, and the image against it
    #[arg(long, value_name = "FILE", requires = "key")]
    pub provenance: Option<PathBuf>,
    /// A public key in PEM that is trusted
    #[arg(long, value_name = "FILE")]
    pub key: Vec<PathBuf>,
}

#[derive(Debug, Clone, Args)]
pub struct AttestArguments {
    /// An image: a name of the project, a digest, or its beginning
    pub image: String,
    /// The key to sign with, as `andon image keygen` makes it
    #[arg(long, value_name = "FILE", env = "ANDON_IMAGE_KEY")]
    pub key: Option<PathBuf>,
}

#[derive(Debug, Clone, Args)]
pub struct PruneArguments {
    /// Only images that were not used for so long
    #[arg(long, value_name = "TIME", default_value = "0s", hide_default_value = true, value_parser = crate::args::duration)]
    pub unused_for: std::time::Duration,
    /// Of each image of each project, keep the last COUNT
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    pub keep: usize,
    /// Forget projects whose directory is not there: what only they refer to goes
    ///
    /// Look first, with --dry-run: a directory may only not be mounted now.
    #[arg(long)]
    pub gone: bool,
    /// Say what would be removed, and remove nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// Where an output goes, as the command line says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A layout, in a directory or an archive.
    Oci(PathBuf),
    /// An archive of the root file system.
    Archive(PathBuf),
    /// The root file system.
    Directory(PathBuf),
    /// A disk that a machine boots from.
    Disk(PathBuf, DiskFormat),
}

impl Place {
    /// Reads `--output`.
    ///
    /// # Errors
    /// Where it is the name of an archive that is packed in another way, or no place of a layout.
    pub fn parse(text: &str) -> Result<Place, Failure> {
        if let Some(path) = text.strip_prefix("oci:") {
            return layout_place(path).map(|()| Place::Oci(path.into()));
        }
        let name = text.rsplit('/').next().unwrap_or(text);
        let ends = |ends: &[&str]| ends.iter().any(|end| name.ends_with(end));
        if name.contains(".tar.") || ends(&[".tar", ".tgz", ".txz", ".tbz2", ".tzst", ".zip"]) {
            return archive_place(text).map(|()| Place::Archive(text.into()));
        }
        Ok(match name {
            _ if ends(&[".qcow2"]) => Place::Disk(text.into(), DiskFormat::Qcow2),
            _ if ends(&[".raw", ".img"]) => Place::Disk(text.into(), DiskFormat::Raw),
            _ => Place::Directory(text.into()),
        })
    }
}
